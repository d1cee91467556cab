//! Grants and what bounds them, certificates that are refused, and invites.

/// What `row::held` reads, of a row `g` of grants.
macro_rules! columns {
    () => {
        "g.id, g.name, g.workspace, g.subject, g.subject_name, g.peer, g.scope, g.state, g.generation, g.renewals, g.serial, g.spki, \
         g.leaf_not_after, g.created_at, g.next_serial, g.next_spki, g.next_not_after, g.next_issued_at, g.next_unused, g.next_waits, \
         g.former_serial, g.former_spki, g.former_not_after, g.former_until, g.seal, \
         (SELECT w.name FROM workspaces w WHERE w.id = g.workspace) AS workspace_name"
    };
}

/// The invite whose certificate a grant was given last: of those of the grant `$grant`.
macro_rules! handed {
    ($grant:literal) => {
        concat!("i.grant_id = ", $grant, " AND i.certificate IS NOT NULL ORDER BY i.used_at DESC LIMIT 1")
    };
}

/// What `keys` reads of what a row `g` of grants was held with, where `handed_join` is.
macro_rules! held_columns {
    () => {
        "g.keys_seal, h.handed, h.claimed, ARRAY(SELECT k.spki FROM grant_keys k WHERE k.grant_id = g.id AND k.invite IS NOT DISTINCT FROM h.handed) AS renewed"
    };
}

macro_rules! handed_join {
    () => {
        concat!(
            "LEFT JOIN LATERAL (SELECT i.id AS handed, i.claimed_spki AS claimed FROM invites i WHERE ",
            handed!("g.id"),
            ") h ON true"
        )
    };
}

/// What `invites` reads, of a row `i` of invites.
macro_rules! invite_columns {
    () => {
        "i.id AS invite, i.grant_id, i.digest, i.expires_at, i.used_at, i.spki AS bound_spki, i.confirm, i.wrong_words, \
         i.claimed_spki, i.claimed_nonce, i.serial AS given_serial, i.certificate AS given_certificate, i.seal AS invite_seal"
    };
}

statements! {
    VERSION = "SELECT version, complete FROM grants_version";
    LIVE = concat!("SELECT ", columns!(), " FROM grants g WHERE g.state <> 'revoked'");
    STANDING = concat!("SELECT ", columns!(), " FROM grants g");
    /// What was written after a version.
    MOVED = concat!("SELECT ", columns!(), " FROM grants g WHERE g.moved > $1");
    ALL_GRANTS = concat!("SELECT ", columns!(), ", g.peer_name, h.*
        FROM grants g LEFT JOIN LATERAL (SELECT ", invite_columns!(), " FROM invites i WHERE ", handed!("g.id"), ") h
            ON true ORDER BY g.created_at DESC, g.id DESC");
    /// The last invite of each grant. An invite ends those before it, so that is the one with the last end.
    LAST_INVITES = concat!("SELECT DISTINCT ON (i.grant_id) ", invite_columns!(), " FROM invites i ORDER BY i.grant_id, i.expires_at DESC");
    /// The invite by which a grant came to its holder.
    HANDED = concat!("SELECT ", invite_columns!(), " FROM invites i WHERE ", handed!("$1"), " FOR UPDATE");
    GRANT = concat!("SELECT ", columns!(), " FROM grants g WHERE g.id = $1 FOR UPDATE");
    ANY_UNSEALED = "SELECT EXISTS (SELECT FROM grants WHERE seal IS NULL)";
    UNSEALED = concat!("SELECT ", columns!(), " FROM grants g WHERE g.seal IS NULL FOR UPDATE");
    GRANTS_OF = concat!("SELECT ", columns!(), "
        FROM grants g WHERE g.subject = $1 ORDER BY g.id FOR UPDATE");
    /// Whether another grant that has not ended has this name.
    NAME_TAKEN = "SELECT EXISTS (SELECT FROM grants WHERE name = $1 AND id <> $2 AND state <> 'revoked' AND not_after > $3)";
    ADD = "INSERT INTO grants (id, name, workspace, subject, subject_name, peer, scope, not_after, state, generation, serial,
            spki, leaf_not_after, created_at, seal)
        SELECT $1, $2, $3, u.id, u.name, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 FROM users u WHERE u.id = $4
        ON CONFLICT DO NOTHING";
    UPDATE = "UPDATE grants SET peer = $2, scope = $3, not_after = $4, state = $5, generation = $6, serial = $7, spki = $8,
            leaf_not_after = $9, peer_name = coalesce($10, peer_name), next_serial = $11, next_spki = $12,
            next_not_after = $13, next_issued_at = $14, former_serial = $15, former_spki = $16, former_not_after = $17,
            former_until = $18, next_unused = $19, next_waits = $20, seal = $21, name = $22, renewals = $23
        WHERE id = $1";
    /// All of them, and whether the holder has the key $1 or is about to have it at $2. Whether they have ended is not asked: a row that
    /// says so may not be as it was written, nor what it was held with.
    GRANTS_AND_KEY = concat!("SELECT ", columns!(), ", ", held_columns!(), ", coalesce($1 IN (g.spki, g.next_spki, g.former_spki), false)
            OR EXISTS (SELECT FROM invites i WHERE i.grant_id = g.id AND i.claimed_spki = $1 AND i.certificate IS NULL AND i.expires_at > $2) AS has
        FROM grants g ", handed_join!(), " ORDER BY g.id FOR UPDATE OF g");
    HELD_KEYS = concat!("SELECT ", held_columns!(), " FROM grants g ", handed_join!(), " WHERE g.id = $1");
    SEAL_HELD_KEYS = "UPDATE grants SET keys_seal = $2 WHERE id = $1";
    KEEP_GRANT_KEY = concat!("INSERT INTO grant_keys (grant_id, spki, invite)
        SELECT $1, $2, (SELECT i.id FROM invites i WHERE ", handed!("$1"), ")
        ON CONFLICT (grant_id, spki) DO UPDATE SET invite = excluded.invite");
    /// Invites that are for the key $1 alone and open at $2.
    INVITES_FOR_KEY = concat!("SELECT ", invite_columns!(), " FROM invites i WHERE i.spki = $1 AND i.expires_at > $2 FOR UPDATE");
    REVOKED_KEYS = "SELECT spki, revoked_at, revoked_by, reason, seal FROM revoked_keys ORDER BY revoked_at DESC, spki";
    REVOKED_KEY = "SELECT spki, revoked_at, revoked_by, reason, seal FROM revoked_keys WHERE spki = $1 FOR UPDATE";
    IS_KEY_REVOKED = "SELECT EXISTS (SELECT FROM revoked_keys WHERE spki = $1)";
    /// What stands there is written anew only where somebody else wrote it.
    REVOKE_KEY = "INSERT INTO revoked_keys (spki, revoked_at, revoked_by, reason, seal) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (spki) DO UPDATE SET revoked_at = $2, revoked_by = $3, reason = $4, seal = $5";
    CEILING = "SELECT ceiling, set_at, set_by FROM ceiling";
    SET_CEILING = "INSERT INTO ceiling (ceiling, set_at, set_by) VALUES ($1, $2, $3)";
    CLEAR_CEILING = "DELETE FROM ceiling";
    REFUSED = "SELECT serial, spki, not_after FROM refused_leaves WHERE not_after > $1";
    /// Those that were refused after a version.
    REFUSED_AFTER = "SELECT serial, spki, not_after FROM refused_leaves WHERE not_after > $1 AND moved > $2";
    REFUSED_SINCE = "SELECT serial, spki, not_after, refused_at FROM refused_leaves WHERE not_after > $1";
    REFUSE = "INSERT INTO refused_leaves (serial, spki, not_after, refused_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    FORGET_REFUSED = "DELETE FROM refused_leaves WHERE not_after <= $1";
    /// The state of grants as the last look before an answer sees it.
    STATES = "SELECT id, state, generation, not_after FROM grants WHERE id = ANY ($1)";
    ADD_INVITE = "INSERT INTO invites (id, grant_id, digest, expires_at, spki, confirm, seal)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    INVITES_OF = concat!("SELECT ", invite_columns!(), " FROM invites i WHERE i.grant_id = $1 FOR UPDATE");
    /// What may change of an invite.
    UPDATE_INVITE = "UPDATE invites SET expires_at = $2, wrong_words = $3, used_at = $4, claimed_spki = $5, claimed_nonce = $6, serial = $7,
            certificate = $8, seal = $9
        WHERE id = $1";
    INVITED = concat!("SELECT ", invite_columns!(), ", ", columns!(), "
        FROM invites i JOIN grants g ON g.id = i.grant_id WHERE i.digest = $1");
    INVITED_BY_ID = concat!("SELECT ", invite_columns!(), ", ", columns!(), "
        FROM invites i JOIN grants g ON g.id = i.grant_id WHERE i.id = $1 FOR UPDATE");
    /// $1 is how long one that was answered may be used again.
    LAST_INVITE_END = "SELECT max(CASE WHEN certificate IS NULL THEN expires_at ELSE least(expires_at, used_at + $1) END) FROM invites
        WHERE grant_id NOT IN (SELECT grant_id FROM grant_calls)";
}

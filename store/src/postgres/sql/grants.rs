//! Grants, peers, certificates that are refused, and invites.

statements! {
    VERSION = "SELECT version FROM grants_version";
    LIVE = "SELECT id, name, workspace, subject, subject_name, peer, NULL AS peer_name, scope, state, generation, serial, spki,
            leaf_not_after, created_at
        FROM grants WHERE state <> 'revoked'";
    ALL_GRANTS = "SELECT g.id, g.name, g.workspace, g.subject, g.subject_name, g.peer, p.name AS peer_name, g.scope, g.state,
            g.generation, g.serial, g.spki, g.leaf_not_after, g.created_at
        FROM grants g LEFT JOIN peers p ON p.id = g.peer ORDER BY g.created_at DESC, g.id DESC";
    GRANT = "SELECT id, name, workspace, subject, subject_name, peer, NULL AS peer_name, scope, state, generation, serial, spki,
            leaf_not_after, created_at
        FROM grants WHERE id = $1 FOR UPDATE";
    GRANTS_OF = "SELECT id, name, workspace, subject, subject_name, peer, NULL AS peer_name, scope, state, generation, serial, spki,
            leaf_not_after, created_at
        FROM grants WHERE subject = $1 AND state <> 'revoked' ORDER BY id FOR UPDATE";
    /// Whether another grant that has not ended has this name.
    NAME_TAKEN = "SELECT EXISTS (SELECT FROM grants WHERE name = $1 AND id <> $2 AND state <> 'revoked' AND not_after > $3)";
    ADD = "INSERT INTO grants (id, name, workspace, subject, subject_name, peer, scope, not_after, state, generation, serial,
            spki, leaf_not_after, created_at)
        SELECT $1, $2, $3, u.id, u.name, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM users u WHERE u.id = $4
        ON CONFLICT DO NOTHING";
    UPDATE = "UPDATE grants SET peer = $2, scope = $3, not_after = $4, state = $5, generation = $6, serial = $7, spki = $8,
            leaf_not_after = $9
        WHERE id = $1";
    REFUSED = "SELECT serial, spki, not_after FROM refused_leaves WHERE not_after > $1";
    REFUSE = "INSERT INTO refused_leaves (serial, spki, not_after) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    FORGET_REFUSED = "DELETE FROM refused_leaves WHERE not_after <= $1";
    MEET = "INSERT INTO peers (id, name, since) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET name = excluded.name";
    /// The state of grants as the last look before an answer sees it.
    STATES = "SELECT id, state, generation, not_after FROM grants WHERE id = ANY ($1)";
    ADD_INVITE = "INSERT INTO invites (id, grant_id, digest, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    END_INVITES = "UPDATE invites SET expires_at = $2 WHERE grant_id = $1 AND used_at IS NULL AND expires_at > $2";
    INVITED = "SELECT i.id AS invite, i.expires_at, i.used_at, g.id, g.name, g.workspace, g.subject, g.subject_name, g.peer,
            NULL AS peer_name, g.scope, g.state, g.generation, g.serial, g.spki, g.leaf_not_after, g.created_at
        FROM invites i JOIN grants g ON g.id = i.grant_id WHERE i.digest = $1";
    CLAIM = "UPDATE invites i SET used_at = $2 FROM grants g
        WHERE i.id = $1 AND i.used_at IS NULL AND i.expires_at > $2
          AND g.id = i.grant_id AND g.state <> 'revoked' AND g.not_after > $2";
    LAST_INVITE_END = "SELECT max(expires_at) FROM invites WHERE used_at IS NULL";
}

//! Calls. What belongs to a user runs with `app.subject` set to them.

statements! {
    KEEP_GRANT_CALL = "INSERT INTO grant_calls (grant_id, sealed) VALUES ($1, $2)
        ON CONFLICT (grant_id) DO UPDATE SET sealed = excluded.sealed";
    GRANT_CALLS = "SELECT grant_id AS id, sealed FROM grant_calls WHERE sealed <> ''";
    /// The one who is nobody: no plan is that short.
    CALL_NOBODY = "INSERT INTO grant_calls (grant_id, sealed) VALUES ($1, '') ON CONFLICT (grant_id) DO UPDATE SET sealed = excluded.sealed";
    FORGET_GRANT_CALL = "DELETE FROM grant_calls WHERE grant_id = $1";
    FORGET_OLD_AWAITS = "DELETE FROM awaits WHERE owner = $1 AND not_after <= $2";
    KEEP_AWAIT = "INSERT INTO awaits (owner, id, name, addresses, sealed, not_after) VALUES ($1, $2, $3, $4, $5, $6)";
    AWAITS = "SELECT owner, id, name, addresses, sealed, not_after, grant_id, used FROM awaits WHERE owner = $1 ORDER BY not_after, id";
    CLAIM_AWAIT = "UPDATE awaits SET grant_id = $3 WHERE owner = $1 AND id = $2 AND coalesce(grant_id, $3) = $3";
    USE_AWAIT = "UPDATE awaits SET used = true, sealed = '' WHERE owner = $1 AND id = $2";
    FORGET_AWAIT = "DELETE FROM awaits WHERE owner = $1 AND id = $2";
    KEEP_LINK_CALL = "INSERT INTO link_calls (owner, id, sealed) VALUES ($1, $2, $3)
        ON CONFLICT (owner, id) DO UPDATE SET sealed = excluded.sealed";
    LINK_CALLS = "SELECT id, sealed FROM link_calls WHERE owner = $1";
    FORGET_LINK_CALL = "DELETE FROM link_calls WHERE owner = $1 AND id = $2";
}

//! Tokens of programs. But for the directory, statements run with `app.subject` set to their owner.

statements! {
    FORGET_OLD_TOKENS = "DELETE FROM tokens WHERE owner = $1 AND not_after <= $2";
    COUNT = "SELECT count(*) FROM tokens WHERE owner = $1";
    ADD = "INSERT INTO tokens (owner, id, workspace, name, hash, added_at, not_after, seal)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
    TOKENS = "SELECT owner, id, workspace, name, hash, added_at, not_after, used_at, seal FROM tokens WHERE owner = $1 ORDER BY name";
    TOKEN = "SELECT owner, id, workspace, name, hash, added_at, not_after, used_at, seal FROM tokens WHERE owner = $1 AND id = $2";
    /// Whose a token is; of all where none is said.
    DIRECTORY = "SELECT id, owner FROM token_directory($1)";
    NOTE = "UPDATE tokens SET used_at = $3 WHERE owner = $1 AND id = $2";
    REMOVE = "DELETE FROM tokens WHERE owner = $1 AND name = $2 RETURNING id";
}

//! The log.

statements! {
    HEAD = "SELECT sequence, hash, time FROM audit_head";
    LOCK_HEAD = "SELECT sequence, hash, time FROM audit_head FOR UPDATE";
    /// Appends entries and moves the head behind them, where the log ends as said and the grants stand as said.
    APPEND = "SELECT append_audit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
            $21, $22, $23, $24)";
    /// The hash of an entry says whether a batch whose commit was not answered was committed.
    HASH_AT = "SELECT hash FROM audit WHERE sequence = $1";
    FIRST = "SELECT * FROM audit
        WHERE sequence > $1 AND ($2::uuid IS NULL OR grant_id = $2) AND ($3::text IS NULL OR ending = $3)
          AND ($4::timestamptz IS NULL OR time >= $4)
        ORDER BY sequence LIMIT $5";
    LAST = "SELECT * FROM audit
        WHERE sequence > $1 AND ($2::uuid IS NULL OR grant_id = $2) AND ($3::text IS NULL OR ending = $3)
          AND ($4::timestamptz IS NULL OR time >= $4)
        ORDER BY sequence DESC LIMIT $5";
    HASHES = "SELECT hash FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2";
    TILE = "SELECT hashes FROM audit_tiles WHERE level = $1 AND number = $2";
    /// How many tiles each level has: they are kept without a gap.
    TILE_COUNTS = "SELECT level, max(number) + 1 AS count FROM audit_tiles GROUP BY level ORDER BY level";
    /// What the tiles above are made of, from one tile on.
    TILE_ROOTS = "SELECT root FROM audit_tiles WHERE level = $1 AND number >= $2 ORDER BY number";
    KEEP_TILES = "INSERT INTO audit_tiles (level, number, hashes, root)
        SELECT * FROM UNNEST($1::smallint[], $2::bigint[], $3::bytea[], $4::bytea[]) ON CONFLICT DO NOTHING";
    FORGET_TILES = "DELETE FROM audit_tiles";
}

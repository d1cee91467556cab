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
}

//! The log.

statements! {
    HEAD = "SELECT sequence, hash, time FROM audit_head";
    LOCK_HEAD = "SELECT sequence, hash, time FROM audit_head FOR UPDATE";
    /// Appends entries and moves the head behind them.
    APPEND = "WITH head AS (UPDATE audit_head SET sequence = $20, hash = $21, time = $22)
        INSERT INTO audit (sequence, time, stage, ending, about, request, address, grant_id, peer, subject, resource, query,
            reason, note, rows, bytes, latency_us, previous, hash)
        SELECT * FROM UNNEST($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[],
            $8::uuid[], $9::uuid[], $10::uuid[], $11::text[], $12::bytea[], $13::text[], $14::text[], $15::bigint[],
            $16::bigint[], $17::bigint[], $18::bytea[], $19::bytea[])";
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

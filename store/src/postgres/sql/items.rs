//! Rows, where no filter is involved. Run with both tenant settings.

statements! {
    /// One writer at a time for each user, so that two imports of one source cannot both add a row.
    WRITER = "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text || $2::uuid::text, 0))";
    NEW_IDS = "SELECT gen_random_uuid() FROM generate_series(1, $1::int)";
    TEAM_IDS = "SELECT id FROM teams WHERE workspace = $1 ORDER BY id";
    FOUND = "SELECT i.id, i.kind, i.source_key, i.content FROM items i
        JOIN UNNEST($3::text[], $4::text[]) AS given (kind, source_key) USING (kind, source_key)
        WHERE i.workspace = $1 AND i.owner = $2";
    ADD = "INSERT INTO items
            (id, workspace, owner, kind, team, project, title, body, tags, attributes, source_key, content, created_at, updated_at)
        SELECT n.id, $1, $2, n.kind, n.team, n.project, n.title, n.body,
               ARRAY(SELECT jsonb_array_elements_text(n.tags)), n.attributes, n.source_key, n.content,
               coalesce(n.created_at, $3), $3
        FROM UNNEST($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::jsonb[], $11::jsonb[],
                    $12::text[], $13::bytea[], $14::timestamptz[])
            AS n (id, kind, team, project, title, body, tags, attributes, source_key, content, created_at)
        ON CONFLICT DO NOTHING RETURNING id";
    CHANGE = "UPDATE items i
        SET team = n.team, project = n.project, title = n.title, body = n.body,
            tags = ARRAY(SELECT jsonb_array_elements_text(n.tags)), attributes = n.attributes, content = n.content,
            created_at = coalesce(n.created_at, i.created_at), updated_at = $3
        FROM UNNEST($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::jsonb[], $11::jsonb[],
                    $12::text[], $13::bytea[], $14::timestamptz[])
            AS n (id, kind, team, project, title, body, tags, attributes, source_key, content, created_at)
        WHERE i.id = n.id AND i.workspace = $1 AND i.owner = $2 AND i.kind = n.kind AND i.source_key = n.source_key
        RETURNING i.id";
}

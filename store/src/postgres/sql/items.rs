//! Rows, where no filter is involved. Run with both tenant settings.

statements! {
    /// One writer at a time for each user, so that two imports of one source cannot both add a row.
    WRITER = "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text || $2::uuid::text, 0))";
    PERSONAL = "SELECT count(*) FROM items WHERE personal_owner = $1
        AND workspace = nullif(current_setting('app.workspace', true), '')::uuid";
    SOURCED = "SELECT team, count(*) AS rows FROM items
        WHERE workspace = $1 AND owner = $2 AND starts_with(source_key, $3) AND ($4::text[] IS NULL OR source_key = ANY($4))
        GROUP BY team";
    ALIKE = "SELECT left(i.source_key, length(i.source_key) - length(n.key_end)) AS source, count(*) AS rows
        FROM UNNEST($4::text[], $5::text[], $6::text[]) AS n (kind, title, key_end)
        JOIN items i ON i.workspace = $1 AND i.owner = $2 AND i.kind = n.kind AND i.title = n.title
            AND right(i.source_key, length(n.key_end)) = n.key_end
        WHERE NOT starts_with(i.source_key, $3) AND length(i.source_key) > length(n.key_end)
        GROUP BY 1";
    NEW_IDS = "SELECT gen_random_uuid() FROM generate_series(1, $1::int)";
    TEAM_IDS = "SELECT id FROM teams WHERE workspace = $1 ORDER BY id";
    /// One look into the unique index for each source.
    FOUND = "SELECT found.id, found.source, found.content FROM UNNEST($1::bytea[]) AS key
        CROSS JOIN LATERAL (SELECT id, source, content FROM items WHERE source = key LIMIT 1) AS found";
    ADD = "INSERT INTO items
            (id, workspace, owner, kind, team, project, title, body, tags, attributes, source_key, source, content,
             created_at, updated_at)
        SELECT n.id, $1, $2, n.kind, n.team, n.project, n.title, n.body,
               ARRAY(SELECT jsonb_array_elements_text(n.tags)), n.attributes, n.source_key, n.source, n.content,
               coalesce(n.created_at, $3), $3
        FROM UNNEST($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::jsonb[], $11::jsonb[],
                    $12::text[], $13::bytea[], $14::bytea[], $15::timestamptz[])
            AS n (id, kind, team, project, title, body, tags, attributes, source_key, source, content, created_at)
        ON CONFLICT DO NOTHING RETURNING id";
    CHANGE = "UPDATE items i
        SET team = n.team, project = n.project, title = n.title, body = n.body,
            tags = ARRAY(SELECT jsonb_array_elements_text(n.tags)), attributes = n.attributes, content = n.content,
            created_at = coalesce(n.created_at, i.created_at), updated_at = $3
        FROM UNNEST($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::jsonb[], $11::jsonb[],
                    $12::text[], $13::bytea[], $14::bytea[], $15::timestamptz[])
            AS n (id, kind, team, project, title, body, tags, attributes, source_key, source, content, created_at)
        WHERE i.source = n.source AND i.id = n.id AND i.workspace = $1 AND i.owner = $2
        RETURNING i.id";
}

-- A batch of the log in one question: nothing between its last look at the grants and its commit waits for the daemon.

-- Writes nothing and says false unless the log ends where the caller says, and every grant in `looked` is active, of the
-- generation in `decided` and not past its end at `looked_at`. The head's lock comes first and is held to the commit; each
-- statement after it sees what was committed before (read committed), so that no change of a grant falls between look and
-- commit.
CREATE FUNCTION append_audit(
    after_sequence bigint, after_hash bytea, looked uuid[], decided bigint[], looked_at timestamptz,
    sequences bigint[], times timestamptz[], stages text[], endings text[], abouts text[], requests uuid[], addresses text[],
    grant_ids uuid[], peers uuid[], subjects uuid[], resources text[], queries bytea[], reasons text[], notes text[],
    row_counts bigint[], byte_counts bigint[], latencies bigint[], previouses bytea[], hashes bytea[]
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    last integer := cardinality(sequences);
BEGIN
    PERFORM FROM audit_head WHERE sequence = after_sequence AND hash = after_hash FOR UPDATE;
    IF NOT FOUND OR current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN false;
    END IF;
    IF EXISTS (
        SELECT FROM UNNEST(looked, decided) AS asked (id, generation) LEFT JOIN grants g ON g.id = asked.id
        WHERE (g.state = 'active' AND g.generation = asked.generation AND g.not_after > looked_at) IS NOT TRUE
    ) THEN
        RETURN false;
    END IF;
    UPDATE audit_head SET sequence = sequences[last], hash = hashes[last], time = times[last];
    INSERT INTO audit (sequence, time, stage, ending, about, request, address, grant_id, peer, subject, resource, query, reason,
                       note, rows, bytes, latency_us, previous, hash)
    SELECT * FROM UNNEST(sequences, times, stages, endings, abouts, requests, addresses, grant_ids, peers, subjects, resources,
                         queries, reasons, notes, row_counts, byte_counts, latencies, previouses, hashes);
    RETURN true;
END
$$;

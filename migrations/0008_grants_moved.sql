-- What changed since a version can be read without the rest. Each grant says at which version it was last written.

ALTER TABLE grants ADD COLUMN moved bigint NOT NULL DEFAULT 0;
CREATE INDEX grants_by_move ON grants (moved);

-- Rows that are gone cannot say so: whoever knows a version before this one reads everything.
ALTER TABLE grants_version ADD COLUMN complete bigint NOT NULL DEFAULT 0;

-- Before the statement's rows, and not after them: the version's lock is held to the commit, so that a version is never seen
-- before every row of it and of the versions before.
DROP TRIGGER grants_moved ON grants;
CREATE OR REPLACE FUNCTION grants_moved() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER
AS $$
BEGIN
    UPDATE grants_version
    SET version = version + 1,
        complete = CASE WHEN TG_OP IN ('DELETE', 'TRUNCATE') THEN version + 1 ELSE complete END;
    PERFORM pg_notify('mosaic_grants', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER grants_moved BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON grants
FOR EACH STATEMENT EXECUTE FUNCTION grants_moved();

CREATE FUNCTION grant_moved() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER
AS $$
BEGIN
    NEW.moved := (SELECT version FROM grants_version);
    RETURN NEW;
END
$$;
CREATE TRIGGER grant_moved BEFORE INSERT OR UPDATE ON grants FOR EACH ROW EXECUTE FUNCTION grant_moved();

-- Of the certificates that are refused, too, what changed since a version can be read without the rest.

ALTER TABLE refused_leaves ADD COLUMN moved bigint NOT NULL DEFAULT 0;
CREATE INDEX refused_leaves_by_move ON refused_leaves (moved);
-- Each change forgets those whose time is over.
CREATE INDEX refused_leaves_by_end ON refused_leaves (not_after);

CREATE TRIGGER leaves_moved BEFORE INSERT OR TRUNCATE ON refused_leaves
FOR EACH STATEMENT EXECUTE FUNCTION grants_moved();
CREATE TRIGGER leaf_moved BEFORE INSERT ON refused_leaves FOR EACH ROW EXECUTE FUNCTION grant_moved();

-- A row that became another one, or is gone before its time, cannot say so: whoever knows a version before this one reads everything.
CREATE FUNCTION leaves_gone() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER
AS $$
BEGIN
    IF TG_OP = 'UPDATE' OR EXISTS (SELECT FROM gone WHERE not_after > now()) THEN
        UPDATE grants_version SET version = version + 1, complete = version + 1;
        PERFORM pg_notify('mosaic_grants', '');
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER leaves_gone AFTER DELETE ON refused_leaves
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION leaves_gone();
CREATE TRIGGER leaves_changed AFTER UPDATE ON refused_leaves
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION leaves_gone();

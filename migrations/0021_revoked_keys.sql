-- Keys that somebody else may have: they are refused for ever, whoever has a certificate for them. A revoked key is also remembered outside
-- the database, so that a row that is removed brings none back.

CREATE TABLE revoked_keys (
    -- SHA-256 of the key (SubjectPublicKeyInfo).
    spki bytea PRIMARY KEY CHECK (octet_length(spki) = 32),
    revoked_at timestamptz NOT NULL,
    -- Kept as history, as the subject's name of a grant is.
    revoked_by text NOT NULL,
    reason text NOT NULL,
    -- A MAC as that of grants.
    seal bytea NOT NULL
);
-- Who judges callers reads both anew.
CREATE TRIGGER keys_moved BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revoked_keys
FOR EACH STATEMENT EXECUTE FUNCTION grants_moved();

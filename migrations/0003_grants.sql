-- The sharing side: grants are the authority over who may ask. They belong to the instance, not to a tenant.

CREATE TABLE peers (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    since timestamptz NOT NULL
);

CREATE TABLE grants (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    workspace uuid NOT NULL REFERENCES workspaces,
    -- A grant outlives its subject as history, so the name is kept and the id refers to nothing.
    subject uuid NOT NULL,
    subject_name text NOT NULL,
    peer uuid REFERENCES peers,
    scope jsonb NOT NULL,
    not_after timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'active', 'revoked')),
    generation bigint NOT NULL,
    serial bytea,
    spki bytea,
    leaf_not_after timestamptz,
    created_at timestamptz NOT NULL,
    CHECK (num_nonnulls(serial, spki, leaf_not_after) IN (0, 3)),
    CHECK (state <> 'active' OR (peer IS NOT NULL AND serial IS NOT NULL))
);
CREATE INDEX grants_by_name ON grants (name) WHERE state <> 'revoked';
CREATE INDEX grants_of_subject ON grants (subject) WHERE state <> 'revoked';

-- Certificates of this instance's CA that must not pass a handshake, until they expire.
CREATE TABLE refused_leaves (
    serial bytea NOT NULL,
    spki bytea NOT NULL,
    not_after timestamptz NOT NULL,
    PRIMARY KEY (serial, spki)
);

-- The token itself is never stored.
CREATE TABLE invites (
    id uuid PRIMARY KEY,
    grant_id uuid NOT NULL REFERENCES grants,
    digest bytea NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX invites_of_grant ON invites (grant_id) WHERE used_at IS NULL;

CREATE TABLE grants_version (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL
);
INSERT INTO grants_version (version) VALUES (1);

-- No statement can change a grant and forget to say so.
CREATE FUNCTION grants_moved() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER
AS $$
BEGIN
    UPDATE grants_version SET version = version + 1;
    PERFORM pg_notify('mosaic_grants', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER grants_moved AFTER INSERT OR UPDATE OR DELETE ON grants FOR EACH STATEMENT EXECUTE FUNCTION grants_moved();

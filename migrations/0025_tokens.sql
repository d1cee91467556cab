-- What programs show at the HTTP port of their own instance. Only a hash of each lies here.

CREATE TABLE tokens (
    owner uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    -- Made of the token, as is the hash; neither says anything of the other.
    id uuid NOT NULL UNIQUE,
    workspace uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    name text NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    added_at timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    used_at timestamptz,
    -- A MAC as that of grants: whoever writes a row here makes no token.
    seal bytea NOT NULL,
    PRIMARY KEY (owner, name)
);
ALTER TABLE tokens ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON tokens USING (owner = nullif(current_setting('app.subject', true), '')::uuid);

-- What `token_directory` reads as the role that owns it.
CREATE POLICY directory ON tokens FOR SELECT TO CURRENT_USER USING (true);

-- Whose a token is, or (null) all of them: nothing that one could be made of.
CREATE FUNCTION token_directory(only_one uuid) RETURNS TABLE (id uuid, owner uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.id, t.owner FROM public.tokens t WHERE only_one IS NULL OR t.id = only_one
$$;

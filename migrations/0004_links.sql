-- The asking side: a link belongs to the local user who added it, and nobody else sees that it exists.

CREATE TABLE links (
    owner uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    id uuid NOT NULL,
    name text NOT NULL,
    peer uuid NOT NULL,
    peer_name text NOT NULL,
    addresses text[] NOT NULL,
    tls_name text NOT NULL,
    root bytea NOT NULL,
    certificate bytea NOT NULL,
    certificate_not_after timestamptz NOT NULL,
    sealed_key bytea NOT NULL,
    offer_grant_name text NOT NULL,
    offer_workspace text NOT NULL,
    offer_resources text[] NOT NULL,
    offer_subject text NOT NULL,
    offer_not_after timestamptz NOT NULL,
    added_at timestamptz NOT NULL,
    -- Both per owner: a name or id that another user has must not be told from a free one.
    PRIMARY KEY (owner, id),
    UNIQUE (owner, name)
);

ALTER TABLE links ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON links USING (owner = nullif(current_setting('app.subject', true), '')::uuid);

-- What `link_directory` reads as the role that owns it.
CREATE POLICY directory ON links FOR SELECT TO CURRENT_USER USING (true);

-- That links exist, for administrators: nothing a link could be used with.
CREATE FUNCTION link_directory() RETURNS TABLE (id uuid, name text, owner_name text, peer_name text, added_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT l.id, l.name, u.name, l.peer_name, l.added_at
    FROM public.links l JOIN public.users u ON u.id = l.owner
$$;

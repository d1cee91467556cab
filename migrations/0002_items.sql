-- Rows. An item is personal (no team) or a team's. One function states whose it is; reading, adding and changing differ only
-- in which teams they hand it.

CREATE TABLE items (
    id uuid PRIMARY KEY,
    workspace uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    kind text NOT NULL,
    team text,
    project text,
    owner uuid NOT NULL,
    title text NOT NULL,
    body text,
    tags text[] NOT NULL DEFAULT '{}',
    attributes jsonb NOT NULL DEFAULT '{}',
    -- Where an importer found it.
    source_key text,
    -- SHA-256 of workspace, owner, kind and key: each user has keys of their own, so that a key tells nothing about another's
    -- rows. One unique column is found by its index even in a table that an import just filled and nobody analysed.
    source bytea CHECK ((source IS NULL) = (source_key IS NULL)),
    -- SHA-256 of everything the writer gave, to know a repeated import from a change.
    content bytea NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- Personal rows go when their owner goes; a team's rows stay.
    personal_owner uuid GENERATED ALWAYS AS (CASE WHEN team IS NULL THEN owner END) STORED
        REFERENCES users ON DELETE CASCADE,
    FOREIGN KEY (workspace, team) REFERENCES teams
);
CREATE INDEX items_newest ON items (workspace, kind, created_at DESC, id DESC);
CREATE INDEX items_of_team ON items (workspace, team, kind, created_at DESC, id DESC) WHERE team IS NOT NULL;
CREATE INDEX items_of_person ON items (personal_owner, workspace, kind, created_at DESC, id DESC)
    WHERE personal_owner IS NOT NULL;
CREATE UNIQUE INDEX items_of_source ON items (source);

-- Each parameter but the row's own columns is used once, so that PostgreSQL inlines the body and asks for it once a query.
CREATE FUNCTION item_is_of(team text, owner uuid, subject uuid, own boolean, every_team boolean, teams text[])
RETURNS boolean LANGUAGE sql IMMUTABLE SECURITY INVOKER
AS $$ SELECT CASE WHEN team IS NULL THEN own AND owner = subject ELSE every_team OR team = ANY (teams) END $$;

-- The acting user's role and teams in the acting workspace, read live: a membership taken away is missed at once.
CREATE FUNCTION acting_role() RETURNS text LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    SELECT m.role FROM memberships m
    WHERE m.workspace = nullif(current_setting('app.workspace', true), '')::uuid
      AND m.user_id = nullif(current_setting('app.subject', true), '')::uuid
$$;

CREATE FUNCTION acting_teams() RETURNS text[] LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    SELECT coalesce(array_agg(t.team), '{}') FROM team_members t
    WHERE t.workspace = nullif(current_setting('app.workspace', true), '')::uuid
      AND t.user_id = nullif(current_setting('app.subject', true), '')::uuid
$$;

ALTER TABLE items ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY reading ON items FOR SELECT USING (
    workspace = nullif(current_setting('app.workspace', true), '')::uuid
    AND item_is_of(team, owner, nullif(current_setting('app.subject', true), '')::uuid,
                     (SELECT acting_role() <> 'guest'), (SELECT acting_role() IN ('owner', 'admin')),
                     (SELECT acting_teams()))
);

-- A guest writes nothing: no team of theirs counts.
CREATE POLICY adding ON items FOR INSERT WITH CHECK (
    workspace = nullif(current_setting('app.workspace', true), '')::uuid
    AND owner = nullif(current_setting('app.subject', true), '')::uuid
    AND item_is_of(team, owner, nullif(current_setting('app.subject', true), '')::uuid,
                     (SELECT acting_role() <> 'guest'), (SELECT acting_role() IN ('owner', 'admin')),
                     (SELECT CASE WHEN acting_role() <> 'guest' THEN acting_teams() ELSE '{}' END))
);

CREATE POLICY changing ON items FOR UPDATE USING (
    workspace = nullif(current_setting('app.workspace', true), '')::uuid
    AND item_is_of(team, owner, nullif(current_setting('app.subject', true), '')::uuid,
                     (SELECT acting_role() <> 'guest'), (SELECT acting_role() IN ('owner', 'admin')),
                     (SELECT CASE WHEN acting_role() <> 'guest' THEN acting_teams() ELSE '{}' END))
);

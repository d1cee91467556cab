-- The instance, its users and workspaces, and who is what in which workspace.
--
-- `instance`, `users` and `workspaces` are this instance's own directory and belong to no tenant. Memberships and teams do:
-- their policies use the tenant settings alone, so that policies on rows may ask them.

CREATE TABLE instance (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id uuid NOT NULL,
    name text NOT NULL,
    root bytea NOT NULL,
    sealed_ca_key bytea NOT NULL,
    sealed_audit_key bytea NOT NULL
);

CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    uid bigint UNIQUE CHECK (uid BETWEEN 0 AND 4294967295)
);

CREATE TABLE memberships (
    workspace uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'guest')),
    PRIMARY KEY (workspace, user_id)
);
CREATE INDEX memberships_of_user ON memberships (user_id);

CREATE TABLE teams (
    workspace uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    id text NOT NULL,
    PRIMARY KEY (workspace, id)
);

-- Whoever leaves the workspace leaves its teams.
CREATE TABLE team_members (
    workspace uuid NOT NULL,
    team text NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    PRIMARY KEY (workspace, team, user_id),
    FOREIGN KEY (workspace, team) REFERENCES teams ON DELETE CASCADE,
    FOREIGN KEY (workspace, user_id) REFERENCES memberships ON DELETE CASCADE
);
CREATE INDEX team_members_of_user ON team_members (workspace, user_id);

ALTER TABLE memberships ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE teams ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE team_members ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY workspace ON memberships USING (workspace = nullif(current_setting('app.workspace', true), '')::uuid);
CREATE POLICY workspace ON teams USING (workspace = nullif(current_setting('app.workspace', true), '')::uuid);
CREATE POLICY workspace ON team_members USING (workspace = nullif(current_setting('app.workspace', true), '')::uuid);

-- What `member_directory` reads as the role that owns it.
CREATE POLICY directory ON memberships FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY directory ON team_members FOR SELECT TO CURRENT_USER USING (true);

-- Who is what where, over all workspaces, of one user or (null) of all: for administration, never for a query's rights.
CREATE FUNCTION member_directory(only_user uuid) RETURNS TABLE (user_id uuid, workspace uuid, workspace_name text, role text, teams text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT m.user_id, m.workspace, w.name, m.role,
           ARRAY(SELECT t.team FROM public.team_members t
                 WHERE t.workspace = m.workspace AND t.user_id = m.user_id ORDER BY t.team)
    FROM public.memberships m JOIN public.workspaces w ON w.id = m.workspace
    WHERE only_user IS NULL OR m.user_id = only_user
$$;

-- Sets the tenant of this transaction and says what its user may see there, and when. One round trip.
CREATE FUNCTION enter(tenant uuid, subject uuid) RETURNS TABLE (role text, teams text[], read_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    PERFORM set_config('app.workspace', tenant::text, true), set_config('app.subject', subject::text, true);
    RETURN QUERY SELECT
        (SELECT m.role FROM memberships m WHERE m.workspace = tenant AND m.user_id = subject),
        ARRAY(SELECT t.team FROM team_members t WHERE t.workspace = tenant AND t.user_id = subject),
        transaction_timestamp();
END
$$;

-- Teams and the people of a workspace as rows that can be asked for, like any other. Nobody writes them: they follow the
-- workspace's own directory.

ALTER TABLE memberships
    ADD COLUMN since timestamptz NOT NULL DEFAULT transaction_timestamp(),
    ADD COLUMN changed timestamptz NOT NULL DEFAULT transaction_timestamp();
ALTER TABLE teams
    ADD COLUMN row_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    ADD COLUMN since timestamptz NOT NULL DEFAULT transaction_timestamp(),
    ADD COLUMN changed timestamptz NOT NULL DEFAULT transaction_timestamp();

-- Policies on the tables let a whole workspace through, for administration. Who sees which entry is said here: who manages the
-- workspace sees all, everybody else their own teams, whoever is in one of them, and themselves. Views run with the rights of
-- who asks, policies included.
CREATE VIEW team_rows WITH (security_invoker = true) AS
SELECT t.row_id AS id, t.workspace, 'teams' AS kind, NULL::text AS team, NULL::text AS project,
       -- Nobody's.
       '00000000-0000-0000-0000-000000000000'::uuid AS owner,
       t.id AS title, NULL::text AS body, '{}'::text[] AS tags,
       jsonb_build_object('members', ARRAY(
           SELECT u.name FROM team_members m JOIN users u ON u.id = m.user_id
           WHERE m.workspace = t.workspace AND m.team = t.id ORDER BY u.name COLLATE "C")) AS attributes,
       t.since AS created_at, t.changed AS updated_at, ARRAY[t.id] AS listed_in
FROM teams t
WHERE (SELECT acting_role() IN ('owner', 'admin')) OR t.id = ANY ((SELECT acting_teams())::text[]);

CREATE VIEW user_rows WITH (security_invoker = true) AS
SELECT u.id, m.workspace, 'users' AS kind, NULL::text AS team, NULL::text AS project, u.id AS owner,
       u.name AS title, NULL::text AS body, '{}'::text[] AS tags,
       jsonb_build_object('role', m.role, 'teams', within.teams) AS attributes,
       m.since AS created_at, m.changed AS updated_at, within.teams AS listed_in
FROM memberships m JOIN users u ON u.id = m.user_id
CROSS JOIN LATERAL (SELECT ARRAY(
    SELECT t.team FROM team_members t
    WHERE t.workspace = m.workspace AND t.user_id = m.user_id ORDER BY t.team COLLATE "C") AS teams) AS within
WHERE (SELECT acting_role() IN ('owner', 'admin')) OR within.teams && (SELECT acting_teams())
   OR m.user_id = nullif(current_setting('app.subject', true), '')::uuid;

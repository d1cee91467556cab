-- A person's entry names the teams that its reader may see, and no others: those that the reader is in, or all for who manages the
-- workspace. A team's entry is nobody's.

CREATE OR REPLACE VIEW team_rows WITH (security_invoker = true) AS
SELECT t.row_id AS id, t.workspace, 'teams' AS kind, NULL::text AS team, NULL::text AS project, NULL::uuid AS owner,
       t.id AS title, NULL::text AS body, '{}'::text[] AS tags,
       jsonb_build_object('members', ARRAY(
           SELECT u.name FROM team_members m JOIN users u ON u.id = m.user_id
           WHERE m.workspace = t.workspace AND m.team = t.id ORDER BY u.name COLLATE "C")) AS attributes,
       t.since AS created_at, t.changed AS updated_at, ARRAY[t.id] AS listed_in
FROM teams t
WHERE (SELECT acting_role() IN ('owner', 'admin')) OR t.id = ANY ((SELECT acting_teams())::text[]);

CREATE OR REPLACE VIEW user_rows WITH (security_invoker = true) AS
SELECT u.id, m.workspace, 'users' AS kind, NULL::text AS team, NULL::text AS project, u.id AS owner,
       u.name AS title, NULL::text AS body, '{}'::text[] AS tags, jsonb_build_object('role', m.role) AS attributes,
       m.since AS created_at, m.changed AS updated_at, within.teams AS listed_in
FROM memberships m JOIN users u ON u.id = m.user_id
CROSS JOIN LATERAL (SELECT ARRAY(
    SELECT t.team FROM team_members t
    WHERE t.workspace = m.workspace AND t.user_id = m.user_id
      AND ((SELECT acting_role() IN ('owner', 'admin')) OR t.team = ANY ((SELECT acting_teams())::text[]))
    ORDER BY t.team COLLATE "C") AS teams) AS within
WHERE (SELECT acting_role() IN ('owner', 'admin')) OR cardinality(within.teams) > 0
   OR m.user_id = nullif(current_setting('app.subject', true), '')::uuid;

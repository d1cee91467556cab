//! The instance, users, workspaces and teams. Statements on memberships and teams run with `app.workspace` set.

statements! {
    INSTANCE = "SELECT id, name, root, sealed_ca_key, sealed_audit_key FROM instance";
    /// What a database is that may not be one of ours yet.
    FOUND = "SELECT to_regclass('public.instance') IS NOT NULL AS is_made,
        EXISTS (SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('public.grants') AND attname = 'seal' AND NOT attisdropped) AS has_seals";
    ADD_INSTANCE = "INSERT INTO instance (id, name, root, sealed_ca_key, sealed_audit_key) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING";
    /// The tenant of the rest of this transaction.
    TENANT = "SELECT set_config('app.workspace', $1::uuid::text, true)";
    /// The local user of the rest of this transaction.
    SUBJECT = "SELECT set_config('app.subject', $1::uuid::text, true)";
    /// Sets tenant and user, and reads what that user may see.
    ENTER = "SELECT role, teams, read_at FROM enter($1, $2)";
    USERS = "SELECT id, name, uid FROM users ORDER BY name";
    USER = "SELECT id, name, uid FROM users WHERE name = $1";
    USER_OF_ID = "SELECT id, name, uid FROM users WHERE id = $1";
    USER_OF_UID = "SELECT id, name, uid FROM users WHERE uid = $1";
    DIRECTORY = "SELECT user_id, workspace_name, role, teams FROM member_directory($1)";
    MEMBER_COUNTS = "SELECT w.id, w.name, count(m.user_id) AS members
        FROM workspaces w LEFT JOIN member_directory(NULL) m ON m.workspace = w.id GROUP BY w.id ORDER BY w.name";
    ADD_USER = "INSERT INTO users (id, name, uid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    REMOVE_USER = "DELETE FROM users WHERE id = $1";
    WORKSPACE = "SELECT id FROM workspaces WHERE name = $1";
    WORKSPACE_IDS = "SELECT id FROM workspaces ORDER BY id";
    WORKSPACE_NAMES = "SELECT name FROM workspaces ORDER BY name";
    ADD_WORKSPACE = "INSERT INTO workspaces (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    SET_ROLE = "INSERT INTO memberships (workspace, user_id, role) VALUES ($1, $2, $3)
        ON CONFLICT (workspace, user_id) DO UPDATE SET role = excluded.role, changed = transaction_timestamp()";
    LEAVE = "DELETE FROM memberships WHERE workspace = $1 AND user_id = $2";
    /// Whether somebody else owns the workspace.
    OTHER_OWNER = "SELECT EXISTS (SELECT FROM memberships WHERE workspace = $1 AND user_id <> $2 AND role = 'owner')";
    ROLE = "SELECT role FROM memberships WHERE workspace = $1 AND user_id = $2";
    TEAMS = "SELECT t.id, coalesce(array_agg(u.name ORDER BY u.name) FILTER (WHERE u.id IS NOT NULL), '{}') AS names,
            coalesce(array_agg(m.role ORDER BY u.name) FILTER (WHERE u.id IS NOT NULL), '{}') AS roles
        FROM teams t
        LEFT JOIN team_members m ON m.workspace = t.workspace AND m.team = t.id
        LEFT JOIN users u ON u.id = m.user_id
        WHERE t.workspace = $1 GROUP BY t.id ORDER BY t.id";
    /// What a team or a person shows of the other has changed.
    TOUCH_TEAM = "UPDATE teams SET changed = transaction_timestamp() WHERE workspace = $1 AND id = $2";
    TOUCH_PERSON = "UPDATE memberships SET changed = transaction_timestamp() WHERE workspace = $1 AND user_id = $2";
    TOUCH_TEAMS_OF = "UPDATE teams SET changed = transaction_timestamp()
        WHERE workspace = $1 AND id IN (SELECT team FROM team_members WHERE workspace = $1 AND user_id = $2)";
    ADD_TEAM = "INSERT INTO teams (workspace, id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    SET_MEMBER = "INSERT INTO team_members (workspace, team, user_id, role) VALUES ($1, $2, $3, $4)
        ON CONFLICT (workspace, team, user_id) DO UPDATE SET role = excluded.role";
    LEAVE_TEAM = "DELETE FROM team_members WHERE workspace = $1 AND team = $2 AND user_id = $3";
}

-- What the serving role may do: nothing but this. Run as the owner at every start, after the migrations.
DO $$
DECLARE
    app text := current_setting('mosaic.app');
    nobody text;
    ours regclass;
BEGIN
    FOREACH nobody IN ARRAY ARRAY['PUBLIC', quote_ident(app)] LOOP
        FOR ours IN SELECT c.oid::regclass FROM pg_class c
                    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND c.relowner = current_user::regrole LOOP
            EXECUTE format('REVOKE ALL ON %s FROM %s', ours, nobody);
        END LOOP;
        EXECUTE format('REVOKE ALL ON FUNCTION member_directory(uuid), link_directory(), token_directory(uuid) FROM %s', nobody);
    END LOOP;
    EXECUTE format('GRANT SELECT, INSERT ON instance TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT ON workspaces TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (changed) ON teams TO %I', app);
    EXECUTE format('GRANT SELECT ON team_rows, user_rows TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON users TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON memberships, team_members, links TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON link_keys TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (used_at), DELETE ON tokens TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON grant_calls, awaits, link_calls TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON items, grants, invites TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON revoked_keys, grant_keys TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON refused_leaves, ceiling TO %I', app);
    EXECUTE format('GRANT SELECT, UPDATE ON grants_version, audit_head TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT ON audit TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON audit_tiles TO %I', app);
    EXECUTE format('GRANT EXECUTE ON FUNCTION member_directory(uuid), link_directory(), token_directory(uuid) TO %I', app);
END
$$;

//! What the policies hold by themselves, and what still holds when somebody broke them.

use super::{ask, run};
use crate::bench::{Bench, everything, task, tasks, team_task};
use domain::{
    audit::Act,
    id::{ItemId, UserId},
    operation::{Get, List},
    rights::Role,
};
use store::{Access, StoreError};

/// Rows in every tenant table.
async fn filled() -> (Bench, UserId, ItemId) {
    let bench = Bench::on_postgres().await;
    let (alice, bob) = (bench.user("alice", Role::Member).await, bench.user("bob", Role::Member).await);
    bench.team("core", &["alice"]).await;
    bench.put(alice, [task("alice's"), team_task("core's", "core")]).await;
    let bobs = bench.put(bob, [task("bob's")]).await[0];
    bench.store.add_link(&crate::suite::links::link(&bench, alice, "work"), bench.act(Act::LinkAdd)).await.unwrap();
    let (_, token) = crate::suite::tokens::token(&bench, alice, "ci");
    bench.store.add_token(&token, bench.act(Act::TokenAdd)).await.unwrap();
    (bench, alice, bobs)
}

const TENANT_TABLES: [&str; 6] = ["items", "links", "memberships", "teams", "team_members", "tokens"];

#[tokio::test]
async fn without_a_setting_there_are_no_rows() {
    let (bench, ..) = filled().await;
    let database = bench.database.as_ref().unwrap();
    for table in TENANT_TABLES {
        let question = format!("SELECT count(*) FROM {table}");
        assert!(ask::<i64>(&database.superuser(), &question).await > 0, "{table} is empty");
        assert_eq!(ask::<i64>(&database.app(), &question).await, 0, "{table}");
        let emptied = database.app().options([("app.workspace", ""), ("app.subject", "")]);
        assert_eq!(ask::<i64>(&emptied, &question).await, 0, "{table} with empty settings");
        let stranger = UserId(bench.world.uuid()).to_string();
        let elsewhere = database.app().options([("app.workspace", &stranger), ("app.subject", &stranger)]);
        assert_eq!(ask::<i64>(&elsewhere, &question).await, 0, "{table} of another tenant");
    }
    let acting = [("app.workspace", bench.workspace.to_string()), ("app.subject", bench.owner.to_string())];
    for view in ["team_rows", "user_rows"] {
        let question = format!("SELECT count(*) FROM {view}");
        assert!(ask::<i64>(&database.app().options(acting.clone()), &question).await > 0, "{view} is empty");
        assert_eq!(ask::<i64>(&database.app(), &question).await, 0, "{view}");
        let stranger = UserId(bench.world.uuid()).to_string();
        for subject in [&stranger, &acting[0].1, &acting[1].1] {
            let elsewhere = database.app().options([("app.workspace", stranger.as_str()), ("app.subject", subject)]);
            assert_eq!(ask::<i64>(&elsewhere, &question).await, 0, "{view} of another tenant");
        }
        let outsider = database.app().options([("app.workspace", acting[0].1.as_str()), ("app.subject", &stranger)]);
        assert_eq!(ask::<i64>(&outsider, &question).await, 0, "{view} for somebody who is not in it");
    }
    for change in ["UPDATE items SET title = 'x'", "DELETE FROM links", "DELETE FROM memberships", "DELETE FROM tokens"]
    {
        run(&database.app(), change).await.unwrap();
    }
    for table in TENANT_TABLES {
        assert!(
            ask::<i64>(&database.superuser(), &format!("SELECT count(*) FROM {table}")).await > 0,
            "{table} lost rows"
        );
    }
    assert_eq!(ask::<i64>(&database.superuser(), "SELECT count(*) FROM items WHERE title = 'x'").await, 0);
}

#[tokio::test]
async fn the_policies_refuse_what_the_store_would_not_even_try() {
    let (bench, alice, _) = filled().await;
    let database = bench.database.as_ref().unwrap();
    let settings = [("app.workspace", bench.workspace.to_string()), ("app.subject", alice.to_string())];
    let acting = database.app().options(settings);
    let insert = |owner: &str, team: &str| {
        format!(
            "INSERT INTO items (id, workspace, kind, owner, team, title, content, created_at, updated_at)
             VALUES (gen_random_uuid(), '{}', 'tasks', '{owner}', {team}, 't', '', now(), now())",
            bench.workspace
        )
    };
    run(&acting, &insert(&alice.to_string(), "NULL")).await.unwrap();
    run(&acting, &insert(&alice.to_string(), "'core'")).await.unwrap();
    bench.team("ops", &[]).await;
    for (owner, team) in [(bench.owner.to_string(), "NULL"), (alice.to_string(), "'ops'")] {
        let refused = run(&acting, &insert(&owner, team)).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("42501"), "{owner} {team}");
    }
    let given_away = format!("UPDATE items SET owner = '{}' WHERE team IS NULL", bench.owner);
    assert!(run(&acting, &given_away).await.is_err(), "a row cannot be pushed into another's own");
}

async fn fails_the_second_check(bench: &Bench, alice: UserId, bobs: ItemId) {
    let grant = bench.grant(&format!("g-{}", bench.world.uuid()), alice, &everything()).await;
    let permit = bench.permit(&grant, List::first(tasks()));
    let listed = bench.store.list(Access::Granted(&permit)).await;
    assert!(matches!(listed, Err(StoreError::SecondCheck(_))), "{listed:?}");
    let permit = bench.permit(&grant, Get { resource: tasks(), id: bobs });
    let got = bench.store.get(Access::Granted(&permit)).await;
    assert!(matches!(got, Err(StoreError::SecondCheck(_))), "{got:?}");
    let operation = List::first(tasks());
    let access = Access::Native { workspace: bench.workspace, user: alice, operation: &operation };
    let listed = bench.store.list(access).await;
    assert!(matches!(listed, Err(StoreError::SecondCheck(_))), "{listed:?}");
    let operation = Get { resource: tasks(), id: bobs };
    let access = Access::Native { workspace: bench.workspace, user: alice, operation: &operation };
    let got = bench.store.get(access).await;
    assert!(matches!(got, Err(StoreError::SecondCheck(_))), "{got:?}");
}

#[tokio::test]
async fn with_a_broken_policy_the_second_check_refuses() {
    let (bench, alice, bobs) = filled().await;
    let superuser = bench.database.as_ref().unwrap().superuser();
    run(&superuser, "DROP POLICY reading ON items").await.unwrap();
    assert!(bench.native(alice).await.is_empty(), "no policy, no rows");
    run(&superuser, "CREATE POLICY reading ON items FOR SELECT USING (true)").await.unwrap();
    fails_the_second_check(&bench, alice, bobs).await;
}

/// The directory's rows come from views, which say who is shown what; so views that say nothing.
#[tokio::test]
async fn with_views_that_show_everything_the_second_check_refuses() {
    let (bench, alice, _) = filled().await;
    bench.user("zoe", Role::Member).await;
    bench.team("ops", &["zoe"]).await;
    let superuser = bench.database.as_ref().unwrap().superuser();
    let seen = async |kind: &str| {
        let operation = List::first(kind.parse().unwrap());
        bench.store.list(Access::Native { workspace: bench.workspace, user: alice, operation: &operation }).await
    };
    for view in ["team_rows", "user_rows"] {
        let question = format!("SELECT split_part(pg_get_viewdef('{view}'::regclass), '  WHERE (( SELECT', 1)");
        let open: String = ask(&superuser, &question).await;
        assert!(!open.contains("acting_role") || view == "user_rows", "{open}");
        let kind = view.replace("_rows", "s");
        assert!(!seen(&kind).await.unwrap().items.is_empty());
        run(&superuser, &format!("CREATE OR REPLACE VIEW {view} WITH (security_invoker = true) AS {open}"))
            .await
            .unwrap();
        let shown = seen(&kind).await;
        assert!(matches!(shown, Err(StoreError::SecondCheck(_))), "{view}: {shown:?}");
    }
    // Only those who may be seen, but with every team they are in.
    bench.team("secret", &["alice"]).await;
    let every = "CREATE OR REPLACE VIEW user_rows WITH (security_invoker = true) AS
        SELECT u.id, m.workspace, 'users' AS kind, NULL::text AS team, NULL::text AS project, u.id AS owner, u.name AS title,
               NULL::text AS body, '{}'::text[] AS tags, '{}'::jsonb AS attributes, m.since AS created_at,
               m.changed AS updated_at, ARRAY['ops'] AS listed_in
        FROM memberships m JOIN users u ON u.id = m.user_id WHERE u.name = 'alice'";
    run(&superuser, every).await.unwrap();
    let shown = seen("users").await;
    assert!(matches!(shown, Err(StoreError::SecondCheck(_))), "her own row, but another's team: {shown:?}");
}

#[tokio::test]
async fn with_row_level_security_off_the_second_check_refuses() {
    let (bench, alice, bobs) = filled().await;
    let superuser = bench.database.as_ref().unwrap().superuser();
    run(&superuser, "ALTER TABLE items DISABLE ROW LEVEL SECURITY").await.unwrap();
    fails_the_second_check(&bench, alice, bobs).await;
}

#[tokio::test]
async fn whose_a_row_is_is_asked_once_for_a_query_and_the_order_comes_from_an_index() {
    let (bench, alice, _) = filled().await;
    let database = bench.database.as_ref().unwrap();
    let many = "INSERT INTO items (id, workspace, kind, owner, title, content, created_at, updated_at)
        SELECT gen_random_uuid(), workspace, kind, owner, title, '', created_at + n * interval '1 second', updated_at
        FROM items, generate_series(1, 20000) n WHERE title = 'alice''s'; ANALYZE items";
    run(&database.superuser(), many).await.unwrap();
    let settings = [("app.workspace", bench.workspace.to_string()), ("app.subject", alice.to_string())];
    let acting = database.app().options(settings);
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect_with(&acting).await.unwrap();
    let question = format!(
        "EXPLAIN SELECT * FROM items WHERE workspace = '{}' AND kind = 'tasks' ORDER BY created_at DESC, id DESC LIMIT 201",
        bench.workspace
    );
    let lines: Vec<String> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(question)).fetch_all(&mut connection).await.unwrap();
    let plan = lines.join("\n");
    assert!(plan.contains("InitPlan") && !plan.contains("item_is_of"), "not inlined:\n{plan}");
    assert!(plan.contains("items_newest") && !plan.contains("Sort"), "no index:\n{plan}");
}

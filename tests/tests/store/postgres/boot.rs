//! The daemon refuses to serve from a database that does not hold tenants apart (security row 47).

use super::{ask, run};
use domain::world::World;
use sqlx::postgres::PgConnectOptions;
use store::postgres::{Postgres, StartError};
use tests::cluster::server;

/// What breaks it, what mends it, and what the refusal must say.
const VIOLATIONS: [(&str, &str, &str); 14] = [
    ("ALTER ROLE mosaic_app SUPERUSER", "ALTER ROLE mosaic_app NOSUPERUSER", "is a superuser"),
    ("ALTER ROLE mosaic_app BYPASSRLS", "ALTER ROLE mosaic_app NOBYPASSRLS", "has BYPASSRLS"),
    ("GRANT mosaic_owner TO mosaic_app", "REVOKE mosaic_owner FROM mosaic_app", "can become mosaic_owner"),
    ("GRANT mosaic_super TO mosaic_app", "REVOKE mosaic_super FROM mosaic_app", "can become mosaic_super"),
    ("ALTER TABLE items OWNER TO mosaic_app", "ALTER TABLE items OWNER TO mosaic_owner", "owns items"),
    (
        "ALTER ROLE mosaic_app SET synchronous_commit = off",
        "ALTER ROLE mosaic_app RESET ALL",
        "synchronous_commit is off",
    ),
    ("ALTER ROLE mosaic_app SET row_security = off", "ALTER ROLE mosaic_app RESET ALL", "row_security is off"),
    (
        "ALTER TABLE items NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE items FORCE ROW LEVEL SECURITY",
        "table items does not force",
    ),
    (
        "ALTER TABLE links DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE links ENABLE ROW LEVEL SECURITY",
        "table links does not force",
    ),
    ("CREATE TABLE extra (x int)", "DROP TABLE extra", "table extra does not force"),
    (
        "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM items'",
        "DROP FUNCTION peek",
        "function peek runs with its owner's rights",
    ),
    (
        "ALTER FUNCTION link_directory() RESET search_path",
        "ALTER FUNCTION link_directory() SET search_path = pg_catalog, pg_temp",
        "function link_directory",
    ),
    ("CREATE VIEW every_item AS SELECT * FROM items", "DROP VIEW every_item", "view every_item reads"),
    (
        "CREATE MATERIALIZED VIEW kept_items AS SELECT * FROM items",
        "DROP MATERIALIZED VIEW kept_items",
        "view kept_items reads",
    ),
];

async fn open(owner: &PgConnectOptions, app: &PgConnectOptions) -> Result<(), StartError> {
    let store = Postgres::connect(owner.clone(), app.clone(), World::system().clock(), tests::cluster::trust()).await?;
    store.close().await;
    Ok(())
}

#[tokio::test]
async fn rls_boot_check() {
    // Roles are the whole server's, so this one is nobody else's.
    let (server, _directory) = server().await;
    let (owner, app, superuser) = (server.owner(), server.app(), server.superuser());
    open(&owner, &app).await.unwrap();
    for (breaks, mends, says) in VIOLATIONS {
        run(&superuser, breaks).await.unwrap();
        match open(&owner, &app).await {
            Err(StartError::Unsafe(findings)) => {
                assert!(findings.iter().any(|finding| finding.contains(says)), "{breaks}: {findings:?}");
            }
            other => panic!("{breaks}: served, or failed otherwise: {other:?}"),
        }
        run(&superuser, mends).await.unwrap();
        open(&owner, &app).await.unwrap_or_else(|error| panic!("after {mends}: {error}"));
    }
    let own = open(&owner, &owner).await;
    assert!(matches!(own, Err(StartError::Unsafe(_))), "the owner must not serve: {own:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_view_that_reads_with_its_caller_s_rights_is_no_finding() {
    let database = tests::cluster::database().await;
    run(&database.superuser(), "CREATE VIEW mine WITH (security_invoker = true) AS SELECT * FROM items").await.unwrap();
    open(&database.owner(), &database.app()).await.unwrap();
}

#[tokio::test]
async fn rights_that_somebody_added_are_gone_after_the_next_start() {
    let database = tests::cluster::database().await;
    let given = "GRANT UPDATE, DELETE, TRUNCATE ON audit TO mosaic_app; GRANT DELETE ON grants TO PUBLIC";
    run(&database.superuser(), given).await.unwrap();
    open(&database.owner(), &database.app()).await.unwrap();
    let rights = "SELECT string_agg(DISTINCT privilege_type, ' ' ORDER BY privilege_type)
                  FROM information_schema.table_privileges WHERE table_name IN ('audit', 'grants') AND grantee IN ('mosaic_app', 'PUBLIC')";
    assert_eq!(ask::<String>(&database.superuser(), rights).await, "INSERT SELECT UPDATE");
    for statement in ["UPDATE audit SET note = ''", "DELETE FROM audit", "TRUNCATE audit", "DELETE FROM grants"] {
        let refused = run(&database.app(), statement).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("42501"), "{statement}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_refused_with_its_place() {
    let nowhere = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1).username("mosaic_app");
    let refused = open(&nowhere, &nowhere).await.unwrap_err().to_string();
    assert!(refused.contains("127.0.0.1:1") && refused.contains("mosaic_app"), "{refused}");
}

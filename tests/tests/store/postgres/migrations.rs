//! Migrations: from nothing, again, and together.

use super::{ask, run};
use domain::world::World;
use store::{
    Instance, People,
    postgres::{Postgres, StartError},
};
use tests::cluster::database;

#[tokio::test]
async fn migrations_run_once_however_often_and_from_how_many() {
    let database = database().await;
    let empty = "DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION mosaic_owner; GRANT USAGE ON SCHEMA public TO PUBLIC";
    run(&database.superuser(), empty).await.unwrap();
    let open = || Postgres::connect(database.owner(), database.app(), World::system().clock(), tests::cluster::trust());
    let (one, two, three) = tokio::join!(open(), open(), open());
    for store in [one, two, three] {
        let store = store.unwrap();
        assert!(store.instance().await.unwrap().is_none());
        assert!(store.users().await.unwrap().is_empty());
    }
    let applied = "SELECT count(*) FROM _sqlx_migrations WHERE success";
    let first: i64 = ask(&database.owner(), applied).await;
    assert!(first >= 5);
    open().await.unwrap().ping().await.unwrap();
    assert_eq!(ask::<i64>(&database.owner(), applied).await, first);
}

#[tokio::test]
async fn a_database_of_another_build_is_refused() {
    let database = database().await;
    let open = || Postgres::connect(database.owner(), database.app(), World::system().clock(), tests::cluster::trust());
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', true, '', 0)";
    run(&database.owner(), newer).await.unwrap();
    let refused = open().await.unwrap_err();
    assert!(matches!(&refused, StartError::Migrate(cause) if cause.contains("9999 of a newer build")), "{refused}");
    let changed = "DELETE FROM _sqlx_migrations WHERE version = 9999; UPDATE _sqlx_migrations SET checksum = '' WHERE version = 1";
    run(&database.owner(), changed).await.unwrap();
    let refused = open().await.unwrap_err();
    assert!(matches!(&refused, StartError::Migrate(cause) if cause.contains("migration 1 is not")), "{refused}");
}

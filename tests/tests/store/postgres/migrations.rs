//! Migrations: from nothing, again, and together.

use super::{ask, run};
use crate::bench::{Bench, everything};
use domain::{seal::Doubt, world::World};
use std::sync::Arc;
use store::{
    Grants, Held, Instance, People, Trust,
    postgres::{Postgres, StartError},
};
use tests::cluster::{database, row_key};

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

/// As the database was before there were seals.
const UNSEALED: &str = "ALTER TABLE grants DROP COLUMN seal; DELETE FROM _sqlx_migrations WHERE version = 13";

#[tokio::test]
async fn only_rows_of_a_time_before_seals_are_sealed_at_a_start() {
    let bench = Bench::on_postgres().await;
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let database = bench.database.as_ref().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trust = |file: &str| Arc::new(Trust::open(&folder.path().join(file), row_key()).unwrap());
    let open =
        async |trust| Postgres::connect(database.owner(), database.app(), bench.world.clock(), trust).await.unwrap();
    let held = async |store: &Postgres| store.standing(None).await.unwrap().grants[&grant.id].clone();
    // A row that lost its seal is not as it was written, also where nothing is remembered any more: that is told.
    run(&database.superuser(), "UPDATE grants SET seal = NULL").await.unwrap();
    let store = open(trust("lost")).await;
    assert_eq!(held(&store).await, Held::Doubtful(Doubt::Tampered));
    assert!(store.trust().is_lost());
    // What is of that time gets its seal once; a start that was broken off between is gone on with.
    run(&database.superuser(), UNSEALED).await.unwrap();
    run(&database.superuser(), "ALTER TABLE grants ADD CHECK (generation < 0) NOT VALID").await.unwrap();
    let broken = Postgres::connect(database.owner(), database.app(), bench.world.clock(), trust("first")).await;
    assert!(broken.is_err(), "no row can be written");
    run(&database.superuser(), "ALTER TABLE grants DROP CONSTRAINT grants_generation_check").await.unwrap();
    let store = open(trust("first")).await;
    assert_eq!(held(&store).await, Held::Stands(Box::new(grant.clone())));
    assert!(!store.trust().is_lost());
    run(&database.superuser(), UNSEALED).await.unwrap();
    assert_eq!(held(&open(trust("first")).await).await, Held::Doubtful(Doubt::Tampered));
}

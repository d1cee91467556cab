//! The store, held to one suite on PostgreSQL and on the model, and PostgreSQL to what only it can promise.

use tests::cluster::database;

#[tokio::test]
async fn every_statement_prepares() {
    let database = database().await;
    drop(database.store().await);
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect_with(&database.app()).await.unwrap();
    for (name, statement) in store::postgres::sql::all() {
        let prepared = sqlx::Executor::prepare(&mut connection, sqlx::SqlSafeStr::into_sql_str(statement)).await;
        assert!(prepared.is_ok(), "{name}: {}", prepared.unwrap_err());
    }
}

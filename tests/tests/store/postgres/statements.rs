//! Fixed statements are strings until PostgreSQL reads them: this is where it does.

use sqlx::{Connection, Executor, PgConnection, SqlSafeStr};
use tests::cluster::database;

#[tokio::test]
async fn every_statement_prepares() {
    let database = database().await;
    let mut connection = PgConnection::connect_with(&database.app()).await.unwrap();
    let mut prepared = 0;
    for (name, statement) in store::postgres::sql::all() {
        if let Err(error) = connection.prepare(statement.into_sql_str()).await {
            panic!("{name}: {error}");
        }
        prepared += 1;
    }
    assert!(prepared > 50, "{prepared} statements");
}

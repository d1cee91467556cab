//! What the doors know of refused certificates is read by version. Whatever else happens to the list, and whatever is lost on the way, ends in
//! a reading of the whole of it.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;
use tests::{
    asker::{Asker, enrol, tasks},
    instance::{Instance, task},
};
use tokio::time::{sleep, timeout};

struct Stage {
    home: Asker,
    superuser: PgConnection,
    /// Makes the link's certificate a refused one; the grant's own row says nothing of it.
    refuse: String,
    _office: Instance,
}

/// As a restored database, or one that another program writes: no trigger runs.
fn untold(statements: &str) -> String {
    format!("SET session_replication_role = replica; {statements}; SET session_replication_role = DEFAULT")
}

impl Stage {
    async fn open() -> Self {
        let office = Instance::start().await;
        office.put(office.owner, vec![task("one")]).await;
        let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
        let home = enrol(&invite).await;
        home.list(tasks()).await.expect("rows");
        let superuser = PgConnection::connect_with(&office.database.superuser()).await.expect("a connection");
        let refuse = format!(
            "INSERT INTO refused_leaves (serial, spki, not_after, refused_at)
             SELECT serial, sha256('other'), now() + interval '1 day', now() FROM grants WHERE id = '{}'",
            grant.id
        );
        Self { home, superuser, refuse, _office: office }
    }

    async fn run(&mut self, statements: &str) {
        // Each a transaction of its own.
        for statement in statements.split(';') {
            let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
            statement.execute(&mut self.superuser).await.expect("a statement");
        }
    }

    async fn is_let_in(&self, expected: bool, why: &str) {
        let seen = timeout(Duration::from_secs(10), async {
            while self.home.dial().await.is_ok() != expected {
                sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(seen.await.is_ok(), "{why}: let in is not {expected}");
    }

    /// Begins anew: a row that is gone before its time is heard of.
    async fn forget(&mut self, why: &str) {
        self.run("DELETE FROM refused_leaves").await;
        self.is_let_in(true, why).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_list_of_refused_certificates_reaches_the_doors_however_it_came_about() {
    let mut stage = Stage::open().await;
    let refuse = stage.refuse.clone();
    let ways = [
        ("told", refuse.clone()),
        (
            "an old row became another one",
            "INSERT INTO refused_leaves VALUES ('\\x0102030405060708', sha256('other'), now() + interval '1 day');
             SELECT pg_sleep(1); UPDATE refused_leaves SET serial = (SELECT serial FROM grants)"
                .to_owned(),
        ),
        ("the notification was lost", untold(&format!("{refuse}; UPDATE grants_version SET version = version + 1"))),
        (
            "the database is of an earlier state",
            untold(&format!("{refuse}; UPDATE grants_version SET version = version - 1")),
        ),
        (
            "it could not be read for a while",
            format!(
                "{}; ALTER TABLE grants_version RENAME TO away; SELECT pg_sleep(1.2); ALTER TABLE away RENAME TO grants_version",
                untold(&refuse)
            ),
        ),
        (
            "whoever listens lost the connection",
            format!(
                "{}; SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND query LIKE 'LISTEN%'",
                untold(&refuse)
            ),
        ),
    ];
    for (way, statements) in ways {
        stage.run(&statements).await;
        stage.is_let_in(false, way).await;
        stage.forget(way).await;
    }
}

//! Holds a call at a point of its road by real means: a lock that a second session of the superuser keeps in its database.

use crate::cluster::Database;
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use std::time::Duration;

/// Makes every record of an answer, and every change of a grant, wait when its transaction is about to commit: the log's head
/// is locked then, and all looks are done. Nobody waits unless somebody holds [`Hold::answers`] or [`Hold::changes`].
const BEFORE_COMMIT: &str = "
    CREATE FUNCTION hold_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint); RETURN NULL; END $$;
    GRANT EXECUTE ON FUNCTION hold_commit() TO PUBLIC;
    CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.ending = 'answered') EXECUTE FUNCTION hold_commit(7443);
    CREATE CONSTRAINT TRIGGER hold_commit AFTER UPDATE ON grants DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION hold_commit(7444)";

/// A lock, kept until it is let go.
pub struct Hold(PgConnection);

impl Hold {
    /// Nobody reads or writes a row: calls stop between decision and query.
    pub async fn rows(database: &Database) -> Self {
        Self::by(database, "LOCK TABLE items IN ACCESS EXCLUSIVE MODE").await
    }

    /// Nobody appends to the log or changes a standing: calls stop between query and record.
    pub async fn head(database: &Database) -> Self {
        Self::by(database, "SELECT sequence FROM audit_head FOR UPDATE").await
    }

    /// Nobody reads the standing anew: this process does not hear of a change made elsewhere.
    pub async fn hearing(database: &Database) -> Self {
        Self::by(database, "LOCK TABLE refused_leaves IN ACCESS EXCLUSIVE MODE").await
    }

    /// Nobody finds out whether the grants changed.
    pub async fn standing(database: &Database) -> Self {
        Self::by(database, "LOCK TABLE grants_version IN ACCESS EXCLUSIVE MODE").await
    }

    /// Makes [`Hold::answers`] and [`Hold::changes`] possible in this database.
    pub async fn prepare(database: &Database) {
        run(&database.superuser(), BEFORE_COMMIT).await;
    }

    /// No record of an answer is committed: calls stop between record and release. The log's head stays locked meanwhile.
    pub async fn answers(database: &Database) -> Self {
        Self::by(database, "SELECT pg_advisory_xact_lock(7443)").await
    }

    /// No change of a grant is committed, with the log's head locked meanwhile.
    pub async fn changes(database: &Database) -> Self {
        Self::by(database, "SELECT pg_advisory_xact_lock(7444)").await
    }

    async fn by(database: &Database, statement: &str) -> Self {
        let mut session = PgConnection::connect_with(&database.superuser()).await.expect("a session");
        for statement in ["BEGIN", statement] {
            let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
            statement.execute(&mut session).await.expect("a lock");
        }
        Self(session)
    }

    /// Does one thing more while everybody waits, for good, then lets them go on.
    pub async fn commit(mut self, statement: &str) {
        let statement = sqlx::raw_sql(AssertSqlSafe(format!("{statement}; COMMIT")));
        statement.execute(&mut self.0).await.expect("a change");
        self.0.close().await.expect("a closed session");
    }

    /// Lets everybody who waits go on.
    pub async fn release(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.0).await.expect("an end");
        self.0.close().await.expect("a closed session");
    }
}

/// Waits until exactly `sessions` of the database wait for a lock.
pub async fn waiting(database: &Database, sessions: i64) {
    let question =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut seen = -1;
    for _ in 0..1_000 {
        seen = ask::<i64>(&database.superuser(), question).await;
        if seen == sessions {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{seen} sessions wait for a lock, not {sessions}");
}

/// Statements of a test, on a connection of their own.
pub async fn run(options: &PgConnectOptions, statements: &str) {
    let mut session = PgConnection::connect_with(options).await.expect("a session");
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut session).await.expect("statements");
    session.close().await.expect("a closed session");
}

/// The first column of the first row of the answer.
pub async fn ask<T>(options: &PgConnectOptions, question: &str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    let mut session = PgConnection::connect_with(options).await.expect("a session");
    let question = AssertSqlSafe(question.to_owned());
    sqlx::query_scalar(question).fetch_one(&mut session).await.expect("an answer")
}

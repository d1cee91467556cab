//! From connection options to a database that may be served from: migrations and rights, as the owner.

use super::{error::describe, instance, sql};
use crate::{InstanceRecord, StoreError};
use sqlx::{
    Connection, PgConnection, Row,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};
use std::time::Duration;

/// Grow only; a database that knows a migration of a newer build is refused.
static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Every probe at start ends within this.
pub(super) const PROBE: Duration = Duration::from_secs(5);
/// A migration may rewrite tables.
const MIGRATE: Duration = Duration::from_mins(10);

/// How many connections are held at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pools {
    /// For rows.
    pub serving: u32,
    /// For people, grants and links.
    pub door: u32,
    /// For revocation, standing, the audit and the health check.
    pub reserved: u32,
}

impl Pools {
    /// Two for each processor and at least four for rows, two for the door, and one in reserve for each who must never wait
    /// for the others: the audit, whoever revokes, and whoever reads the standing anew.
    pub fn for_machine() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            serving: u32::try_from(processors.saturating_mul(2)).unwrap_or(u32::MAX).clamp(4, 16),
            door: 2,
            reserved: 3,
        }
    }
}

/// Why the daemon does not serve from this database; cause and remedy, no secret.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No connection.
    #[error("cannot connect to PostgreSQL at {place} as {role}: {cause}; check that it runs there and lets {role} in")]
    Connect {
        /// Host and port, or socket directory.
        place: String,
        /// Which role.
        role: String,
        /// What happened.
        cause: String,
    },
    /// The schema cannot be brought to this build's version.
    #[error("the database cannot be migrated: {0}")]
    Migrate(String),
    /// The database does not hold tenants apart, or may lose what it acknowledged.
    #[error("the database is not safe to serve from:\n{}", list(.0))]
    Unsafe(Vec<String>),
    /// How far grants have come cannot be written beside the database.
    #[error("`grants.floor` cannot be written: {0}")]
    Floors(String),
    /// A probe failed.
    #[error("the database could not be examined: {0}")]
    Probe(String),
}

fn list(findings: &[String]) -> String {
    findings.iter().map(|finding| format!("- {finding}")).collect::<Vec<_>>().join("\n")
}

/// Settings of every serving connection. None of them names a tenant: those are set inside a transaction only.
pub(super) fn serving(app: PgConnectOptions) -> PgConnectOptions {
    app.options([
        ("search_path", "public"),
        ("statement_timeout", "15s"),
        ("idle_in_transaction_session_timeout", "15s"),
        ("timezone", "UTC"),
    ])
}

/// What a database holds before anything is done to it.
#[derive(Default)]
pub struct Found {
    /// The instance, where there is one.
    pub instance: Option<InstanceRecord>,
    /// Whether its grants have a place for their seals, which those that are made get.
    pub(super) has_seals: bool,
}

/// Looks, as the owner, and changes nothing.
pub(super) async fn look(owner: &PgConnectOptions) -> Result<Found, StartError> {
    let mut connection = connect(&owner.clone().options([("search_path", "public")])).await?;
    let looked = tokio::time::timeout(PROBE, found(&mut connection)).await;
    let looked =
        looked.unwrap_or_else(|_| Err(StoreError::Unavailable(format!("no answer within {} s", PROBE.as_secs()))));
    drop(tokio::time::timeout(PROBE, connection.close()).await);
    looked.map_err(|error| StartError::Probe(error.to_string()))
}

async fn found(connection: &mut PgConnection) -> Result<Found, StoreError> {
    let row = sqlx::query(sql::people::FOUND).fetch_one(&mut *connection).await?;
    let (is_made, has_seals): (bool, bool) = (row.try_get("is_made")?, row.try_get("has_seals")?);
    let instance = if is_made { instance::read(connection).await? } else { None };
    Ok(Found { instance, has_seals })
}

/// Connects within [`PROBE`], or says why not.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StartError> {
    let failed = |cause: String| StartError::Connect {
        place: options.get_socket().map_or_else(
            || format!("{}:{}", options.get_host(), options.get_port()),
            |socket| socket.display().to_string(),
        ),
        role: options.get_username().to_owned(),
        cause,
    };
    match tokio::time::timeout(PROBE, PgConnection::connect_with(options)).await {
        Ok(connection) => connection.map_err(|error| failed(describe(&error))),
        Err(_) => Err(failed(format!("no answer within {} s", PROBE.as_secs()))),
    }
}

/// Runs what is new of the migrations, then states the serving role's rights anew.
pub(super) async fn migrate(owner: PgConnectOptions, app: &PgConnectOptions) -> Result<(), StartError> {
    let mut connection =
        connect(&owner.options([("search_path", "public"), ("client_min_messages", "warning")])).await?;
    let migrated = async {
        MIGRATIONS
            .run_direct(None, &mut connection, false)
            .await
            .map_err(|error| StartError::Migrate(explain(&error)))?;
        let given = give_rights(&mut connection, app.get_username()).await;
        given.map_err(|error| StartError::Migrate(describe(&error)))
    };
    let late = |_| StartError::Migrate(format!("it took longer than {} minutes", MIGRATE.as_secs() / 60));
    tokio::time::timeout(MIGRATE, migrated).await.map_err(late)??;
    // The work is done; a connection that does not close politely is closed by the drop.
    drop(tokio::time::timeout(PROBE, connection.close()).await);
    Ok(())
}

fn explain(error: &MigrateError) -> String {
    match error {
        MigrateError::VersionMissing(version) => {
            format!("it has migration {version} of a newer build; run that build, or restore a backup")
        }
        MigrateError::VersionMismatch(version) => {
            format!("migration {version} is not the one that this build knows; run the build that made the database")
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => describe(error),
        other => other.to_string(),
    }
}

/// One daemon at a time: two that start together would change the same catalogue rows.
async fn give_rights(connection: &mut PgConnection, app: &str) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('mosaic-fed rights', 0))")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("SELECT set_config('mosaic.app', $1, true)").bind(app).execute(&mut *transaction).await?;
    sqlx::raw_sql(include_str!("rights.sql")).execute(&mut *transaction).await?;
    transaction.commit().await
}

//! The embedded default: a real PostgreSQL as the daemon's child on a Unix socket.
//!
//! It runs under an unprivileged account, opens no TCP port and lets in nobody but the daemon's own user and root, as three
//! roles, by peer authentication. A server that a killed daemon left behind is adopted by the next one.
//!
//! Map: `programs` and `bundle` find PostgreSQL, `account` says whom it runs as, `place` where it lies, `cluster` makes and
//! configures it, `leftover` adopts, `process` starts and stops, `supervise` starts again what ended untold, `bootstrap`
//! makes roles and database.
//! Must not: know a table of ours, or hand out a connection that outlives its options.

mod account;
mod bootstrap;
mod bundle;
mod cluster;
mod environment;
mod error;
mod leftover;
mod lock;
mod place;
mod process;
mod programs;
mod supervise;
#[cfg(test)]
mod tests;

pub use environment::{Bundle, Environment};
pub use error::{EmbeddedError, INSTALL_HELP};
pub use supervise::Supervised;

use account::Account;
use lock::Lock;
use place::{PORT, Place, Record};
use process::Process;
use programs::Programs;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::path::{Path, PathBuf};
use std::time::Duration;
use supervise::Told;
use uuid::Uuid;

/// Bootstrap role, made by initdb: sets up the other two and is used for nothing else.
pub const SUPERUSER: &str = "mosaic_super";
/// Owns the database and its tables; migrations only.
pub const OWNER: &str = "mosaic_owner";
/// Serves requests: owns nothing and is subject to row-level security.
pub const APP: &str = "mosaic_app";
/// The one database.
pub const DATABASE: &str = "mosaic";

/// A start may have to wait for one that goes on in another process, crash recovery included.
const LOCK_PATIENCE: Duration = Duration::from_secs(90);

/// What the daemon wants.
#[derive(Debug, Clone)]
pub struct Config {
    /// The configured directory of `postgres` and `initdb`; none: find or fetch one.
    pub programs: Option<PathBuf>,
    /// The instance's data directory; made (0700) when missing. The database lies in it, or for root where its `postgres.json` says.
    pub data_dir: PathBuf,
    /// Names the database of a root daemon below `/var/lib/mosaic-fed`.
    pub instance: Uuid,
    /// How long the server lives.
    pub lifetime: Lifetime,
}

/// How long the server lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Survives the daemon's `kill -9` and is adopted by the next start.
    Daemon,
    /// Dies with the process that started it, however that ends.
    Process,
    /// As `Process`, with an empty database below the system's temporary directory that is deleted at the end.
    Temporary,
}

/// A running server. Dropping it leaves a `Lifetime::Daemon` server running and stops the others at once.
#[derive(Debug)]
pub struct Server {
    process: Process,
    place: Place,
    programs: Programs,
    account: Account,
    lifetime: Lifetime,
    version: String,
    adopted: bool,
}

impl Server {
    /// Finds programs (fetches them if need be), makes the database if there is none, adopts or starts the server, waits until
    /// it answers and sets up roles, database and pgvector. Bounded in every step.
    pub async fn start(config: Config) -> Result<Server, EmbeddedError> {
        Server::start_in(config, &Environment::of_process()).await
    }

    /// As `start`, on a machine that looks like `environment`.
    pub async fn start_in(config: Config, environment: &Environment) -> Result<Server, EmbeddedError> {
        let directory = config.data_dir.clone();
        Server::start_there(config, environment).await.map_err(|error| error.or_full(&directory))
    }

    async fn start_there(config: Config, environment: &Environment) -> Result<Server, EmbeddedError> {
        place::make_directory(&config.data_dir, 0o700)?;
        let _lock = Lock::take(&config.data_dir.join("postgres.lock"), LOCK_PATIENCE).await?;
        let (mut place, account, record) = Place::settle(&config, environment)?;
        let programs = programs::find(config.programs.as_deref(), environment, &account, place.major()).await?;
        let found = leftover::resolve(&place, record.as_ref(), config.lifetime).await?;
        let adopted = found.is_some();
        if let (true, Some(record)) = (adopted, record) {
            // Another XDG_RUNTIME_DIR than at its start must not hide a running server.
            place.socket = record.socket;
        }
        let process = match found {
            Some(process) => process,
            None => launch(&place, &programs, &account, config.lifetime, &mut Told::never())
                .await
                .map_err(|error| error.or_full(place.around()))?,
        };
        let lifetime = config.lifetime;
        let mut server = Server { process, place, programs, account, lifetime, version: String::new(), adopted };
        match bootstrap::prepare(&server.place).await {
            Ok(version) => server.version = version,
            Err(error) => {
                let error = error.or_full(server.place.around());
                return Err(server.abandon(error).await);
            }
        }
        tracing::info!(version = %server.version, pid = server.pid(), adopted, "PostgreSQL is ready");
        Ok(server)
    }

    /// Connects as the role that owns the database: migrations only.
    pub fn owner(&self) -> PgConnectOptions {
        options(&self.place.socket, OWNER).database(DATABASE)
    }

    /// Connects as the serving role: LOGIN, no superuser, no BYPASSRLS, owns nothing.
    pub fn app(&self) -> PgConnectOptions {
        options(&self.place.socket, APP).database(DATABASE)
    }

    /// Connects as the bootstrap role: for setting up, and for tests.
    pub fn superuser(&self) -> PgConnectOptions {
        options(&self.place.socket, SUPERUSER).database(DATABASE)
    }

    /// `server_version` as the running server says it, such as `18.4`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The directory of `postgres`, `pg_dump` and the other programs.
    pub fn programs(&self) -> &Path {
        &self.programs.directory
    }

    /// Process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    /// Whether the server was already running.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// PostgreSQL's data directory.
    pub fn cluster(&self) -> &Path {
        &self.place.cluster
    }

    /// The server's log: starts, stops and fatal errors, never a statement.
    pub fn log(&self) -> PathBuf {
        self.place.log()
    }

    /// The directory of the socket, 0700.
    pub fn socket(&self) -> &Path {
        &self.place.socket
    }

    /// Keeps it running from here on: see [`Supervised`]. Only a `Lifetime::Daemon` server is ever started again.
    pub fn supervised(self) -> Supervised {
        Supervised::watch(self)
    }

    /// Fast shutdown (clients are disconnected, a checkpoint is written), after 15 s an immediate one.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        self.process.stop(&self.place).await
    }

    /// A server that cannot be prepared does not stay behind, unless it was there before.
    async fn abandon(self, error: EmbeddedError) -> EmbeddedError {
        if !self.adopted
            && let Err(stop) = self.stop().await
        {
            tracing::warn!(%stop, "the server stays behind");
        }
        error
    }
}

/// Makes the cluster when there is none, records what is about to run, and runs it.
async fn launch(
    place: &Place,
    programs: &Programs,
    account: &Account,
    lifetime: Lifetime,
    told: &mut Told,
) -> Result<Process, EmbeddedError> {
    if place.major().is_none() {
        cluster::initialise(place, programs, account).await?;
    }
    cluster::configure(place, account)?;
    let record = Record {
        cluster: place.cluster.clone(),
        socket: place.socket.clone(),
        nonce: leftover::nonce()?,
        persistent: lifetime == Lifetime::Daemon,
    };
    place.write_record(&record)?;
    Process::start(place, programs, account, &record, told).await
}

/// Options for a role on the socket; PG* variables of our environment have no say in where we connect.
fn options(socket: &Path, role: &str) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass().socket(socket).host("localhost").port(PORT);
    options.username(role).database("postgres").ssl_mode(PgSslMode::Disable).application_name("mosaic-fed")
}

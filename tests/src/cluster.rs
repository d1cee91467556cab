//! A PostgreSQL for tests: one server for the process, a fresh migrated database for each test, copied from a template.
//!
//! The server and everything in it vanish with the process. Databases whose test is over are dropped when the next one is
//! made, so that a long run does not fill the disk.

use domain::{seal::RowKey, world::World};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};
use store::{
    Trust,
    embedded::{Config, Lifetime, Server},
    postgres::Postgres,
};
use tempfile::TempDir;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

/// The server allows 40 connections; a test's database needs up to eight or so.
const AT_ONCE: usize = 4;
/// Databases that may lie about (8 MB each) before one is dropped: dropping costs the server a checkpoint.
const LEFT_OVER: usize = 48;
const TEMPLATE: &str = "template_mosaic";

struct Cluster {
    server: Server,
    /// Holds the server's files; it must live as long as the server.
    _directory: TempDir,
    made: AtomicU32,
    over: Mutex<Vec<String>>,
    turns: Arc<Semaphore>,
}

/// A fresh database with every migration applied and nothing in it. It is free to be dropped once this value is.
pub struct Database {
    name: String,
    owner: PgConnectOptions,
    app: PgConnectOptions,
    superuser: PgConnectOptions,
    cluster: &'static Cluster,
    _turn: OwnedSemaphorePermit,
}

/// What the grants of every test are sealed with.
pub fn row_key() -> RowKey {
    RowKey::new([7; 32])
}

/// What judges the grants of a store that remembers nothing of an earlier one.
pub fn trust() -> Arc<Trust> {
    Arc::new(Trust::of_this_process(row_key()))
}

impl Database {
    /// Connects as the role that owns the tables.
    pub fn owner(&self) -> PgConnectOptions {
        self.owner.clone()
    }

    /// Connects as the serving role.
    pub fn app(&self) -> PgConnectOptions {
        self.app.clone()
    }

    /// Connects as the superuser, to break things.
    pub fn superuser(&self) -> PgConnectOptions {
        self.superuser.clone()
    }

    /// Opens the store on it, with the machine's clock.
    pub async fn store(&self) -> Arc<Postgres> {
        self.store_at(&World::system()).await
    }

    /// Opens the store on it, with a clock of the test's choosing.
    #[expect(clippy::expect_used, reason = "a test without its database has failed")]
    pub async fn store_at(&self, world: &World) -> Arc<Postgres> {
        Arc::new(Postgres::connect(self.owner(), self.app(), world.clock(), trust()).await.expect("the store opens"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.cluster.over.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.name));
    }
}

/// A database of the caller's own; waits while many others are in use.
pub async fn database() -> Database {
    let (cluster, turn) = turns(1).await;
    cluster.database(turn).await
}

/// Two databases at once. Taking one after the other would let tests wait for each other for ever.
#[expect(clippy::expect_used, reason = "two turns split into two")]
pub async fn two_databases() -> (Database, Database) {
    let (cluster, mut turns) = turns(2).await;
    let turn = turns.split(1).expect("two turns");
    (cluster.database(turn).await, cluster.database(turns).await)
}

#[expect(clippy::expect_used, reason = "a test without its database has failed")]
async fn turns(count: u32) -> (&'static Cluster, OwnedSemaphorePermit) {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let cluster = CLUSTER.get_or_init(start).await;
    let turns = Arc::clone(&cluster.turns).acquire_many_owned(count).await;
    (cluster, turns.expect("the semaphore is never closed"))
}

impl Cluster {
    #[expect(clippy::expect_used, reason = "a test without its database has failed")]
    async fn database(&'static self, turn: OwnedSemaphorePermit) -> Database {
        let name = format!("test_{}", self.made.fetch_add(1, Ordering::SeqCst));
        let over = self.surplus();
        let drops = over.iter().map(|name| format!("DROP DATABASE {name} WITH (FORCE)"));
        let create = format!("CREATE DATABASE {name} OWNER mosaic_owner TEMPLATE {TEMPLATE}");
        run(&self.server, drops.chain([create])).await.expect("the database is made");
        let on = |options: PgConnectOptions| options.database(&name);
        Database {
            owner: on(self.server.owner()),
            app: on(self.server.app()),
            superuser: on(self.server.superuser()),
            name,
            cluster: self,
            _turn: turn,
        }
    }

    fn surplus(&self) -> Vec<String> {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = over.len().min(LEFT_OVER);
        over.split_off(keep)
    }
}

/// A server of the caller's own, for what would disturb others: roles and settings of the whole cluster. Its files vanish
/// with the directory.
#[expect(clippy::expect_used, reason = "no test can run without a server")]
pub async fn server() -> (Server, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let config = Config {
        programs: None,
        data_dir: directory.path().join("data"),
        instance: World::system().uuid(),
        lifetime: Lifetime::Temporary,
    };
    (Server::start(config).await.expect("PostgreSQL starts"), directory)
}

#[expect(clippy::expect_used, reason = "no test can run without a server")]
async fn start() -> Cluster {
    let (server, directory) = server().await;
    let template = [format!("CREATE DATABASE {TEMPLATE} OWNER mosaic_owner TEMPLATE mosaic")];
    run(&server, template).await.expect("the template is made");
    let on = |options: PgConnectOptions| options.database(TEMPLATE);
    let store = Postgres::connect(on(server.owner()), on(server.app()), World::system().clock(), trust()).await;
    store.expect("the template is migrated").close().await;
    run(&server, [format!("ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")]).await.expect("the template is closed");
    Cluster {
        server,
        _directory: directory,
        made: AtomicU32::new(0),
        over: Mutex::default(),
        turns: Arc::new(Semaphore::new(AT_ONCE)),
    }
}

/// One connection for each call: a connection belongs to the runtime of the test that opened it.
async fn run(server: &Server, statements: impl IntoIterator<Item = String>) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(&server.superuser().database("postgres")).await?;
    for statement in statements {
        // Names are made here, from counters.
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    connection.close().await
}

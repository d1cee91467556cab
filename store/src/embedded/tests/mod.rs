//! Real servers: each test starts its own PostgreSQL from the bundle that the first start fetched, as root or as an ordinary user.

mod access;
mod lifecycle;
mod paths;
mod search;
mod supervision;

use super::*;
use sqlx::{Connection, PgConnection};
use std::os::unix::fs::PermissionsExt;
use tokio::time::Instant;

/// A data directory, and beside it what a root daemon keeps outside; both vanish with the test.
struct Home {
    directory: tempfile::TempDir,
    environment: Environment,
    data_dir: PathBuf,
    instance: Uuid,
}

impl Home {
    fn new() -> Home {
        Home::below("plain")
    }

    /// Everything lies below `name`, so that an odd name reaches the server whoever runs the test.
    fn below(name: &str) -> Home {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let base = directory.path().join(name);
        let databases = base.join("databases");
        place::make_directory(&databases, 0o755).unwrap();
        let temporary = base.join("tmp");
        place::make_directory(&temporary, 0o1777).unwrap();
        let environment = Environment { databases, temporary, ..Environment::of_process() };
        Home { directory, environment, data_dir: base.join("data"), instance: random_id() }
    }

    fn config(&self, lifetime: Lifetime) -> Config {
        Config { programs: None, data_dir: self.data_dir.clone(), instance: self.instance, lifetime }
    }

    async fn try_start(&self, lifetime: Lifetime) -> Result<Server, EmbeddedError> {
        Server::start_in(self.config(lifetime), &self.environment).await
    }

    async fn start(&self, lifetime: Lifetime) -> Server {
        self.try_start(lifetime).await.unwrap()
    }

    /// The message of a start that must fail.
    async fn refusal(&self) -> String {
        self.try_start(Lifetime::Process).await.unwrap_err().to_string()
    }
}

fn random_id() -> Uuid {
    Uuid::parse_str(&leftover::nonce().unwrap()).unwrap()
}

/// The first column of the first row, as text.
async fn ask(options: &PgConnectOptions, question: &str) -> Result<String, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let question = sqlx::AssertSqlSafe(question.to_owned());
    sqlx::query_scalar(question).fetch_one(&mut connection).await
}

/// Statements without an answer.
async fn run(options: &PgConnectOptions, statements: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let statements = sqlx::AssertSqlSafe(statements.to_owned());
    sqlx::raw_sql(statements).execute(&mut connection).await.map(|_| ())
}

fn runs(pid: u32, cluster: &Path) -> bool {
    leftover::holder(pid, cluster) == leftover::Holder::Ours
}

/// Waits until the server is gone, at most ten seconds.
async fn is_gone_soon(pid: u32, cluster: &Path) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while runs(pid, cluster) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    !runs(pid, cluster)
}

//! Real servers: each test starts its own PostgreSQL from the bundle that the first one fetched.

use super::*;
use sqlx::{Connection, PgConnection};

/// A data directory and what belongs to it outside; both vanish with the test.
struct Home {
    _directory: tempfile::TempDir,
    environment: Environment,
    instance: Uuid,
}

impl Home {
    fn new() -> Home {
        Home::below("plain")
    }

    /// The databases of a root daemon lie below `name` too, so that odd names reach them.
    fn below(name: &str) -> Home {
        let directory = tempfile::tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).unwrap();
        let databases = directory.path().join(name).join("databases");
        place::make_directory(&databases, 0o755).unwrap();
        let environment = Environment {
            databases,
            ..Environment::of_process()
        };
        let bytes = leftover::nonce().unwrap();
        Home {
            _directory: directory,
            environment,
            instance: Uuid::parse_str(&bytes).unwrap(),
        }
    }

    fn data_dir(&self) -> PathBuf {
        self.environment.databases.parent().unwrap().join("data")
    }

    fn config(&self, lifetime: Lifetime) -> Config {
        Config {
            programs: None,
            data_dir: self.data_dir(),
            instance: self.instance,
            lifetime,
        }
    }

    async fn start(&self, lifetime: Lifetime) -> Server {
        Server::start_in(self.config(lifetime), &self.environment)
            .await
            .unwrap()
    }
}

async fn ask(options: &PgConnectOptions, question: &'static str) -> Result<String, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::query_scalar(question)
        .fetch_one(&mut connection)
        .await
}

#[tokio::test]
async fn a_first_start_gives_three_roles_that_can_connect_and_stops_cleanly() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    for (options, role) in [
        (server.owner(), OWNER),
        (server.app(), APP),
        (server.superuser(), SUPERUSER),
    ] {
        assert_eq!(
            ask(&options, "SELECT current_user::text").await.unwrap(),
            role
        );
    }
    assert!(!server.adopted());
    assert!(server.version().starts_with("18.") || server.version().starts_with("17."));
    let (pid, cluster) = (server.pid(), server.cluster().to_owned());
    server.stop().await.unwrap();
    assert_eq!(leftover::holder(pid, &cluster), leftover::Holder::Nobody);
    assert!(!cluster.join("postmaster.pid").exists());
}

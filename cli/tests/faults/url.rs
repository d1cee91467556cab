//! A PostgreSQL that was given by URL is nobody's child here: when it goes, calls are refused as unavailable, and when it
//! returns the daemon answers again without a restart.

use super::{
    asker::{enrol, list, tasks},
    harness::{Instance, pause, remove_database},
};
use domain::invite::Invite;
use proto::v1::query_service_client::QueryServiceClient;
use std::time::{Duration, Instant};
use store::embedded::{Config, Lifetime, Server};
use tempfile::TempDir;
use tonic::Code;

/// How soon it must answer again.
const SOON: Duration = Duration::from_secs(5);

/// A server with a directory of its own, which a start finds again.
async fn server(directory: &TempDir) -> Server {
    let instance = domain::world::World::system().uuid();
    let config =
        Config { programs: None, data_dir: directory.path().join("data"), instance, lifetime: Lifetime::Process };
    Server::start(config).await.unwrap()
}

fn url(server: &Server, role: &str) -> String {
    let socket = server.socket().to_str().unwrap().replace('/', "%2F");
    format!("postgres://{role}@localhost/mosaic?host={socket}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_given_by_url_that_returns_is_found_again_and_refused_calls_are_unavailable() {
    let theirs = tempfile::tempdir().unwrap();
    let database = server(&theirs).await;
    let (owner, app) = (url(&database, "mosaic_owner"), url(&database, "mosaic_app"));
    let mut instance = Instance::made_with("office", &["--postgres", &owner, "--postgres-app", &app]);
    instance.serve();
    instance.types("add tasks kept").done();
    let invite = instance.types("invite stranger --share tasks").done().out;
    let asker = enrol(&Invite::decode(invite.trim()).unwrap()).await;
    let mut client = QueryServiceClient::new(asker.dial().await.unwrap().channel);
    assert_eq!(list(&mut client, tasks()).await.unwrap().0.len(), 1);

    database.stop().await.unwrap();
    for _ in 0..3 {
        assert_eq!(list(&mut client, tasks()).await.unwrap_err().code(), Code::Unavailable);
    }
    instance.types("add tasks lost").fails(8, &["away or starting"]);

    let database = server(&theirs).await;
    let start = Instant::now();
    while list(&mut client, tasks()).await.is_err() {
        assert!(start.elapsed() < SOON, "the link is not served again");
        pause();
    }
    assert!(instance.types("list tasks").done().out.contains("kept"));
    println!("served again {:?} after the return of the database", start.elapsed());
    assert_eq!(instance.stop(), Some(0));
    database.stop().await.unwrap();
    remove_database(&theirs.path().join("data"));
}

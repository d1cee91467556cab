//! A server that ends untold comes back by itself, never twice, and stops cleanly at any moment.

use super::*;
use crate::{Grants as _, Instance as _, postgres::Postgres};
use domain::world::World;
use nix::sys::signal::Signal;

/// By when a server that was killed must answer again, on the slowest machine.
const SOON: Duration = Duration::from_mins(1);

/// Waits until the server answers as another process than `before`; how long that took.
async fn back(server: &Supervised, options: &PgConnectOptions, before: u32) -> Duration {
    let start = Instant::now();
    while server.pid() == before || ask(options, "SELECT 'alive'").await.is_err() {
        assert!(start.elapsed() < SOON, "not back within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

/// Live postmasters on this cluster, by what the system says and not by what we remember.
fn postmasters(cluster: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let on_cluster = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        words.windows(2).any(|pair| pair == [b"-D".as_slice(), cluster.as_os_str().as_encoded_bytes()])
            && !words[0].ends_with(b"sh")
    };
    processes.filter(on_cluster).collect()
}

#[tokio::test]
async fn a_killed_postmaster_comes_back_by_itself_with_its_rows() {
    for adopted in [false, true] {
        let home = Home::new();
        let mut server = home.start(Lifetime::Daemon).await;
        if adopted {
            drop(server);
            server = home.start(Lifetime::Daemon).await;
        }
        assert_eq!(server.adopted(), adopted);
        run(&server.owner(), "CREATE TABLE kept AS SELECT 7 AS n").await.unwrap();
        let (owner, cluster) = (server.owner(), server.cluster().to_owned());
        let server = server.supervised();
        for _ in 0..3 {
            let before = server.pid();
            process::send(before, Signal::SIGKILL);
            back(&server, &owner, before).await;
            assert_eq!(postmasters(&cluster), [server.pid()]);
            assert_eq!(ask(&owner, "SELECT n::text FROM kept").await.unwrap(), "7");
        }
        server.stop().await.unwrap();
        assert_eq!(postmasters(&cluster), Vec::<u32>::new());
        assert!(!cluster.join("postmaster.pid").exists());
    }
}

#[tokio::test]
async fn a_postmaster_that_was_stopped_by_hand_comes_back_as_well() {
    let home = Home::new();
    let server = home.start(Lifetime::Daemon).await;
    let (owner, server) = (server.owner(), server.supervised());
    let before = server.pid();
    process::send(before, Signal::SIGINT);
    back(&server, &owner, before).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_backend_does_not_bring_a_second_postmaster() {
    let home = Home::new();
    let server = home.start(Lifetime::Daemon).await;
    let (owner, cluster, server) = (server.owner(), server.cluster().to_owned(), server.supervised());
    let before = server.pid();
    let mut connection = PgConnection::connect_with(&owner).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
    process::send(u32::try_from(pid).unwrap(), Signal::SIGKILL);
    let start = Instant::now();
    while ask(&owner, "SELECT 'alive'").await.is_err() {
        assert!(start.elapsed() < SOON, "the postmaster did not recover");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((server.pid(), postmasters(&cluster)), (before, vec![before]));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_at_any_moment_of_a_restart_leaves_no_process_and_a_database_that_starts() {
    let home = Home::new();
    for millis in [0, 1, 5, 20, 50, 100, 200, 400] {
        let server = home.start(Lifetime::Daemon).await;
        let (cluster, server) = (server.cluster().to_owned(), server.supervised());
        process::send(server.pid(), Signal::SIGKILL);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let asked = Instant::now();
        server.stop().await.unwrap();
        assert!(asked.elapsed() < SOON, "a stop after {millis} ms took {:?}", asked.elapsed());
        assert_eq!(postmasters(&cluster), Vec::<u32>::new(), "after {millis} ms");
    }
    home.start(Lifetime::Daemon).await.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_may_end_is_not_started_again() {
    let home = Home::new();
    let server = home.start(Lifetime::Daemon).await;
    let (cluster, server) = (server.cluster().to_owned(), server.supervised());
    server.let_end();
    process::send(server.pid(), Signal::SIGTERM);
    assert!(is_gone_soon(server.pid(), &cluster).await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(postmasters(&cluster), Vec::<u32>::new());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_database_whose_files_are_gone_is_not_made_anew_and_comes_back_with_them() {
    let home = Home::new();
    let server = home.start(Lifetime::Daemon).await;
    run(&server.owner(), "CREATE TABLE kept AS SELECT 7 AS n").await.unwrap();
    let (owner, cluster) = (server.owner(), server.cluster().to_owned());
    let (server, away) = (server.supervised(), cluster.with_file_name("away"));
    let before = server.pid();
    std::fs::rename(&cluster, &away).unwrap();
    process::send(before, Signal::SIGKILL);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!cluster.exists(), "an empty database was made");
    std::fs::rename(&away, &cluster).unwrap();
    back(&server, &owner, before).await;
    assert_eq!(ask(&owner, "SELECT n::text FROM kept").await.unwrap(), "7");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_start_is_tried_again_with_pauses_that_grow() {
    let home = Home::new();
    let server = home.start(Lifetime::Daemon).await;
    let (owner, cluster, log) = (server.owner(), server.cluster().to_owned(), server.log());
    let server = server.supervised();
    let (before, settings) = (server.pid(), cluster.join("postgresql.auto.conf"));
    std::fs::write(&settings, "no_such_setting = 1\n").unwrap();
    process::send(before, Signal::SIGKILL);
    let killed = Instant::now();
    while std::fs::read_to_string(&log).unwrap().matches("no_such_setting").count() < 4 {
        assert!(killed.elapsed() < SOON, "it is not tried again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A quarter, a half and a whole second lie between four attempts.
    assert!(killed.elapsed() > Duration::from_millis(1_700), "four attempts after {:?}", killed.elapsed());
    std::fs::write(&settings, "").unwrap();
    back(&server, &owner, before).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_store_over_a_killed_server_works_again_by_itself() {
    let home = Home::new();
    let server = home.start(Lifetime::Daemon).await;
    let (owner, app) = (server.owner(), server.app());
    let store = Postgres::connect(
        owner.clone(),
        app,
        World::system().clock(),
        std::sync::Arc::new(crate::Trust::of_this_process(domain::seal::RowKey::new([7; 32]))),
    )
    .await
    .unwrap();
    let server = server.supervised();
    for _ in 0..3 {
        store.ping().await.unwrap();
        let (before, start) = (server.pid(), Instant::now());
        process::send(before, Signal::SIGKILL);
        // A backend that has not noticed yet may answer once more.
        loop {
            let pinged = store.ping().await.map_err(|error| error.to_string());
            if pinged.is_ok() && server.pid() != before {
                break;
            }
            assert!(start.elapsed() < SOON, "{pinged:?}");
            assert!(pinged.is_ok() || !pinged.as_ref().unwrap_err().contains("busy"), "{pinged:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let changed = || tokio::time::timeout(SOON, store.grants_changed());
        changed().await.expect("the loss is told");
        // It hears again; what the loss and the new connection tell comes before.
        while tokio::time::timeout(Duration::from_secs(1), store.grants_changed()).await.is_ok() {}
        run(&owner, "SELECT pg_notify('mosaic_grants', '')").await.unwrap();
        changed().await.expect("a change is heard");
    }
    store.close().await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_supervised_server_outlives_its_handle_and_is_adopted() {
    let home = Home::new();
    let server = home.start(Lifetime::Daemon).await.supervised();
    let pid = server.pid();
    drop(server);
    let second = home.start(Lifetime::Daemon).await;
    assert_eq!((second.adopted(), second.pid()), (true, pid));
    second.stop().await.unwrap();
}

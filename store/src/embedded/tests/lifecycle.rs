//! Starting, stopping, adopting, crashing.

use super::*;
use nix::sys::signal::Signal;
use std::io::Write;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn a_server_starts_answers_and_stops_without_a_trace() {
    let home = Home::new();
    let server = home.start(Lifetime::Daemon).await;
    assert!(!server.adopted());
    assert_eq!(ask(&server.app(), "SELECT current_setting('server_version')").await.unwrap(), server.version());
    assert!(server.programs().join("pg_dump").is_file());
    let (pid, cluster, socket) = (server.pid(), server.cluster().to_owned(), server.socket().to_owned());
    assert!(runs(pid, &cluster));
    server.stop().await.unwrap();
    assert!(!runs(pid, &cluster));
    assert!(!cluster.join("postmaster.pid").exists());
    assert!(!socket.join(format!(".s.PGSQL.{PORT}")).exists());
}

#[tokio::test]
async fn two_instances_run_side_by_side_and_keep_their_rows_apart() {
    let (left, right) = (Home::new(), Home::new());
    let (one, two) = tokio::join!(left.start(Lifetime::Process), right.start(Lifetime::Process));
    run(&one.owner(), "CREATE TABLE only_here (); ").await.unwrap();
    let count = "SELECT count(*)::text FROM pg_tables WHERE tablename = 'only_here'";
    assert_eq!(ask(&one.owner(), count).await.unwrap(), "1");
    assert_eq!(ask(&two.owner(), count).await.unwrap(), "0");
    one.stop().await.unwrap();
    assert_eq!(ask(&two.owner(), "SELECT 'alive'").await.unwrap(), "alive");
    two.stop().await.unwrap();
}

#[tokio::test]
async fn a_daemons_server_outlives_its_handle_and_is_adopted_with_its_rows() {
    let home = Home::new();
    let first = home.start(Lifetime::Daemon).await;
    run(&first.owner(), "CREATE TABLE kept AS SELECT 7 AS n").await.unwrap();
    let pid = first.pid();
    drop(first);
    let second = home.start(Lifetime::Daemon).await;
    assert!(second.adopted());
    assert_eq!(second.pid(), pid);
    assert_eq!(ask(&second.owner(), "SELECT n::text FROM kept").await.unwrap(), "7");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_postmaster_is_replaced_and_committed_rows_are_there() {
    let home = Home::new();
    let first = home.start(Lifetime::Daemon).await;
    run(&first.owner(), "CREATE TABLE kept AS SELECT 7 AS n").await.unwrap();
    let pid = first.pid();
    process::send(pid, Signal::SIGKILL);
    drop(first);
    let second = home.start(Lifetime::Daemon).await;
    assert!(!second.adopted());
    assert_ne!(second.pid(), pid);
    assert_eq!(ask(&second.owner(), "SELECT n::text FROM kept").await.unwrap(), "7");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn stale_lock_files_that_name_a_stranger_or_an_unreaped_dead_process_do_not_stop_a_start() {
    let home = Home::new();
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    for pid in [std::process::id(), dead.id()] {
        let first = home.start(Lifetime::Process).await;
        let lock_files = [first.cluster().join("postmaster.pid"), first.socket().join(format!(".s.PGSQL.{PORT}.lock"))];
        let own = first.pid().to_string();
        let stranger = |file: &PathBuf| std::fs::read_to_string(file).unwrap().replacen(&own, &pid.to_string(), 1);
        let texts = lock_files.each_ref().map(stranger);
        first.stop().await.unwrap();
        lock_files.iter().zip(texts).for_each(|(file, text)| std::fs::write(file, text).unwrap());
        home.start(Lifetime::Process).await.stop().await.unwrap();
    }
    dead.wait().unwrap();
}

#[tokio::test]
async fn a_guarded_server_is_gone_after_its_pipe_closes_and_starts_again() {
    let home = Home::new();
    let first = home.start(Lifetime::Process).await;
    let (pid, cluster) = (first.pid(), first.cluster().to_owned());
    drop(first);
    let second = home.start(Lifetime::Process).await;
    assert!(!second.adopted());
    assert!(!runs(pid, &cluster));
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_bound_to_a_process_does_not_adopt_one_that_would_outlive_it() {
    let home = Home::new();
    let first = home.start(Lifetime::Daemon).await;
    let second = home.start(Lifetime::Process).await;
    assert!(!second.adopted());
    let (pid, cluster) = (second.pid(), second.cluster().to_owned());
    drop((first, second));
    assert!(is_gone_soon(pid, &cluster).await);
}

#[tokio::test]
async fn a_temporary_database_is_deleted_with_its_server() {
    let home = Home::new();
    for ends_by_stop in [true, false] {
        let server = home.start(Lifetime::Temporary).await;
        let base = server.cluster().parent().unwrap().to_owned();
        assert_eq!(base.parent().unwrap(), home.environment.temporary.canonicalize().unwrap());
        if ends_by_stop {
            server.stop().await.unwrap();
        } else {
            drop(server);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while base.exists() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!base.exists());
    }
}

#[tokio::test]
async fn a_server_that_this_data_directory_did_not_start_is_not_adopted() {
    let home = Home::new();
    let first = home.start(Lifetime::Daemon).await;
    let record = home.data_dir.join("postgres.json");
    let text = std::fs::read_to_string(&record).unwrap();
    let mut parsed: Record = serde_json::from_str(&text).unwrap();
    parsed.nonce = leftover::nonce().unwrap();
    std::fs::write(&record, serde_json::to_vec(&parsed).unwrap()).unwrap();
    let message = home.try_start(Lifetime::Daemon).await.unwrap_err().to_string();
    assert!(message.contains(&first.pid().to_string()), "{message}");
    assert!(message.contains("not started by the daemon of this data directory"), "{message}");
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_failed_start_shows_the_end_of_the_servers_log() {
    let home = Home::new();
    let server = home.start(Lifetime::Process).await;
    let cluster = server.cluster().to_owned();
    server.stop().await.unwrap();
    std::fs::write(cluster.join("postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();
    let message = home.refusal().await;
    assert!(message.contains("no_such_setting"), "{message}");
    assert!(message.contains("server.log"), "{message}");
}

#[tokio::test]
async fn a_killed_process_leaves_a_daemons_server_running() {
    let (home, pid) = killed_holder("daemon").await;
    let server = home.start(Lifetime::Daemon).await;
    assert!(server.adopted());
    assert_eq!(server.pid(), pid);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_process_takes_its_guarded_server_along() {
    let (home, pid) = killed_holder("process").await;
    let server = home.start(Lifetime::Process).await;
    assert_ne!(server.pid(), pid);
    assert!(!runs(pid, server.cluster()));
    server.stop().await.unwrap();
}

/// Starts this test binary as a second process that holds a server, and kills it with SIGKILL once the server answers.
async fn killed_holder(lifetime: &str) -> (Home, u32) {
    let home = Home::new();
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    let helper = "embedded::tests::lifecycle::holds_a_server_until_killed";
    command.args([helper, "--exact", "--ignored", "--nocapture"]).env("HELD_LIFETIME", lifetime);
    command.env("HELD_DATA", &home.data_dir).env("HELD_DATABASES", &home.environment.databases);
    command.env("HELD_INSTANCE", home.instance.to_string());
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut pid = None;
    while let Some(line) = lines.next_line().await.unwrap() {
        // libtest prints `test NAME ... ` without a line end before the helper's words
        pid = line.rsplit_once("postmaster ").and_then(|(_, number)| number.parse().ok());
        if pid.is_some() {
            break;
        }
    }
    child.kill().await.unwrap();
    (home, pid.unwrap())
}

#[tokio::test]
#[ignore = "the second process of the kill -9 tests, which start and kill it"]
async fn holds_a_server_until_killed() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let environment = Environment { databases: variable("HELD_DATABASES").into(), ..Environment::of_process() };
    let lifetime = if variable("HELD_LIFETIME") == "daemon" { Lifetime::Daemon } else { Lifetime::Process };
    let instance = variable("HELD_INSTANCE").parse().unwrap();
    let config = Config { programs: None, data_dir: variable("HELD_DATA").into(), instance, lifetime };
    let server = Server::start_in(config, &environment).await.unwrap();
    writeln!(std::io::stdout(), "\npostmaster {}", server.pid()).unwrap();
    tokio::time::sleep(Duration::from_mins(2)).await;
}

//! Many starts and stops in a row: none stalls, and none leaves a process, a socket or a lock for the next one to stumble over.

use super::{
    harness::{Instance, pause, program, tell},
    lock_file, scale,
};
use domain::world::World;
use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    path::Path,
    process::{Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// A start or a stop that takes longer has stalled.
const BOUND: Duration = Duration::from_secs(15);

#[test]
fn starts_and_stops_in_a_row_never_stall_and_leave_nothing() {
    let rounds = scale(5, 300);
    let mut instance = Instance::made("office");
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let start = Instant::now();
        instance.serve();
        starts.push(start.elapsed());
        let postmaster = fs::read_to_string(lock_file(&instance)).unwrap();
        let postmaster = postmaster.lines().next().unwrap().parse().unwrap();
        // A row now and then: a stop has something to write.
        instance.types(&format!("add tasks round-{round}")).done();
        let stop = Instant::now();
        assert_eq!(instance.stop(), Some(0), "round {round}");
        stops.push(stop.elapsed());
        nothing_is_left(&instance, Some(postmaster));
        assert!(starts[round] < BOUND && stops[round] < BOUND, "round {round}: {:?} {:?}", starts[round], stops[round]);
    }
    instance.serve();
    let rows = instance.types("list tasks --limit 1000 --json").done().json();
    assert_eq!(rows["rows"].as_array().map(Vec::len), Some(rounds), "every row that was added is there");
    told("start", &mut starts);
    told("stop", &mut stops);
}

#[test]
fn a_signal_at_any_moment_of_a_start_ends_it_and_leaves_nothing() {
    let instance = Instance::made("office");
    let data = instance.data();
    for round in 0..scale(5, 300) {
        let mut daemon = program(&["-C", data.to_str().unwrap(), "serve", "--log", "off"]);
        let mut daemon = daemon.stdout(Stdio::null()).spawn().unwrap();
        let [random, ..] = World::system().bytes::<1>();
        wait(Duration::from_millis(3 * u64::from(random)));
        tell(&daemon, Signal::SIGTERM);
        let status = ended(&mut daemon);
        // Before it listens to signals it ends by them.
        let well = status.code() == Some(0) || std::os::unix::process::ExitStatusExt::signal(&status) == Some(15);
        assert!(well, "round {round}, {random}: {status}");
        nothing_is_left(&instance, None);
    }
}

#[expect(clippy::disallowed_methods, reason = "this test waits for another process and has no runtime")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

fn ended(daemon: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = daemon.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < BOUND, "the daemon does not end");
        pause();
    }
}

/// No process, no socket that somebody listens on, no lock that somebody holds.
fn nothing_is_left(instance: &Instance, postmaster: Option<i32>) {
    let data = instance.data();
    assert!(!lock_file(instance).exists(), "PostgreSQL has not ended");
    if let Some(postmaster) = postmaster {
        assert!(kill(Pid::from_raw(postmaster), None).is_err() || !is_postgres(postmaster), "PostgreSQL still runs");
    }
    assert!(!data.join("api.sock").exists(), "the door's socket is left");
    for lock in ["daemon.lock", "postgres.lock"] {
        let file = fs::OpenOptions::new().write(true).open(data.join(lock));
        let free = file.map_or(true, |file| Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok());
        assert!(free, "{lock} is held");
    }
}

fn is_postgres(pid: i32) -> bool {
    fs::read_link(Path::new("/proc").join(pid.to_string()).join("exe"))
        .is_ok_and(|program| program.ends_with("postgres"))
}

fn told(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |hundredths: usize| times[(times.len() * hundredths).div_ceil(100) - 1];
    println!("{} × {what}: p50 {:?}, p99 {:?}, max {:?}", times.len(), at(50), at(99), at(100));
}

#[test]
fn a_terminal_that_is_closed_ends_the_daemon_and_its_postgresql_in_order() {
    let instance = Instance::made("office");
    let mut daemon = serving_to_a_terminal(&instance);
    let postmaster = open_to_callers(&instance);
    // Nobody reads any more, and whatever it would say at its end cannot be written.
    drop((daemon.stdout.take(), daemon.stderr.take()));
    tell(&daemon, Signal::SIGHUP);
    assert_eq!(ended(&mut daemon).code(), Some(0));
    nothing_is_left(&instance, Some(postmaster));
}

#[test]
fn a_daemon_whose_words_nobody_reads_serves_all_the_same_and_stops_in_order() {
    let instance = Instance::made("office");
    let mut daemon = serving_to_a_terminal(&instance);
    drop((daemon.stdout.take(), daemon.stderr.take()));
    let postmaster = open_to_callers(&instance);
    instance.types("add tasks unread").done();
    // By now it has said whatever it says at its start.
    wait(Duration::from_millis(500));
    instance.types("status").done();
    tell(&daemon, Signal::SIGTERM);
    assert_eq!(ended(&mut daemon).code(), Some(0));
    nothing_is_left(&instance, Some(postmaster));
}

fn serving_to_a_terminal(instance: &Instance) -> Child {
    let mut daemon = program(&["-C", instance.data().to_str().unwrap(), "serve"]);
    daemon.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The process id of PostgreSQL, once the door is open.
fn open_to_callers(instance: &Instance) -> i32 {
    let start = Instant::now();
    while std::os::unix::net::UnixStream::connect(instance.data().join("api.sock")).is_err() {
        assert!(start.elapsed() < BOUND, "the door does not open");
        pause();
    }
    fs::read_to_string(lock_file(instance)).unwrap().lines().next().unwrap().parse().unwrap()
}

//! kill -9 of the daemon and of its PostgreSQL, in turn, under load (`ack_after_commit`, security row 53): whatever an asker was
//! given has its record, the log is whole, and the instance serves again within five seconds.

use super::{
    harness::{Instance, pause},
    load::{self, Call, Calls},
    lock_file, scale,
};
use domain::{
    audit::{Ending, Entry, chain::Line},
    id::RequestId,
    world::World,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

/// How soon a call must be answered again.
const SOON: Duration = Duration::from_secs(5);
const ASKERS: usize = 6;
const ROWS: usize = 1_000;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Daemon,
    Postmaster,
}

/// One kill, and what came of it.
struct Kill {
    victim: Victim,
    at: Instant,
    recovery: Duration,
}

#[test]
fn ack_after_commit() {
    let kills = scale(20, 200);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut instance = Instance::running("office");
    let calls = load::set_on(&instance, ASKERS, ROWS, &runtime);
    wait_for_an_answer(&calls, Instant::now());
    let done: Vec<_> = (0..kills)
        .flat_map(|_| [Victim::Postmaster, Victim::Daemon])
        .map(|who| strike(&mut instance, &calls, who))
        .collect();
    runtime.shutdown_timeout(Duration::from_secs(1));
    let calls = calls.all().clone();
    told(&done, &calls);
    let cut = done.iter().filter(|kill| calls.iter().any(|call| call.was_cut_after(kill.at))).count();
    assert!(cut * 3 >= done.len(), "void: only {cut} of {} kills cut a call", done.len());
    let records = answers(&instance);
    let missing: Vec<_> = calls.iter().filter(|call| is_unrecorded(call, &records)).collect();
    assert!(missing.is_empty(), "{} answered calls have no record, as {:?}", missing.len(), missing.first());
    let late: Vec<_> =
        done.iter().filter(|kill| kill.recovery > SOON).map(|kill| (kill.victim, kill.recovery)).collect();
    assert!(late.is_empty(), "{} of {} not back within {SOON:?}: {late:?}", late.len(), done.len());
}

/// Kills, brings the daemon back if it was the victim, and measures until a call that began after the kill was answered.
fn strike(instance: &mut Instance, calls: &Calls, victim: Victim) -> Kill {
    settle(calls);
    let postmaster = postmaster(instance);
    let at = Instant::now();
    let since = match victim {
        Victim::Postmaster => {
            kill(postmaster, Signal::SIGKILL).unwrap();
            at
        }
        Victim::Daemon => {
            instance.kill();
            let since = Instant::now();
            instance.serve();
            since
        }
    };
    let recovery = wait_for_an_answer(calls, at).duration_since(since);
    let adopted = self::postmaster(instance) == postmaster;
    assert_eq!(adopted, victim == Victim::Daemon, "a daemon's PostgreSQL is adopted, a dead one replaced");
    Kill { victim, at, recovery }
}

/// Lets load come back, and kills at no particular point of it.
fn settle(calls: &Calls) {
    let [random, ..] = World::system().bytes::<1>();
    let now = Instant::now();
    wait_for_an_answer(calls, now);
    while now.elapsed() < Duration::from_millis(100 + u64::from(random)) {
        pause();
    }
}

/// When the first call that began after `moment` was answered.
fn wait_for_an_answer(calls: &Calls, moment: Instant) -> Instant {
    loop {
        if let Some(answered) = calls.answered_after(moment) {
            return answered;
        }
        assert!(moment.elapsed() < Duration::from_secs(30), "nobody is answered any longer");
        pause();
    }
}

/// The instance's own PostgreSQL.
fn postmaster(instance: &Instance) -> Pid {
    let text = fs::read_to_string(lock_file(instance)).unwrap();
    Pid::from_raw(text.lines().next().unwrap().trim().parse().unwrap())
}

/// Chunks and rows that the log says were answered, by request; the log verifies.
fn answers(instance: &Instance) -> HashMap<RequestId, (u64, u64)> {
    instance.types("audit export -o log.jsonl").done();
    println!("{}", instance.types("audit verify log.jsonl").done().out.trim());
    let text = fs::read_to_string(instance.base.path().join("log.jsonl")).unwrap();
    let mut answers: HashMap<_, (u64, u64)> = HashMap::new();
    for line in text.lines() {
        if let Line::Entry(entry) = serde_json::from_str(line).unwrap()
            && let Entry { ending: Ending::Answered, request, rows, .. } = *entry
        {
            let (chunks, sum) = answers.entry(request).or_default();
            (*chunks, *sum) = (*chunks + 1, *sum + rows);
        }
    }
    answers
}

/// Whether the asker was given more than the log knows of.
fn is_unrecorded(call: &Call, records: &HashMap<RequestId, (u64, u64)>) -> bool {
    let (chunks, rows) = records.get(&call.request).copied().unwrap_or_default();
    call.chunks > chunks || call.rows > rows
}

/// Prints what happened.
fn told(done: &[Kill], calls: &[Call]) {
    let chunks: u64 = calls.iter().map(|call| call.chunks).sum();
    let whole = calls.iter().filter(|call| matches!(call.ended, Some((_, None)))).count();
    println!("{} calls, {whole} answered whole, {chunks} chunks", calls.len());
    for victim in [Victim::Daemon, Victim::Postmaster] {
        let kills: Vec<_> = done.iter().filter(|kill| kill.victim == victim).collect();
        let cut = kills.iter().filter(|kill| calls.iter().any(|call| call.was_cut_after(kill.at))).count();
        let mut times: Vec<_> = kills.iter().map(|kill| kill.recovery).collect();
        times.sort_unstable();
        let at = |hundredths: usize| times[(times.len() * hundredths).div_ceil(100) - 1];
        println!(
            "{victim:?}: {} kills, {cut} of them cut a call; back after p50 {:?}, p99 {:?}, max {:?}",
            kills.len(),
            at(50),
            at(99),
            at(100)
        );
    }
}

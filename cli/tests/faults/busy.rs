//! Every connection for rows is taken by a question that hangs: what ends a grant answers all the same, from the command on.

use super::{
    harness::{Instance, pause, program},
    psql,
};
use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// More than any machine has connections for rows.
const QUESTIONS: usize = 20;

fn background(mut command: std::process::Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Questions that wait for a lock inside PostgreSQL.
fn waiting(instance: &Instance) -> usize {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    String::from_utf8(psql(instance, waits).output().unwrap().stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn a_revoke_is_done_while_every_question_for_rows_hangs() {
    let instance = Instance::running("office");
    instance.types("add tasks one").done();
    instance.types("invite home --share tasks").done();
    let mut held = background(psql(&instance, "BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(30)"));
    let data = instance.data();
    let list = || background(program(&["-C", data.to_str().unwrap(), "list", "tasks"]));
    let mut asked: Vec<_> = (0..QUESTIONS).map(|_| list()).collect();
    let start = Instant::now();
    while waiting(&instance) < 4 {
        assert!(start.elapsed() < Duration::from_secs(10), "nobody waits for rows");
        pause();
    }
    let start = Instant::now();
    let revoked = instance.types("grant revoke home").done();
    let took = start.elapsed();
    println!("a revoke typed behind {QUESTIONS} questions that hang: {took:?}");
    assert!(took < Duration::from_secs(3) && revoked.out.contains("revoked"), "{took:?} {revoked:?}");
    assert!(waiting(&instance) >= 4, "the questions hung all the while");
    held.kill().unwrap();
    for child in asked.iter_mut().chain([&mut held]) {
        child.wait().unwrap();
    }
}

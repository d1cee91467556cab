//! Question after question over connections that are harmed: each is over by its deadline, and in the end this process has no more tasks and
//! sockets than before the first. A process of its own, with one test, so that what is counted is its own: of both sides and the proxy between.
#![expect(clippy::print_stdout, reason = "seeds, counts and times are part of what a run tells")]

#[cfg(test)]
mod count;
#[cfg(test)]
mod stage;

use count::Counts;
use futures::future::join_all;
use stage::{Done, Stage};
use std::time::Duration;
use tests::dice::{Dice, scale};

/// How long to wait until everything is gone that a question began: longer than any deadline or pause that may be under way.
const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_past_its_deadline_and_no_leaked_task_or_socket() {
    let dice = Dice::new("cycles");
    let (stages, cycles) = scale((10, 6), (10, 100));
    let stages = join_all((0..stages).map(|_| Stage::set(dice.split()))).await;
    join_all(stages.iter().map(Stage::warm_up)).await;
    settle(&stages).await;
    let before = Counts::least_within(Duration::from_secs(6)).await;

    let done = join_all(stages.iter().map(|stage| stage.run(cycles))).await;
    let done = done.into_iter().fold(Done::default(), Done::and);

    settle(&stages).await;
    let after = Counts::until_at_most(before, PATIENCE).await;
    println!("cycles: {done}; before {before}, after {after}");
    assert!(after.is_at_most(before), "something was left over: {before} before, {after} after");
    assert!(done.has_harmed(), "the cycles were too harmless to prove anything: {done}");
}

/// Heals and closes every connection, and waits until the control sessions stand again, which are all that stays open.
async fn settle(stages: &[Stage]) {
    join_all(stages.iter().map(|stage| stage.settle(PATIENCE))).await;
}

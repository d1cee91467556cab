//! A call that is dropped at any point never gives its connection back within a transaction.

use super::ask;
use crate::bench::{Bench, task, tasks};
use domain::{operation::List, world::World};
use std::{future::Future, pin::pin, task::Poll, time::Duration};
use store::{
    Access, Items,
    postgres::{Pools, Postgres},
};

/// Polls `future` until it is ready or was polled once more than `polls` times; then drops it. Each poll is one point at
/// which a real caller may go away.
pub async fn within<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

const BACKENDS: &str = "SELECT coalesce(string_agg(pid::text, ' ' ORDER BY pid), '') FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'mosaic_app' AND query NOT LIKE 'LISTEN%'";
const IN_TRANSACTION: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'mosaic_app' AND state LIKE 'idle in transaction%'";

#[tokio::test]
async fn a_dropped_call_closes_its_connection() {
    let bench = Bench::on_postgres().await;
    bench.put(bench.owner, [task("mine")]).await;
    let database = bench.database.as_ref().unwrap();
    let pools = Pools { serving: 1, door: 1, reserved: 1 };
    let clock = World::system().clock();
    let store =
        Postgres::connect_with(database.owner(), database.app(), clock, tests::cluster::trust(), pools).await.unwrap();
    let operation = List::first(tasks());
    let list = || {
        let access = Access::Native { workspace: bench.workspace, user: bench.owner, operation: &operation };
        store.list(access)
    };
    bench.store.ping().await.unwrap();
    let (mut dropped, mut replaced) = (0, 0);
    // How often a call is polled depends on how busy the machine is: every count is tried several times.
    for polls in (0..7).cycle().take(70) {
        assert_eq!(list().await.unwrap().items.len(), 1, "the next caller is not disturbed");
        let before: String = ask(&database.superuser(), BACKENDS).await;
        if within(list(), polls).await.is_none() {
            dropped += 1;
            settles(database).await;
            let after: String = ask(&database.superuser(), BACKENDS).await;
            replaced += u32::from(before != after);
        }
    }
    println!("dropped {dropped} calls; {replaced} connections were closed for it");
    // A call that is dropped while it waits for a connection has none to close.
    assert!(dropped >= 10 && replaced >= dropped / 3, "{replaced} of {dropped}");
}

/// Closed connections are gone from the server within a second.
async fn settles(database: &tests::cluster::Database) {
    for _ in 0..100 {
        if ask::<i64>(&database.superuser(), IN_TRANSACTION).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a connection stays within its transaction");
}

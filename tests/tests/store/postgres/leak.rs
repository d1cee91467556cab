//! Ten tenants over two connections, with callers that go away and tasks that panic in between: no row ever meets another
//! tenant, and no answer is wrongly empty (security row 48).

use super::cancel::within;
use crate::bench::{Bench, name, task, tasks};
use domain::{
    audit::{Act, Record},
    id::{RequestId, UserId, WorkspaceId},
    item::Item,
    operation::List,
    rights::Role,
    world::{Rng, SeededRng, World},
};
use std::sync::Arc;
use store::{
    Access, After, Items,
    postgres::{Pools, Postgres},
};

const TENANTS: usize = 10;
const ROWS: usize = 12;
/// Callers at once.
const TASKS: usize = 24;

/// 48,000 lists, or a tenth of them unless `MOSAIC_TEST_SCALE=large`.
fn lists() -> usize {
    if std::env::var("MOSAIC_TEST_SCALE").is_ok_and(|scale| scale == "large") { 48_000 } else { 4_800 }
}

struct Tenant {
    workspace: WorkspaceId,
    user: UserId,
    title: String,
}

/// A tenth of the tenants' rows are a team's, so that both ways to see a row are walked.
async fn tenant(bench: &Bench, n: usize) -> Tenant {
    let (workspace, user) = (WorkspaceId(bench.world.uuid()), UserId(bench.world.uuid()));
    let (place, person, title) = (name(&format!("w{n}")), name(&format!("u{n}")), format!("row of tenant {n}"));
    let act = |act| Record::act(bench.now(), act, bench.owner, RequestId(bench.world.uuid()));
    bench.store.add_workspace(workspace, &place, bench.owner, act(Act::WorkspaceAdd)).await.unwrap();
    bench.store.add_user(user, &person, None, &place, Role::Member, act(Act::UserAdd)).await.unwrap();
    let rows = (0..ROWS).map(|_| task(&title)).collect();
    assert_eq!(bench.store.put(workspace, user, rows, After::Keep).await.unwrap().len(), ROWS);
    Tenant { workspace, user, title }
}

#[derive(Debug, Default, PartialEq)]
struct Seen {
    whole: usize,
    cancelled: usize,
    foreign: usize,
    empty: usize,
}

impl Seen {
    fn take(&mut self, items: &[Item], title: &str) {
        let foreign = items.iter().filter(|item| item.title.as_deref() != Some(title)).count();
        self.foreign += foreign;
        self.empty += usize::from(items.len() != ROWS);
        self.whole += usize::from(foreign == 0 && items.len() == ROWS);
    }
}

fn below(rng: &SeededRng, limit: usize) -> usize {
    let mut bytes = [0; 4];
    rng.fill(&mut bytes);
    u32::from_be_bytes(bytes) as usize % limit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guc_leak() {
    let bench = Bench::on_postgres().await;
    let mut tenants = Vec::new();
    for n in 0..TENANTS {
        tenants.push(tenant(&bench, n).await);
    }
    let (database, tenants) = (bench.database.as_ref().unwrap(), Arc::new(tenants));
    let (clock, pools) = (World::system().clock(), Pools { serving: 2, door: 1, reserved: 1 });
    let store = Arc::new(
        Postgres::connect_with(database.owner(), database.app(), clock, tests::cluster::trust(), pools).await.unwrap(),
    );
    let (each, begun) = (lists() / TASKS, std::time::Instant::now());
    let callers: Vec<_> = (0..TASKS)
        .map(|task| {
            let (store, tenants) = (Arc::clone(&store), Arc::clone(&tenants));
            tokio::spawn(async move { calls(&store, &tenants, each, task as u64).await })
        })
        .collect();
    let mut all = Seen::default();
    for caller in callers {
        let seen = caller.await.unwrap();
        all.whole += seen.whole;
        all.cancelled += seen.cancelled;
        all.foreign += seen.foreign;
        all.empty += seen.empty;
    }
    println!(
        "guc_leak: {} lists of {TENANTS} tenants over 2 connections in {:?}: {all:?}",
        each * TASKS,
        begun.elapsed()
    );
    assert_eq!((all.foreign, all.empty), (0, 0));
    assert_eq!(all.whole + all.cancelled, each * TASKS);
    assert!(all.cancelled * 12 > each * TASKS, "too few were cancelled to prove anything");
}

/// Goes on trying to go away until a tenth of all calls did: how far a call gets in some polls depends on the machine.
async fn calls(store: &Arc<Postgres>, tenants: &Arc<Vec<Tenant>>, count: usize, caller: u64) -> Seen {
    let (rng, mut seen) = (SeededRng::new(caller), Seen::default());
    for done in 0..count {
        let at = below(&rng, TENANTS);
        if seen.cancelled * 10 <= done {
            match abandoned(Arc::clone(store), Arc::clone(tenants), at, below(&rng, 7), below(&rng, 10) == 0).await {
                Some(items) => seen.take(&items, &tenants[at].title),
                None => seen.cancelled += 1,
            }
        } else {
            seen.take(&list(store, &tenants[at]).await, &tenants[at].title);
        }
    }
    seen
}

/// A call that is dropped after some polls, by a panic of its task or quietly; its rows if it was faster.
async fn abandoned(
    store: Arc<Postgres>,
    tenants: Arc<Vec<Tenant>>,
    at: usize,
    polls: usize,
    panics: bool,
) -> Option<Vec<Item>> {
    let call = tokio::spawn(async move {
        let answer = within(list(&store, &tenants[at]), polls).await;
        if answer.is_none() && panics {
            std::panic::resume_unwind(Box::new("a task that panics while others wait"));
        }
        answer
    });
    call.await.ok().flatten()
}

async fn list(store: &Postgres, tenant: &Tenant) -> Vec<Item> {
    let operation = List::first(tasks());
    let access = Access::Native { workspace: tenant.workspace, user: tenant.user, operation: &operation };
    store.list(access).await.unwrap().items
}

//! Renewal under load: fifty callers who never stop asking, while the certificate under them is replaced again and again.

use domain::{answer::Outcome, invite::Invite, scope::Rate, world::World};
use hub::{Asker, Hub, Question, Sources};
use spoke::road::limit::Limits;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tests::{
    clock::running,
    cluster::two_databases,
    home::Home,
    instance::{Instance, name, task},
};

const CALLERS: usize = 50;
/// Twenty seconds of a certificate's life pass in one: the shortest life there is, its tenth and the overlap are then 15 s,
/// 1.5 s and 1.5 s.
const FASTER: u32 = 20;
const LIFE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(1_700);
/// How long each caller rests between two questions.
const REST: Duration = Duration::from_millis(500);
const FREELY: Rate = Rate { per_minute: 100_000, burst: 100_000 };

/// Ten seconds, or five minutes with `MOSAIC_TEST_SCALE=large`.
fn span() -> Duration {
    let large = std::env::var("MOSAIC_TEST_SCALE").is_ok_and(|scale| scale == "large");
    Duration::from_secs(if large { 300 } else { 10 })
}

/// Asks until told to stop; every answer that is not whole is a failed call.
async fn call(hub: Arc<Hub>, owner: Asker, world: World, over: Arc<AtomicBool>, done: Arc<AtomicU64>) -> Vec<String> {
    let mut failed = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let asker = Asker { request: domain::id::RequestId(world.uuid()), ..owner };
        let (resource, from) = ("tasks".parse().expect("a resource"), Sources::Some(vec!["work".into()]));
        let question =
            Question { from, resource, limit: 3, include_body: false, cursor: None, strict: false, fresh: true };
        match hub.page(&asker, question).await {
            Ok(page) if page.sources[0].outcome == Outcome::Ok && page.rows.len() == 3 => {}
            other => failed.push(format!("{other:?}")),
        }
        done.fetch_add(1, Ordering::Relaxed);
        // So that a slow machine is busy and not drowned: it is calls at every moment that count, not their number.
        tokio::time::sleep(REST).await;
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_under_load() {
    let (world, span) = (running(FASTER), span());
    let (first, second) = two_databases().await;
    let office = Instance::start_within(world.clone(), first, LIFE, Limits::with_peer_rate(FREELY)).await;
    let home = Home::start_in(world.clone(), second).await;
    office.put(office.owner, (0..3).map(|n| task(&format!("row {n}"))).collect()).await;
    let scope = r#"{"resources":["tasks"],"rate":{"per_minute":100000,"burst":100000}}"#;
    let (grant, invite) = office.grant("owner", scope).await;
    home.hub.link(&home.owner, &Invite::encode(&invite), Some(name("work"))).await.expect("a link");

    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| (Arc::clone(&home.hub), home.owner, world.clone(), Arc::clone(&over), Arc::clone(&done)))
        .map(|(hub, owner, world, over, done)| tokio::spawn(call(hub, owner, world, over, done)))
        .collect();
    let (began, mut renewed) = (Instant::now(), 0_u32);
    while began.elapsed() < span {
        tokio::time::sleep(PAUSE).await;
        home.hub.renew(&home.anew(), &name("work")).await.expect("a renewal");
        renewed += 1;
    }
    over.store(true, Ordering::Relaxed);
    let failed: Vec<_> =
        futures::future::join_all(callers).await.into_iter().flat_map(|one| one.expect("a caller")).collect();
    let calls = done.load(Ordering::Relaxed);
    println!(
        "{calls} calls of {CALLERS} callers over {renewed} renewals in {:?}, {} failed",
        began.elapsed(),
        failed.len()
    );
    assert!(failed.is_empty(), "{} of {calls} calls failed, as {}", failed.len(), failed[0]);
    assert!(u128::from(renewed) >= span.as_millis() / 5_000, "void: only {renewed} renewals");

    // The last overlap ends; what is left belongs to the certificate in force.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let in_force = office.standing(grant.id).await.leaf.expect("a certificate").serial;
    let leaves = office.spoke.leaves(grant.id);
    assert!(leaves.iter().all(|(serial, _)| *serial == in_force), "{leaves:?}");
    let status = office.spoke.status();
    assert_eq!((status.replaced_certificates, status.unknown_certificates), (0, 0), "an honest holder raised an alarm");
}

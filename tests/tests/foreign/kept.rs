//! A link that is kept as the page says: its control session, to the word that nothing is held any more, and its renewal.

use crate::{client::Running, office::Office, stage::Stage};
use domain::{
    grant::{Grant, State},
    renewal::{AGAIN, OVERLAP},
    session::SILENCE,
    world::FakeClock,
};
use serde_json::Value;
use spoke::{Edit, Receipt};
use std::{sync::Arc, time::Duration};
use tests::{clock::standing, cluster::database, instance::Instance};
use tokio::time::{Instant, sleep, timeout};

const SCOPE: &str = r#"{"resources":["tasks"],"max_rows_per_query":300}"#;
/// The shortest life that a grant's certificate may have. It may be renewed after a tenth, and is valid from five minutes before, so
/// that the time of a test may run ahead of the client's.
const LIFE: Duration = Duration::from_mins(5);
const RIPE: Duration = Duration::from_secs(31);
/// What is looked at again and again comes within this.
const PATIENCE: Duration = Duration::from_secs(10);

/// A session that has begun: the client, and its first line.
async fn begun(stage: &Stage, more: &[&str]) -> (Running, Value) {
    let link = stage.path("link");
    let mut session = stage.start(&[&["session", "tasks", "--state", link.to_str().expect("UTF-8")], more].concat());
    let begun = session.line().await.expect("a line");
    assert_eq!(begun["event"], "begun", "{begun}");
    (session, begun)
}

async fn next(session: &mut Running, event: &str) -> Value {
    let line = session.line().await.expect("a line");
    assert_eq!(line["event"], event, "{line}");
    line
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is_so() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

async fn a_session_hears_of_a_change_and_of_the_end_and_the_owner_reads_that_it_let_go(stage: Stage) {
    let office = Office::start().await;
    let grant = office.linked(&stage, SCOPE).await;
    let (mut session, begun) = begun(&stage, &[]).await;
    assert_eq!((&begun["generation"], &begun["rows"]), (&grant.generation.into(), &300.into()), "{begun}");
    assert_eq!((&begun["session"], &begun["max_rows"]), (&1.into(), &300.into()), "{begun}");
    let offset = next(&mut session, "heard").await["offset_ms"].as_i64().expect("a number");
    assert!(offset.abs() < 2_000, "one clock, and {offset} ms apart");
    let mut spec = grant.scope.to_spec();
    spec.max_rows_per_query = Some(7);
    let spoke = &office.instance.spoke;
    let (edited, _) = spoke.edit(office.instance.by(), &grant, Edit::to(spec)).await.expect("an edit");
    let changed = next(&mut session, "changed").await;
    assert_eq!((&changed["generation"], &changed["max_rows"]), (&edited.generation.into(), &7.into()));
    assert_eq!(next(&mut session, "dropped").await["rows"], 300);
    assert_eq!(next(&mut session, "acknowledged").await["generation"], edited.generation);
    let view = || spoke.session(grant.id).expect("a session");
    until("the change is acknowledged", || view().acknowledged == edited.generation).await;
    let before = office.log_end().await;
    let revoked = spoke.revoke(office.instance.by(), grant.id).await.expect("a revocation");
    let Receipt::Acknowledged(after) = revoked.receipt else { panic!("{revoked:?}") };
    assert!(revoked.drained && after < Duration::from_secs(1), "{revoked:?}");
    let said = session.end().await;
    assert_eq!((said.events(), said.code), (vec!["ended", "dropped", "acknowledged", "over"], 0));
    assert!(said.one("ended")["generation"].as_u64() > Some(edited.generation), "{said:#?}");
    let log = office.log_after(before).await;
    assert!(log.iter().any(|entry| entry.about == "grant_acknowledge" && entry.grant == Some(grant.id)), "{log:?}");
}

async fn a_session_that_says_nothing_any_more_is_noticed_and_another_one_may_begin(stage: Stage) {
    let office = Office::start().await;
    let grant = office.linked(&stage, SCOPE).await;
    let (mut session, _) = begun(&stage, &["--beats", "1"]).await;
    next(&mut session, "heard").await;
    let silent = Instant::now();
    let spoke = &office.instance.spoke;
    assert!(spoke.session(grant.id).is_some(), "it ended at once");
    let said = session.end().await;
    assert_eq!((said.events(), said.code), (vec!["dropped", "lost"], 4));
    assert_eq!(said.one("lost")["code"], "OK", "the other side was to end it");
    let lasted = silent.elapsed();
    assert!(lasted > SILENCE.saturating_sub(Duration::from_secs(2)) && lasted < SILENCE + PATIENCE, "{lasted:?}");
    until("no session is left", || spoke.session(grant.id).is_none()).await;
    let (session, again) = begun(&stage, &[]).await;
    assert_eq!(again["session"], 2, "{again}");
    let revoked = spoke.revoke(office.instance.by(), grant.id).await.expect("a revocation");
    assert!(matches!(revoked.receipt, Receipt::Acknowledged(_)), "{revoked:?}");
    assert_eq!(session.end().await.events().last(), Some(&"over"));
}

/// An office whose certificates live for five minutes of its own time.
async fn ageing() -> (Office, Arc<FakeClock>) {
    let (clock, world) = standing();
    let instance = Instance::start_with_life(world, database().await, LIFE).await;
    (Office::of(instance).await, clock)
}

/// Moves the office's time, and lets it look at the clock.
async fn pass(clock: &FakeClock, time: Duration) {
    clock.advance(time);
    sleep(2 * spoke::snapshot::HEARTBEAT).await;
}

/// The grant once the certificate with which it stands is another one than `before` had.
async fn followed(office: &Office, before: &Grant) -> Grant {
    for _ in 0..100 {
        let now = office.instance.standing(before.id).await;
        if now.leaf != before.leaf {
            return now;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("no other certificate is in force");
}

async fn a_certificate_is_renewed_and_the_former_one_ends(stage: Stage) {
    let (office, clock) = ageing().await;
    let before = office.linked(&stage, SCOPE).await;
    let early = stage.ask("link", &["renew"]).await;
    assert_eq!(early.refusal(), ("RESOURCE_EXHAUSTED", "GRANT_RATE"));
    let wait = early.one("refused")["retry_after_ms"].as_u64().expect("how long");
    assert!(wait > 0 && wait <= 30_000, "{wait} ms");
    stage.keep_a_copy();
    pass(&clock, RIPE).await;
    let said = stage.ask("link", &["renew"]).await;
    assert_eq!((said.events(), said.code), (vec!["given", "renewed"], 0));
    let after = followed(&office, &before).await;
    let (old, new) = (before.leaf.as_ref().expect("a certificate"), after.leaf.as_ref().expect("a certificate"));
    assert!(old.serial != new.serial && old.spki != new.spki, "the key was used again");
    assert_eq!((after.state, after.generation), (State::Active, before.generation));
    let told = said.one("renewed")["certificate_not_after"].as_str().map(str::parse::<domain::Time>);
    assert_eq!(told.expect("a time").expect("a time").seconds(), new.not_after.seconds());
    assert_eq!(stage.ask("former", &["capabilities"]).await.events(), ["capabilities"], "good for a moment more");
    pass(&clock, OVERLAP + Duration::from_secs(1)).await;
    let former = stage.ask("former", &["capabilities"]).await;
    assert_eq!((former.events(), former.code), (vec!["failed"], 4), "the former certificate is over");
    assert_eq!(stage.ask("link", &["capabilities"]).await.events(), ["capabilities"]);
}

async fn a_certificate_that_was_given_and_not_used_is_used_first(stage: Stage) {
    let (office, clock) = ageing().await;
    let before = office.linked(&stage, SCOPE).await;
    pass(&clock, RIPE).await;
    let said = stage.ask("link", &["renew", "--unused"]).await;
    assert_eq!((said.events(), said.code), (vec!["given"], 0));
    let meanwhile = office.instance.standing(before.id).await;
    assert!(meanwhile.leaf == before.leaf && meanwhile.successor.is_some(), "nothing changes before it is used");
    let said = stage.ask("link", &["renew"]).await;
    assert_eq!((said.events(), said.code), (vec!["renewed"], 0), "another one was asked for");
    let after = followed(&office, &before).await;
    assert_eq!(after.leaf, meanwhile.successor.map(|successor| successor.leaf), "another one than was given");
    pass(&clock, OVERLAP + Duration::from_secs(1)).await;
    assert_eq!(stage.ask("link", &["capabilities"]).await.events(), ["capabilities"]);
}

async fn a_kept_certificate_that_is_refused_by_now_leaves_the_present_one_in_use(stage: Stage) {
    let (office, clock) = ageing().await;
    let before = office.linked(&stage, SCOPE).await;
    pass(&clock, RIPE).await;
    stage.keep_a_copy();
    assert_eq!(stage.ask("link", &["renew", "--unused"]).await.events(), ["given"]);
    let first = office.instance.standing(before.id).await.successor.expect("one that is given");
    // The same link asks once more, as if the first answer had been lost.
    pass(&clock, AGAIN + Duration::from_secs(1)).await;
    assert_eq!(stage.ask("former", &["renew", "--unused"]).await.events(), ["given"]);
    let second = office.instance.standing(before.id).await.successor.expect("another one");
    assert_ne!(first.leaf, second.leaf);
    let said = stage.ask("link", &["capabilities"]).await;
    assert_eq!((said.events(), said.code), (vec!["capabilities"], 0), "{said:#?}");
    assert_eq!(office.instance.standing(before.id).await.leaf, before.leaf, "nothing else came into force");
    pass(&clock, 2 * AGAIN + Duration::from_secs(1)).await;
    let said = stage.ask("link", &["renew"]).await;
    assert_eq!((said.events(), said.code), (vec!["given", "renewed"], 0), "{said:#?}");
    let after = followed(&office, &before).await;
    assert!(after.leaf != Some(first.leaf) && after.leaf != Some(second.leaf), "{after:?}");
    assert_eq!(stage.ask("link", &["capabilities"]).await.events(), ["capabilities"]);
}

crate::for_python!(
    a_session_hears_of_a_change_and_of_the_end_and_the_owner_reads_that_it_let_go,
    a_session_that_says_nothing_any_more_is_noticed_and_another_one_may_begin,
    a_certificate_is_renewed_and_the_former_one_ends,
    a_certificate_that_was_given_and_not_used_is_used_first,
    a_kept_certificate_that_is_refused_by_now_leaves_the_present_one_in_use,
);

//! A clock that goes back or ahead, while an instance runs or between two runs: no grant is made that would outlive what its owner was told.

use domain::{
    Time,
    audit::Act,
    grant::Grant,
    world::{Clock, FakeClock, SeededRng, World},
};
use spoke::{AdminError, CLOCK_IS_RIGHT, Edit, GrantOrder, Spoke, lists::ListsOrder};
use std::{sync::Arc, time::Duration};
use tests::instance::{Instance, name};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const YEAR: Duration = Duration::from_hours(366 * 24);

fn order(grant: &str) -> GrantOrder {
    GrantOrder {
        name: name(grant),
        subject: name("owner"),
        spec: serde_json::from_str(r#"{"workspace":"main","resources":["tasks"]}"#).expect("a scope"),
        personal_default: true,
        sensitive: false,
        narrow: false,
    }
}

async fn create(spoke: &Spoke, office: &Instance, grant: &str) -> Result<Grant, AdminError> {
    spoke.create(office.by(), order(grant)).await.map(|created| created.grant)
}

async fn edit(office: &Instance, grant: &Grant, not_after: Time) -> Result<Grant, AdminError> {
    let now = office.standing(grant.id).await;
    let mut spec = now.scope.to_spec();
    spec.not_after = Some(not_after);
    office.spoke.edit(office.by(), &now, Edit::to(spec)).await.map(|(grant, _)| grant)
}

fn is_refused<T>(done: Result<T, AdminError>) {
    let refused = done.err().expect("it was done");
    let said =
        |text: &str| text.contains("clock") && text.contains("set it right") && text.contains("--clock-is-right");
    assert!(matches!(&refused, AdminError::Conflict(text) if said(text)), "{refused}");
}

fn world(began: Time) -> (Arc<FakeClock>, World) {
    let clock = Arc::new(FakeClock::new(began));
    let world = World::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SeededRng::new(7)));
    (clock, world)
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_jump() {
    let began = World::system().now();
    let (clock, world) = world(began);
    let office = Instance::start_in(world).await;
    let first = create(&office.spoke, &office, "first").await.expect("the clock is right");
    let grants = office.store.grants().await.expect("grants").len();
    let end = first.scope.not_after();
    for (n, back) in [HOUR, YEAR].into_iter().enumerate() {
        clock.set(began.before(back));
        is_refused(create(&office.spoke, &office, "second").await);
        // Records of the wrong time make it no righter.
        for _ in 0..3 {
            office.spoke.record(office.act(Act::Start)).await.expect("a record");
        }
        is_refused(create(&office.spoke, &office, "second").await);
        is_refused(office.spoke.invite(office.by(), first.id).await);
        is_refused(edit(&office, &first, end + HOUR / 2).await);
        assert_eq!(office.spoke.status().clock_refusals, 4 * (n as u64 + 1), "somebody is told");
        assert_eq!(office.store.grants().await.expect("grants").len(), grants, "nothing was written");
        assert_eq!(office.standing(first.id).await.scope.not_after(), end);
    }
    clock.set(began.before(HOUR));
    edit(&office, &first, end.before(HOUR)).await.expect("what ends sooner may always be");
    clock.set(began.before(Duration::from_secs(30)));
    create(&office.spoke, &office, "second").await.expect("a step of seconds is no jump");
    edit(&office, &first, end).await.expect("the clock is right");
    for (ahead, grant) in [(HOUR, "third"), (YEAR, "fourth")] {
        clock.set(began + ahead);
        create(&office.spoke, &office, grant).await.expect("time goes on");
    }
    clock.set(began);
    is_refused(create(&office.spoke, &office, "fifth").await);
    // Another run has nothing but the log.
    let again = started_again(&office, "another run").await;
    is_refused(create(&again, &office, "fifth").await);
    again.stop().await;
}

/// As a daemon begins: with a record of its start, before anything else.
async fn started_again(office: &Instance, note: &str) -> Arc<Spoke> {
    office.auditor.record(office.act(Act::Start).noting(note)).await.expect("a record");
    office.spoke_again(ListsOrder::default()).await
}

/// An instance whose own certificates are good at any time that these tests set its clock to, which shows `now`.
async fn office_at(now: Time) -> (Arc<FakeClock>, Instance) {
    let (clock, world) = world(now.before(3 * YEAR));
    let office = Instance::start_in(world).await;
    clock.set(now);
    (clock, office)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_went_back_while_the_daemon_was_down_is_told_by_the_log_however_much_is_recorded_since() {
    let began = World::system().now();
    let (clock, office) = office_at(began).await;
    create(&office.spoke, &office, "first").await.expect("the clock is right");
    for back in [HOUR, YEAR] {
        clock.set(began.before(back));
        for _ in 0..3 {
            let again = started_again(&office, "another run").await;
            for _ in 0..3 {
                again.record(office.act(Act::Start)).await.expect("a record");
            }
            is_refused(create(&again, &office, "second").await);
            assert_eq!(again.status().clock_refusals, 1);
            again.stop().await;
        }
    }
    clock.set(began);
    let again = started_again(&office, "the clock is as it was").await;
    create(&again, &office, "second").await.expect("the clock is right");
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_is_forgotten_once_the_owner_says_that_it_is_right_now() {
    let began = World::system().now();
    let (clock, office) = office_at(began + YEAR).await;
    create(&office.spoke, &office, "first").await.expect("the clock looks right");
    clock.set(began);
    let again = started_again(&office, "1.0.0").await;
    is_refused(create(&again, &office, "second").await);
    again.stop().await;
    let again = started_again(&office, &format!("1.0.0, {CLOCK_IS_RIGHT}")).await;
    create(&again, &office, "second").await.expect("its owner said that it is right");
    // More than is read of the log at once.
    for _ in 0..1_001 {
        office.auditor.enqueue(office.act(Act::Start));
    }
    again.stop().await;
    // The word stays good for the runs after, and no longer than the clock does.
    let again = started_again(&office, "1.0.0").await;
    create(&again, &office, "third").await.expect("the word is in the log");
    again.stop().await;
    clock.set(began.before(HOUR));
    let again = started_again(&office, "1.0.0").await;
    is_refused(create(&again, &office, "fourth").await);
    clock.set(began.before(2 * HOUR));
    again.stop().await;
    // Back once more, and on to where the first step back was: still behind what was reached before both.
    let again = started_again(&office, "1.0.0").await;
    clock.set(began.before(HOUR) + 2 * MINUTE);
    is_refused(create(&again, &office, "fourth").await);
    again.stop().await;
}

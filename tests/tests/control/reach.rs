//! Whether others can reach the sharing side at the addresses of its invites: a real hub that tries them, and strangers that say what they like.

use crate::stranger::Session;
use domain::{invite::Invite, reach::ANSWER, scope::Spec};
use spoke::{Created, GrantOrder, ReachState, reach::Listener};
use std::time::Duration;
use tests::{
    asker::enrol,
    cluster::two_databases,
    home::Home,
    instance::{Instance, name, task},
};
use tokio::time::{Instant, sleep, timeout};

/// An address of nobody's (RFC 5737).
const DEAD: &str = "192.0.2.7";
/// Less than any wait for an answer.
const AT_ONCE: Duration = Duration::from_secs(2);
/// The way there and back on a machine that does other things too.
const SLACK: Duration = Duration::from_millis(1_200);

async fn invite(office: &Instance, label: &str) -> (Created, Duration) {
    let spec = serde_json::json!({"workspace": "main", "resources": ["tasks"]});
    let spec: Spec = serde_json::from_value(spec).expect("a scope");
    let order = GrantOrder {
        name: name(label),
        subject: name("owner"),
        spec,
        personal_default: true,
        sensitive: false,
        narrow: false,
    };
    let began = Instant::now();
    let created = office.spoke.create(office.by(), order).await.expect("a grant");
    (created, began.elapsed())
}

/// Hosts of the office's links listener as its invite names them, in that order.
fn hosts(created: &Created) -> Vec<String> {
    let invite = Invite::decode(created.invite.expose()).expect("an invite");
    assert_eq!(invite.addresses, created.addresses);
    let host = |address: &String| address.rsplit_once(':').expect("a port").0.to_owned();
    assert_eq!(
        invite.addresses.iter().map(host).collect::<Vec<_>>(),
        invite.enrol_addresses.iter().map(host).collect::<Vec<_>>()
    );
    invite.addresses.iter().map(host).collect()
}

/// An office that is advertised at these hosts, and a home that is linked to it and in touch.
async fn linked(advertised: &[&str]) -> (Instance, Home, domain::id::GrantId) {
    let (first, second) = two_databases().await;
    let (office, home) = (Instance::start_advertised(first, advertised).await, Home::start_on(second).await);
    office.put(office.owner, vec![task("one")]).await;
    let (created, took) = invite(&office, "alice-home").await;
    assert_eq!(created.reach.state, ReachState::Nobody);
    assert!(took < AT_ONCE, "nobody is waited for: {took:?}");
    assert_eq!(hosts(&created), advertised);
    home.hub.keep_in_touch();
    home.hub.link(&home.owner, created.invite.expose(), Some(name("work"))).await.expect("a link");
    let in_touch = timeout(Duration::from_secs(10), async {
        while office.spoke.session(created.grant.id).is_none() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    in_touch.await.expect("a session");
    // Its first word has come with it.
    sleep(Duration::from_millis(200)).await;
    (office, home, created.grant.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_invites_another_hears_what_a_linked_home_reached_and_the_invite_names_that_first() {
    let (office, _home, grant) = linked(&[DEAD, "localhost", "127.0.0.1"]).await;
    let (created, took) = invite(&office, "bob-home").await;
    assert!(took >= ANSWER && took < ANSWER + SLACK, "{took:?}");
    assert_eq!((created.reach.state, created.reach.asked.as_slice()), (ReachState::Tested, &[grant][..]));
    let tried: Vec<_> = created.reach.addresses.iter().map(|one| (one.listener, one.by.len())).collect();
    let [links, enrolment] = [Listener::Links, Listener::Enrolment];
    assert_eq!(tried, [(links, 0), (enrolment, 0), (links, 1), (enrolment, 1)], "{:?}", created.reach);
    assert_eq!(hosts(&created), ["localhost", DEAD, "127.0.0.1"]);
    let log = office.log(50).await;
    assert!(log.iter().all(|entry| entry.about != "handshake"), "whoever tried is no intruder: {log:?}");
    assert_eq!(office.spoke.status().incidents, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_nobody_answers_at_is_told_and_the_next_invite_does_not_wait_for_it_again() {
    let (office, _home, grant) = linked(&[DEAD, "127.0.0.1"]).await;
    let (created, took) = invite(&office, "bob-home").await;
    assert!(took >= ANSWER && took < ANSWER + SLACK, "{took:?}");
    let reach = created.reach.clone();
    assert_eq!((reach.state, reach.asked.as_slice(), reach.addresses.len()), (ReachState::Tested, &[grant][..], 2));
    assert!(reach.addresses.iter().all(|one| one.by.is_empty() && one.address.starts_with(DEAD)), "{reach:?}");
    assert_eq!(hosts(&created), [DEAD, "127.0.0.1"], "they stay in it");
    let (again, took) = invite(&office, "carol-home").await;
    assert!(took < AT_ONCE && again.reach == reach, "{took:?} {:?}", again.reach);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_address_is_of_this_machine_alone_nobody_is_asked() {
    let (first, _second) = two_databases().await;
    let office = Instance::start_advertised(first, &["127.0.0.1"]).await;
    assert_eq!(office.spoke.reach().await.state, ReachState::Closed);
    let (created, _) = invite(&office, "alice-home").await;
    let asker = enrol(&Invite::decode(created.invite.expose()).expect("an invite")).await;
    let session = Session::begin(&asker).await.expect("a session");
    session.try_addresses().await;
    sleep(Duration::from_millis(200)).await;
    let (created, took) = invite(&office, "bob-home").await;
    assert!(took < AT_ONCE && created.reach.state == ReachState::Local, "{took:?} {:?}", created.reach);
}

/// Strangers that hold a session each and say that they try addresses.
async fn strangers(office: &Instance, count: usize) -> Vec<Session> {
    let mut sessions = Vec::new();
    for number in 0..count {
        let (created, _) = invite(office, &format!("stranger-{number}")).await;
        let mut invite = Invite::decode(created.invite.expose()).expect("an invite");
        for addresses in [&mut invite.addresses, &mut invite.enrol_addresses] {
            addresses.retain(|address| address.starts_with("127"));
        }
        let session = Session::begin(&enrol(&invite).await).await.expect("a session");
        sessions.push(session);
    }
    for session in &sessions {
        session.try_addresses().await;
    }
    sleep(Duration::from_millis(200)).await;
    sessions
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_waited_for_once_and_not_long() {
    let (first, _second) = two_databases().await;
    let office = Instance::start_advertised(first, &[DEAD, "127.0.0.1"]).await;
    let mut sessions = strangers(&office, 1).await;
    let (created, took) = invite(&office, "bob-home").await;
    assert!(took >= ANSWER && took < ANSWER + SLACK, "{took:?}");
    assert_eq!((created.reach.state, created.reach.asked.len()), (ReachState::Silent, 1));
    assert_eq!(sessions[0].reach().await.addresses.len(), 2);
    let (again, took) = invite(&office, "carol-home").await;
    assert!(took < AT_ONCE && again.reach == created.reach, "{took:?} {:?}", again.reach);
    let asked = timeout(Duration::from_millis(300), sessions[0].reach()).await;
    assert!(asked.is_err(), "it is asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_many_are_asked_and_what_they_say_is_told_as_theirs() {
    let (first, _second) = two_databases().await;
    let office = Instance::start_advertised(first, &[DEAD, "127.0.0.1"]).await;
    let sessions = strangers(&office, 5).await;
    let answers = sessions.into_iter().map(async |mut session: Session| {
        let asked = timeout(AT_ONCE, session.reach()).await.ok()?;
        session.reached(asked.number, vec![true, false]).await;
        // It goes on while its answer is on the way.
        timeout(AT_ONCE, session.next()).await.ok();
        Some(asked)
    });
    let ((created, took), asked) =
        tokio::join!(invite(&office, "bob-home"), futures::future::join_all(answers.collect::<Vec<_>>()));
    assert_eq!(asked.iter().flatten().count(), 3);
    assert!(took < AT_ONCE, "all of them have answered: {took:?}");
    let tried: Vec<_> = created.reach.addresses.iter().map(|one| one.by.len()).collect();
    assert_eq!((created.reach.state, tried), (ReachState::Tested, vec![3, 0]), "{:?}", created.reach);
}

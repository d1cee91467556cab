//! What an invite gives, to whom, and how often.

use domain::{
    audit::Ending,
    id::InstanceId,
    rights::Role,
    world::Clock,
    world::{FakeClock, SeededRng, World},
};
use pki::RequestKey;
use std::{sync::Arc, time::Duration};
use tests::{
    asker::{enrol, enrol_as, refusal, send_enrolment, tasks, titles},
    cluster::two_databases,
    instance::{Instance, task},
};
use tonic::Code;
use uuid::Uuid;

fn csr() -> Vec<u8> {
    RequestKey::generate().expect("a key").csr
}

fn home() -> InstanceId {
    InstanceId(World::system().uuid())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_concurrent_uses_exactly_one_wins() {
    let office = Instance::start().await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let tries = (0..16).map(|_| enrol_as(home(), &invite));
    let ended = futures::future::join_all(tries).await;
    assert_eq!(ended.iter().filter(|one| one.is_ok()).count(), 1);
    for status in ended.iter().filter_map(|one| one.as_ref().err()) {
        assert_eq!(refusal(status), (Code::FailedPrecondition, "INVITE_SPENT".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_malformed_tokens_are_told_apart_and_never_logged() {
    let office = Instance::start().await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let wrong = "17".repeat(32);
    let unknown = send_enrolment(&invite, home(), &wrong, csr()).await.expect_err("enrolled");
    assert_eq!(refusal(&unknown), (Code::NotFound, "INVITE_UNKNOWN".to_owned()));
    let malformed = send_enrolment(&invite, home(), "zz", csr()).await.expect_err("enrolled");
    assert_eq!(refusal(&malformed), (Code::InvalidArgument, "MALFORMED".to_owned()));
    enrol(&invite).await;
    let log = serde_json::to_string(&office.log(100).await).expect("JSON");
    assert!(!log.contains(&wrong) && !log.contains(invite.token.expose()), "a token was logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_wrong_key() {
    let office = Instance::start().await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    // A request signed by another key than the one in it, and one that is none: the token is not used up by either.
    let mut broken = csr();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    for bad in [broken, vec![0x30; 10], Vec::new()] {
        let status = send_enrolment(&invite, home(), invite.token.expose(), bad).await.expect_err("enrolled");
        assert_eq!(refusal(&status), (Code::InvalidArgument, "MALFORMED".to_owned()));
    }
    enrol(&invite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn token_wrong_instance() {
    let (first, second) = two_databases().await;
    let world = World::system;
    let (office, other) = (Instance::start_on(world(), first).await, Instance::start_on(world(), second).await);
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let (_, elsewhere) = other.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let status = send_enrolment(&elsewhere, home(), invite.token.expose(), csr()).await.expect_err("enrolled");
    assert_eq!(refusal(&status), (Code::NotFound, "INVITE_UNKNOWN".to_owned()));
    // A grant that is held stays with its holder, whoever has a fresh invite for it.
    let first = enrol(&invite).await;
    let fresh = office.spoke.invite(office.by(), first.grant).await.expect("an invite");
    let fresh = domain::invite::Invite::decode(fresh.invite.expose()).expect("an invite");
    let status = enrol_as(home(), &fresh).await.err().expect("enrolled");
    assert_eq!(refusal(&status), (Code::FailedPrecondition, "INVITE_SPENT".to_owned()));
    assert!(enrol_as(first.instance, &fresh).await.is_ok(), "the holder's own fresh invite");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_invite_replaces_the_certificate_and_the_old_one_is_turned_away() {
    let office = Instance::start().await;
    office.put(office.owner, vec![task("one")]).await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let old = enrol(&invite).await;
    old.list(tasks()).await.expect("an answer");
    let fresh = office.spoke.invite(office.by(), old.grant).await.expect("an invite");
    let fresh = domain::invite::Invite::decode(fresh.invite.expose()).expect("an invite");
    let new = enrol_as(old.instance, &fresh).await.expect("a certificate");
    assert_eq!(titles(&new.list(tasks()).await.expect("an answer").0), ["one"]);
    assert!(old.dial().await.is_err(), "the replaced certificate was let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_ends_after_fifteen_minutes_and_with_its_grant() {
    let clock = Arc::new(FakeClock::new(World::system().now()));
    let world = World::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SeededRng::new(7)));
    let office = Instance::start_in(world).await;
    let (_, late) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    clock.advance(Duration::from_secs(901));
    let status = enrol_as(home(), &late).await.err().expect("enrolled");
    assert_eq!(refusal(&status), (Code::FailedPrecondition, "INVITE_SPENT".to_owned()));
    let (grant, ended) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    office.spoke.revoke(office.by(), grant.id).await.expect("a revocation");
    let status = enrol_as(home(), &ended).await.err().expect("enrolled");
    assert_eq!(refusal(&status), (Code::FailedPrecondition, "INVITE_SPENT".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn csr_identity_fixed() {
    let office = Instance::start().await;
    let alice = office.user("alice", Role::Member).await;
    office.put(alice, vec![task("alice's")]).await;
    office.put(office.owner, vec![task("the owner's")]).await;
    let (_, invite) = office.grant("alice", r#"{"resources":["tasks"]}"#).await;
    // Whatever instance it says it is, grant and subject come from the invite's own record.
    let mallory = enrol_as(InstanceId(Uuid::from_u128(u128::MAX)), &invite).await.expect("a certificate");
    assert_eq!(titles(&mallory.list(tasks()).await.expect("an answer").0), ["alice's"]);
    let issued = office.log(20).await.into_iter().find(|entry| entry.about == "certificate").expect("a record");
    assert_eq!((issued.ending, issued.subject), (Ending::Done, Some(alice)));
}

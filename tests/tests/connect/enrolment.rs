//! What an invite gives, to whom, and how often.

use domain::{
    Reason,
    audit::Ending,
    id::InstanceId,
    invite::BOUND_LIFE,
    rights::Role,
    world::Clock,
    world::{FakeClock, SeededRng, World},
};
use link::Target;
use pki::RequestKey;
use proto::v1::{
    ConnectRequest, DisconnectRequest, EnrollRequest, RenewRequest, SessionRequest,
    enrol_service_client::EnrolServiceClient,
};
use spoke::{Terms, road::limit::Limits};
use std::{sync::Arc, time::Duration};
use tests::{
    asker::{Asker, NONCE, dialler, enrol, enrol_as, refusal, send, send_enrolment, target, tasks, titles, words},
    cluster::two_databases,
    instance::{Instance, task},
};
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

fn csr() -> Vec<u8> {
    RequestKey::generate().expect("a key").csr
}

fn home() -> InstanceId {
    InstanceId(World::system().uuid())
}

/// Over the real listener, which lets one address have sixteen connections: ten calls on each of ten, each with a key of its own.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_concurrent_uses_exactly_one_wins() {
    let office = Instance::start().await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let there = Target { addresses: invite.enrol_addresses.clone(), ..target(&invite, None) };
    let gate = Arc::new(tokio::sync::Barrier::new(100));
    let mut tries = Vec::new();
    for _ in 0..10 {
        let channel = dialler().dial(&there).await.expect("a connection").channel;
        for _ in 0..10 {
            let (gate, instance, token) = (Arc::clone(&gate), home(), invite.token.expose().clone());
            let mut client = EnrolServiceClient::new(channel.clone());
            let (csr, instance_name) = (csr(), "home".to_owned());
            tries.push(tokio::spawn(async move {
                gate.wait().await;
                let (instance_id, words_nonce) = (instance.to_string(), NONCE.0.to_vec());
                let request = EnrollRequest { token, csr, instance_id, instance_name, words_nonce };
                client.enroll(request).await.map(|_| instance)
            }));
        }
    }
    let ended: Vec<_> = futures::future::join_all(tries).await.into_iter().map(|one| one.expect("a try")).collect();
    let winners: Vec<_> = ended.iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    for status in ended.iter().filter_map(|one| one.as_ref().err()) {
        assert_eq!(refusal(status), (Code::FailedPrecondition, "INVITE_SPENT".to_owned()));
    }
    let held = office.standing(grant.id).await;
    assert_eq!((held.peer, held.generation), (Some(*winners[0]), 2), "one held the grant, and only that one");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_bad_tries_an_address_waits_and_the_log_is_not_flooded() {
    let database = tests::cluster::database().await;
    let office = Instance::start_within(World::system(), database, domain::renewal::LIFE, Limits::default()).await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    // Good ones cost nothing, however many.
    let (key, home) = (RequestKey::generate().expect("a key"), home());
    for _ in 0..7 {
        send_enrolment(&invite, home, invite.token.expose(), key.csr.clone()).await.expect("a certificate");
    }
    let unknown = (Code::NotFound, "INVITE_UNKNOWN".to_owned());
    let bad = async || send_enrolment(&invite, home, &"17".repeat(32), csr()).await.expect_err("enrolled");
    let before = office.log(1_000).await.len();
    for _ in 0..5 {
        assert_eq!(refusal(&bad().await), unknown);
    }
    for _ in 0..20 {
        let status = bad().await;
        assert_eq!(refusal(&status), (Code::ResourceExhausted, "PEER_RATE".to_owned()));
        let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("a time to wait");
        assert!(wait <= Duration::from_secs(12), "{wait:?}");
    }
    let good = send_enrolment(&invite, home, invite.token.expose(), key.csr.clone()).await.expect_err("enrolled");
    assert_eq!(refusal(&good).0, Code::ResourceExhausted, "also a good one waits");
    let written = office.log(1_000).await.split_off(before);
    let refused: Vec<_> =
        written.iter().filter(|entry| entry.ending == Ending::Refused).map(|entry| entry.reason.clone()).collect();
    let said = [Reason::InviteUnknown, Reason::PeerRate].map(|reason| Some(reason.code().to_owned()));
    assert_eq!(refused, said, "equal refusals are one record");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_given_again_to_the_same_key_and_to_no_other() {
    let office = Instance::start().await;
    office.put(office.owner, vec![task("one")]).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let (key, home) = (RequestKey::generate().expect("a key"), home());
    let ask = async |csr: Vec<u8>| send_enrolment(&invite, home, invite.token.expose(), csr).await;
    let first = ask(key.csr.clone()).await.expect("a certificate");
    let spent = (Code::FailedPrecondition, "INVITE_SPENT".to_owned());
    assert_eq!(refusal(&ask(csr()).await.expect_err("another key")), spent);
    // The same key, whichever request it signed.
    let again = RequestKey::again(&key.key_pkcs8).expect("the key");
    let second = ask(again.csr).await.expect("the same certificate");
    assert_eq!(
        (first.certificate.clone(), first.certificate_not_after),
        (second.certificate, second.certificate_not_after)
    );
    let other = send_enrolment(&invite, self::home(), invite.token.expose(), key.csr.clone()).await;
    assert_eq!(refusal(&other.expect_err("another instance")), spent);
    let claims = office.log(50).await.into_iter().filter(|entry| entry.about == "invite_claim").count();
    assert_eq!((claims, office.standing(grant.id).await.generation), (1, 2), "claimed once, activated once");
    let link = Asker::new(home, grant.id, target(&invite, None)).renewed(first.certificate, &key);
    assert_eq!(titles(&link.list(tasks()).await.expect("an answer").0), ["one"]);
    office.spoke.revoke(office.by(), grant.id).await.expect("a revocation");
    assert_eq!(refusal(&ask(key.csr).await.expect_err("the grant ended")), spent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_of_an_invite_that_is_bound_to_a_key_gets_nothing() {
    let clock = Arc::new(FakeClock::new(World::system().now()));
    let world = World::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SeededRng::new(7)));
    let office = Instance::start_in(world).await;
    let (grant, _) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let (key, home, thief) = (RequestKey::generate().expect("a key"), home(), self::home());
    let terms = Terms { key: Some(key.spki), ..Terms::default() };
    let made = office.spoke.invite_on(office.by(), grant.id, terms).await.expect("an invite");
    let invite = domain::invite::Invite::decode(made.invite.expose()).expect("an invite");
    assert_eq!((invite.key, invite.expires_at), (Some(key.spki), clock.now() + BOUND_LIFE));
    // An hour later, with a key of their own.
    clock.advance(Duration::from_hours(1));
    let spent = (Code::FailedPrecondition, "INVITE_SPENT".to_owned());
    let status = enrol_as(thief, &invite).await.err().expect("enrolled");
    assert_eq!(refusal(&status), spent);
    assert!(status.message().contains("bound to another key"), "{status}");
    // With the holder's key, which is no secret, in a request that the thief cannot sign.
    let mut forged = key.csr.clone();
    let signed = forged.len() - 8;
    forged[signed..].reverse();
    let status = send_enrolment(&invite, thief, invite.token.expose(), forged).await.expect_err("enrolled");
    assert_eq!(refusal(&status), (Code::InvalidArgument, "MALFORMED".to_owned()));
    assert_eq!(office.standing(grant.id).await.peer, None);
    assert!(office.log(50).await.iter().all(|entry| entry.about != "invite_claim"), "the thief claimed it");
    // For the holder it is as good as before, until seven days are over.
    clock.advance(Duration::from_hours(6 * 24));
    send_enrolment(&invite, home, invite.token.expose(), key.csr.clone()).await.expect("a certificate");
    assert_eq!(office.standing(grant.id).await.leaf.map(|leaf| leaf.spki), Some(key.spki));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_who_waits_to_be_confirmed_is_told_what_every_stranger_is() {
    let office = Instance::start().await;
    office.put(office.owner, vec![task("one")]).await;
    let (grant, _) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let terms = Terms { confirm: true, ..Terms::default() };
    let made = office.spoke.invite_on(office.by(), grant.id, terms).await.expect("an invite");
    let invite = domain::invite::Invite::decode(made.invite.expose()).expect("an invite");
    let (key, home) = (RequestKey::generate().expect("a key"), home());
    for _ in 0..2 {
        let answer =
            send_enrolment(&invite, home, invite.token.expose(), key.csr.clone()).await.expect("a certificate");
        assert!(answer.confirm, "also when it is asked again");
    }
    let answer = send_enrolment(&invite, home, invite.token.expose(), key.csr.clone()).await.expect("a certificate");
    let words = words(&invite, key.spki, &answer).to_string();
    let link = Asker::new(home, grant.id, target(&invite, None)).renewed(answer.certificate, &key);
    let refused = link.list(tasks()).await.expect_err("answered");
    assert_eq!(refusal(&refused), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()));
    assert_eq!(refused.message(), Reason::NotPermitted.text());
    // Nor does the link itself say more: no greeting, no session, no certificate.
    let mut client = link.connect().await;
    let greeting = client.connect(ConnectRequest::default()).await.expect_err("greeted");
    let session = client.session(futures::stream::pending::<SessionRequest>()).await.expect_err("a session");
    let renewal = client.renew(RenewRequest { csr: csr() }).await.expect_err("renewed");
    let goodbye = client.disconnect(DisconnectRequest::default()).await.expect_err("ended");
    for status in [greeting, session, renewal, goodbye] {
        assert_eq!(refusal(&status), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()));
        assert_eq!((status.message(), status.details().len()), (refused.message(), refused.details().len()));
    }
    office.spoke.confirm(office.by(), grant.id, &[words]).await.expect("the words");
    assert_eq!(titles(&link.list(tasks()).await.expect("an answer").0), ["one"]);
}

/// Whoever has seen what the sharing side adds to the words would choose their own part so that the words are those of somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_to_the_words_is_said_once_and_for_all() {
    let office = Instance::start().await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let (key, home) = (RequestKey::generate().expect("a key"), home());
    let request = |nonce: &[u8]| EnrollRequest {
        token: invite.token.expose().clone(),
        csr: key.csr.clone(),
        instance_id: home.to_string(),
        instance_name: "home".to_owned(),
        words_nonce: nonce.to_vec(),
    };
    for odd in [&[][..], &[6; 31], &[6; 33]] {
        let refused = send(&invite, request(odd)).await.expect_err("enrolled");
        assert_eq!(refusal(&refused), (Code::InvalidArgument, "MALFORMED".to_owned()));
    }
    let answer = send(&invite, request(&NONCE.0)).await.expect("a certificate");
    let other = send(&invite, request(&[7; 32])).await.expect_err("a second guess");
    assert_eq!(refusal(&other), (Code::FailedPrecondition, "INVITE_SPENT".to_owned()));
    assert_eq!(send(&invite, request(&NONCE.0)).await.expect("the same again"), answer);
    let views = office.store.grants().await.expect("grants");
    let view = views.iter().find(|view| view.grant.id == grant.id).expect("the grant");
    assert_eq!(office.spoke.words(view), Some(words(&invite, key.spki, &answer)), "both sides have the same words");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_grant_goes_on_until_whoever_enrols_anew_is_let_in() {
    let office = Instance::start().await;
    office.put(office.owner, vec![task("one")]).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let (home, by) = (home(), office.by());
    let holder = enrol_as(home, &invite).await.expect("a certificate");
    let invited = async || {
        let terms = Terms { confirm: true, ..Terms::default() };
        let made = office.spoke.invite_on(by, grant.id, terms).await.expect("an invite");
        domain::invite::Invite::decode(made.invite.expose()).expect("an invite")
    };
    let enrolled = async |invite: &domain::invite::Invite| {
        let key = RequestKey::generate().expect("a key");
        let answer = send_enrolment(invite, home, invite.token.expose(), key.csr.clone()).await.expect("a certificate");
        assert!(answer.confirm && answer.certificate_not_after.is_some());
        let words = words(invite, key.spki, &answer).to_string();
        (Asker::new(home, grant.id, target(invite, None)).renewed(answer.certificate, &key), words)
    };
    let refused = async |link: &Asker| {
        let status = link.list(tasks()).await.expect_err("rows for who was not let in");
        assert_eq!(refusal(&status), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()));
    };
    let (thief, thiefs) = enrolled(&invited().await).await;
    refused(&thief).await;
    assert_eq!(titles(&holder.list(tasks()).await.expect("the holder's rows").0), ["one"]);
    // A newer invite takes the place of whoever waits, and their words let nobody in.
    let (fresh, words) = enrolled(&invited().await).await;
    refused(&fresh).await;
    assert!(thief.dial().await.is_err(), "whoever waited before");
    office.spoke.confirm(by, grant.id, &[thiefs]).await.expect_err("somebody else's words");
    assert_eq!(titles(&holder.list(tasks()).await.expect("the holder's rows").0), ["one"]);
    office.spoke.confirm(by, grant.id, &[words]).await.expect("the words");
    assert_eq!(titles(&fresh.list(tasks()).await.expect("rows").0), ["one"]);
    assert!(holder.dial().await.is_err(), "the certificate before");
    assert!(thief.dial().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_one_key_at_once_are_given_one_certificate() {
    let office = Instance::start().await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let (key, home) = (RequestKey::generate().expect("a key"), home());
    let tries = (0..8).map(|_| send_enrolment(&invite, home, invite.token.expose(), key.csr.clone()));
    let ended = futures::future::join_all(tries).await;
    let given: Vec<_> = ended.into_iter().map(|one| one.expect("an answer").certificate).collect();
    assert!(given.iter().all(|one| *one == given[0]), "more than one certificate was given");
    let held = office.standing(grant.id).await;
    assert_eq!((held.generation, held.leaves().count()), (2, 1));
    assert!(office.store.standing(None).await.expect("the standing").refused.is_empty(), "none was in force before it");
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

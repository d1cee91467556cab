//! The sharing side: what it tells, whom it believes, and that nobody keeps access by what they say or do not say.

use crate::stranger::{PATIENCE, Session};
use domain::{
    audit::Ending,
    grant::Grant,
    id::RequestId,
    scope::Spec,
    session::{ACKNOWLEDGE, AGAIN, HEARTBEAT, LEASE, MESSAGE, WORDS},
};
use proto::v1::{self, notice::News, session_response::Said};
use spoke::{By, Edit, Receipt, Revoked};
use std::time::Duration;
use tests::{
    asker::{Asker, enrol, refusal, tasks},
    clock::standing,
    cluster,
    instance::{Instance, task},
};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, client::Grpc};
use tonic_prost::ProstCodec;

async fn linked() -> (Instance, Grant, Asker) {
    let office = Instance::start().await;
    office.put(office.owner, vec![task("one")]).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let asker = enrol(&invite).await;
    (office, grant, asker)
}

async fn revoke(office: &Instance, grant: &Grant) -> Revoked {
    office.spoke.revoke(office.by(), grant.id).await.expect("a revocation")
}

/// Until the grant has no session.
async fn no_session(office: &Instance, grant: &Grant) {
    let over = timeout(PATIENCE, async {
        while office.spoke.session(grant.id).is_some() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(over.await.is_ok(), "the session goes on");
}

fn spec(rows: u32) -> Spec {
    let spec = serde_json::json!({"workspace": "main", "resources": ["tasks"], "max_rows_per_query": rows});
    serde_json::from_value(spec).expect("a scope")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_told_and_the_word_of_the_asking_side_is_its_receipt() {
    let (office, grant, asker) = linked().await;
    let mut session = Session::begin(&asker).await.expect("a session");
    let other = asker.dial().await.expect("a second connection");
    let heard = async {
        let (generation, news) = session.notice().await;
        assert!(matches!(news, News::Ended(_)), "{news:?}");
        // Everything else of the grant is gone by now, and nothing is answered any more.
        let late = timeout(PATIENCE, async {
            while other.is_open() {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        assert!(late.is_ok(), "the other connection stays open");
        session.acknowledge(generation).await;
        assert_eq!(session.next().await, None, "the connection is cut with the acknowledgement");
        generation
    };
    let (revoked, told) = tokio::join!(revoke(&office, &grant), heard);
    assert!(matches!(revoked.receipt, Receipt::Acknowledged(_)), "{revoked:?}");
    assert!(revoked.drained && revoked.connections == 2 && revoked.calls == 0, "{revoked:?}");
    assert_eq!(told, revoked.grant.generation);
    let log = office.log(10).await;
    let said = log.iter().find(|entry| entry.about == "grant_acknowledge").expect("its record");
    assert!(said.ending == Ending::Done && said.grant == Some(grant.id) && said.note.contains("generation"));
    assert!(log.iter().any(|entry| entry.about == "session" && entry.ending == Ending::Answered));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_cut_all_the_same() {
    let (office, grant, asker) = linked().await;
    let mut session = Session::begin(&asker).await.expect("a session");
    let (began, revoked) = (Instant::now(), revoke(&office, &grant).await);
    assert_eq!(revoked.receipt, Receipt::Silent);
    assert!(revoked.drained && began.elapsed() >= ACKNOWLEDGE, "{revoked:?}");
    session.notice().await;
    assert_eq!(session.next().await, None);
    assert!(office.spoke.session(grant.id).is_none());
    assert_eq!(office.spoke.status().connections, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_about_a_change_is_not_taken_for_the_word_about_the_end() {
    let (office, grant, asker) = linked().await;
    let mut session = Session::begin(&asker).await.expect("a session");
    let now = office.standing(grant.id).await;
    office.spoke.edit(office.by(), &now, Edit::to(spec(1))).await.expect("an edit");
    let (changed, _) = session.notice().await;
    let early = async {
        let (ended, news) = session.notice().await;
        assert!(matches!(news, News::Ended(_)) && ended > changed, "{news:?}");
        session.acknowledge(changed).await;
    };
    let (revoked, ()) = tokio::join!(revoke(&office, &grant), early);
    assert_eq!(revoked.receipt, Receipt::Silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_about_what_was_never_told_is_not_believed() {
    let (office, grant, asker) = linked().await;
    let session = Session::begin(&asker).await.expect("a session");
    session.acknowledge(u64::MAX).await;
    no_session(&office, &grant).await;
    let revoked = revoke(&office, &grant).await;
    assert!(matches!(revoked.receipt, Receipt::Away(_)), "{revoked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_the_sessions_connection_is_refused_once_the_grant_has_ended() {
    let (office, grant, asker) = linked().await;
    let (dialled, words) = (asker.dial().await.expect("a connection"), tokio::sync::mpsc::channel(1));
    let mut connect = proto::v1::connect_service_client::ConnectServiceClient::new(dialled.channel.clone());
    let spoken = tokio_stream::wrappers::ReceiverStream::new(words.1);
    let mut news = connect.session(spoken).await.expect("a session").into_inner();
    assert!(matches!(news.message().await, Ok(Some(_))), "a welcome");
    let mut query = proto::v1::query_service_client::QueryServiceClient::new(dialled.channel);
    tests::asker::list(&mut query, tasks()).await.expect("rows while the grant stands");
    let refusal = async {
        assert!(matches!(news.message().await, Ok(Some(_))), "the notice");
        tests::asker::list(&mut query, tasks()).await.expect_err("rows after the end")
    };
    let (revoked, refused) = tokio::join!(revoke(&office, &grant), refusal);
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    assert_eq!(revoked.receipt, Receipt::Silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_the_receipt_says_until_when_and_without_a_holder_that_there_is_none() {
    let (office, grant, _asker) = linked().await;
    let before = office.world.now();
    let Receipt::Away(until) = revoke(&office, &grant).await.receipt else { panic!("away") };
    assert!(until >= before + LEASE && until <= office.world.now() + LEASE);
    let (unused, _) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    assert_eq!(revoke(&office, &unused).await.receipt, Receipt::Unused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_session_ends_the_first_and_comes_no_sooner_than_a_second_later() {
    let (office, grant, asker) = linked().await;
    let (mut one, mut other) = (asker.connect().await, asker.connect().await);
    let mut first = Session::begin_over(&mut one).await.expect("a session");
    // Where this machine takes more than a second for the two, the second one is rightly let in, and the next pair is tried.
    let too_soon = loop {
        let began = Instant::now();
        match Session::begin_over(&mut other).await {
            Err(refused) => break refused,
            Ok(next) => {
                assert_eq!(first.next().await, None);
                assert!(next.welcome.session < 10, "nothing is ever too soon: the last took {:?}", began.elapsed());
                first = next;
            }
        }
    };
    assert_eq!(refusal(&too_soon), (Code::ResourceExhausted, "GRANT_RATE".to_owned()));
    sleep(AGAIN).await;
    let second = Session::begin_over(&mut other).await.expect("a second session");
    assert_eq!(first.next().await, None);
    assert_eq!(second.welcome.session, first.welcome.session + 1);
    assert_eq!(office.spoke.session(grant.id).expect("a session").number, second.welcome.session);
    assert_eq!(office.spoke.status().sessions, 1);
}

/// A word that has a field nobody knows, as long as it is said: what a later version says, or somebody who wants to be a burden.
#[derive(Clone, PartialEq, prost::Message)]
struct Padded {
    #[prost(message, optional, tag = "1")]
    heartbeat: Option<v1::Heartbeat>,
    #[prost(bytes = "vec", tag = "900")]
    padding: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_a_session_or_says_what_is_too_long_has_no_session_any_more_and_keeps_the_grant() {
    let (office, grant, asker) = linked().await;
    let mut session = Session::begin(&asker).await.expect("a session");
    let most = WORDS as usize;
    assert!(timeout(PATIENCE, session.flood(100 * most)).await.expect("an end of the flood") < 100 * most);
    while session.next().await.is_some() {}
    no_session(&office, &grant).await;
    sleep(AGAIN).await;
    let mut grpc = Grpc::new(asker.dial().await.expect("a connection").channel);
    grpc.ready().await.expect("a connection");
    let (words, spoken) = tokio::sync::mpsc::channel(2);
    let path = "/mosaic.federation.v1.ConnectService/Session".parse().expect("a path");
    let spoken = Request::new(tokio_stream::wrappers::ReceiverStream::new(spoken));
    let answer = grpc.streaming(spoken, path, ProstCodec::<Padded, v1::SessionResponse>::default()).await;
    let mut news = answer.expect("a session").into_inner();
    assert!(matches!(news.message().await, Ok(Some(_))), "a welcome");
    let word = |length| Padded { heartbeat: Some(v1::Heartbeat::default()), padding: vec![1; length] };
    words.send(word(MESSAGE - 100)).await.expect("a word");
    let answer = timeout(PATIENCE, news.message()).await.expect("a word in time");
    assert!(matches!(answer, Ok(Some(_))), "what is unknown is passed over: {answer:?}");
    words.send(word(MESSAGE)).await.expect("a word");
    let over = timeout(PATIENCE, news.message()).await.expect("an end in time");
    assert!(!matches!(over, Ok(Some(_))), "{over:?}");
    no_session(&office, &grant).await;
    assert_eq!(asker.list(tasks()).await.expect("rows").0.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_told_with_its_terms_and_what_was_acted_upon_is_known() {
    let (office, grant, asker) = linked().await;
    let mut session = Session::begin(&asker).await.expect("a session");
    let grant = office.standing(grant.id).await;
    assert_eq!(session.welcome.generation, grant.generation);
    let terms = session.welcome.terms.clone().expect("terms");
    assert_eq!((terms.max_rows, session.welcome.heartbeat_seconds), (1_000, 15));
    assert_eq!(Duration::from_secs(session.welcome.heartbeat_seconds.into()), HEARTBEAT);
    let (edited, _) = office.spoke.edit(office.by(), &grant, Edit::to(spec(7))).await.expect("an edit");
    let (generation, News::Changed(terms)) = session.notice().await else { panic!("no change") };
    assert_eq!((generation, terms.max_rows), (edited.generation, 7));
    let view = || office.spoke.session(grant.id).expect("a session");
    assert!(view().acknowledged < generation);
    session.acknowledge(generation).await;
    session.beat(Duration::from_mins(1)).await;
    let Some(Said::Heartbeat(answer)) = session.next().await else { panic!("no answer") };
    assert!(answer.time.is_some() && answer.answers.is_some());
    assert_eq!(view().acknowledged, generation);
    assert!((55_000..65_000).contains(&view().clock_offset_ms), "{:?}", view());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_that_time_brings_is_told_too() {
    let (clock, world) = standing();
    let office = Instance::start_on(world.clone(), cluster::database().await).await;
    let end = world.now() + Duration::from_hours(1);
    let (_, invite) = office.grant("owner", &format!(r#"{{"resources":["tasks"],"not_after":"{end}"}}"#)).await;
    let asker = enrol(&invite).await.under(&world);
    let mut session = Session::begin(&asker).await.expect("a session");
    clock.advance(Duration::from_hours(1) + Duration::from_secs(2));
    let (generation, news) = session.notice().await;
    assert!(matches!(news, News::Ended(_)), "{news:?}");
    session.acknowledge(generation).await;
    assert_eq!(session.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_that_are_removed_end_with_a_receipt_for_each_grant() {
    let office = Instance::start().await;
    let alice = office.user("alice", domain::rights::Role::Member).await;
    let (_, connected) = office.grant("alice", r#"{"resources":["tasks"]}"#).await;
    let (_, away) = office.grant("alice", r#"{"resources":["tasks"]}"#).await;
    let (connected, away) = (enrol(&connected).await, enrol(&away).await);
    let mut session = Session::begin(&connected).await.expect("a session");
    let answer = async {
        let (generation, _) = session.notice().await;
        session.acknowledge(generation).await;
    };
    let remove = async {
        let audience = office.spoke.audience(|grant| grant.subject == alice);
        let record = office.act(domain::audit::Act::UserRemove);
        let revoked = office.store.remove_user(&tests::instance::name("alice"), record).await.expect("a removal");
        let by = By { user: office.owner, request: RequestId(office.world.uuid()) };
        office.spoke.ended(by, &revoked, audience).await
    };
    let (ended, ()) = tokio::join!(remove, answer);
    assert!(ended.drained);
    assert!(matches!(ended.receipts[&connected.grant], Receipt::Acknowledged(_)), "{ended:?}");
    assert!(matches!(ended.receipts[&away.grant], Receipt::Away(_)), "{ended:?}");
}

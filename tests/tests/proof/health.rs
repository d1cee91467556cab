//! `grpc.health.v1` on the federation listener: for the holder of a grant, and for nobody else.

use crate::measure::alone;
use domain::{
    audit::{Ending, Stage},
    world::{Clock, FakeClock, SeededRng, World},
};
use proto::v1::{self, enrol_service_client::EnrolServiceClient, query_service_client::QueryServiceClient};
use std::{sync::Arc, time::Duration};
use tests::{
    asker::{Asker, dialler, enrol, refusal, target},
    hold::{Hold, waiting},
    instance::Instance,
};
use tokio::time::timeout;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

const SERVICES: [&str; 3] = ["", "mosaic.federation.v1.ConnectService", "mosaic.federation.v1.QueryService"];
const UNKNOWN: [&str; 3] = ["mosaic.federation.v1.EnrolService", "grpc.health.v1.Health", "x"];

async fn client(asker: &Asker) -> HealthClient<Channel> {
    HealthClient::new(asker.dial().await.expect("a connection").channel)
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_answers_the_holder_of_a_grant_and_knows_what_is_served_here() {
    let (_alone, office) = (alone().await, Instance::start().await);
    // The narrowest of scopes: presence is no question about rows.
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"],"verbs":["capabilities"]}"#).await;
    let mut health = client(&enrol(&invite).await).await;
    for service in SERVICES {
        let answer = health.check(about(service)).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    for service in UNKNOWN {
        let status = health.check(about(service)).await.expect_err("answered");
        assert_eq!(status.code(), Code::NotFound, "{service:?}");
    }
    let log = office.log(50).await;
    let answered = log.iter().filter(|entry| entry.about == "health" && entry.ending == Ending::Answered);
    assert_eq!(answered.filter(|entry| entry.grant == Some(grant.id)).count(), SERVICES.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_says_it_once_and_stays_open_until_the_grant_or_the_daemon_ends() {
    let (_alone, office) = (alone().await, Instance::start().await);
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let (_, other) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let (mut first, mut second) = (client(&enrol(&invite).await).await, client(&enrol(&other).await).await);
    let mut unknown = second.watch(about("x")).await.expect("a stream").into_inner();
    let news = unknown.message().await.expect("news").expect("news");
    assert_eq!(news.status(), ServingStatus::ServiceUnknown);
    let mut first = first.watch(about("")).await.expect("a stream").into_inner();
    let mut second = second.watch(about("")).await.expect("a stream").into_inner();
    for stream in [&mut first, &mut second] {
        let news = stream.message().await.expect("news").expect("news");
        assert_eq!(news.status(), ServingStatus::Serving);
        assert!(timeout(Duration::from_millis(200), stream.message()).await.is_err(), "it did not stay open");
    }
    office.spoke.revoke(office.by(), grant.id).await.expect("a revocation");
    assert!(soon(first.message()).await.is_err(), "it outlived its grant");
    assert!(timeout(Duration::from_millis(200), second.message()).await.is_err(), "another grant's ended with it");
    let (spoke, stopping) = (Arc::clone(&office.spoke), std::time::Instant::now());
    let stopped = tokio::spawn(async move { spoke.stop().await });
    let ended = soon(second.message()).await;
    assert!(matches!(ended, Ok(None) | Err(_)), "{ended:?}");
    stopped.await.expect("an end");
    println!("a daemon with an open Watch stopped in {:?}", stopping.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_ends_when_the_grant_or_its_certificate_expires() {
    for hours in [12, 60] {
        let (_alone, clock) = (alone().await, Arc::new(FakeClock::new(World::system().now())));
        let world = World::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SeededRng::new(7)));
        let office = Instance::start_in(world).await;
        let end = clock.now() + Duration::from_hours(hours);
        let scope =
            format!(r#"{{"resources":["tasks"],"not_after":{}}}"#, serde_json::to_string(&end).expect("a time"));
        let (grant, invite) = office.grant("owner", &scope).await;
        let home = enrol(&invite).await;
        let mut open = client(&home).await.watch(about("")).await.expect("a stream").into_inner();
        open.message().await.expect("news").expect("news");
        let leaf_end = office.standing(grant.id).await.leaf.expect("a certificate").not_after;
        assert_eq!(leaf_end < end, hours == 60, "once the grant ends first, once its certificate");
        clock.set(leaf_end.min(end).before(Duration::from_secs(5)));
        let (_, other) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
        let mut still = client(&enrol(&other).await).await.watch(about("")).await.expect("a stream").into_inner();
        still.message().await.expect("news").expect("news");
        assert!(timeout(Duration::from_secs(1), open.message()).await.is_err(), "it ended too early");
        clock.advance(Duration::from_secs(7));
        assert!(soon(open.message()).await.is_err(), "{hours}: it outlived its end");
        // A certificate that outlasts its grant still shakes hands; it is answered nothing.
        if let Ok(dialled) = home.dial().await {
            let status = HealthClient::new(dialled.channel).check(about("")).await.expect_err("answered");
            assert!(hours == 12, "{hours}: let in again, {status}");
        }
        assert!(timeout(Duration::from_millis(700), still.message()).await.is_err(), "another grant's ended with it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_ends_in_time_while_the_database_does_not_answer() {
    let (_alone, clock) = (alone().await, Arc::new(FakeClock::new(World::system().now())));
    let world = World::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SeededRng::new(7)));
    let office = Instance::start_in(world).await;
    let end = clock.now() + Duration::from_hours(1);
    let scope = format!(r#"{{"resources":["tasks"],"not_after":{}}}"#, serde_json::to_string(&end).expect("a time"));
    let (_, invite) = office.grant("owner", &scope).await;
    let mut open = client(&enrol(&invite).await).await.watch(about("")).await.expect("a stream").into_inner();
    open.message().await.expect("news").expect("news");
    let held = Hold::standing(&office.database).await;
    waiting(&office.database, 1).await;
    clock.advance(Duration::from_secs(3_602));
    assert!(soon(open.message()).await.is_err(), "it outlived its end");
    waiting(&office.database, 1).await;
    held.release().await;
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(10), future).await.expect("it ended in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_certificate_of_a_grant_nothing_is_said() {
    let (_alone, office) = (alone().await, Instance::start().await);
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let before = office.log(1).await[0].sequence;
    assert!(dialler().dial(&target(&invite, None)).await.is_err(), "let in without a certificate");
    // The enrolment listener asks for no certificate, and does not know the method.
    let mut enrolment = target(&invite, None);
    enrolment.addresses.clone_from(&invite.enrol_addresses);
    let channel = dialler().dial(&enrolment).await.expect("a connection").channel;
    let status = HealthClient::new(channel.clone()).check(about("")).await.expect_err("answered");
    let unknown = (Code::Unimplemented, "UNKNOWN_METHOD".to_owned());
    assert_eq!(refusal(&status), unknown);
    let watch = HealthClient::new(channel.clone()).watch(about("")).await.expect_err("answered");
    assert_eq!(refusal(&watch), unknown);
    let rows = QueryServiceClient::new(channel).get(v1::GetRequest::default()).await.expect_err("answered");
    assert_eq!(refusal(&rows), unknown);
    let log = office.log(50).await.into_iter().filter(|entry| entry.sequence > before);
    assert!(log.into_iter().all(|entry| entry.ending == Ending::Refused || entry.stage == Stage::Admin));
    // And the other way round.
    let links = enrol(&invite).await.dial().await.expect("a connection").channel;
    let invited = EnrolServiceClient::new(links).enroll(v1::EnrollRequest::default()).await.expect_err("answered");
    assert_eq!(refusal(&invited), unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_standing_is_refused_in_the_one_text() {
    let (_alone, office) = (alone().await, Instance::start().await);
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let home = enrol(&invite).await;
    // Signed by the right authority, in every way a grant's own, and accounted for by no enrolment.
    let now = office.world.now();
    let forged = tests::forge::Forged::good(office.id, home.instance, grant.id, grant.subject, now);
    let (certificate, key) = forged.sign(&office.authority);
    let mut health = client(&home.showing(certificate, key)).await;
    let status = health.check(about("")).await.expect_err("answered");
    assert_eq!(refusal(&status), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()));
    client(&home).await.check(about("")).await.expect("the holder's own certificate is answered");
}

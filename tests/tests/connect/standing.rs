//! Standing is judged on each call, and ends at once.

use domain::{
    audit::{Ending, Stage},
    world::{Clock, FakeClock, SeededRng, World},
};
use futures::future::join_all;
use proto::v1;
use spoke::{GrantOrder, Listen};
use std::{net::Ipv4Addr, sync::Arc, time::Duration};
use tests::{
    asker::{enrol, refusal, tasks},
    direction,
    instance::{Instance, loopback, name, task},
};
use tokio::net::TcpListener;
use tonic::{Code, Request};

#[tokio::test(flavor = "multi_thread")]
async fn revoke_ends_open_connections_and_turns_new_ones_away() {
    let office = Instance::start().await;
    office.put(office.owner, vec![task("one")]).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let _other = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let home = enrol(&invite).await;
    let mut open = home.query().await;
    tests::asker::list(&mut open, tasks()).await.expect("an answer");
    let revoked = office.spoke.revoke(office.by(), grant.id).await.expect("a revocation");
    assert!(revoked.drained && revoked.connections == 1, "{revoked:?}");
    assert!(tests::asker::list(&mut open, tasks()).await.is_err(), "an open connection was answered");
    assert!(home.dial().await.is_err(), "a new connection was let in");
    let again = office.spoke.revoke(office.by(), grant.id).await;
    assert!(again.is_err(), "revoked twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_opened_by_the_side_that_this_run_says() {
    let office = Instance::start().await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    enrol(&invite).await.list(tasks()).await.expect("an answer");
    assert_eq!(direction::turned() > 1, direction::is_called());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_standing_has_one_text() {
    let clock = Arc::new(FakeClock::new(World::system().now()));
    let world = World::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SeededRng::new(7)));
    let office = Instance::start_in(world).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"],"verbs":["list"]}"#).await;
    let home = enrol(&invite).await;
    let mut open = home.query().await;
    // Connections are cut a second later than this.
    clock.set(office.standing(grant.id).await.leaf.expect("a certificate").not_after);
    let expired = open.get(v1::GetRequest::default()).await.expect_err("answered");
    assert_eq!(refusal(&expired), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()));
    assert_eq!(expired.message(), domain::Reason::NotPermitted.text());
    let entry = office.log(1).await.pop().expect("an entry");
    assert_eq!((entry.stage, entry.note.as_str()), (Stage::Standing, "the certificate has expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_is_peer_only() {
    let office = Instance::start().await;
    let bob = office.user("bob", domain::rights::Role::Member).await;
    office.put(bob, vec![task("bob's")]).await;
    office.put(office.owner, vec![task("the owner's")]).await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let home = enrol(&invite).await;
    let mut client = home.query().await;
    let plain = client.capabilities(v1::CapabilitiesRequest {}).await.expect("an answer").into_inner();
    let headers = ["x-forwarded-client-cert", "x-peer-id", "x-mosaic-as", "authorization", "x-grant-id", "x-subject"];
    for header in headers {
        let mut request = Request::new(v1::CapabilitiesRequest {});
        request.metadata_mut().insert(header, bob.to_string().parse().expect("ASCII"));
        let answer = client.capabilities(request).await.expect("an answer").into_inner();
        let same = v1::CapabilitiesResponse { calls_left: plain.calls_left, ..answer };
        assert_eq!(same, plain, "{header}");
    }
    let (items, _) = home.list(tasks()).await.expect("an answer");
    assert_eq!(tests::asker::titles(&items), ["the owner's"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_is_answered_ends_the_grant_and_is_recorded() {
    let office = Instance::start().await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let home = enrol(&invite).await;
    let mut client = home.connect().await;
    client.disconnect(v1::DisconnectRequest {}).await.expect("an answer");
    assert!(home.dial().await.is_err(), "let in after it left");
    let log = office.log(20).await;
    assert!(log.iter().any(|entry| entry.about == "grant_revoke" && entry.grant == Some(grant.id)));
    assert!(log.iter().any(|entry| entry.about == "disconnect" && entry.ending == Ending::Answered));
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_the_grants_and_the_refusal_says_when_to_come_back() {
    let office = Instance::start().await;
    let scope = r#"{"resources":["tasks"],"rate":{"per_minute":1,"burst":3}}"#;
    let (_, invite) = office.grant("owner", scope).await;
    let home = enrol(&invite).await;
    let client = home.query().await;
    let calls = (0..8).map(|_| {
        let mut client = client.clone();
        async move { client.capabilities(v1::CapabilitiesRequest {}).await }
    });
    let ended = join_all(calls).await;
    assert_eq!(ended.iter().filter(|one| one.is_ok()).count(), 3);
    let status = ended.into_iter().find_map(Result::err).expect("a refusal");
    assert_eq!(refusal(&status), (Code::ResourceExhausted, "GRANT_RATE".to_owned()));
    let wait = tonic_types::StatusExt::get_details_retry_info(&status).and_then(|info| info.retry_delay);
    assert!(wait.is_some_and(|wait| wait > Duration::ZERO && wait <= Duration::from_mins(1)), "{wait:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_grant_and_no_invite_nothing_listens() {
    let office = Instance::start().await;
    let status = office.spoke.status();
    assert_eq!((status.links_listener, status.enrolment_listener), (None, None));
    let (grant, _) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let status = office.spoke.status();
    assert!(status.links_listener.is_some() && status.enrolment_listener.is_some());
    office.spoke.revoke(office.by(), grant.id).await.expect("a revocation");
    assert_eq!(office.spoke.status().grants, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_whose_second_door_cannot_be_opened_leaves_no_door_open() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let enrolment = taken.local_addr().expect("an address");
    let office = Instance::start_at(Listen { enrolment, ..loopback() }).await;
    let order = || GrantOrder {
        name: name("phone"),
        subject: name("owner"),
        spec: serde_json::from_str(r#"{"workspace":"main","resources":["tasks"]}"#).expect("a scope"),
        personal_default: true,
        sensitive: false,
        narrow: false,
    };
    let error = office.spoke.create(office.by(), order()).await.err().expect("a refusal").to_string();
    assert!(error.contains(&enrolment.to_string()) && error.contains("listen_enrolment"), "{error}");
    assert_eq!(office.spoke.status().links_listener, None);
    drop(taken);
    office.spoke.create(office.by(), order()).await.expect("the same order, once the port is free");
    assert!(office.spoke.status().links_listener.is_some());
}

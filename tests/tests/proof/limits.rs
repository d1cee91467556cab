//! `limits_at_n_and_n_plus_1`, the limits of calls: what is within each number is answered, what is one beyond it is refused with
//! the limit's own word. The limits of connections, streams and frames are tried in `link`, those of rows and messages in the
//! suite `query`.

use crate::measure::alone;
use domain::{id::InstanceId, world::World};
use proto::v1::{CapabilitiesRequest, query_service_client::QueryServiceClient};
use std::{collections::BTreeMap, time::Instant};
use tests::{
    asker::{Asker, enrol_as, refusal, send_enrolment},
    instance::Instance,
};
use tonic::{Code, transport::Channel};

/// A scope that says nothing of its rate.
const SCOPE: &str = r#"{"resources":["tasks"]}"#;

/// Asks until `refused` calls were refused: how many were answered, and why the others were not.
async fn ask(client: &mut QueryServiceClient<Channel>, calls: usize, reasons: &mut BTreeMap<String, usize>) -> u64 {
    let mut answered = 0;
    for _ in 0..calls {
        match client.capabilities(CapabilitiesRequest {}).await {
            Ok(_) => answered += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                *reasons.entry(refusal(&status).1).or_default() += 1;
            }
        }
    }
    answered
}

/// That `answered` calls are the burst and what came back of it since `began`.
fn is_the_burst(answered: u64, burst: u64, per_minute: u64, began: Instant) {
    let refilled = u64::try_from(began.elapsed().as_millis()).expect("a short time") * per_minute / 60_000 + 1;
    assert!((burst..=burst + refilled).contains(&answered), "{answered} of a burst of {burst}");
}

async fn askers(office: &Instance, grants: usize) -> Vec<Asker> {
    let instance = InstanceId(World::system().uuid());
    let mut askers = Vec::new();
    for _ in 0..grants {
        askers.push(enrol_as(instance, &office.grant("owner", SCOPE).await.1).await.expect("an enrolment"));
    }
    askers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_has_its_sixty_calls_and_a_peer_its_two_hundred_and_forty() {
    let (_alone, office) = (alone().await, Instance::start().await);
    let askers = askers(&office, 6).await;
    let (began, mut reasons, mut all) = (Instant::now(), BTreeMap::new(), 0);
    for asker in &askers[..3] {
        let (began, mut client) = (Instant::now(), asker.query().await);
        let answered = ask(&mut client, 66, &mut reasons).await;
        is_the_burst(answered, 60, 60, began);
        all += answered;
    }
    assert_eq!(reasons.keys().collect::<Vec<_>>(), ["GRANT_RATE"], "below the peer's number it is the grant's own");
    for asker in &askers[3..] {
        all += ask(&mut asker.query().await, 60, &mut reasons).await;
    }
    is_the_burst(all, 240, 240, began);
    assert!(reasons["PEER_RATE"] > 0, "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_request_of_four_kibibytes_is_read_and_a_longer_one_refused_unread() {
    let (_alone, office) = (alone().await, Instance::start().await);
    let (_, invite) = office.grant("owner", SCOPE).await;
    let id = InstanceId(World::system().uuid());
    for bytes in [pki::request::MAX_BYTES, pki::request::MAX_BYTES + 1] {
        let status = send_enrolment(&invite, id, invite.token.expose(), vec![0x30; bytes]).await.expect_err("enrolled");
        assert_eq!(refusal(&status), (Code::InvalidArgument, "MALFORMED".to_owned()), "{bytes}");
    }
    enrol_as(id, &invite).await.expect("nothing of it used up the invite");
}

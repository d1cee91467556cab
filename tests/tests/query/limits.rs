//! The limits of the federation listener, read back from outside at n and n + 1.

use domain::audit::{Ending, Entry};
use proto::v1;
use tests::{
    asker::{enrol, refusal, tasks},
    instance::{Instance, task},
};
use tonic::{Code, Request};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn rows_asked_for_are_capped_at_ten_thousand_and_at_the_grants_own_cap() {
    let office = Instance::start().await;
    office.put(office.owner, (0..5).map(|n| task(&n.to_string())).collect()).await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"],"max_rows_per_query":3}"#).await;
    let home = enrol(&invite).await;
    for (limit, rows) in [(0, 3), (2, 2), (3, 3), (4, 3), (10_000, 3)] {
        let (items, end) = home.list(v1::ListRequest { limit, ..tasks() }).await.expect("an answer");
        assert_eq!((items.len(), end.expect("an end").truncated), (rows, true), "{limit}");
    }
    let status = home.list(v1::ListRequest { limit: 10_001, ..tasks() }).await.expect_err("answered");
    assert_eq!(refusal(&status), (Code::InvalidArgument, "MALFORMED".to_owned()));
}

/// What the answer says of the calls that are left; none where it does not.
fn left(metadata: &tonic::metadata::MetadataMap) -> Option<u32> {
    metadata.get(proto::CALLS_LEFT).map(|left| left.to_str().expect("ASCII").parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_rate_says_how_many_are_left_and_others_say_nothing() {
    let office = Instance::start().await;
    // One call comes back in a minute: none during this test.
    let spec = r#"{"resources":["tasks"],"rate":{"per_minute":1,"burst":4}}"#;
    let (_, invite) = office.grant("owner", spec).await;
    let asker = enrol(&invite).await;
    let mut client = asker.query().await;
    let capabilities = client.capabilities(v1::CapabilitiesRequest {}).await.expect("an answer");
    assert_eq!((left(capabilities.metadata()), capabilities.get_ref().calls_left), (Some(3), 3));
    let list = |resource: &str| v1::ListRequest { resource: resource.into(), ..v1::ListRequest::default() };
    let listed = client.list(list("tasks")).await.expect("an answer");
    assert_eq!(left(listed.metadata()), Some(2), "before the first row");
    let refused = client.list(list("notes")).await.expect_err("it does not share notes");
    assert_eq!(left(refused.metadata()), Some(1), "{refused}");
    let missing = v1::GetRequest { resource: "tasks".into(), id: Uuid::from_u128(7).to_string() };
    assert_eq!(left(client.get(missing).await.expect_err("no such row").metadata()), Some(0));
    let limited = client.list(list("tasks")).await.expect_err("the limit is used up");
    assert_eq!((limited.code(), left(limited.metadata())), (tonic::Code::ResourceExhausted, Some(0)));
    let gone = asker.connect().await.disconnect(v1::DisconnectRequest {}).await.expect("never refused for its rate");
    assert_eq!(left(gone.metadata()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_four_mebibytes_is_refused_and_recorded() {
    let office = Instance::start().await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let mut client = enrol(&invite).await.query().await;
    // The kind takes seven bytes, field number and length of the token five.
    for (size, reason) in [((4 << 20) - 12, "BAD_PAGE_TOKEN"), ((4 << 20) - 11, "MALFORMED")] {
        let request = v1::ListRequest { page_token: "A".repeat(size), ..tasks() };
        let status = client.list(request).await.expect_err("answered");
        assert_eq!(refusal(&status), (Code::InvalidArgument, reason.to_owned()), "{size}");
    }
    let entry = office.log(1).await.pop().expect("an entry");
    assert_eq!(entry.reason.as_deref(), Some("MALFORMED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_beyond_their_limit_reach_no_handler() {
    let office = Instance::start().await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let mut client = enrol(&invite).await.query().await;
    let mut request = Request::new(v1::CapabilitiesRequest {});
    request.metadata_mut().insert("x-large", "a".repeat(17 * 1024).parse().expect("ASCII"));
    assert!(client.capabilities(request).await.is_err(), "answered");
    let log = office.log(50).await;
    let answered = |log: &[Entry]| {
        log.iter().filter(|entry| entry.about == "capabilities" && entry.ending == Ending::Answered).count()
    };
    assert_eq!(answered(&log), 0);
    client.capabilities(v1::CapabilitiesRequest {}).await.expect("the next call is answered");
    assert_eq!(answered(&office.log(50).await), 1);
}

//! The limits of the federation listener, read back from outside at n and n + 1.

use domain::audit::{Ending, Entry};
use proto::v1;
use tests::{
    asker::{enrol, refusal, tasks},
    instance::{Instance, task},
};
use tonic::{Code, Request};

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

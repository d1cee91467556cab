//! The log of what was asked: whole, chained, and closed to what a peer would like to write into it.

use domain::{
    audit::{
        Ending, Head, SignedHead,
        chain::{Line, Verifier},
    },
    id::{InstanceId, RequestId},
};
use proto::v1;
use store::AuditQuery;
use tests::{
    asker::{enrol, enrol_as, refusal, send_enrolment, tasks},
    instance::{Instance, name, task},
};
use tonic::{Code, Request};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_and_a_refusal_are_on_record_with_the_callers_request_id() {
    let office = Instance::start().await;
    office.put(office.owner, vec![task("one")]).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let home = enrol(&invite).await;
    let mut client = home.query().await;
    let id = RequestId(Uuid::from_u128(0x1234_5678));
    for (resource, ending, rows) in [("tasks", Ending::Answered, 1), ("notes", Ending::Refused, 0)] {
        let mut request = Request::new(v1::ListRequest { resource: resource.into(), ..v1::ListRequest::default() });
        request.metadata_mut().insert("x-request-id", id.to_string().parse().expect("ASCII"));
        if let Ok(answer) = client.list(request).await {
            answer.into_inner().message().await.expect("a chunk");
        }
        let entry = office.log(1).await.pop().expect("an entry");
        assert_eq!((entry.request, entry.ending, entry.rows), (id, ending, rows));
        assert_eq!((entry.grant, entry.peer), (Some(grant.id), Some(home.instance)));
        assert!(entry.query.is_some() && !entry.address.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_busy_day_verifies_without_its_database() {
    let office = Instance::start().await;
    office.put(office.owner, vec![task("one")]).await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let home = enrol(&invite).await;
    for _ in 0..30 {
        home.list(tasks()).await.expect("an answer");
    }
    let entries = office.store.entries(&AuditQuery { limit: 10_000, ..AuditQuery::default() }).await.expect("the log");
    let head: Head = office.store.head().await.expect("a head");
    let mut verifier = Verifier::default();
    for entry in entries {
        verifier.line(&serde_json::to_string(&Line::Entry(Box::new(entry))).expect("JSON")).expect("an entry");
    }
    let signed =
        SignedHead { instance: office.id, name: name("office"), head, key: String::new(), signature: String::new() };
    verifier.line(&serde_json::to_string(&Line::Head(signed)).expect("JSON")).expect("a head");
    assert!(verifier.finish().expect("a whole log").entries > 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_injection() {
    let office = Instance::start().await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let home = enrol(&invite).await;
    let mut client = home.query().await;
    let hostile = "tasks\r\n{\"forged\":true}\u{1b}[2J\u{2028}\u{202e}";
    let long = "x".repeat(1 << 20);
    for text in [hostile, long.as_str()] {
        let list = v1::ListRequest { resource: text.into(), page_token: text.into(), ..v1::ListRequest::default() };
        let status = client.list(list).await.expect_err("answered");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().len() < 200 && !status.message().contains(['\r', '\n', '\u{1b}']));
        let get = v1::GetRequest { resource: "tasks".into(), id: text.into() };
        assert_eq!(client.get(get).await.expect_err("answered").code(), Code::InvalidArgument);
        let key = pki::RequestKey::generate().expect("a key");
        let token = send_enrolment(&invite, InstanceId(Uuid::from_u128(1)), text, key.csr).await.expect_err("enrolled");
        assert_eq!(refusal(&token), (Code::InvalidArgument, "MALFORMED".to_owned()));
    }
    for entry in office.log(200).await {
        let line = serde_json::to_string(&entry).expect("JSON");
        assert!(line.len() < 4_096, "{} bytes", line.len());
        assert!(!entry.note.chars().any(char::is_control) && !entry.note.contains(['\u{2028}', '\u{202e}']), "{line}");
        assert!(!line.contains("forged"), "{line}");
    }
    assert!(enrol_as(home.instance, &invite).await.is_err());
}

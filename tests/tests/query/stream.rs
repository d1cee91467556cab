//! A List in chunks: whole, in order, capped, and ended by a revocation between two chunks.

use domain::{audit::Ending, item::NewItem};
use proto::v1;
use tests::{
    asker::{enrol, refusal, tasks},
    instance::{Instance, task},
};
use tonic::Code;

async fn office(rows: usize, body: usize) -> Instance {
    let office = Instance::start().await;
    let text = "x".repeat(body);
    let items = (0..rows).map(|n| NewItem { body: Some(text.clone()), ..task(&format!("task {n:05}")) });
    office.put(office.owner, items.collect()).await;
    office
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_comes_whole_in_bounded_chunks_each_on_record() {
    let office = office(1_000, 10).await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"],"max_rows_per_query":700}"#).await;
    let home = enrol(&invite).await;
    let mut stream = home.query().await.list(tasks()).await.expect("an answer").into_inner();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.message().await.expect("a chunk") {
        chunks.push(chunk);
    }
    let sizes: Vec<_> = chunks.iter().map(|chunk| chunk.items.len()).collect();
    assert_eq!(sizes, [200, 200, 200, 100]);
    let end = chunks.last().and_then(|chunk| chunk.end.clone()).expect("an end");
    assert!(end.truncated && !end.next_page_token.is_empty());
    let ids: std::collections::HashSet<_> = chunks.iter().flat_map(|chunk| &chunk.items).map(|item| &item.id).collect();
    assert_eq!(ids.len(), 700);
    let log = office.log(20).await;
    let answered: Vec<_> = log.iter().filter(|entry| entry.about == "list").map(|entry| entry.rows).collect();
    assert_eq!(answered, [200, 200, 200, 100]);
    let one_call: std::collections::HashSet<_> = log.iter().filter(|e| e.about == "list").map(|e| e.request).collect();
    assert_eq!(one_call.len(), 1, "all chunks carry the call's id");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_gap_or_overlap_and_fit_no_other_query() {
    let office = office(25, 10).await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks","notes"]}"#).await;
    let home = enrol(&invite).await;
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListRequest { limit: 10, page_token: token.clone(), ..tasks() };
        let (items, end) = home.list(request).await.expect("an answer");
        seen.extend(items.into_iter().map(|item| item.id));
        let end = end.expect("an end");
        if !end.truncated {
            break;
        }
        token = end.next_page_token;
    }
    let distinct: std::collections::HashSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (25, 25));
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let other = enrol(&invite).await;
    let strange = [
        (&home, v1::ListRequest { resource: "notes".into(), page_token: token.clone(), ..v1::ListRequest::default() }),
        (&home, v1::ListRequest { include_body: true, page_token: token.clone(), ..tasks() }),
        (&home, v1::ListRequest { page_token: "nonsense".into(), ..tasks() }),
        (&other, v1::ListRequest { page_token: token.clone(), ..tasks() }),
    ];
    for (asker, request) in strange {
        let status = asker.list(request).await.expect_err("answered");
        assert_eq!(refusal(&status), (Code::InvalidArgument, "BAD_PAGE_TOKEN".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_large_rows_is_cut_by_its_bytes() {
    let office = office(12, 100_000).await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let home = enrol(&invite).await;
    let request = v1::ListRequest { include_body: true, ..tasks() };
    let mut stream = home.query().await.list(request).await.expect("an answer").into_inner();
    let (mut rows, mut largest) = (0, 0);
    while let Some(chunk) = stream.message().await.expect("a chunk") {
        rows += chunk.items.len();
        largest = largest.max(prost::Message::encoded_len(&chunk));
    }
    assert_eq!(rows, 12);
    assert!(largest <= domain::decide::CHUNK_BYTES + 8_192, "{largest}");
}

/// The stream is not read on after its first chunk, so that later chunks are still to be decided when the grant ends.
#[tokio::test(flavor = "multi_thread")]
async fn revoke_between_two_chunks_ends_the_stream() {
    let office = office(400, 20_000).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"],"max_rows_per_query":10000}"#).await;
    let home = enrol(&invite).await;
    let request = v1::ListRequest { include_body: true, ..tasks() };
    let mut stream = home.query().await.list(request).await.expect("an answer").into_inner();
    let first = stream.message().await.expect("a chunk").expect("a chunk");
    assert!(first.end.is_none());
    let revoked = office.spoke.revoke(office.by(), grant.id).await.expect("a revocation");
    assert!(revoked.drained, "{revoked:?}");
    let answered = |log: Vec<domain::audit::Entry>| {
        let lists = log.into_iter().filter(|entry| entry.about == "list" && entry.ending == Ending::Answered);
        lists.map(|entry| entry.rows).sum::<u64>()
    };
    let released = answered(office.log(500).await);
    let mut rows = first.items.len() as u64;
    let ended = loop {
        match stream.message().await {
            Ok(Some(chunk)) => rows += chunk.items.len() as u64,
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(ended, "the stream came to its end");
    assert!(rows <= released && released < 400, "{rows} rows arrived, {released} were released");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(answered(office.log(500).await), released, "rows were released after the revocation");
}

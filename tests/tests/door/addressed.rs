//! Requests that are not for this port, or come of a page of another: refused by their head alone, whatever token they show.

use crate::stage::{Stage, is_closed, said};
use tests::cluster;
use tokio::io::AsyncWriteExt;

/// The head of a request with a good token and these lines for a host.
fn with_host(hosts: &str, token: &str) -> String {
    format!("GET /v1/me HTTP/1.1\r\n{hosts}authorization: Bearer {token}\r\n\r\n")
}

#[tokio::test]
async fn a_rebinding_page_is_refused_whatever_it_shows() {
    let stage = Stage::open().await;
    let (token, port) = (stage.owners_token().await, stage.at.port());
    for host in ["evil.example".to_owned(), format!("evil.example:{port}"), format!("localhost:{port}")] {
        stage.sent(&with_host(&format!("host: {host}\r\n"), &token)).await.is_refused(403, "forbidden");
    }
    assert_eq!(stage.asked("GET /v1/me", &token, "").await.status, 200);
    assert!(stage.refusals().await.iter().all(|note| !note.contains("evil")), "what they send is not in the log");
}

#[tokio::test]
async fn two_hosts_or_none_are_refused() {
    let stage = Stage::open().await;
    let (token, ours) = (stage.owners_token().await, format!("host: {}\r\n", stage.at));
    for hosts in
        [String::new(), format!("{ours}{ours}"), format!("{ours}host: evil.example\r\n"), "host:\r\n".to_owned()]
    {
        stage.sent(&with_host(&hosts, &token)).await.is_refused(403, "forbidden");
    }
    let old = format!("GET /v1/me HTTP/1.0\r\nauthorization: Bearer {token}\r\n\r\n");
    assert_eq!(stage.sent(&old).await.status, 403, "HTTP/1.0 without a host");
}

#[tokio::test]
async fn a_request_line_that_names_another_host_is_refused() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    for line in ["GET http://evil.example/v1/me", "GET http://127.0.0.1:1/v1/me", "CONNECT evil.example:443"] {
        stage.asked(line, &token, "").await.is_refused(403, "forbidden");
    }
    assert_eq!(stage.asked(&format!("GET http://{}/v1/me", stage.at), &token, "").await.status, 200);
}

#[tokio::test]
async fn a_second_request_on_the_same_connection_is_judged_by_itself() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    let first = stage.head("GET /v1/me", &token, "");
    let mut stream = stage.connect().await;
    let both = format!("{first}{}", with_host("host: evil.example\r\n", &token));
    // In one piece, as a pipeline.
    stream.write_all(both.as_bytes()).await.expect("it listens");
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await.expect("it ends");
    let text = String::from_utf8(bytes).expect("text");
    let statuses: Vec<_> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "403"], "{text}");
    for other in [with_host(&format!("host: {}\r\n", stage.at), "mft1.none"), first.replace("authorization", "x-none")]
    {
        let mut stream = stage.connect().await;
        stream.write_all(first.as_bytes()).await.expect("it listens");
        assert_eq!(said(&mut stream).await.status, 200);
        stream.write_all(other.as_bytes()).await.expect("it listens");
        said(&mut stream).await.is_refused(401, "unauthorized");
        assert!(is_closed(&mut stream).await);
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    for origin in ["https://evil.example", "null", "http://localhost:3000", "file://"] {
        for line in ["GET /v1/me", "OPTIONS /v1/me", "POST /v1/items"] {
            let more = format!("origin: {origin}\r\naccess-control-request-method: GET\r\n");
            stage.asked(line, &token, &more).await.is_refused(403, "forbidden");
        }
    }
    let own = stage.asked("GET /v1/me", &token, &format!("origin: http://{}\r\n", stage.at)).await;
    assert_eq!(own.status, 200);
    own.is_plain();
    let options = stage.asked("OPTIONS /v1/me", &token, "").await;
    assert_eq!(options.status, 405, "{options:?}");
    options.is_plain();
}

#[tokio::test]
async fn behind_a_tls_proxy_the_name_that_was_set_is_asked() {
    let stage = Stage::on(cluster::database().await, Some("door.example")).await;
    let token = stage.owners_token().await;
    let named = |origin: &str| with_host(&format!("host: door.example\r\n{origin}"), &token);
    assert_eq!(stage.sent(&named("")).await.status, 200);
    assert_eq!(stage.sent(&named("origin: https://door.example\r\n")).await.status, 200);
    stage.sent(&named("origin: http://door.example\r\n")).await.is_refused(403, "forbidden");
    stage.sent(&with_host("host: other.example\r\n", &token)).await.is_refused(403, "forbidden");
}

#[tokio::test]
async fn what_is_refused_is_refused_before_a_byte_of_its_body_was_sent() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    let json = "content-type: application/json\r\ncontent-length: 100000\r\n";
    let foreign = with_host(&format!("host: evil.example\r\n{json}"), &token).replace("GET /v1/me", "POST /v1/items");
    stage.sent(&foreign).await.is_refused(403, "forbidden");
    stage.asked("POST /v1/items", "none", json).await.is_refused(401, "unauthorized");
}

#[tokio::test]
async fn an_address_has_room_for_the_cursor_of_256_links_and_an_end() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    let with_cursor = |length| format!("GET /v1/rows/tasks?limit=1&cursor={}", "A".repeat(length));
    // It is read, and is none.
    let said = stage.asked(&with_cursor(36_000), &token, "").await;
    assert!(said.status == 400 && said.body.contains("not a cursor"), "{} {}", said.status, said.body);
    let said = stage.asked(&with_cursor(66_000), &token, "").await;
    assert!([414, 431].contains(&said.status), "{}", said.status);
}

//! The door as programs without this crate's client meet it: whatever is wrong with a request, the answer has the form of every
//! other refusal, with a cause and a next step.

use super::harness::Instance;
use serde_json::Value;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

/// Status and body of what the door answers to these bytes.
fn answer(instance: &Instance, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = UnixStream::connect(instance.data().join("api.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let headers: String = headers.lines().flat_map(|header| [header, "\r\n"]).collect();
    let length = body.len();
    let head =
        format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
    // A door that has seen enough may close before all of it is written.
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)));
    let mut said = Vec::new();
    drop(stream.read_to_end(&mut said));
    let said = String::from_utf8(said).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {line}: {said}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

const JSON: &str = "content-type: application/json";

#[test]
fn whatever_is_wrong_with_a_request_the_answer_has_a_cause_and_a_next_step() {
    let instance = Instance::running("office");
    let post = |path: &str| format!("POST {path}\n{JSON}");
    let items = post("/v1/items");
    let large = vec![b' '; (8 << 20) + 1];
    let cases: [(&str, &[u8], u16, &str, &str); 16] = [
        (&items, &large, 413, "too_large", "8 MiB"),
        (&items, b"{\"items\":", 400, "invalid", "EOF"),
        (&items, b"{\"things\":[]}", 400, "invalid", "items"),
        (&items, b"[1]", 400, "invalid", "cannot be read"),
        ("POST /v1/items", b"{\"items\":[]}", 415, "media_type", "JSON"),
        ("DELETE /v1/status", b"", 405, "method", "method"),
        ("GET /v1/nothing", b"", 404, "missing", "path"),
        ("GET /v1/rows/tasks/%FF", b"", 400, "invalid", "cannot be read"),
        ("GET /v1/rows/tasks?limit=x", b"", 400, "invalid", "limit"),
        ("GET /v1/rows/tasks?limit=0", b"", 400, "invalid", "limit is 0"),
        ("GET /v1/rows/plans", b"", 404, "missing", "plans"),
        ("GET /v1/rows/tasks/ab", b"", 400, "invalid", "no id"),
        ("GET /v1/audit?limit=0", b"", 400, "invalid", "limit is 0"),
        ("GET /v1/me\nx-mosaic-as: No Name", b"", 400, "invalid", "x-mosaic-as"),
        ("GET /v1/me\nx-mosaic-as: nobody", b"", 404, "missing", "nobody"),
        ("GET /v1/grants/none", b"", 404, "missing", "none"),
    ];
    for (head, body, status, word, cause) in cases {
        let (said, body) = answer(&instance, head, body);
        let problem: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{head}: {said} {body}"));
        assert_eq!((said, problem["error"].as_str()), (status, Some(word)), "{head}: {body}");
        assert!(problem["detail"].as_str().unwrap().contains(cause), "{head}: {body}");
        assert_eq!(
            (&problem["type"], &problem["status"]),
            (&format!("urn:mosaic-fed:problem:{word}").into(), &status.into())
        );
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{head}: {body}");
        assert!(problem["next"].as_str().is_some_and(|next| !next.is_empty()), "{head}: {body}");
    }
}

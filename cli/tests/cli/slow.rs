//! A local reader that is slow, or reads no further: what it has not taken of a link's rows is let go of when their grant ends.

use super::harness::Instance;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

const ROWS: usize = 200;
const BODY: usize = 20_000;
/// What the kernel may hold of one connection, and more than that: the reader has it already.
const TAKEN: usize = 1_000_000;

/// Asks and reads the first bytes of the answer.
fn ask(home: &Instance, question: &str, accept: &str) -> UnixStream {
    let mut socket = UnixStream::connect(home.data().join("api.sock")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!(
        "GET /v1/rows/notes?from=office&body=true&limit=200{question} HTTP/1.1\r\nHost: here\r\nAccept: {accept}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut first = Vec::new();
    (&socket).take(BODY as u64).read_to_end(&mut first).unwrap();
    assert!(first.len() == BODY && first.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&first));
    socket
}

#[test]
fn what_a_slow_reader_has_not_taken_is_let_go_of_before_the_end_is_acknowledged() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let body = "x".repeat(BODY);
    let rows: Vec<_> = (0..ROWS).map(|row| format!(r#"{{"title":"row {row}","body":"{body}"}}"#)).collect();
    let file = office.file("rows.jsonl", rows.join("\n"));
    let report = office.types(&format!("import {} --kind notes --json", file.display())).done().json();
    assert_eq!(report["added"], ROWS);
    for (name, question, accept) in
        [("page", "", "*/*"), ("stream", "&stream=true", "*/*"), ("events", "", "text/event-stream")]
    {
        let invite = office.types(&format!("invite {name} --share notes")).done().out;
        home.run(&["link", invite.trim(), "--yes", "--name", "office"]).done();
        let mut socket = ask(&home, question, accept);
        let revoked = office.types(&format!("grant revoke {name} --json")).done().json();
        assert_eq!(revoked["receipt"]["asking_side"], "acknowledged", "{revoked}");
        let mut rest = Vec::new();
        // Broken off, or ended in order with what was shown; a reader that hangs on has failed.
        match socket.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
        assert!(rest.len() < TAKEN, "{name}: {} bytes of {} came after the word", rest.len(), ROWS * BODY);
        home.types("unlink office --yes").done();
    }
}

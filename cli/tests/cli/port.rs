//! Tokens and the HTTP port of the built program: made, shown, listed, ended, and nowhere to be read.

use super::harness::{Instance, free_port};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Status and body of what is answered to a token.
pub fn ask(at: &str, token: &str, line: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!("{line} HTTP/1.1\r\nhost: {at}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// An instance whose port is open, and where.
pub fn open() -> (Instance, String) {
    let (mut instance, at) = (Instance::made("office"), format!("127.0.0.1:{}", free_port()));
    set(&instance, &format!("http = \"{at}\""));
    instance.serve_with(&["--log", "trace"], &std::env::temp_dir());
    (instance, at)
}

/// Adds a line to the settings.
fn set(instance: &Instance, line: &str) {
    let config = instance.data().join("config.toml");
    let written = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{written}{line}\n")).unwrap();
}

#[test]
fn a_token_is_made_shown_listed_and_ended_and_is_in_no_log() {
    let (instance, at) = open();
    instance.types("user add alice").done();
    let made = instance.types("--as alice token add ci --days 7").done();
    let token = made.out.trim().to_owned();
    assert!(token.starts_with("mft1.") && made.out == format!("{token}\n"), "{made:?}");
    assert!(made.err.contains("acts as alice in main") && made.err.contains(&format!("http://{at}")), "{made:?}");
    let (status, me) = ask(&at, &token, "GET /v1/me");
    let wanted = json!({"user": "alice", "workspace": "main", "role": "member", "operator": false, "token": "ci"});
    assert_eq!((status, serde_json::from_str::<Value>(&me).unwrap()), (200, wanted));
    assert!(instance.types("status").done().out.contains(&format!("programs at  {at}")));
    let listed = instance.types("--as alice token list").done().out;
    assert!(listed.contains("ci") && !listed.contains("never") && !listed.contains("mft1."), "{listed}");
    assert_eq!(instance.types("token list").done().out, "no tokens\n", "dana has none");
    instance.types("--as alice token add ci").fails(6, &["already", "token remove ci"]);
    instance.types("token remove ci").fails(4, &["you have no token `ci`"]);
    instance.types("--as alice token add x --days 0").fails(2, &["no number from 1 to 366"]);
    instance.types("--as alice token remove ci").done();
    assert_eq!(ask(&at, &token, "GET /v1/me").0, 401);
    let again = instance.types("--as alice token add ci").done().out;
    instance.types("user remove alice --yes").done();
    assert_eq!(ask(&at, again.trim(), "GET /v1/me").0, 401);
    let log = instance.types("audit query --json").done().out;
    for act in ["token_add", "token_remove", "token_use"] {
        assert!(log.contains(act), "{act}: {log}");
    }
    let said = fs::read_to_string(instance.base.path().join("serve.log")).unwrap();
    for text in [said, log] {
        assert!(!text.contains("mft1.") && !text.contains(&token[5..21]), "a token is in a log");
    }
}

#[test]
fn nothing_listens_for_programs_unless_it_is_set_and_never_in_the_clear_for_others() {
    let instance = Instance::running("office");
    assert!(instance.types("status").done().out.contains("programs at  nowhere but the socket"));
    assert!(instance.types("status --json").done().json().get("http_listener").is_none());
    instance.types("token add ci").done();
    drop(instance);
    for (line, words) in [
        ("http = \"0.0.0.0:7480\"", ["in the clear", "http_tls_name"]),
        ("http = \"localhost:7480\"", ["no IP address", "docs/configuration.md"]),
        ("http_tls_name = \"door.example\"", ["`http` is not", "7480"]),
    ] {
        let instance = Instance::made("office");
        set(&instance, line);
        instance.types("serve").fails(2, &words);
    }
}

#[test]
fn a_port_that_is_taken_is_said_with_what_to_change() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let instance = Instance::made("office");
    set(&instance, &format!("http = \"{}\"", taken.local_addr().unwrap()));
    instance.types("serve").fails(8, &["where programs are to be answered", "another `http`", "config.toml"]);
}

#[test]
fn whoever_shows_a_token_comes_by_the_door_of_programs_whatever_they_say() {
    let ((home, at), office) = (open(), Instance::running("lab"));
    office.types("add notes plan").done();
    let scope = r#"{"workspace": "main", "resources": ["notes"], "filters": {"notes": {"include_personal": true}}, "doors": ["cli"]}"#;
    let file = office.file("scope.json", scope);
    let invite = office.types(&format!("invite lab --scope {}", file.display())).done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "lab"]).done();
    let token = home.types("token add ci").done().out;
    for said in ["", "\r\nx-mosaic-door: cli"] {
        let (status, page) = ask(&at, &format!("{}{said}", token.trim()), "GET /v1/rows/notes?from=lab");
        let page: Value = serde_json::from_str(&page).unwrap();
        assert_eq!(
            (status, &page["rows"], &page["sources"][0]["outcome"]),
            (200, &json!([]), &json!("denied")),
            "{page}"
        );
        assert!(
            page["sources"][0]["reason"].as_str().unwrap().contains("through `api`; it names cli: ask there"),
            "{page}"
        );
    }
    assert!(home.types("list notes --from lab").done().out.contains("plan"), "the command line is another door");
}

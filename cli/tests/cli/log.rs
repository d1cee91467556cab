//! The log outside the daemon.

use super::harness::{Instance, pause};
use std::fs;

#[test]
fn an_export_verifies_until_it_is_changed_cut_or_of_another_instance() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    for name in ["alice", "bob", "carol"] {
        office.types(&format!("user add {name}")).done();
    }
    office.types("audit export -o log.jsonl").done();
    office.types("audit export -o log.jsonl").fails(1, &["log.jsonl"]);
    assert!(office.types("audit verify log.jsonl").done().out.contains("unbroken"));
    let path = office.base.path().join("log.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    let cases = [
        (whole.replace("bob", "eve"), "was altered"),
        (lines[..lines.len() - 1].join("\n"), "no signed head"),
        ([&lines[..2], &lines[3..]].concat().join("\n"), "dropped"),
        (whole.replace("\"signature\":\"", "\"signature\":\"00"), "log.jsonl"),
    ];
    for (changed, words) in cases {
        fs::write(&path, changed).unwrap();
        office.types("audit verify log.jsonl").fails(1, &[words]);
    }
    fs::write(&path, &whole).unwrap();
    let file = path.to_str().unwrap();
    while !home.data().join("audit-head.json").exists() {
        pause();
    }
    home.run(&["audit", "verify", file]).fails(1, &["home"]);
    let key = office.types("id --json").done().json()["audit_key"].as_str().unwrap().to_owned();
    home.run(&["audit", "verify", file, "--key", &key]).done();
}

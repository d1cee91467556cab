//! The log outside the daemon.

use super::harness::{Instance, pause};
use std::fs;

#[test]
fn an_export_verifies_until_it_is_changed_cut_or_of_another_instance() {
    let (mut office, home) = (Instance::running("office"), Instance::running("home"));
    for name in ["alice", "bob", "carol"] {
        office.types(&format!("user add {name}")).done();
    }
    office.types("audit export -o log.jsonl").done();
    office.types("audit export -o log.jsonl").fails(1, &["log.jsonl"]);
    assert!(office.types("audit verify log.jsonl").done().out.contains("unbroken"));
    let path = office.base.path().join("log.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    let (last, head) = (lines.len() - 2, lines.len() - 1);
    let bob = lines.iter().position(|line| line.contains("bob")).unwrap() + 1;
    let swapped = [&lines[..1], &[lines[2], lines[1]], &lines[3..]].concat().join("\n");
    let cut = [&lines[..last], &lines[head..]].concat().join("\n");
    let cases = [
        (whole.replace("bob", "eve"), format!("entry {bob} (line {bob}) was altered")),
        ([&lines[..2], &lines[3..]].concat().join("\n"), "line 3: entry 4 stands where entry 3 belongs".to_owned()),
        (swapped, "line 2: entry 3 stands where entry 2 belongs".to_owned()),
        (cut, format!("ends at entry {last}, but its head says {}", last + 1)),
        (lines[..head].join("\n"), "no signed head".to_owned()),
        (whole.replace("\"signature\":\"", "\"signature\":\"00"), "log.jsonl".to_owned()),
    ];
    office.stop();
    for (changed, words) in cases {
        fs::write(&path, changed).unwrap();
        office.types("audit verify log.jsonl").fails(1, &[&words]);
    }
    fs::write(&path, lines[2..].join("\n")).unwrap();
    assert!(office.types("audit verify log.jsonl").done().err.contains("begins at entry 3"));
    office.serve();
    fs::write(&path, &whole).unwrap();
    let file = path.to_str().unwrap();
    while !home.data().join("audit-head.json").exists() {
        pause();
    }
    home.run(&["audit", "verify", file]).fails(1, &["home"]);
    let key = office.types("id --json").done().json()["audit_key"].as_str().unwrap().to_owned();
    home.run(&["audit", "verify", file, "--key", &key]).done();
}

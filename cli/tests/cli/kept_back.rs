//! What a grant keeps back, and what an edit of it takes away: neither is taken for something that was never there.

use super::harness::{Instance, Ran, finish, program};
use nix::pty::openpty;
use std::{fs, io::Write};

/// Types a command at a terminal, with these answers.
fn at_terminal(instance: &Instance, line: &str, typed: &str) -> Ran {
    let pty = openpty(None, None).unwrap();
    let data = instance.data();
    let words: Vec<_> = line.split(' ').collect();
    let mut command = program(&[&["-C", data.to_str().unwrap()][..], &words].concat());
    command.stdin(pty.slave);
    fs::File::from(pty.master.try_clone().unwrap()).write_all(typed.as_bytes()).unwrap();
    let ran = finish(command);
    drop(pty.master);
    ran
}

/// Links home to the office under a grant with this scope of all notes.
fn linked(office: &Instance, home: &Instance, name: &str, scope: &str) {
    let scope = format!(
        r#"{{"workspace": "main", "resources": ["notes"], "filters": {{"notes": {{"include_personal": true}}}}, {scope}}}"#
    );
    let file = office.file(&format!("{name}.json"), scope);
    let invite = office.types(&format!("invite {name} --scope {}", file.display())).done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", name]).done();
}

#[test]
fn a_row_whose_body_a_grant_keeps_back_is_told_from_one_without() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let id = office.run(&["add", "notes", "full", "--body", "hello", "--tag", "red"]).done().out;
    let bare = office.types("add notes bare").done().out;
    linked(&office, &home, "titles", r#""fields": {"notes": ["title"]}"#);
    linked(&office, &home, "whole", r#""withhold": ["secret"]"#);
    linked(&office, &home, "mute", r#""verbs": ["list", "get"], "fields": {"notes": ["title"]}"#);
    let got = |row: &str, from: &str| home.run(&["get", "notes", row.trim(), "--from", from]).done().out;
    let json = |row: &str, from: &str| home.run(&["get", "notes", row.trim(), "--from", from, "--json"]).done().json();
    let kept = got(&id, "titles");
    assert!(kept.ends_with("\n\nbody: not shown by this grant\n") && !kept.contains("hello"), "{kept}");
    assert!(kept.lines().any(|line| line.starts_with("kept back    ") && line.contains("tags")), "{kept}");
    let kept = json(&id, "titles")["withheld"].clone();
    assert!(["body", "tags"].iter().all(|field| kept.as_array().unwrap().contains(&(*field).into())), "{kept}");
    assert!(got(&id, "whole").ends_with("\n\nhello\n"));
    assert!(json(&id, "whole").get("withheld").is_none());
    assert!(!got(&bare, "whole").contains("body"), "there is none");
    assert!(!json(&bare, "whole")["withheld"].as_array().unwrap().contains(&"body".into()));
    // Nobody may ask what this grant gives; its session has told.
    assert!(got(&id, "mute").ends_with("\n\nbody: not shown by this grant\n"));
    assert!(json(&id, "mute")["withheld"].as_array().unwrap().contains(&"body".into()));
    let list = home.types("list notes --body --from titles,whole").done();
    assert!(list.err.contains("titles: no row came with a body; `mosaic-fed -C "), "{list:?}");
    assert!(!list.err.contains("whole: no row"), "{list:?}");
    let fields = home.types("ping titles --json").done().json()["fields"]["notes"].clone();
    assert_eq!(fields, serde_json::json!(["title"]));
}

#[test]
fn an_edit_says_which_kinds_came_and_went_and_asks_before_any_goes() {
    let office = Instance::running("office");
    office.types("invite to-home --share tasks,events").done();
    let shares = || office.types("grant show to-home --json").done().json()["scope"]["resources"].to_string();
    let kept = at_terminal(&office, "grant edit to-home --share notes,tasks", "n\n");
    kept.fails(130, &["to-home will no longer share events. Go on? [y/N]", "to-home shares events, tasks as before"]);
    kept.fails(130, &["next: name all kinds that it is to share, as in mosaic-fed -C ", "--share events,tasks,notes"]);
    assert_eq!(shares(), r#"["events","tasks"]"#);
    let more = at_terminal(&office, "grant edit to-home --share tasks,events,notes", "").done();
    assert!(more.err.contains("to-home: shares notes as well\n"), "{more:?}");
    let fewer = at_terminal(&office, "grant edit to-home --share memory,tasks,notes", "y\n").done();
    assert!(fewer.err.contains("to-home: shares memory as well, and no longer shares events\n"), "{fewer:?}");
    at_terminal(&office, "grant edit to-home --share tasks --yes", "").done();
    let piped = office.types("grant edit to-home --share notes").done();
    assert!(piped.err.contains("to-home: shares notes as well, and no longer shares tasks\n"), "{piped:?}");
    let same = office.types("grant edit to-home --rate 5").done();
    assert!(!same.err.contains("to-home: "), "{same:?}");
}

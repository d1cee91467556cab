//! What the program says when something is wrong, and what it says to do next: each cause names the thing, each next step can be
//! pasted into the shell and does not fail again.

use super::harness::{Instance, Ran, finish, program};
use std::{fs, process::Command};

/// The command after `next:`, as a shell would run it in `directory`.
fn pasted(ran: &Ran, directory: &std::path::Path) -> Ran {
    let next = ran.err.lines().filter_map(|line| line.trim().strip_prefix("next: ")).next_back();
    let next = next.unwrap_or_else(|| panic!("no next step in {ran:?}"));
    let words = next.strip_prefix("mosaic-fed ").unwrap_or_else(|| panic!("no command: {next}"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{} {words}", env!("CARGO_BIN_EXE_mosaic-fed"))]).current_dir(directory);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MOSAIC_FED_")) {
        shell.env_remove(name);
    }
    finish(shell)
}

#[test]
fn a_next_step_works_in_the_shell_of_the_command_that_printed_it() {
    let instance = Instance::running("office");
    instance.types("user add alice").done();
    instance.types("workspace add side").done();
    instance.types("--workspace side team add core").done();
    let socket = instance.data().join("api.sock");
    let directory = instance.base.path();
    let typed = |words: &[&str]| {
        let mut command =
            program(&[&["--socket", socket.to_str().unwrap(), "--as", "dana", "--workspace", "side"], words].concat());
        command.current_dir(directory);
        finish(command)
    };
    let commands: [&[&str]; 9] = [
        &["status"],
        &["id"],
        &["add", "tasks", "one of side", "--team", "core"],
        &["list", "tasks"],
        &["invite", "x", "--share", "tasks", "--dry-run"],
        &["grant", "list"],
        &["user", "role", "dana", "owner"],
        &["audit", "query", "--limit", "1"],
        &["links"],
    ];
    for words in commands {
        let ran = typed(words).done();
        let next = ran.err.lines().filter_map(|line| line.strip_prefix("next: ")).next_back().unwrap_or_default();
        // What is to be filled in is written in capitals, and `link` alone asks for the rest.
        let complete = !next.is_empty()
            && !next.ends_with(" link")
            && next.split(' ').skip(7).all(|word| word.chars().any(char::is_lowercase));
        if complete {
            pasted(&ran, directory).done();
        }
        assert!(next.is_empty() || next.contains("--as dana --workspace side") && next.contains("--socket"), "{next}");
    }
    let row = pasted(&typed(&["list", "tasks"]), directory).done();
    assert!(row.out.contains("one of side"), "the row is in the workspace that was said: {row:?}");
    let team = typed(&["workspace", "add", "third"]).done();
    assert!(team.err.contains("--workspace third team add TEAM") && !team.err.contains("--workspace side"), "{team:?}");
}

#[test]
fn who_may_not_do_a_thing_is_not_sent_to_do_it() {
    let instance = Instance::running("office");
    for line in ["user add alice", "user add gina --role guest"] {
        instance.types(line).done();
    }
    for line in ["user list", "team list", "workspace list", "grant list", "list tasks", "status"] {
        for user in ["alice", "gina"] {
            let ran = instance.types(&format!("--as {user} {line}")).done();
            let managed = ["user add", "team add", "team join", "workspace add"].map(|step| ran.err.contains(step));
            assert_eq!(managed, [false; 4], "{ran:?}");
            let written = ["invite NAME", "add tasks"].map(|step| ran.err.contains(step));
            assert!(user == "alice" || written == [false; 2], "{ran:?}");
        }
    }
    instance.types("--as alice invite mine --share tasks").done();
    let revoked = instance.types("--as alice grant revoke mine").done();
    pasted(&revoked, instance.base.path()).done();
    assert!(instance.types("user list").done().err.contains("user add NAME"));
}

#[test]
fn a_next_step_does_not_fail_as_its_command_did() {
    let instance = Instance::running("office");
    instance.types("user add alice").done();
    let unknown = instance.types("--as nobody list tasks");
    unknown.fails(4, &["no user `nobody`", "leave out --as", "alice, dana"]);
    assert!(!unknown.err.contains("--as nobody"), "{unknown:?}");
    let nowhere = instance.types("--workspace nowhere list tasks");
    nowhere.fails(4, &["no such workspace `nowhere`", "user `dana`", "--workspace with one of main"]);
    let empty = instance.base.path().join("nope");
    let absent = finish(program(&["-C", empty.to_str().unwrap(), "list", "tasks"]));
    absent.fails(4, &["there is no instance", "init NAME"]);
    assert!(!absent.err.contains("serve"), "{absent:?}");
}

#[test]
fn a_daemon_that_does_not_run_is_started_where_the_command_looked() {
    let instance = Instance::made("office");
    let data = instance.data();
    for words in [&["status"][..], &["list", "tasks"], &["--as", "dana", "links"]] {
        let ran = instance.run(words);
        ran.fails(3, &["no daemon listens", "serve"]);
        assert!(ran.err.contains(&format!("mosaic-fed -C {} serve", data.display())), "{ran:?}");
    }
    let socket = data.join("api.sock");
    let by_socket = finish(program(&["--socket", socket.to_str().unwrap(), "status"]));
    by_socket.fails(3, &[&format!("mosaic-fed -C {} serve", data.display())]);
}

#[test]
fn every_bad_input_is_answered_with_its_cause_and_a_next_step() {
    let instance = Instance::running("office");
    instance.types("team add core").done();
    instance.types("invite x --share tasks --team core").done();
    let both = r#"{"workspace":"main","resources":["tasks","notes"],"excluded_resources":["notes"]}"#;
    instance.file("both.json", both);
    instance.file("none.json", r#"{"workspace":"main","resources":["tasks"],"max_rows_per_query":0}"#);
    let cases: [(&[&str], i32, &[&str]); 34] = [
        (&["get", "tasks", ""], 2, &["for ID", "empty", "as tables show"]),
        (&["grant", "show", ""], 2, &["for GRANT", "empty"]),
        (&["ping", " "], 2, &["for LINK", "empty"]),
        (&["get", "tasks", "xyz"], 2, &["`xyz` is no id", "first four"]),
        (&["get", "plans", "12345678"], 4, &["no kind `plans`", "notes, projects, tasks"]),
        (&["list", "plans"], 4, &["no kind `plans`", "notes, projects, tasks"]),
        (&["list", "tasks", "--from", "all,here"], 2, &["`all,here`", "beside `all`", "next: say all"]),
        (&["list", "tasks", "--from", ""], 2, &["without a name", "next: "]),
        (&["list", "tasks", "--from", "work"], 4, &["no such link `work`", "the invite"]),
        (&["list", "tasks", "--cursor", "garbage!"], 2, &["not a cursor", "start again"]),
        (&["list", "tasks", "--limit", "0"], 2, &["--limit", "from 1 to 10000"]),
        (&["list", "tasks", "--limit", "10001"], 2, &["--limit", "from 1 to 10000"]),
        (&["invite", "y", "--share", "plans"], 2, &["no kind `plans`", "notes, projects, tasks"]),
        (&["invite", "y", "--share", ""], 2, &["no kind ``", "notes, projects, tasks"]),
        (&["invite", "y"], 2, &["nothing is shared", "--share tasks,notes"]),
        (&["invite", "y", "--share", "tasks", "--rows", "0"], 2, &["--rows", "from 1 to 10000"]),
        (&["invite", "y", "--share", "tasks", "--rows", "10001"], 2, &["--rows", "from 1 to 10000"]),
        (&["invite", "y", "--share", "tasks", "--days", "0"], 2, &["--days", "from 1 to 3650"]),
        (&["invite", "y", "--share", "tasks", "--days", "3651"], 2, &["--days", "from 1 to 3650"]),
        (&["invite", "y", "--share", "tasks", "--days", "4294967295"], 2, &["--days", "from 1 to 3650"]),
        (
            &["invite", "y", "--share", "tasks", "--personal", "--no-personal"],
            2,
            &["--no-personal", "cannot be used with"],
        ),
        (&["invite", "y", "--share", "tasks", "--rate", "0"], 2, &["`0` for --rate", "1 to 100000"]),
        (&["invite", "y", "--scope", "nofile.json"], 4, &["nofile.json", "next: "]),
        (&["invite", "y", "--scope", "both.json"], 2, &["`notes` is both shared and excluded", "keep it in one of"]),
        (&["invite", "y", "--scope", "none.json"], 2, &["max_rows_per_query", "1 to 10000"]),
        (&["grant", "edit", "x"], 2, &["nothing is to change in x", "--share", "--days", "--scope"]),
        (&["grant", "edit", "x", "--sensitive"], 2, &["nothing is to change in x"]),
        (&["grant", "show", "gone"], 4, &["no such grant `gone`", "grant list"]),
        (&["add", "tasks", "two\nlines"], 2, &["one line", "put what follows"]),
        (&["add", "tasks", "x", "--set", "colour=red"], 2, &["colour", "status"]),
        (&["add", "tasks", "x", "--set", "estimate_minutes=many"], 2, &["takes a number, not `many`", "next: write"]),
        (&["link", "hello", "--yes"], 2, &["no invite", "paste the whole line"]),
        (&["audit", "export", "--after", "100000"], 2, &["nothing after entry 100000", "audit tail"]),
        (&["team", "join", "core", "dana", "--role", "guest"], 6, &["a team has no guests", "choose owner"]),
    ];
    for (words, code, said) in cases {
        let ran = instance.run(words);
        ran.fails(code, said);
        assert!(ran.out.is_empty() && !ran.err.contains("versions"), "{ran:?}");
    }
    assert_eq!(instance.types("list tasks").done().out, "no rows\n");
}

#[test]
fn the_command_beneath_a_page_gives_the_next_one() {
    let instance = Instance::running("office");
    for title in ["one", "two", "three"] {
        instance.types(&format!("add tasks {title}")).done();
    }
    let mut page = instance.types("--as dana list tasks --limit 1 --from here --body").done();
    for title in ["three", "two", "one"] {
        assert!(page.out.contains(title) && page.out.lines().count() == 2, "{title} in {page:?}");
        let next = page.err.lines().find_map(|line| line.strip_prefix("next page: mosaic-fed "));
        assert_eq!(next.is_some(), title != "one", "{page:?}");
        let Some(next) = next else { break };
        assert!(next.contains("--as dana list tasks --from here --limit 1 --body --cursor "), "{next}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{} {next}", env!("CARGO_BIN_EXE_mosaic-fed"))]);
        page = finish(shell).done();
    }
    let json = instance.types("list tasks --limit 1 --json").done();
    assert!(json.json()["next"].is_string() && !json.err.contains("next page"), "{json:?}");
}

#[test]
fn a_cursor_of_another_question_is_told_apart_from_a_text_that_is_none() {
    let instance = Instance::running("office");
    for title in ["one", "two", "three"] {
        instance.types(&format!("add tasks {title}")).done();
    }
    let page = instance.types("list tasks --limit 2 --json").done().json();
    let cursor = page["next"].as_str().unwrap();
    instance.run(&["list", "tasks", "--limit", "2", "--cursor", cursor]).done();
    instance.run(&["list", "notes", "--limit", "2", "--cursor", cursor]).fails(2, &["another question"]);
    instance.run(&["list", "tasks", "--cursor", &cursor[..9]]).fails(2, &["not a cursor", "the whole"]);
}

#[test]
fn a_used_or_damaged_invite_and_one_of_a_revoked_grant_say_so() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let used = office.types("invite one --share tasks").done().out;
    home.run(&["link", used.trim(), "--yes"]).done();
    home.types("user add mallory").done();
    home.run(&["--as", "mallory", "link", used.trim(), "--yes"]).fails(6, &["can no longer be used"]);
    let revoked = office.types("invite two --share tasks").done().out;
    office.types("grant revoke two").done();
    home.run(&["link", revoked.trim(), "--yes", "--name", "other"]).fails(6, &["can no longer be used"]);
    home.run(&["link", &used.trim()[..60], "--yes"]).fails(2, &["cut off: 60 of", "paste the whole line"]);
    let links = home.types("links --json").done().json();
    assert_eq!(links[0]["days_left"], 1, "a link of this minute has its whole day: {links}");
}

#[test]
fn a_limited_grant_shows_its_limits_and_one_is_not_many() {
    let instance = Instance::running("office");
    for line in ["team add core", "add tasks one --team core", "invite x --share tasks --team core --project p"] {
        instance.types(line).done();
    }
    instance.types("invite y --share tasks,notes").done();
    let list = instance.types("grant list").done().out;
    assert!(list.contains("tasks of main (team core; project p)"), "{list}");
    assert!(list.contains("notes, tasks of main "), "{list}");
    assert!(instance.types("can y list tasks").out.contains("(1 row now)"));
    instance.types("grant edit x --days 3650").done();
    let revoked = instance.types("grant revoke y").done().out;
    assert!(revoked.contains("0 connections cut, 0 calls in flight"), "{revoked}");
}

#[test]
fn what_is_no_import_is_refused_and_nothing_is_taken_of_it() {
    let instance = Instance::running("home");
    instance.file("letter.docx", "no Markdown");
    instance.file("plain", "# a heading");
    fs::create_dir(instance.base.path().join("empty")).unwrap();
    for name in ["letter.docx", "plain"] {
        instance.run(&["import", name]).fails(2, &[name, "cannot be told by its name", ".md", ".jsonl", "--format"]);
    }
    instance.types("import nofile.jsonl").fails(4, &["nofile.jsonl", "check the path", ".ndjson"]);
    instance.types("import empty --kind plans").fails(4, &["no kind `plans`", "notes, projects, tasks"]);
    assert!(instance.types("import empty").done().err.contains("nothing importable was found in empty"));
    assert_eq!(instance.types("list notes").done().out, "no rows\n");
}

#[test]
fn broken_files_are_refused_with_file_and_line() {
    let instance = Instance::running("home");
    let lines = [
        r#"{"title":"one","source_key":"k"}"#,
        r#"{"title":"two","source_key":"k"}"#,
        r#"{"title":"#,
        r#"{"title":"a\nb"}"#,
    ];
    instance.file("rows.jsonl", lines.join("\n"));
    let report = instance.types("import rows.jsonl").done();
    for words in [
        "rows.jsonl:2: its source_key `k` is that of rows.jsonl:1",
        "rows.jsonl:3: no JSON",
        "rows.jsonl:4: a title is one line",
    ] {
        assert!(report.err.contains(words), "{report:?}");
    }
    assert!(report.out.contains("4 read: 1 added"), "{report:?}");
    assert!(instance.types("list notes").done().out.contains("one"), "the first line stays");
    instance.file("notes/open.md", "---\ntitle: x\n\nbody");
    instance.file("notes/loose.md", "---\ntitle: x\nloose\n---\nbody");
    instance.file("notes/rule.md", "---\nA paragraph\n\n---\nbody");
    let report = instance.types("import notes").done();
    for words in ["open.md:1: front matter begins here", "loose.md:3: front matter with a line", "3 read: 1 added"] {
        assert!(format!("{}{}", report.out, report.err).contains(words), "{report:?}");
    }
}

#[test]
fn an_export_of_another_instance_and_a_file_that_is_none_are_not_called_broken() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    office.types("audit export -o log.jsonl").done();
    let log = office.base.path().join("log.jsonl");
    let log = log.to_str().unwrap();
    while !home.data().join("audit-head.json").exists() {
        super::harness::pause();
    }
    let foreign = home.run(&["audit", "verify", log]);
    foreign.fails(1, &["another instance's log", "office", "home", "--key"]);
    assert!(!foreign.err.contains("was changed"), "{foreign:?}");
    let other = "ab".repeat(32);
    office.run(&["audit", "verify", log, "--key", &other]).fails(1, &["another key", &other, "`id`"]);
    for key in ["00", "", &"g".repeat(64)] {
        office.run(&["audit", "verify", log, "--key", key]).fails(2, &["--key", "64 hex digits"]);
    }
    office.file("text.txt", "hello\nworld");
    office.file("picture.png", [0x89, 0x50, 0xff, 0xfe]);
    office.file("nothing.jsonl", "");
    for name in ["text.txt", "picture.png", "nothing.jsonl"] {
        office.run(&["audit", "verify", name]).fails(2, &[name, "neither an export", "audit export --output FILE"]);
    }
    office.run(&["audit", "verify", "gone.jsonl"]).fails(4, &["gone.jsonl", "audit export --output FILE"]);
}

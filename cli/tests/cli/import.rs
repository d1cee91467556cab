//! People's own files.

use super::harness::{Instance, finish, program};
use nix::pty::{Winsize, openpty};
use std::{
    fs::File,
    io::{Read, Write},
    os::unix::fs::symlink,
    process::Stdio,
    thread,
};

#[test]
fn an_import_reports_what_it_took_and_a_second_one_changes_nothing() {
    let instance = Instance::running("home");
    instance.file("notes/plan.md", "---\ntags: [a]\n---\n# The plan\ntext");
    instance.file("notes/deep/er/ünïcode.md", "body without a heading");
    instance.file("notes/broken.md", b"caf\xe9");
    instance.file("notes/large.md", "x".repeat((1 << 20) + 1));
    instance.file("notes/picture.png", "no note");
    symlink("..", instance.base.path().join("notes/deep/circle")).unwrap();
    let first = instance.types("import notes --json").done().json();
    assert_eq!((&first["added"], &first["read"]), (&2.into(), &5.into()), "{first}");
    let refused: Vec<_> = first["refused"].as_array().unwrap().iter().map(|one| one["at"].as_str().unwrap()).collect();
    assert_eq!(refused, ["broken.md", "deep/circle", "large.md"]);
    let second = instance.types("import notes --json").done().json();
    assert_eq!((&second["unchanged"], &second["added"], &second["updated"]), (&2.into(), &0.into(), &0.into()));
    instance.file("notes/plan.md", "# Another plan");
    assert_eq!(instance.types("import notes --json").done().json()["updated"], 1);
    let titles = instance.types("list notes").done().out;
    assert!(titles.contains("Another plan") && titles.contains("ünïcode"), "{titles}");
    assert_eq!(instance.types("import notes --strict").code, 7);
}

#[test]
fn broken_lines_are_reported_with_their_place_and_the_rest_goes_in() {
    let instance = Instance::running("home");
    let lines = [
        r#"{"resource":"tasks","title":"one","attributes":{"status":"open"}}"#,
        "not json",
        r#"{"resource":"tasks","title":"two","attributes":{"status":"unheard of"}}"#,
        r#"{"title":"three"}"#,
    ];
    instance.file("rows.jsonl", lines.join("\n"));
    let report = instance.types("import rows.jsonl --kind tasks --json").done().json();
    assert_eq!((&report["added"], &report["read"]), (&2.into(), &4.into()), "{report}");
    let places: Vec<_> = report["refused"].as_array().unwrap().iter().map(|one| one["at"].as_str().unwrap()).collect();
    assert_eq!(places, ["rows.jsonl:2", "rows.jsonl:3"]);
    assert_eq!(instance.types("import rows.jsonl --kind tasks --json").done().json()["unchanged"], 2);
}

#[test]
fn rows_leave_or_enter_a_team_only_where_that_is_meant() {
    let instance = Instance::running("home");
    instance.types("team add core").done();
    instance.file("notes/a.md", "# A");
    instance.file("notes/b.md", "# B");
    instance.file("notes/c.jsonl", r#"{"title": "C", "team": "core"}"#);
    instance.types("import notes --team core").done();
    for line in ["import notes", "import notes --check", "import notes/a.md", "import notes --watch"] {
        instance
            .types(line)
            .fails(2, &["of these files", "in the team core", "nothing was written", "--team core", "--move"]);
    }
    instance.types("import notes").fails(2, &["2 rows of these files are in the team core"]);
    let teams = |instance: &Instance| {
        let page = instance.types("list notes --from here --json").done().json();
        page["rows"].as_array().unwrap().iter().filter(|row| row["team"] == "core").count()
    };
    assert_eq!(teams(&instance), 3);
    assert_eq!(instance.types("import notes --team core --json").done().json()["unchanged"], 3);
    assert_eq!(instance.types("import notes --move --json").done().json()["updated"], 2);
    assert_eq!(teams(&instance), 1, "the one that says its team stays in it");
    instance.types("import notes --json").done();
    instance.types("import notes --team core").fails(2, &["2 rows of these files are yours alone", "--move"]);
}

#[test]
fn a_team_that_is_not_there_is_told_once_with_its_count() {
    let instance = Instance::running("home");
    let lines: Vec<_> = (0..9).map(|row| format!(r#"{{"title": "row {row}", "team": "nowhere"}}"#)).collect();
    instance.file("rows.jsonl", lines.join("\n"));
    let ran = instance.types("import rows.jsonl").done();
    assert_eq!(ran.err.matches("there is no team `nowhere`").count(), 1, "{ran:?}");
    for said in ["rows.jsonl:1 and 8 more", "team add TEAM", "team join TEAM USER"] {
        assert!(ran.err.contains(said), "{said} in {ran:?}");
    }
}

/// A line whose row has a list of texts, so many of them of fifty bytes.
fn line_with(field: &str, title: &str, texts: usize) -> String {
    let texts: Vec<_> = (0..texts).map(|number| format!("{number:0>50}")).collect();
    let mut line = serde_json::json!({"kind": "events", "title": title, "attributes": {}});
    let place = if field == "tags" { &mut line } else { &mut line["attributes"] };
    place[field] = texts.into();
    line.to_string()
}

#[test]
fn rows_of_large_attributes_go_in_and_one_that_is_too_large_costs_no_other() {
    let instance = Instance::running("home");
    // Two hundred times the thousand attendees: more than the door takes at once.
    let attendees: Vec<_> = (0..1_000).map(|number| format!("ATTENDEE:mailto:{number:0>38}@a.example\n")).collect();
    let attendees = attendees.concat();
    let series = format!(
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nSUMMARY:All of us\nDTSTART:20260101T090000Z\nRRULE:FREQ=DAILY;COUNT=200\n\
         {attendees}END:VEVENT\nEND:VCALENDAR\n"
    );
    instance.file("all/a.ics", series);
    // Six bytes of JSON for each byte of the text.
    let escaped = |title: &str| serde_json::json!({"title": title, "body": "\u{1}".repeat(1_000_000)}).to_string();
    let lines = [
        line_with("attendees", "large", 15_000),
        line_with("attendees", "too large", 22_000),
        line_with("tags", "labelled", 22_000),
        escaped("one"),
        escaped("two"),
    ];
    instance.file("all/b.jsonl", lines.join("\n"));
    let report = instance.types("import all --kind notes --json").done().json();
    assert_eq!((&report["added"], &report["read"]), (&203.into(), &205.into()), "{report}");
    let refused: Vec<_> = report["refused"].as_array().unwrap().iter().collect();
    assert_eq!(refused.iter().map(|one| &one["at"]).collect::<Vec<_>>(), ["b.jsonl:2", "b.jsonl:3"], "{report}");
    assert!(refused.iter().all(|one| one["reason"].as_str().unwrap().contains("is larger than 1048576 bytes; ")));
    assert_eq!(instance.types("import all/b.jsonl --kind notes --json").done().json()["unchanged"], 3);
}

/// What an import of `path` shows on a terminal that is its stderr, and what it prints.
fn on_a_terminal(instance: &Instance, path: &str, option: &str) -> (String, String) {
    let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).unwrap();
    let mut command = program(&["-C", instance.data().to_str().unwrap(), "import", path, option]);
    command.current_dir(instance.base.path()).env("TERM", "xterm").stdout(Stdio::piped()).stderr(pty.slave);
    let child = command.spawn().unwrap();
    // Only the child holds the other end from here on.
    drop(command);
    let shown = thread::spawn(move || {
        let (mut terminal, mut shown) = (File::from(pty.master), Vec::new());
        let mut part = [0; 4_096];
        // Linux ends a terminal that nobody holds with an error.
        while let Ok(read) = terminal.read(&mut part) {
            shown.extend_from_slice(&part[..read]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    });
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    (shown.join().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_terminal_shows_how_far_an_import_is_and_a_program_reads_nothing_of_it() {
    let instance = Instance::running("home");
    let lines: Vec<_> = (0..450).map(|number| format!("{{\"title\": \"row {number}\"}}")).collect();
    instance.file("rows.jsonl", lines.join("\n"));
    let (shown, printed) = on_a_terminal(&instance, "rows.jsonl", "--check");
    assert!(shown.contains("00 rows ") && shown.contains("KiB of 9.1"), "{shown:?}");
    assert!(shown.contains("\u{1b}[2K") && printed.contains("450 would be added"), "the bar is taken away: {shown:?}");
    let (shown, _) = on_a_terminal(&instance, "rows.jsonl", "--json");
    assert_eq!(shown, "");
}

#[test]
fn a_markdown_file_alone_is_the_row_that_its_folder_made_of_it() {
    let instance = Instance::running("home");
    instance.file("notes/plan.md", "# The plan");
    instance.file("notes/deep/other.md", "# Another");
    assert_eq!(instance.types("import notes --json").done().json()["added"], 2);
    assert_eq!(instance.types("import notes/plan.md --json").done().json()["unchanged"], 1);
    let below = instance.types("import notes/deep/other.md --json").done().json();
    assert_eq!((&below["added"], &below["updated"]), (&0.into(), &1.into()), "only its path is shorter: {below}");
    assert_eq!(instance.types("list notes --json").done().json()["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn a_team_that_cannot_be_written_to_is_refused_once_with_those_that_can() {
    let instance = Instance::running("home");
    instance.file("rows.jsonl", "{\"title\":\"one\"}\n{\"title\":\"two\"}");
    let none = instance.types("import rows.jsonl --team nix");
    none.fails(2, &["no team `nix`", "next: leave --team out"]);
    assert!(none.out.is_empty() && none.err.matches("nix").count() == 1, "{none:?}");
    instance.types("team add core").done();
    instance.types("team add shop").done();
    for line in ["import rows.jsonl --team nix", "add tasks one --team nix"] {
        instance.types(line).fails(2, &["no team `nix`", "--team with one of core, shop"]);
    }
    instance.types("user add alice").done();
    instance.types("--as alice add tasks one --team core").fails(2, &["no team `core`", "leave --team out"]);
    instance.types("import rows.jsonl --team core").done();
}

#[test]
fn every_cell_of_a_table_stands_in_the_json_of_the_same_command() {
    let instance = Instance::running("home");
    for title in ["first", "second \u{1b}[31mred", "third"] {
        instance.run(&["add", "tasks", title, "--set", "status=open", "--project", "house"]).done();
    }
    for line in ["list tasks", "user list", "workspace list", "audit query --limit 3"] {
        let table = instance.types(line).done().out;
        let json = instance.types(&format!("{line} --json")).done().json().to_string().replace('T', " ");
        assert!(!table.contains('\u{1b}'), "{table}");
        let rows = table.lines().skip(1).filter(|row| !row.contains("\\u{1b}"));
        let cells = rows.flat_map(|row| row.split("  ")).map(str::trim).filter(|cell| !cell.is_empty() && *cell != "-");
        for cell in cells.filter(|cell| !cell.contains(" of ")) {
            assert!(json.contains(cell), "`{cell}` of `{line}` is not in {json}");
        }
    }
}

#[test]
fn the_next_step_after_an_import_is_what_came_of_it() {
    let instance = Instance::running("home");
    instance.file("my notes/a.md", "# One");
    instance.file("plain/b.pdf", "x");
    let lines: String = (0..30).map(|_| "{\"kind\":\"plans\",\"title\":\"x\"}\n").collect();
    instance.file("bad.jsonl", lines);
    let next = |words: &[&str]| {
        let ran = instance.run(words).done();
        let next = ran.err.lines().find_map(|line| line.strip_prefix("next: ")).unwrap_or_default().to_owned();
        (next.split_once("data ").map(|(_, next)| next.to_owned()).unwrap_or(next), ran)
    };
    let check = ["import", "my notes", "--source", "n", "--check"];
    assert_eq!(next(&check).0, "import 'my notes' --source n");
    assert_eq!(next(&check[..4]).0, "list notes");
    assert_eq!(next(&check).0, "list notes", "there is nothing to import");
    let (nothing, ran) = next(&["import", "plain"]);
    assert!(nothing == "import --help" && ran.err.contains("it holds b.pdf; a folder is searched for"), "{ran:?}");
    assert_eq!(next(&["import", "my notes", "--format", "jsonl"]).0, "import 'my notes'");
    let (refused, ran) = next(&["import", "bad.jsonl"]);
    assert_eq!(refused, "import bad.jsonl --check");
    assert!(ran.err.starts_with("refused bad.jsonl:1 and 29 more: "), "{ran:?}");
}

#[test]
fn a_copy_of_a_folder_is_known_before_its_rows_are_here_twice() {
    let home = Instance::running("home");
    for name in ["a.md", "sub/b.md", "c.md"] {
        let text = format!("# Of {name}\ntext");
        home.file(&format!("old notes/{name}"), &text);
        home.file(&format!("back/{name}"), &text);
        home.file(&format!("other/{name}"), format!("{text} of\n# another\n").replace("Of", "On"));
    }
    let first = home.run(&["import", "old notes"]).done();
    assert!(!first.err.contains("second time"), "{first:?}");
    let old = home.base.path().canonicalize().unwrap().join("old notes");
    let twice =
        format!("3 of the 3 rows looked at are here already, from {}: this adds them a second time", old.display());
    let check = home.types("import back --check").done();
    let instead = format!("import back --source '{}'", old.display());
    assert!(check.err.contains(&twice) && check.out.contains("3 would be added"), "{check:?}");
    assert!(check.err.trim_end().ends_with(&format!(" {instead}")), "the next step: {check:?}");
    let remarks = home.types("import back --check --json").done().json()["remarks"].to_string();
    assert!(remarks.contains("3 of the 3 rows looked at"), "{remarks}");
    let pty = openpty(None, None).unwrap();
    let mut command = program(&["-C", home.data().to_str().unwrap(), "import", "back"]);
    command.current_dir(home.base.path()).stdin(pty.slave);
    File::from(pty.master.try_clone().unwrap()).write_all(b"n\n").unwrap();
    let asked = finish(command);
    asked.fails(130, &[&twice, "Add them a second time? [y/N]", "nothing was written", &instead]);
    let same = home.run(&["import", "back", "--source", old.to_str().unwrap()]).done();
    assert!(same.out.contains(" 0 added") && !same.err.contains("second time"), "{same:?}");
    let other = home.types("import other").done();
    assert!(other.out.contains("3 added") && !other.err.contains("second time"), "{other:?}");
    let meant = home.types("import back").done();
    assert!(meant.out.contains("3 added") && meant.err.contains(&twice), "a script has said what it means: {meant:?}");
    assert!(!home.types("import back --check").done().err.contains("second time"), "it is known by now");
}

//! Rows out and in again: the same counts, the same fields, and never half of it.

use super::{
    harness::{Instance, pause, program, tell},
    import_calendar::rows,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, process::Stdio};

/// One row of every kind, with every field that its kind has.
fn everything() -> String {
    let rows = [
        r#"{"kind":"tasks","title":"A \"task\"","body":"line\nline","team":"core","project":"house","tags":["a, b","c"],"created_at":"2026-01-02T03:04:05.123456Z","attributes":{"status":"open","due":"2026-12-01","estimate_minutes":30,"depends_on":["x"],"private_remark":"r"}}"#,
        r##"{"kind":"notes","title":"Note: one","body":"# Other\n\n[[X]] #inline\n","tags":["t"],"attributes":{"path":"deep/Note one.md","pinned":true,"links":["X"],"aliases":["n1"],"source":"s"}}"##,
        r#"{"kind":"notes","title":"Note: one","attributes":{"path":"deep/Note one.md"}}"#,
        r#"{"kind":"notes","title":"../../odd \"name\"","body":"---\ntitle: no front matter of ours\n---\ntext"}"#,
        r#"{"kind":"events","title":"An event","attributes":{"start":"2026-12-01T09:00:00Z","end":"2026-12-01T10:00:00Z","attendees":["a","b"],"time_zone":"Europe/Berlin"}}"#,
        r#"{"kind":"projects","title":"A project","attributes":{"status":"active","lead":"dana"}}"#,
        r#"{"kind":"memory","title":"A fact","body":"of the world","attributes":{"form":"fact","confidence":0.5}}"#,
        r#"{"kind":"credentials","title":"A key","attributes":{"form":"ssh_key","kept_in":"the safe"}}"#,
        r#"{"kind":"api_keys","title":"Another","attributes":{"prefix":"ab","permissions":["read"]}}"#,
    ];
    rows.join("\n")
}

const KINDS: [&str; 7] = ["tasks", "notes", "events", "projects", "memory", "credentials", "api_keys"];

/// Every field of every row that is its owner's to say, in an order of its own.
fn fields(instance: &Instance) -> BTreeMap<&'static str, Vec<Value>> {
    let said = |kind: &'static str| {
        let mut rows = rows(instance, kind);
        for row in &mut rows {
            let row = row.as_object_mut().unwrap();
            for own in ["id", "updated_at", "_source", "_as_of"] {
                row.remove(own);
            }
        }
        rows.sort_by_key(Value::to_string);
        (kind, rows)
    };
    KINDS.into_iter().map(said).collect()
}

fn filled() -> Instance {
    let instance = Instance::running("home");
    instance.types("team add core").done();
    instance.types("team join core dana").done();
    instance.file("rows.jsonl", everything());
    assert_eq!(instance.types("import rows.jsonl --json").done().json()["added"], 9);
    instance
}

#[test]
fn what_is_exported_comes_back_with_every_field() {
    let instance = filled();
    let wanted = fields(&instance);
    for (dir, options) in [("plain", ""), ("marked", " --markdown")] {
        let out = instance.types(&format!("export {dir}{options} --json")).done().json();
        assert_eq!((&out["rows"]["notes"], &out["rows"]["tasks"]), (&3.into(), &1.into()), "{out}");
        let other = Instance::running("other");
        other.types("team add core").done();
        other.types("team join core dana").done();
        let path = instance.base.path().join(dir);
        let report = other.run(&["import", path.to_str().unwrap(), "--json"]).done().json();
        assert_eq!((&report["added"], &report["read"]), (&9.into(), &9.into()), "{report}");
        assert_eq!(fields(&other), wanted);
        let again = other.run(&["import", path.to_str().unwrap(), "--json"]).done().json();
        assert_eq!(again["unchanged"], 9, "{again}");
    }
    let notes: Vec<_> = fs::read_dir(instance.base.path().join("marked/notes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(notes.len(), 2, "a note with an odd name and the folder of the others: {notes:?}");
    let here = instance.types("import plain --json").done().json();
    assert_eq!(here["added"], 9, "the same instance has each row once more, as the documentation says");
}

#[test]
fn rows_of_any_size_and_name_come_back() {
    let instance = Instance::running("home");
    let tags: Vec<_> = (0..1_000).map(|number| format!("{number:0>100}")).collect();
    let path = ["ü".repeat(100).as_str(); 9].join("/") + ".md";
    let rows = [
        serde_json::json!({"kind": "notes", "title": "tags", "tags": tags}),
        serde_json::json!({"kind": "notes", "title": "deep", "body": " ", "attributes": {"path": path}}),
        serde_json::json!({"kind": "notes", "title": "-rf \u{202e}", "body": "\u{1}".repeat(1_000_000)}),
        serde_json::json!({"kind": "notes", "title": "remark", "attributes": {"private_remark": "\u{1}".repeat(170_000)}}),
        serde_json::json!({"kind": "tasks", "title": "long key", "source_key": "k".repeat(5_000)}),
    ];
    instance.file("rows.jsonl", rows.map(|row| row.to_string()).join("\n"));
    assert_eq!(instance.types("import rows.jsonl --json").done().json()["added"], 5);
    assert_eq!(instance.types("import rows.jsonl --json").done().json()["unchanged"], 5);
    for (dir, options) in [("plain", ""), ("marked", " --markdown")] {
        instance.types(&format!("export {dir}{options}")).done();
        let other = Instance::running("other");
        let path = instance.base.path().join(dir);
        let report = other.run(&["import", path.to_str().unwrap(), "--json"]).done().json();
        assert_eq!((&report["added"], &report["read"]), (&5.into(), &5.into()), "{report}");
        assert!(fields(&other) == fields(&instance), "of {dir}");
    }
    let odd = fs::read_dir(instance.base.path().join("marked/notes")).unwrap();
    let odd: Vec<_> = odd.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(odd.contains(&"_-rf -.md".to_owned()), "{odd:?}");
}

#[test]
fn an_export_is_closed_to_others_and_goes_only_where_nothing_is() {
    let instance = filled();
    let base = instance.base.path();
    instance.types("export out --kind tasks --kind events").done();
    let mode = |path: &str| fs::metadata(base.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("out"), mode("out/tasks.jsonl"), mode("out/events.jsonl")), (0o700, 0o600, 0o600));
    assert_eq!(fs::read_dir(base.join("out")).unwrap().count(), 2);
    instance.types("export out").fails(6, &["out is not empty", "does not exist yet"]);
    instance.types("export rows.jsonl").fails(6, &["is a file"]);
    instance.types("export no/such/out").fails(1, &["make the folder above it first"]);
    instance.types("export new --kind nix").fails(4, &["no kind `nix`"]);
    instance.types("export new --kind teams").fails(2, &["directory", "leave --kind teams out"]);
    fs::create_dir(base.join("empty")).unwrap();
    instance.types("export empty").done();
    assert!(base.join("empty/tasks.jsonl").exists());
}

#[test]
fn an_export_that_fails_leaves_nothing() {
    let mut instance = filled();
    instance.stop();
    instance.types("export out").fails(3, &["no daemon"]);
    assert_eq!(left(&instance), Vec::<String>::new());
}

/// Files beside the data directory that are an export, whole or not.
fn left(instance: &Instance) -> Vec<String> {
    let entries = fs::read_dir(instance.base.path()).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.contains("out")).collect()
}

#[test]
fn an_export_that_is_interrupted_leaves_nothing_and_one_that_is_killed_is_told() {
    let instance = filled();
    // A daemon that does not answer holds an export up in its middle.
    instance.signal(Signal::SIGSTOP);
    for (signal, code) in [(Signal::SIGINT, Some(130)), (Signal::SIGTERM, Some(130)), (Signal::SIGKILL, None)] {
        let mut command = program(&["-C", instance.data().to_str().unwrap(), "export", "out"]);
        let mut export = command.current_dir(instance.base.path()).stderr(Stdio::null()).spawn().unwrap();
        while left(&instance) != [".out.partial"] {
            assert!(export.try_wait().unwrap().is_none());
            pause();
        }
        tell(&export, signal);
        assert_eq!(export.wait().unwrap().code(), code);
        assert_eq!(left(&instance).is_empty(), code.is_some(), "{signal}");
    }
    instance.signal(Signal::SIGCONT);
    instance.types("export out").fails(6, &[".out.partial is there", "remove it if no other export is under way"]);
    fs::remove_dir_all(instance.base.path().join(".out.partial")).unwrap();
    instance.types("export out").done();
}

//! A vault of Markdown: links, attachments, aliases and tags as a count without a parser finds them.

use super::{harness::Instance, import_calendar::rows};
use serde_json::Value;
use std::collections::BTreeSet;

/// Notes of the vault; each links to others, and some show files.
const NOTES: usize = 60;

/// A note, and how many different notes and files it names.
fn note(number: usize) -> (String, usize, usize) {
    let links: BTreeSet<_> = (1..=number % 5).map(|step| (number * step) % NOTES).collect();
    let files: BTreeSet<_> = (0..number % 3).map(|step| (number + step) % 7).collect();
    let head = format!("---\naliases: [No {number}, \"N{number}\"]\ntags: [front]\n---\n# Note {number}\n\n");
    let written = |(form, link): (usize, &usize)| match form % 4 {
        0 => format!("See [[Note {link}]] and again [[Note {link}|it]].\n"),
        1 => format!("In [[deep/Note {link}#Part|part]].\n"),
        2 => format!("Also [there](Note%20{link}.md#part).\n"),
        _ => format!("Shown: ![[Note {link}]]\n"),
    };
    let linked: String = links.iter().enumerate().map(written).collect();
    let shown: Vec<_> = files.iter().map(|file| format!("![[img/picture {file}.png|200]]\n")).collect();
    let shown = shown.concat();
    let tag = number % 4;
    let text =
        format!("{head}{linked}{shown}\n#tag{tag} and `[[No link]] #no`\n\n```\n[[No link]] ![[no.png]] #no\n```\n");
    (text, links.len(), files.len())
}

fn names(rows: &[Value], attribute: &str) -> usize {
    rows.iter().map(|row| row["attributes"][attribute].as_array().map_or(0, Vec::len)).sum()
}

#[test]
fn a_vault_comes_in_with_its_links_and_leaves_its_own_folders_out() {
    let instance = Instance::running("home");
    let (mut links, mut files) = (0, 0);
    for number in 0..NOTES {
        let (text, linked, shown) = note(number);
        (links, files) = (links + linked, files + shown);
        let folder = if number % 6 == 0 { "deep/" } else { "" };
        instance.file(&format!("vault/{folder}Note {number}.md"), text);
    }
    instance.file("vault/.obsidian/workspace.md", "[[Not a note]]");
    instance.file("vault/.trash/Old.md", "[[Not a note]]");
    instance.file("vault/img/picture 1.png", [0_u8, 159, 1]);
    instance.file("vault/settings.json", "{\"theme\": \"dark\"}");
    let report = instance.types("import vault --json").done().json();
    assert_eq!((&report["added"], &report["read"]), (&NOTES.into(), &NOTES.into()), "{report}");
    let found = rows(&instance, "notes");
    assert_eq!((names(&found, "links"), names(&found, "attachments")), (links, files));
    assert_eq!(names(&found, "aliases"), 2 * NOTES);
    let tags: BTreeSet<_> =
        found.iter().flat_map(|row| row["tags"].as_array().unwrap()).map(Value::to_string).collect();
    assert_eq!(tags, ["\"front\"", "\"tag0\"", "\"tag1\"", "\"tag2\"", "\"tag3\""].map(ToOwned::to_owned).into());
    let again = instance.types("import vault --json").done().json();
    assert_eq!((&again["unchanged"], &again["updated"]), (&NOTES.into(), &0.into()), "{again}");
}

#[test]
fn a_folder_is_searched_for_every_format_and_a_check_writes_nothing() {
    let instance = Instance::running("home");
    instance.file("all/note.md", "# A note");
    instance.file("all/more.markdown", "# Another");
    instance.file(
        "all/work.ics",
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nSUMMARY:s\nDTSTART:20260101T090000Z\nEND:VEVENT\nEND:VCALENDAR\n",
    );
    instance.file("all/a.jsonl", "{\"title\": \"a\", \"source_key\": \"1\"}\n");
    instance.file("all/b.ndjson", "{\"title\": \"b\", \"source_key\": \"1\"}\n");
    instance.file("all/todo.txt", "one\n");
    instance.file("all/tasks.json", "[{\"uuid\": \"u\", \"description\": \"d\", \"status\": \"pending\"}]");
    instance.file("all/package.json", "{\"name\": \"not ours\"}");
    instance.file("all/readme.txt", "not ours");
    let check = |added: u64, updated: u64, unchanged: u64| {
        let report = instance.types("import all --check --json").done().json();
        let counts = ["added", "updated", "unchanged"].map(|name| report[name].as_u64().unwrap());
        assert_eq!((counts, &report["check"]), ([added, updated, unchanged], &true.into()), "{report}");
        assert_eq!(report["gone"], 0, "{report}");
    };
    check(7, 0, 0);
    assert!(rows(&instance, "notes").is_empty(), "a check writes nothing");
    assert!(instance.types("import all --check").done().out.contains("7 would be added, 0 would be updated"));
    let lines = instance.types("import all --format jsonl --json").done().json();
    assert_eq!((&lines["read"], &lines["added"]), (&2.into(), &2.into()), "{lines}");
    check(5, 0, 2);
    assert_eq!(instance.types("import all --json").done().json()["added"], 5);
    assert_eq!(instance.types("import all/b.ndjson --json").done().json()["unchanged"], 1, "alone as in its folder");
    instance.file("all/note.md", "# A note, changed");
    check(0, 1, 6);
    check(0, 1, 6);
    instance.file("all/bad.jsonl", "not json\n");
    assert_eq!(instance.types("import all --check --strict").code, 7);
}

#[test]
fn a_check_tells_how_many_rows_are_no_longer_in_their_source() {
    let instance = Instance::running("home");
    for name in ["a.md", "b.md", "deep/c.md"] {
        instance.file(&format!("notes/{name}"), "text");
    }
    instance.file("notes/rows.jsonl", "{\"title\": \"x\", \"source_key\": \"1\"}\n");
    instance.file("notes2/d.md", "of another source");
    let first = instance.types("import notes --json").done().json();
    assert_eq!((&first["added"], first.get("gone")), (&4.into(), None), "{first}");
    instance.types("import notes2").done();
    let gone = || instance.types("import notes --check --json").done().json()["gone"].clone();
    assert_eq!(gone(), 0);
    let notes = instance.base.path().join("notes");
    std::fs::rename(notes.join("a.md"), notes.join("moved.md")).unwrap();
    std::fs::remove_file(notes.join("deep/c.md")).unwrap();
    instance.file("notes/rows.jsonl", "{\"title\": \"y\", \"source_key\": \"2\"}\n");
    assert_eq!(gone(), 3, "moved, removed and no longer a line");
    let said = instance.types("import notes --check").done().out;
    assert!(
        said.contains(
            "2 would be added, 0 would be updated, 1 unchanged, 0 refused; no longer in the source, and kept: 3"
        ),
        "{said}"
    );
    assert_eq!(instance.types("import notes/deep --check --json").done().json()["gone"], 1, "a folder of it alone");
    assert_eq!(instance.types("import notes --json").done().json()["added"], 2);
    assert_eq!(rows(&instance, "notes").len(), 7, "nothing was removed");
}

//! A note as a Markdown file that `import` reads back as the same note. What Markdown and its front matter cannot say stands
//! in one further line of front matter, as JSON; what is in it is found by reading the file as an import would.

use crate::{
    exit::{Failure, Outcome},
    import::{Common, ROW, markdown},
};
use domain::{
    item::{Item, NewItem},
    say,
};
use markdown::Kept;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Characters of a file's name at most, without its ending.
const MAX_NAME: usize = 100;

/// The text of a note that lies at `relative`.
pub fn text(item: &Item, relative: &str) -> Outcome<String> {
    let common = Common::bare(item.resource.clone());
    let plain = written(item, None)?;
    // Front matter that a body only looks like is text again below one of our own.
    let read = markdown::item(&plain, relative, &common).map_err(|broken| Failure::of(broken.reason))?;
    written(item, Some(&kept(item, &read)))
}

fn written(item: &Item, kept: Option<&Kept>) -> Outcome<String> {
    let mut lines = vec!["---".to_owned()];
    let title = item.title.as_deref().unwrap_or_default();
    lines.extend(quoted(title).map(|title| format!("title: {title}")));
    let tags: Option<Vec<_>> = item.tags.iter().map(|tag| quoted(tag.as_str())).collect();
    lines.extend(tags.filter(|tags| !tags.is_empty()).map(|tags| format!("tags: [{}]", tags.join(", "))));
    let aliases = item.attributes.get("aliases").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let aliases: Option<Vec<_>> = aliases.iter().map(|alias| alias.as_str().and_then(quoted)).collect();
    lines.extend(
        aliases.filter(|aliases| !aliases.is_empty()).map(|aliases| format!("aliases: [{}]", aliases.join(", "))),
    );
    let kept = kept.map(serde_json::to_string).transpose().map_err(Failure::of)?;
    lines.extend(kept.map(|kept| format!("{ROW}: {kept}")));
    lines.push("---".to_owned());
    Ok(format!("{}\n{}", lines.join("\n"), item.body.as_deref().unwrap_or_default()))
}

/// Text that front matter can say between quote marks; none where it would be read as something else.
fn quoted(text: &str) -> Option<String> {
    let plain =
        !text.is_empty() && !text.chars().any(|c| c.is_control() || "\"'\\[],".contains(c)) && text.trim() == text;
    plain.then(|| format!("\"{text}\""))
}

/// What of the row an import would not find in what it `read`. The body is the text, if it says anything; who owns it and which row it is, the
/// import says.
fn kept(item: &Item, read: &NewItem) -> Kept {
    let Item { id: _, resource: _, created_at, updated_at: _, title, body, team, project, owner: _, tags, attributes } =
        item;
    Kept {
        title: title.clone().filter(|title| *title != read.title),
        body: body.clone().filter(|_| *body != read.body),
        tags: Some(tags).filter(|tags| **tags != read.tags).cloned(),
        team: team.clone(),
        project: project.clone(),
        created_at: Some(*created_at),
        attributes: differing(attributes, &read.attributes),
    }
}

fn differing(wanted: &Map<String, Value>, read: &Map<String, Value>) -> Map<String, Value> {
    let names: BTreeSet<_> = wanted.keys().chain(read.keys()).collect();
    let names = names.into_iter().filter(|name| wanted.get(*name) != read.get(*name));
    names.map(|name| (name.clone(), wanted.get(name).cloned().unwrap_or(Value::Null))).collect()
}

/// The places that notes lie at.
#[derive(Debug, Default)]
pub struct Places {
    /// Some file systems hold two names that differ in case alone for one.
    taken: HashSet<String>,
    /// The number that comes next for a name.
    next: HashMap<String, u64>,
}

impl Places {
    /// This name, or else the same with a number.
    fn free(&mut self, stem: String) -> String {
        let lower = stem.to_lowercase();
        if self.taken.insert(lower.clone()) {
            return stem;
        }
        let next = self.next.entry(lower).or_insert(2);
        loop {
            let name = format!("{stem}-{next}");
            *next += 1;
            if self.taken.insert(name.to_lowercase()) {
                return name;
            }
        }
    }
}

/// Where a note lies below the folder of notes: at its own path if it has one that is safe there, else by its title.
pub fn place(item: &Item, places: &mut Places) -> String {
    let path = item.attributes.get("path").and_then(Value::as_str).and_then(safe);
    let stem = path.unwrap_or_else(|| part(item.title.as_deref().unwrap_or_default()));
    format!("{}.md", places.free(stem))
}

/// A path without its ending, if each of its parts is a name that stays below the folder.
fn safe(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".md")?;
    // A folder called as a note is would be in that note's way.
    let fits = |name: &str| part(name) == name && !name.to_lowercase().ends_with(".md");
    (stem.split('/').count() <= 10 && stem.split('/').all(fits)).then(|| stem.to_owned())
}

/// A name for a file: no separators, nothing hidden, no option of a command, not too long.
fn part(text: &str) -> String {
    let odd = |c: char| say::is_hidden(c) || "/\\:*?\"<>|".contains(c);
    let name: String = text.trim().chars().map(|c| if odd(c) { '-' } else { c }).take(MAX_NAME).collect();
    let mut end = name.len().min(200);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = name[..end].trim().trim_start_matches('.').trim();
    match name.chars().next() {
        None => "note".to_owned(),
        Some('-') => format!("_{name}"),
        Some(_) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Time, id::ItemId};
    use proptest::prelude::*;
    use serde_json::json;

    fn note(title: &str, body: Option<&str>, tags: &[&str], attributes: &Value) -> Item {
        Item {
            id: ItemId("11111111-1111-4111-8111-111111111111".parse::<ItemId>().unwrap().0),
            resource: "notes".parse().unwrap(),
            created_at: Time::from_seconds(1_790_000_000),
            updated_at: Time::from_seconds(1_790_000_001),
            title: Some(title.to_owned()),
            body: body.map(ToOwned::to_owned),
            team: "core".parse().ok(),
            project: "house".parse().ok(),
            owner: None,
            tags: tags.iter().filter_map(|tag| tag.parse().ok()).collect(),
            attributes: attributes.as_object().unwrap().clone(),
        }
    }

    #[track_caller]
    fn comes_back(item: &Item) {
        let text = text(item, "notes/x.md").unwrap();
        assert!(text.len() <= markdown::MAX_FILE, "{} bytes", text.len());
        let read = markdown::item(&text, "notes/x.md", &Common::bare(item.resource.clone())).unwrap();
        assert_eq!(Some(&read.title), item.title.as_ref(), "{text}");
        assert_eq!((&read.body, &read.tags, &read.attributes), (&item.body, &item.tags, &item.attributes), "{text}");
        assert_eq!((&read.team, &read.project), (&item.team, &item.project));
        assert_eq!(read.created_at, Some(item.created_at));
    }

    #[test]
    fn a_note_comes_back_as_it_was() {
        let attributes = json!({"path": "a/b.md", "links": ["X"], "aliases": ["y, z", "plain"], "pinned": true});
        comes_back(&note("Plain", Some("# Other\n[[X]] #tag\n"), &["tag"], &attributes));
        comes_back(&note("\"quoted\" and 'more': [x]", Some("[[Y]] #not-a-tag-of-it"), &["a, b", "c"], &json!({})));
        comes_back(&note("A label that looks like an address", Some("x"), &["https://a.example"], &json!({})));
        comes_back(&note("No body", None, &[], &json!({"links": ["not in the text"]})));
        comes_back(&note("Looks like front matter", Some("---\ntitle: x\n---\n"), &[], &json!({"path": "x.md"})));
        comes_back(&note(&"long ".repeat(100), Some("x"), &[], &json!({})));
    }

    #[test]
    fn a_place_is_safe_and_nobody_elses() {
        let mut places = Places::default();
        let mut at = |title: &str, path: &str| place(&note(title, None, &[], &json!({"path": path})), &mut places);
        assert_eq!(at("t", "a/b c.md"), "a/b c.md");
        assert_eq!(at("t", "A/B c.md"), "A/B c-2.md");
        for path in ["../up.md", "/etc/x.md", "a//b.md", ".obsidian/x.md", "no ending", "a/./b.md"] {
            assert!(at("t/../x", path).starts_with("t-..-x"), "{path}");
        }
        assert_eq!(at("..", "-"), "note.md");
        assert_eq!(at("-rf", "-rf.md"), "_-rf.md");
        assert_eq!(at("gpj\u{202e}dm.exe", "\u{202e}.md"), "gpj-dm.exe.md");
    }

    #[test]
    fn very_many_notes_of_one_title_have_each_a_place_of_its_own() {
        let mut places = Places::default();
        let note = note("Same", None, &[], &json!({}));
        let all: HashSet<_> = (0..15_000).map(|_| place(&note, &mut places)).collect();
        assert!(all.len() == 15_000 && all.contains("Same-15000.md"));
    }

    #[test]
    fn the_largest_note_is_no_larger_than_an_import_takes() {
        let tags: Vec<_> = (0..5_000).map(|number| format!("{number:0>200}")).collect();
        let tags: Vec<_> = tags.iter().map(String::as_str).collect();
        let (control, quote) = ("\u{1}".repeat(174_000), "\"".repeat(500_000));
        let aliases: Vec<_> = (0..200_000).map(|number| format!("{number:x}")).collect();
        for large in [
            note("Tags", Some("x"), &tags, &json!({})),
            note(&"\u{1}".repeat(1_000_000), None, &[], &json!({})),
            note("Remark", None, &[], &json!({"private_remark": control, "links": ["a"]})),
            note(&quote, Some(&quote), &[], &json!({})),
            note("Aliases", None, &[], &json!({"aliases": aliases.clone(), "links": []})),
        ] {
            comes_back(&large);
        }
    }

    fn any_note() -> impl Strategy<Value = Item> {
        let odd = || "[-a-z\"':,\\[\\]#|`\\\\ \n\u{2028}\u{feff}é]{0,40}";
        let label = || "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{1,10}";
        let title = prop_oneof!["[^\u{0}]{1,20}", odd().prop_map(|text| format!("t{text}"))];
        let body = prop_oneof![
            "[^\u{0}]{0,40}",
            "[ \n\r\t]{0,3}",
            odd(),
            odd().prop_map(|text| format!("---\n{text}\n---\n"))
        ];
        let list = || prop::option::of(prop::collection::vec(prop_oneof!["[^\u{0}]{0,10}", odd()], 0..4));
        let lists = (list(), list(), list());
        let rest = (prop::option::of("[^\u{0}]{0,20}"), prop::option::of(any::<bool>()));
        (title, prop::option::of(body), prop::collection::vec(label(), 0..4), lists, rest).prop_map(
            |(title, body, tags, (links, attachments, aliases), (path, pinned))| {
                let mut said = json!({"links": links, "attachments": attachments, "aliases": aliases, "path": path, "pinned": pinned});
                said.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                let tags: Vec<_> = tags.iter().map(String::as_str).collect();
                note(&title, body.as_deref(), &tags, &said)
            },
        )
    }

    proptest! {
        #[test]
        fn any_note_comes_back(note in any_note()) {
            comes_back(&note);
        }
    }
}

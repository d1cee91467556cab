//! A note as a Markdown file that `import` reads back as the same note. What Markdown and its front matter cannot say stands
//! in one further line of front matter, as JSON; what is in it is found by reading the file as an import would.

use crate::{
    exit::{Failure, Outcome},
    import::{Common, ROW, markdown},
};
use domain::item::{Item, NewItem};
use markdown::Kept;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

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

/// What of the row an import would not find in what it `read`. The body is the text; who owns it and which row it is, the
/// import says.
fn kept(item: &Item, read: &NewItem) -> Kept {
    let Item {
        id: _,
        resource: _,
        created_at,
        updated_at: _,
        title,
        body: _,
        team,
        project,
        owner: _,
        tags,
        attributes,
    } = item;
    Kept {
        title: title.clone().filter(|title| *title != read.title),
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

/// Where a note lies below the folder of notes: at its own path if it has one that is safe there, else by its title.
pub fn place(item: &Item, taken: &mut BTreeSet<String>) -> String {
    let path = item.attributes.get("path").and_then(Value::as_str).and_then(safe);
    let stem = path.unwrap_or_else(|| part(item.title.as_deref().unwrap_or_default()));
    let names = (2..).map(|number| format!("{stem}-{number}"));
    let mut names = std::iter::once(stem.clone()).chain(names);
    // Some file systems hold two names that differ in case alone for one.
    let free = names.find(|name| taken.insert(name.to_lowercase())).unwrap_or(stem);
    format!("{free}.md")
}

/// A path without its ending, if each of its parts is a name that stays below the folder.
fn safe(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".md")?;
    // A folder called as a note is would be in that note's way.
    let fits = |name: &str| part(name) == name && !name.to_lowercase().ends_with(".md");
    (stem.split('/').count() <= 10 && stem.split('/').all(fits)).then(|| stem.to_owned())
}

/// A name for a file: no separators, nothing hidden, not too long.
fn part(text: &str) -> String {
    let odd = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    let name: String = text.trim().chars().map(|c| if odd(c) { '-' } else { c }).take(MAX_NAME).collect();
    let mut end = name.len().min(200);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = name[..end].trim().trim_start_matches('.').trim();
    if name.is_empty() { "note".to_owned() } else { name.to_owned() }
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
        comes_back(&note("No body", None, &[], &json!({"links": ["not in the text"]})));
        comes_back(&note("Looks like front matter", Some("---\ntitle: x\n---\n"), &[], &json!({"path": "x.md"})));
        comes_back(&note(&"long ".repeat(100), Some("x"), &[], &json!({})));
    }

    #[test]
    fn a_place_is_safe_and_nobody_elses() {
        let mut taken = BTreeSet::new();
        let mut at = |title: &str, path: &str| place(&note(title, None, &[], &json!({"path": path})), &mut taken);
        assert_eq!(at("t", "a/b c.md"), "a/b c.md");
        assert_eq!(at("t", "A/B c.md"), "A/B c-2.md");
        for path in ["../up.md", "/etc/x.md", "a//b.md", ".obsidian/x.md", "no ending", "a/./b.md"] {
            assert!(at("t/../x", path).starts_with("t-..-x"), "{path}");
        }
        assert_eq!(at("..", "-"), "note.md");
    }

    proptest! {
        #[test]
        fn any_note_comes_back(title in "[a-z\"':,\\[\\]#\\\\é-][ a-z\"':,é-]{0,30}[a-z\"]", body in "[-a-z#\\[\\]:\n `]{0,40}x", tag in "[a-z,\"# \\[\\]]{1,10}") {
            comes_back(&note(&title, Some(&body), &[&tag], &json!({})));
        }
    }
}

//! A Markdown file as an item: its title from the front matter, else its first heading of level 1, else its name; as a note
//! also its links, attachments and aliases, and the tags in its text. What `export` wrote beside them is taken as it says.

use super::{
    Common,
    attributes::Attributes,
    front_matter::{Broken, FrontMatter},
    reading::{Reading, Rows, Sourced},
    report::{Refused, Tally},
    text,
    vault::NoteText,
    walk::File,
};
use domain::{
    Time,
    id::{Project, Tag, TeamId},
    item::{MAX_ITEM_BYTES, NewItem},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, iter, path::Path};

/// The largest file that may be a row of the largest size: its body as it is, and in the front matter that `export` writes the
/// rest of it, as JSON up to six times as long, and title, tags and aliases once more between quote marks.
pub const MAX_FILE: usize = 12 * MAX_ITEM_BYTES;

/// What a row has and its Markdown does not say. Absent fields are as the Markdown has them.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Where it is not what the Markdown says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where it is nothing but blanks, which Markdown takes for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Where they are not what the Markdown says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeSet<Tag>>,
    /// The owning team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// The project it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// Those that differ from what the Markdown says; null where there is none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

impl Kept {
    fn put_into(self, item: &mut NewItem) {
        let Self { title, body, tags, team, project, created_at, attributes } = self;
        if let Some(title) = title {
            item.title = title;
        }
        item.body = body.or_else(|| item.body.take());
        if let Some(tags) = tags {
            item.tags = tags;
        }
        item.team = team.or_else(|| item.team.take());
        item.project = project.or_else(|| item.project.take());
        item.created_at = created_at.or(item.created_at);
        for (name, value) in attributes {
            if value.is_null() {
                item.attributes.remove(&name);
            } else {
                item.attributes.insert(name, value);
            }
        }
    }
}

/// Reads a file, which is one row.
pub fn rows<'r>(file: &'r File, reading: &'r mut Reading<'_>) -> Rows<'r> {
    let Reading { common, tally, .. } = reading;
    Box::new(iter::once_with(|| row(file, common, tally)))
}

fn row(file: &File, common: &Common, tally: &mut Tally) -> Result<Sourced, Refused> {
    let (text, changed) = text::load(file, MAX_FILE).map_err(|reason| file.refuse(reason))?;
    let broken = |Broken { line, reason }| file.refuse_line(line, reason);
    let front = FrontMatter::of(&text).map_err(broken)?;
    for key in &front.left_out {
        Tally::count(&mut tally.unknown_keys, &domain::audit::one_line(key));
    }
    let mut item = made_of(front, &file.relative, common).map_err(broken)?;
    item.created_at = item.created_at.or(changed);
    Ok(Sourced { at: file.relative.clone(), item })
}

/// The item that a text of this name is, whatever its size.
pub fn item(text: &str, relative: &str, common: &Common) -> Result<NewItem, Broken> {
    made_of(FrontMatter::of(text)?, relative, common)
}

fn made_of(front: FrontMatter<'_>, relative: &str, common: &Common) -> Result<NewItem, Broken> {
    let mut said = NoteText::of(front.body);
    let title = front.title.or_else(|| said.heading.take()).unwrap_or_else(|| stem(relative));
    let mut item = NewItem {
        resource: common.kind.clone(),
        title: text::title(&title),
        body: (!front.body.trim().is_empty()).then(|| front.body.to_owned()),
        team: common.team.clone(),
        project: common.project.clone(),
        tags: front.tags,
        attributes: Map::new(),
        source_key: Some(format!("{}/{relative}", common.source)),
        created_at: None,
    };
    if common.kind.as_str() == "notes" {
        as_note(&mut item, relative, front.aliases, said);
    }
    if let Some((line, json)) = front.row {
        let kept: Kept = serde_json::from_str(json).map_err(|_| Broken { line, reason: NO_ROW })?;
        kept.put_into(&mut item);
    }
    Ok(item)
}

const NO_ROW: &str = "what `export` wrote under mosaic-fed is broken; restore the line, or take it out";

fn as_note(item: &mut NewItem, relative: &str, aliases: Vec<String>, said: NoteText) {
    item.tags.extend(said.tags);
    Attributes::default()
        .text("path", Some(relative))
        .list("links", said.links)
        .list("attachments", said.attachments)
        .list("aliases", aliases)
        .put_into(item);
}

fn stem(relative: &str) -> String {
    let stem = Path::new(relative).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.filter(|stem| !stem.is_empty()).unwrap_or_else(|| relative.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{super::reading::tests::rows_of, *};

    fn note(text: &str) -> Result<Sourced, Refused> {
        rows_of("weekly-plan.md", text.as_bytes(), "notes").0.remove(0)
    }

    #[test]
    fn a_title_comes_from_front_matter_then_heading_then_name() {
        let title = |text: &str| note(text).unwrap().item.title;
        assert_eq!(title("---\ntitle: From the front\n---\n# Heading\n"), "From the front");
        assert_eq!(title("intro\n\n# Heading #\ntext"), "Heading");
        assert_eq!(title("Under\n=====\ntext"), "Under");
        assert_eq!(title("```\n# a comment\n```\n# Real"), "Real");
        assert_eq!(title("no heading at all"), "weekly-plan");
        assert_eq!(title(""), "weekly-plan");
    }

    #[test]
    fn front_matter_that_nothing_is_made_of_is_told_by_its_keys() {
        let text = "---\ntitle: t\ntags: [a]\ncreated: 2026-01-03\nmeta:\n  deep: 1\nstatus: open\n---\nbody";
        let (rows, tally) = rows_of("a.md", text.as_bytes(), "notes");
        assert_eq!(rows[0].as_ref().unwrap().item.body.as_deref(), Some("body"));
        let said = tally.remarks("", "");
        assert_eq!(said, ["keys of front matter that nothing is made of, left out: created (1), meta (1), status (1)"]);
    }

    #[test]
    fn tags_leave_the_front_matter_and_the_body_keeps_the_rest() {
        let item = note("---\ntags: [a, \"b c\"]\n---\nbody #d\n").unwrap().item;
        assert_eq!(item.tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["a", "b c", "d"]);
        assert_eq!(item.body.as_deref(), Some("body #d\n"));
        assert_eq!(item.source_key.as_deref(), Some("src/weekly-plan.md"));
        assert!(item.created_at.is_some());
    }

    #[test]
    fn a_note_has_its_links_attachments_and_aliases_and_anything_else_has_not() {
        let text = "---\naliases: [Plan B]\n---\n[[Other]] ![[a.png]]";
        let item = note(text).unwrap().item;
        let wanted = serde_json::json!({"path": "weekly-plan.md", "links": ["Other"], "attachments": ["a.png"], "aliases": ["Plan B"]});
        assert_eq!(Value::from(item.attributes), wanted);
        assert!(super::item(text, "x.md", &Common::of_tests("tasks")).unwrap().attributes.is_empty());
    }

    #[test]
    fn what_an_export_kept_goes_before_what_the_text_says() {
        let row = r#"{"title":"T","tags":["x"],"team":"core","created_at":"2026-01-02T03:04:05Z","attributes":{"path":null,"pinned":true}}"#;
        let item = note(&format!("---\ntitle: other\nmosaic-fed: {row}\n---\n#y")).unwrap().item;
        assert_eq!((item.title.as_str(), item.team.unwrap().as_str(), item.tags.len()), ("T", "core", 1));
        assert_eq!(Value::from(item.attributes), serde_json::json!({"pinned": true}));
        assert_eq!(item.created_at.unwrap().to_string(), "2026-01-02T03:04:05Z");
        let broken = note("---\ntitle: a\nmosaic-fed: {\n---\n").err().unwrap();
        assert!(broken.at == "weekly-plan.md:3" && broken.reason.contains("mosaic-fed"), "{broken:?}");
    }

    #[test]
    fn what_is_no_text_or_too_large_is_refused_with_a_reason() {
        assert!(note("a\0b").err().unwrap().reason.contains("NUL"));
        assert!(note(&"x".repeat(MAX_ITEM_BYTES + 1)).unwrap().item.check_size().is_err());
        assert!(note(&"x".repeat(MAX_FILE + 1)).err().unwrap().reason.contains("larger than 12582912 bytes"));
        assert!(note(&"x".repeat(MAX_ITEM_BYTES)).is_ok());
    }
}

//! A row as one line of JSON: what `export` writes and `import` reads. Every field of a row is named here, so that one that is
//! added cannot be forgotten on either way.

use super::Common;
use domain::{
    Time,
    id::{Project, Resource, Tag, TeamId},
    item::{Item, NewItem},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// One line. What is absent is said by the import, or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemLine {
    /// Which kind of row; `resource`, as rows call it at the door, is understood as well.
    #[serde(default, alias = "resource", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Resource>,
    /// One line.
    pub title: String,
    /// Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The owning team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// The project it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<Tag>,
    /// Typed attributes of its kind.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// What it is known by in its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_key: Option<String>,
}

impl From<Item> for ItemLine {
    /// Its id is its key: the same row of a later export is known again. Its owner is whoever imports it.
    fn from(item: Item) -> Self {
        let Item { id, resource, created_at, updated_at: _, title, body, team, project, owner: _, tags, attributes } =
            item;
        Self {
            kind: Some(resource),
            title: title.unwrap_or_default(),
            body,
            team,
            project,
            tags,
            attributes,
            created_at: Some(created_at),
            source_key: Some(id.to_string()),
        }
    }
}

impl ItemLine {
    /// The row to be written, completed with what all of an import have in common.
    pub fn completed(self, common: &Common) -> NewItem {
        let Self { kind, title, body, team, project, tags, attributes, created_at, source_key } = self;
        NewItem {
            resource: kind.unwrap_or_else(|| common.kind.clone()),
            title,
            body,
            team: team.or_else(|| common.team.clone()),
            project: project.or_else(|| common.project.clone()),
            tags,
            attributes,
            source_key,
            created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::reading::tests::rows_of, *};
    use domain::id::ItemId;
    use proptest::prelude::*;

    #[test]
    fn a_line_that_was_written_is_read_as_the_same_row() {
        let line = r#"{"kind":"tasks","title":"t","body":"b","team":"core","project":"house","tags":["a"],"attributes":{"status":"open"},"created_at":"2026-01-02T03:04:05Z","source_key":"k"}"#;
        let read: ItemLine = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), line);
        let item = read.completed(&Common::bare("notes".parse().unwrap()));
        let said = serde_json::to_value(item).unwrap().as_object().unwrap().clone();
        assert!(said.values().all(|value| !value.is_null()), "every field of a row has its place in a line: {said:?}");
        assert_eq!(
            serde_json::to_string(&ItemLine { kind: None, ..serde_json::from_str(r#"{"title":"t"}"#).unwrap() })
                .unwrap(),
            r#"{"title":"t"}"#
        );
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = "[^\u{0}]{0,20}";
        prop_oneof![
            text.prop_map(Value::from),
            prop::collection::vec(text, 0..4).prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
        ]
    }

    fn any_row() -> impl Strategy<Value = Item> {
        let label = || "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{1,20}";
        let words = ("[^\u{0}]{1,40}", prop::option::of("[^\u{0}]{0,80}"), prop::option::of(label()));
        let rest = (
            prop::option::of(label()),
            prop::collection::btree_set(label(), 0..4),
            prop::collection::btree_map("[a-z_]{1,9}", any_value(), 0..5),
        );
        (words, rest, 0_i64..4_000_000_000).prop_map(|((title, body, team), (project, tags, attributes), made)| Item {
            id: "11111111-1111-4111-8111-111111111111".parse::<ItemId>().unwrap(),
            resource: "memory".parse().unwrap(),
            created_at: Time::from_seconds(made),
            updated_at: Time::from_seconds(made),
            title: Some(title),
            body,
            team: team.and_then(|team| team.parse().ok()),
            project: project.and_then(|project| project.parse().ok()),
            owner: None,
            tags: tags.iter().filter_map(|tag| tag.parse().ok()).collect(),
            attributes: attributes.into_iter().collect(),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn any_row_that_is_exported_as_a_line_is_imported_as_it_was(row in any_row()) {
            let line = serde_json::to_string(&ItemLine::from(row.clone())).unwrap();
            let read = rows_of("x.jsonl", line.as_bytes(), "notes").0.remove(0).unwrap().item;
            prop_assert_eq!((Some(read.title), read.body), (row.title, row.body));
            prop_assert_eq!((read.team, read.project, read.tags), (row.team, row.project, row.tags));
            prop_assert_eq!((read.attributes, read.created_at), (row.attributes, Some(row.created_at)));
            prop_assert_eq!((read.resource, read.source_key), (row.resource, Some(format!("src/{}", row.id))));
        }
    }
}

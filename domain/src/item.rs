//! Rows: as the sharing side stores them, and as they travel.

use crate::{
    Time,
    id::{Field, ItemId, Name, Project, Resource, Tag, TeamId, UserId, WorkspaceId},
    page::Position,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The largest item, as [`NewItem::size`] counts it.
pub const MAX_ITEM_BYTES: usize = 1 << 20;

/// A row as it travels and is shown. Fields that a scope withholds are absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Which row.
    pub id: ItemId,
    /// Which kind of row.
    pub resource: Resource,
    /// When it was made; with `id` the order of lists.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The owning team; absent on a personal row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// The project it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
    /// The name of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Name>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<Tag>,
    /// Typed attributes of its kind.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

impl Item {
    /// Where a list goes on after this row.
    pub fn position(&self) -> Position {
        Position { created_at: self.created_at, id: self.id }
    }

    /// About how many bytes this row takes on the wire.
    pub fn size(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let attributes: usize = self.attributes.iter().map(|(name, value)| name.len() + value_size(value)).sum();
        96 + text(&self.title) + text(&self.body) + attributes + tags_size(&self.tags)
    }

    /// Removes every field that is not in `fields`.
    #[must_use]
    pub fn keep_only(mut self, fields: &BTreeSet<Field>) -> Self {
        let kept = |name: &str| fields.iter().any(|field| field.as_str() == name);
        self.title = self.title.filter(|_| kept("title"));
        self.body = self.body.filter(|_| kept("body"));
        self.team = self.team.filter(|_| kept("team"));
        self.project = self.project.filter(|_| kept("project"));
        self.owner = self.owner.filter(|_| kept("owner"));
        if !kept("tags") {
            self.tags.clear();
        }
        self.attributes.retain(|name, _| kept(name));
        self
    }
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 4,
        Value::Array(items) => items.iter().map(value_size).sum::<usize>() + 4,
        Value::Object(map) => map.iter().map(|(name, value)| name.len() + value_size(value)).sum::<usize>() + 4,
        // As long as a number is when it is written out.
        _ => 24,
    }
}

fn tags_size(tags: &BTreeSet<Tag>) -> usize {
    tags.iter().map(|tag| tag.as_str().len() + 2).sum()
}

/// Whose a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// An item: its team's, or without a team this user's alone.
    Of(UserId),
    /// An entry of the workspace's directory. Nobody's: it is listed.
    Listed {
        /// In these teams; only those that the reader may see.
        teams: BTreeSet<TeamId>,
        /// Whom it is about, where it is a person.
        person: Option<UserId>,
    },
}

/// A row with the columns that decide who may see it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredItem {
    /// Which workspace it lives in.
    pub workspace: WorkspaceId,
    /// Whose it is.
    pub whose: Whose,
    /// The rest; nothing withheld but the teams of a person, which depend on who reads.
    pub item: Item,
}

impl StoredItem {
    /// The row as it is shown to somebody who may see these teams; none stands for all that it is listed in.
    pub fn shown_in(self, seen: Option<&BTreeSet<TeamId>>) -> Item {
        let mut item = self.item;
        if let Whose::Listed { teams, person: Some(_) } = self.whose {
            let teams = teams.iter().filter(|team| seen.is_none_or(|seen| seen.contains(*team)));
            let teams = teams.map(|team| Value::from(team.as_str())).collect::<Vec<_>>();
            item.attributes.insert("teams".to_owned(), teams.into());
        }
        item
    }
}

/// A row to be written by a local person or importer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewItem {
    /// Which kind of row.
    pub resource: Resource,
    /// One line, not empty.
    pub title: String,
    /// Markdown.
    #[serde(default)]
    pub body: Option<String>,
    /// The owning team; absent for a personal row.
    #[serde(default)]
    pub team: Option<TeamId>,
    /// The project it belongs to.
    #[serde(default)]
    pub project: Option<Project>,
    /// Free labels.
    #[serde(default)]
    pub tags: BTreeSet<Tag>,
    /// Typed attributes of its kind.
    #[serde(default)]
    pub attributes: Map<String, Value>,
    /// Where an importer found it: the same key again updates the same row.
    #[serde(default)]
    pub source_key: Option<String>,
    /// When it was made, where the source knows; else the time of writing.
    #[serde(default)]
    pub created_at: Option<Time>,
}

/// A row that is larger than [`MAX_ITEM_BYTES`], by its title.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is larger than {MAX_ITEM_BYTES} bytes; shorten it or split it")]
pub struct TooLarge(String);

impl NewItem {
    /// Bytes of title, body, tags and attributes, counted as [`Item::size`] counts them. As JSON the whole is at most six times as
    /// long, and a few hundred bytes more besides its source key; on the wire at most three times.
    pub fn size(&self) -> usize {
        let attributes: usize = self.attributes.iter().map(|(name, value)| name.len() + value_size(value)).sum();
        self.title.len() + self.body.as_ref().map_or(0, String::len) + attributes + tags_size(&self.tags)
    }

    /// Its size, if that is small enough for a row.
    pub fn check_size(&self) -> Result<usize, TooLarge> {
        let title = || crate::audit::one_line(&self.title).chars().take(80).collect();
        Some(self.size()).filter(|size| *size <= MAX_ITEM_BYTES).ok_or_else(|| TooLarge(title()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn item(title: &str, body: Option<String>, tags: &BTreeSet<String>, attributes: &[(String, Value)]) -> NewItem {
        NewItem {
            resource: "tasks".parse().unwrap(),
            title: title.to_owned(),
            body,
            team: "t".repeat(63).parse().ok(),
            project: "p".parse().ok(),
            tags: tags.iter().filter_map(|tag| tag.parse().ok()).collect(),
            attributes: attributes.iter().cloned().collect(),
            source_key: None,
            created_at: Some(Time::from_seconds(1_790_000_000)),
        }
    }

    #[test]
    fn a_row_is_too_large_by_whatever_makes_it_so() {
        let text = "x".repeat(MAX_ITEM_BYTES);
        let tags: BTreeSet<_> = (0..MAX_ITEM_BYTES / 60).map(|number| format!("{number:0>61}")).collect();
        let none = BTreeSet::new();
        let just = item("", Some(text.clone()), &none, &[]);
        assert_eq!(just.check_size(), Ok(MAX_ITEM_BYTES));
        for large in [
            item("t", Some(text.clone()), &none, &[]),
            item("t", None, &none, &[("link".into(), Value::from(text))]),
            item("t", None, &tags, &[]),
        ] {
            let said = large.check_size().unwrap_err().to_string();
            assert_eq!(said, "`t` is larger than 1048576 bytes; shorten it or split it");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let list = prop::collection::vec("[\u{0}-\u{20}\"a]{0,3}", 0..9).prop_map(Value::from);
        prop_oneof!["[\u{0}-\u{30}\\\\é]{0,40}".prop_map(Value::from), any::<f64>().prop_map(|n| json!(n)), list]
    }

    proptest! {
        #[test]
        fn as_json_a_row_is_at_most_six_times_its_size(
            title in "[\u{0}-\u{30}é]{0,40}",
            body in prop::option::of("[\u{0}-\u{30}\\\\]{0,200}"),
            tags in prop::collection::btree_set("[a\"\\\\é]{1,2}", 0..40),
            attributes in prop::collection::vec(("[a-c\u{1}]{1,3}", any_value()), 0..6),
        ) {
            let item = item(&title, body, &tags, &attributes);
            let json = serde_json::to_string(&item).unwrap();
            prop_assert!(json.len() <= 6 * item.size() + 400, "{} of {json}", item.size());
        }
    }
}

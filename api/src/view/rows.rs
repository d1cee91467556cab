//! Rows: questions about them, and writing them.

use crate::shape;
use domain::{
    id::{ItemId, Resource, TeamId},
    item::NewItem,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Asks for many rows, in the query string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a query string, each by itself")]
pub struct ListQuestion {
    /// `all`, or names of sources with commas between: `here,work`. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Rows on one page, 1 to 10,000. Default: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Whether rows carry their body.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub body: bool,
    /// Where a former page ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Whether to fail unless every source answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// Whether to answer with [`domain::answer::Step`]s as they arrive, one JSON value a line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
    /// Whether to ask links also where what they answered less than half a minute ago is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
}

/// Asks for one row, in the query string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetQuestion {
    /// As in [`ListQuestion::from`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// As in [`ListQuestion::fresh`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// Whether to fail unless the row is found or every source answers; for the beginning of an id, unless every source answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

/// Rows to be written as the caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemsOrder {
    /// At most 500 of them, in a body of at most 8 MiB.
    #[schemars(with = "Vec<shape::NewItem>")]
    pub items: Vec<NewItem>,
    /// Whether to write nothing, and only say what would become of each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check: bool,
}

/// Asks about the rows of a source, in the query string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceQuestion {
    /// What their keys begin with, up to a `/`.
    pub source: String,
}

/// Asks about some of the rows of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceKeys {
    /// What their keys begin with, up to a `/`.
    pub source: String,
    /// Their keys, at most 500; of those that no row has nothing is counted.
    pub keys: Vec<String>,
}

/// Asks whether rows that are to come from a source are here from another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlikeQuestion {
    /// What their keys begin with, up to a `/`.
    pub source: String,
    /// The rows, at most 500.
    pub rows: Vec<AlikeRow>,
}

/// What tells a row that comes from another source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlikeRow {
    /// Which kind of row.
    #[schemars(with = "shape::Kind")]
    pub resource: Resource,
    /// One line.
    pub title: String,
    /// Its key, which begins with the source.
    pub source_key: String,
}

impl AlikeRow {
    /// What the store compares; nothing where the key is not one of the source.
    pub(crate) fn of(self, source: &str) -> Option<store::Alike> {
        let Self { resource, title, source_key } = self;
        let key_end = source_key.strip_prefix(source).filter(|end| end.starts_with('/'))?.to_owned();
        Some(store::Alike { resource, title, key_end })
    }
}

/// Another source with rows of the caller's that are like those asked about: of the same kind and title, under the same rest of the
/// key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlikeSource {
    /// What the keys of its rows begin with.
    pub source: String,
    /// How many they are.
    pub rows: u64,
}

/// What is known of a source, or of some of its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceEntry {
    /// The rows of it that the caller wrote.
    pub rows: u64,
    /// How many of them are the caller's alone.
    pub personal: u64,
    /// How many of them are in which team.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub teams: BTreeMap<TeamId, u64>,
}

impl From<BTreeMap<Option<TeamId>, u64>> for SourceEntry {
    fn from(mut teams: BTreeMap<Option<TeamId>, u64>) -> Self {
        let (rows, personal) = (teams.values().sum(), teams.remove(&None).unwrap_or(0));
        Self { rows, personal, teams: teams.into_iter().filter_map(|(team, rows)| Some((team?, rows))).collect() }
    }
}

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PutVerdict {
    /// A new row.
    Added,
    /// The same source's row, changed.
    Updated,
    /// The same source's row, as it was.
    Unchanged,
    /// Not written.
    Refused,
}

/// What became of one row, in the order they were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// What became of it.
    pub verdict: PutVerdict,
    /// Which row it is now; none for a row that a check would add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Id>")]
    pub id: Option<ItemId>,
    /// Why it was refused, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<store::Put> for Written {
    fn from(put: store::Put) -> Self {
        let done = |verdict, id| Self { verdict, id, reason: None };
        match put {
            store::Put::Added(id) => done(PutVerdict::Added, id),
            store::Put::Updated(id) => done(PutVerdict::Updated, id),
            store::Put::Unchanged(id) => done(PutVerdict::Unchanged, id),
            store::Put::Refused(reason) => Self { verdict: PutVerdict::Refused, id: None, reason: Some(reason) },
        }
    }
}

//! Rows, asked for and written.

use super::{Id, Kind, Label, Name, Time};
use schemars::JsonSchema;
use serde_json::{Map, Value};

/// How one source ended.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each word is said in docs/cli.md")]
pub enum Outcome {
    Ok,
    Partial,
    Denied,
    Revoked,
    RateLimited,
    Timeout,
    Offline,
    Error,
}

/// A row as it travels and is shown. Fields that a scope withholds are absent.
#[derive(JsonSchema)]
pub struct Item {
    /// Which row.
    pub id: Id,
    /// Which kind of row.
    pub resource: Kind,
    /// When it was made; with `id` the order of lists.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// One line.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Markdown.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The owning team; absent on a personal row.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub team: Option<Label>,
    /// The project it belongs to.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub project: Option<Label>,
    /// The name of its owner.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Name>,
    /// Free labels.
    #[schemars(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Label>,
    /// Typed attributes of its kind, as docs/kinds.md lists them.
    #[schemars(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

/// A row with where and when it was read.
#[derive(JsonSchema)]
pub struct Row {
    /// `here`, or the link's name.
    #[schemars(rename = "_source")]
    pub source: String,
    /// When the source read it.
    #[schemars(rename = "_as_of")]
    pub as_of: Time,
    /// Whether it came on a later page than its order asks for, because its source was late.
    #[schemars(rename = "_late", default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Whether it is of an answer that the source gave a moment ago and that was kept; `_as_of` says when it was read there.
    #[schemars(rename = "_cached", default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// The row.
    #[schemars(flatten)]
    pub item: Item,
}

/// How one source of an answer ended.
#[derive(JsonSchema)]
pub struct SourceOutcome {
    /// `here`, or the link's name.
    pub source: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Cause and next step, for every outcome but `ok`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Rows it gave to this answer.
    pub rows: u64,
    /// Whether it has more rows than it was asked for.
    pub truncated: bool,
    /// Milliseconds until it ended.
    pub took_ms: u64,
    /// When trying again can help, in milliseconds.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Of a link that waits to be let in: the words that the other side's owner has yet to be told.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// How many fields of this kind of row the link's grant keeps back, by what the other side said last of the grant. Absent where it did not
    /// say, and of this instance's own rows. Never anything about rows that are not shown.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<u32>,
    /// Calls that the grant had left after this one, as the other side says. Absent where it does not say.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub calls_left: Option<u32>,
}

/// A merged answer, ordered from newest to oldest.
#[derive(JsonSchema)]
pub struct Page {
    /// Rows of every source that answered in time.
    pub rows: Vec<Row>,
    /// How every source that was asked ended.
    pub sources: Vec<SourceOutcome>,
    /// Continues this answer; absent when every source came to its end.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Whether this page has what it can have; a later page says it of the sources that it asked.
    #[schemars(flatten)]
    pub verdict: Verdict,
}

/// Whether an answer is whole: every source that was asked came to its end. That more rows follow on another page takes nothing from it.
#[derive(JsonSchema)]
pub struct Verdict {
    /// Whether nothing is missing.
    pub complete: bool,
    /// What is missing, in one sentence.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// One row of one source, with how that source ended.
#[derive(JsonSchema)]
pub struct One {
    /// The row, where the source had it and may show it.
    pub row: Option<Row>,
    /// Of a row of a link that came without title or body: the fields of its kind that the grant keeps back, as the other side
    /// says. Absent where it was not asked, or does not say.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Vec<String>>,
    /// How the sources that were asked ended.
    pub sources: Vec<SourceOutcome>,
    /// Whether somebody who did not answer may have it.
    #[schemars(flatten)]
    pub verdict: Verdict,
}

/// One step of a streamed answer.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Step {
    /// A row.
    Row(Box<Row>),
    /// A source ended.
    End(SourceOutcome),
    /// Every source ended: the last step. A stream without it was cut off.
    Verdict(Verdict),
}

/// A row to be written.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct NewItem {
    /// Which kind of row.
    pub resource: Kind,
    /// One line, not empty.
    pub title: String,
    /// Markdown.
    pub body: Option<String>,
    /// The owning team; absent for a personal row.
    pub team: Option<Label>,
    /// The project it belongs to.
    pub project: Option<Label>,
    /// Free labels.
    #[schemars(default)]
    pub tags: Vec<Label>,
    /// Typed attributes of its kind.
    #[schemars(default)]
    pub attributes: Map<String, Value>,
    /// Where an importer found it: the same key again updates the same row.
    pub source_key: Option<String>,
    /// When it was made, where the source knows; else the time of writing.
    pub created_at: Option<Time>,
}

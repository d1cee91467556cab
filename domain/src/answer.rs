//! What an asking side tells its person: rows with their source, and how every source that was asked ended.

use crate::{
    Time,
    id::{Field, Name},
    item::Item,
};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// How one source ended. The wire's `Outcome` has the same names; a test holds the two equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every row asked for, up to the limit, arrived.
    Ok,
    /// Rows arrived, but the source stopped before its end.
    Partial,
    /// The grant does not allow this question.
    Denied,
    /// The other side no longer accepts this link.
    Revoked,
    /// The grant's or the peer's limit is used up.
    RateLimited,
    /// The link was established, but no answer came within the deadline.
    Timeout,
    /// No link could be established.
    Offline,
    /// The other side cannot serve, or answered nonsense.
    Error,
}

impl Outcome {
    /// Every outcome, in the wire's order.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Partial,
        Self::Denied,
        Self::Revoked,
        Self::RateLimited,
        Self::Timeout,
        Self::Offline,
        Self::Error,
    ];

    /// The word people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Denied => "denied",
            Self::Revoked => "revoked",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::Offline => "offline",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A row with where and when it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `here`, or the link's name.
    #[serde(rename = "_source")]
    pub source: String,
    /// When the source read it.
    #[serde(rename = "_as_of")]
    pub as_of: Time,
    /// Whether it came on a later page than its order asks for, because its source was late.
    #[serde(rename = "_late", default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Whether it is of an answer that the source gave a moment ago and that was kept; `_as_of` says when it was read there.
    #[serde(rename = "_cached", default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// The row.
    #[serde(flatten)]
    pub item: Item,
}

/// The name of the instance's own rows among the sources.
pub const HERE: &str = "here";

/// How one source of an answer ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceOutcome {
    /// `here`, or the link's name.
    pub source: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Cause and next step, for every outcome but `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Rows it gave to this answer.
    pub rows: u64,
    /// Whether it has more rows than it was asked for.
    pub truncated: bool,
    /// Milliseconds until it ended.
    pub took_ms: u64,
    /// When trying again can help, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Of a link that waits to be let in: the words that the other side's owner has yet to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

impl SourceOutcome {
    /// An outcome without rows.
    pub fn empty(source: &str, outcome: Outcome, reason: impl Into<String>, took: Duration) -> Self {
        let reason = reason.into();
        Self {
            source: source.to_owned(),
            outcome,
            reason: (!reason.is_empty()).then_some(reason),
            rows: 0,
            truncated: false,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            retry_after_ms: None,
            words: None,
        }
    }
}

/// A merged answer, ordered from newest to oldest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Rows of every source that answered in time.
    pub rows: Vec<Row>,
    /// How every source that was asked ended.
    pub sources: Vec<SourceOutcome>,
    /// Continues this answer; absent when every source came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One row of one source, with how that source ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct One {
    /// The row, where the source had it and may show it.
    pub row: Option<Row>,
    /// Of a row of a link that came without title or body: the fields of its kind that the grant keeps back, as the other side
    /// says. Absent where it was not asked, or does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Vec<Field>>,
    /// How the sources that were asked ended.
    pub sources: Vec<SourceOutcome>,
}

/// One step of a streamed answer: rows in arrival order, outcomes as sources end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A row.
    Row(Box<Row>),
    /// A source ended.
    End(SourceOutcome),
}

/// A link or grant name that stays free for links.
pub fn may_name_a_link(name: &Name) -> bool {
    !matches!(name.as_str(), HERE | "all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_knows_exactly_these_outcomes_in_this_order() {
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            let wire = proto::v1::Outcome::try_from(i32::try_from(at).unwrap() + 1).unwrap();
            assert_eq!(wire.as_str_name(), format!("OUTCOME_{}", outcome.word().to_uppercase()));
        }
        assert!(proto::v1::Outcome::try_from(i32::try_from(Outcome::ALL.len()).unwrap() + 1).is_err());
    }
}

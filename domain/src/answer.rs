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

    /// Whether there are rows, or the word that there are none.
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::Ok | Self::Partial)
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
    /// How many fields of this kind of row the link's grant keeps back, by what the other side said last of the grant. Absent where it did not
    /// say, and of this instance's own rows. Never anything about rows that are not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<u32>,
    /// Calls that the grant had left after this one, as the other side says. Absent where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_left: Option<u32>,
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
            withheld: None,
            calls_left: None,
        }
    }

    /// Why it ended so, and when trying again can help.
    pub fn why(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason given");
        self.retry_after_ms.map_or_else(|| reason.to_owned(), |wait| format!("{reason}; {}", again_in(wait)))
    }
}

/// When trying again can help, for people.
pub fn again_in(wait_ms: u64) -> String {
    format!("try again in {} s", wait_ms.div_ceil(1_000))
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
    /// Whether this page has what it can have; a later page says it of the sources that it asked.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Whether an answer is whole: every source that was asked came to its end. That more rows follow on another page takes nothing from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether nothing is missing.
    pub complete: bool,
    /// What is missing, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

impl Verdict {
    /// Of an answer out of sources that ended so.
    pub fn of(sources: &[SourceOutcome]) -> Self {
        Self::of_asked(sources.iter().map(|source| source.source.as_str()), sources)
    }

    /// The same where not every source that was asked has to have ended.
    pub fn of_asked<'a>(asked: impl Iterator<Item = &'a str>, sources: &'a [SourceOutcome]) -> Self {
        let ended = |name: &str| sources.iter().any(|source| source.source == name);
        let open = asked.filter(|name| !ended(name)).map(|name| format!("{name} (not asked to its end)"));
        let silent = sources.iter().filter(|source| !matches!(source.outcome, Outcome::Ok | Outcome::Partial));
        let silent: Vec<_> = silent.map(told).chain(open).collect();
        let cut: Vec<_> = sources.iter().filter(|source| source.outcome == Outcome::Partial).map(told).collect();
        let silent = (!silent.is_empty()).then(|| format!("the rows of {} are missing", listed(&silent)));
        let cut = (!cut.is_empty()).then(|| format!("the last rows of {} are missing", listed(&cut)));
        let missing: Vec<_> = silent.into_iter().chain(cut).collect();
        Self { complete: missing.is_empty(), missing: (!missing.is_empty()).then(|| missing.join(", and ")) }
    }

    /// Of one row: once it is there nothing is missing, whoever else did not answer.
    pub fn of_one(found: bool, sources: &[SourceOutcome]) -> Self {
        if found { Self::of(&[]) } else { Self::of(sources) }
    }
}

fn told(source: &SourceOutcome) -> String {
    match source.words {
        Some(_) => format!("{} (waits to be let in)", source.source),
        None => format!("{} ({})", source.source, source.outcome),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        names => names.concat(),
    }
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
    /// Whether somebody who did not answer may have it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// One step of a streamed answer: rows in arrival order, outcomes as sources end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A row.
    Row(Box<Row>),
    /// A source ended.
    End(SourceOutcome),
    /// Every source ended: the last step. A stream without it was cut off.
    Verdict(Verdict),
}

/// A link or grant name that stays free for links.
pub fn may_name_a_link(name: &Name) -> bool {
    !matches!(name.as_str(), HERE | "all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_only_where_every_source_that_was_asked_came_to_its_end() {
        let end = |name: &str, outcome| SourceOutcome::empty(name, outcome, "", Duration::ZERO);
        let here = end(HERE, Outcome::Ok);
        let more = SourceOutcome { truncated: true, ..end("work", Outcome::Ok) };
        assert_eq!(Verdict::of(&[here.clone(), more]), Verdict { complete: true, missing: None });
        let missing = |sources: &[SourceOutcome]| {
            let verdict = Verdict::of(sources);
            assert!(!verdict.complete);
            verdict.missing.unwrap()
        };
        for outcome in Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Ok) {
            let rows = if outcome == Outcome::Partial { "the last rows of" } else { "the rows of" };
            let said = missing(&[here.clone(), end("work", outcome)]);
            assert_eq!(said, format!("{rows} work ({outcome}) are missing"));
        }
        let waits = SourceOutcome { words: Some("a b c d".to_owned()), ..end("new", Outcome::Denied) };
        let all = [end("work", Outcome::Offline), end("lab", Outcome::Partial), waits];
        assert_eq!(
            missing(&all),
            "the rows of work (offline) and new (waits to be let in) are missing, and the last rows of lab (partial) are missing"
        );
        let stopped = Verdict::of_asked([HERE, "work"].into_iter(), std::slice::from_ref(&here));
        assert_eq!(stopped.missing.unwrap(), "the rows of work (not asked to its end) are missing");
        assert!(Verdict::of_one(true, &all).complete && !Verdict::of_one(false, &all).complete);
        assert!(Verdict::of_one(false, &[here]).complete, "that nobody has it is an answer");
    }

    #[test]
    fn the_wire_knows_exactly_these_outcomes_in_this_order() {
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            let wire = proto::v1::Outcome::try_from(i32::try_from(at).unwrap() + 1).unwrap();
            assert_eq!(wire.as_str_name(), format!("OUTCOME_{}", outcome.word().to_uppercase()));
        }
        assert!(proto::v1::Outcome::try_from(i32::try_from(Outcome::ALL.len()).unwrap() + 1).is_err());
    }
}

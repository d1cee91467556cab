//! What an import tells at its end: counts, what was not taken and why, and remarks about what was read in part. The counts
//! of a check say what an import would have done.

use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Refusals that are told at most; further ones are counted.
const MAX_TOLD: usize = 1_000;

/// Refusals for the same reason that have a line each; more have one together.
const MAX_ALIKE: usize = 3;

/// What was not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refused {
    /// `file`, `file:line` or `file:item`.
    pub at: String,
    /// Cause and next step.
    pub reason: String,
}

/// What an import did, or a check found.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "Imported")]
pub struct Report {
    /// Whether nothing was written: the counts say what would be.
    pub check: bool,
    /// Rows found in the files, taken or not.
    pub read: u64,
    /// New rows.
    pub added: u64,
    /// Rows of the same source whose content differed.
    pub updated: u64,
    /// Rows of the same source and content.
    pub unchanged: u64,
    /// Of a check: rows of this source that are here and no longer in it, or were refused. They stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<u64>,
    /// Series of which only the occurrences before the horizon were taken.
    pub cut_series: u64,
    /// What was read in part, each thing once.
    pub remarks: Vec<String>,
    /// What was not taken, the first thousand.
    pub refused: Vec<Refused>,
    /// How many more were not taken.
    pub further_refused: u64,
}

impl Report {
    /// One more that was not taken.
    pub fn refuse(&mut self, refused: Refused) {
        self.read += 1;
        if self.refused.len() < MAX_TOLD {
            self.refused.push(refused);
        } else {
            self.further_refused += 1;
        }
    }

    /// What was not taken, a line each; what was refused for one and the same reason again and again is one line.
    pub fn refusals(&self) -> impl Iterator<Item = String> {
        let mut alike = HashMap::<&str, usize>::new();
        for one in &self.refused {
            *alike.entry(&one.reason).or_default() += 1;
        }
        let told = self.refused.iter().filter_map(move |one| {
            let count = alike.get_mut(one.reason.as_str())?;
            let others = match std::mem::take(count) {
                0 => return None,
                many if many > MAX_ALIKE => format!(" and {} more", many - 1),
                few => {
                    // Each has its own line; the last of them takes the reason out.
                    *count = few - 1;
                    String::new()
                }
            };
            Some(format!("refused {}{others}: {}", one.at, one.reason))
        });
        let further = Some(self.further_refused).filter(|further| *further > 0);
        told.chain(further.map(|further| format!("{further} more were refused; mend these first, and import again")))
    }

    /// Whether rows were refused for a team that there is not for whoever imports them.
    pub fn lacks_team(&self) -> bool {
        self.refused.iter().any(|one| one.reason.starts_with("there is no team `"))
    }

    /// Whether rows were written, or would be.
    pub fn changes(&self) -> bool {
        self.added + self.updated > 0
    }

    /// The counts in one line.
    pub fn line(&self) -> String {
        let Self { read, added, updated, unchanged, refused, further_refused, .. } = self;
        let refused = refused.len() as u64 + further_refused;
        if self.check {
            let gone =
                self.gone.filter(|gone| *gone > 0).map(|gone| format!("; no longer in the source, and kept: {gone}"));
            return format!(
                "{read} read: {added} would be added, {updated} would be updated, {unchanged} unchanged, {refused} refused{}",
                gone.unwrap_or_default()
            );
        }
        format!("{read} read: {added} added, {updated} updated, {unchanged} unchanged, {refused} refused")
    }
}

/// Names of things left out that are told.
const MAX_THINGS: usize = 100;

/// What formats leave out or read in part, counted over all files so that each thing is told once.
#[derive(Debug, Default)]
pub struct Tally {
    /// Fields of Taskwarrior that no attribute stands for, with how many tasks have them.
    pub unknown_fields: BTreeMap<String, u64>,
    /// Keys of front matter that nothing is made of, with how many notes have them.
    pub unknown_keys: BTreeMap<String, u64>,
    /// Components of calendars that no row is made of, with how many there are.
    pub other_components: BTreeMap<String, u64>,
    /// Times of calendars that name no zone.
    pub floating: u64,
    /// Changes to a whole rest of a series, taken as one to a single occurrence.
    pub ranges: u64,
    /// Series that go on after the horizon.
    pub cut: u64,
}

impl Tally {
    /// One more of a thing. Files may name things without end, and nobody reads on for so long.
    pub fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
        if counts.len() < MAX_THINGS || counts.contains_key(name) {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// What is to be said, one thing a line. `zone` is how times without one were read.
    pub fn remarks(&self, horizon: &str, zone: &str) -> Vec<String> {
        let mut said = Vec::new();
        if !self.unknown_fields.is_empty() {
            let fields = listed(&self.unknown_fields);
            said.push(format!("fields of tasks that no attribute stands for, left out: {fields}"));
        }
        if !self.unknown_keys.is_empty() {
            let keys = listed(&self.unknown_keys);
            said.push(format!("keys of front matter that nothing is made of, left out: {keys}"));
        }
        if !self.other_components.is_empty() {
            said.push(format!("components that no row is made of, left out: {}", listed(&self.other_components)));
        }
        if self.floating > 0 {
            let times = self.floating;
            said.push(format!("times without a zone: {times}, read as {zone}; --time-zone NAME says another"));
        }
        if self.ranges > 0 {
            let ranges = self.ranges;
            said.push(format!("changes to an occurrence and all after it: {ranges}, taken for that occurrence alone"));
        }
        if self.cut > 0 {
            said.push(format!("series that go on after {horizon}: {}; --until DAY says another day", self.cut));
        }
        said
    }
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let said: Vec<_> = counts.iter().map(|(name, count)| format!("{name} ({count})")).collect();
    domain::say::named(said.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_again_and_again_for_one_reason_is_told_once_with_its_count() {
        let told = |count: usize| {
            let mut report = Report::default();
            for number in 1..=count {
                report.refuse(Refused { at: format!("x:{number}"), reason: "no team".to_owned() });
            }
            report.refuse(Refused { at: "y:1".to_owned(), reason: "broken".to_owned() });
            report.refusals().collect::<Vec<_>>()
        };
        assert_eq!(told(69), ["refused x:1 and 68 more: no team", "refused y:1: broken"]);
        assert_eq!(told(3).len(), 4, "{:?}", told(3));
    }

    #[test]
    fn past_a_thousand_refusals_are_counted() {
        let mut report = Report::default();
        for number in 0..1_003 {
            report.refuse(Refused { at: format!("x:{number}"), reason: format!("no row {number}") });
        }
        assert_eq!((report.refused.len(), report.further_refused, report.refusals().count()), (1_000, 3, 1_001));
        assert!(report.refusals().last().unwrap().starts_with("3 more were refused; "));
        assert_eq!(report.line(), "1003 read: 0 added, 0 updated, 0 unchanged, 1003 refused");
    }
}

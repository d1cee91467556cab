//! Rows as a company has them: several teams, projects, tags of very different frequency, bodies of 0 to 4 kB, dates over three
//! years. The same seed makes the same rows.

use domain::{
    Time,
    id::{Resource, TeamId},
    item::NewItem,
    world::{Rng, SeededRng},
};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Teams that rows belong to.
pub const TEAMS: [&str; 4] = ["platform", "customers", "research", "finance"];
/// On one row of [`RARE_EVERY`].
pub const RARE_TAG: &str = "incident-review";
/// How rare the rare tag is.
pub const RARE_EVERY: u64 = 500;
/// The span over which rows were made.
const SPAN: Duration = Duration::from_hours(3 * 365 * 24);

const VERBS: [&str; 8] = ["Check", "Renew", "Write up", "Migrate", "Call about", "Plan", "Review", "Clean up"];
const THINGS: [&str; 12] = [
    "the backups",
    "the customer portal",
    "certificates",
    "the quarterly report",
    "rack 7",
    "the onboarding",
    "refunds",
    "the mail gateway",
    "invoices",
    "the search index",
    "the release",
    "access rights",
];
const TAGS: [&str; 12] = [
    "ops", "customer", "billing", "security", "release", "docs", "legal", "hiring", "network", "design", "urgent",
    "later",
];
const WORDS: &str = "The nightly run took longer than usual because one volume was nearly full; it was enlarged and the run \
                     repeated. Nobody was affected. Before the next release somebody should look at the alert, which came late. ";

/// Makes rows.
pub struct Rows {
    seed: u64,
    count: u64,
    now: Time,
}

/// Chance of one row, whatever other rows were made before it.
struct Dice(SeededRng);

impl Rows {
    /// `count` rows, the last of which was made at `now`.
    pub fn new(seed: u64, count: u64, now: Time) -> Self {
        Self { seed, count, now }
    }

    /// When the `n`th row, counted from the oldest, was made.
    pub fn made(&self, n: u64) -> Time {
        let share = u32::try_from(self.count.max(1)).unwrap_or(u32::MAX);
        let before = u32::try_from(self.count.saturating_sub(n + 1)).unwrap_or(u32::MAX);
        self.now.before(SPAN / share * before)
    }

    /// The `n`th row.
    pub fn row(&self, n: u64) -> anyhow::Result<NewItem> {
        let dice = Dice(SeededRng::new(self.seed.wrapping_add(n)));
        let note = dice.below(10) < 2;
        let title = format!("{} {} ({n})", dice.one(&VERBS), dice.one(&THINGS));
        let rare = n.is_multiple_of(RARE_EVERY).then_some(RARE_TAG);
        Ok(NewItem {
            resource: (if note { "notes" } else { "tasks" }).parse::<Resource>()?,
            title,
            body: dice.body(),
            team: dice.team()?,
            project: (dice.below(3) > 0).then(|| format!("project-{}", dice.below(40)).parse()).transpose()?,
            tags: dice.tags().into_iter().chain(rare).map(str::parse).collect::<Result<_, _>>()?,
            attributes: if note { Map::new() } else { dice.attributes() },
            source_key: None,
            created_at: Some(self.made(n)),
        })
    }
}

impl Dice {
    /// One row of ten is personal.
    fn team(&self) -> anyhow::Result<Option<TeamId>> {
        if self.below(10) == 0 {
            return Ok(None);
        }
        Ok(Some(self.one(&TEAMS).parse()?))
    }

    /// Nothing for a third of the rows, else up to 4 kB, short ones more often.
    fn body(&self) -> Option<String> {
        if self.below(3) == 0 {
            return None;
        }
        let length = self.below(64) * self.below(64);
        Some(WORDS.chars().cycle().take(length).collect())
    }

    fn tags(&self) -> Vec<&'static str> {
        (0..self.below(4)).map(|_| self.one(&TAGS)).collect()
    }

    fn attributes(&self) -> Map<String, Value> {
        let status = self.one(&["open", "doing", "waiting", "done", "done", "done"]);
        let priority = self.one(&["low", "normal", "normal", "high"]);
        let attributes = [("status", json!(status)), ("priority", json!(priority)), ("estimate_minutes", json!(30))];
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn one(&self, of: &[&'static str]) -> &'static str {
        of.get(self.below(of.len())).copied().unwrap_or_default()
    }

    fn below(&self, end: usize) -> usize {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        usize::try_from(u32::from_be_bytes(bytes)).unwrap_or_default() % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u64) -> Vec<NewItem> {
        let rows = Rows::new(7, count, Time::from_seconds(1_795_000_000));
        (0..count).map(|n| rows.row(n).unwrap()).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_rows() {
        assert_eq!(rows(50), rows(50));
    }

    #[test]
    fn rows_are_of_every_team_and_of_nobody_s_and_never_too_large() {
        let rows = rows(2_000);
        for team in TEAMS {
            assert!(rows.iter().any(|row| row.team.as_ref().is_some_and(|of| of.as_str() == team)), "{team}");
        }
        assert!(rows.iter().any(|row| row.team.is_none()));
        let longest = rows.iter().filter_map(|row| row.body.as_ref()).map(String::len).max().unwrap();
        assert!((2_000..=4_096).contains(&longest), "{longest}");
        let rare = rows.iter().filter(|row| row.tags.iter().any(|tag| tag.as_str() == RARE_TAG)).count();
        assert_eq!(rare, 4);
    }

    #[test]
    fn later_rows_are_newer_and_the_last_is_of_now() {
        let rows = rows(300);
        assert!(rows.windows(2).all(|pair| pair[0].created_at < pair[1].created_at));
        assert_eq!(rows[299].created_at, Some(Time::from_seconds(1_795_000_000)));
    }
}

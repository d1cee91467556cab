//! Calls under load. Six variants that differ by one thing each, so that their differences are the price of that thing.

use super::{Doors, Sharing};
use crate::{
    load::{Ask, Client, Slot, Stretch, run},
    plan::order,
    statistics::Spread,
    words::{Commits, Order},
};
use anyhow::{Context, Result};
use prost::Message;
use proto::v1::{ListRequest, ListResponse};
use std::{collections::BTreeMap, time::Duration};

/// Rows of an answer.
pub const ROWS: u32 = 50;
/// Before each slot counts.
pub const WARM: Duration = Duration::from_millis(300);
/// How long single rows are committed in each round, for each second of a slot.
const COMMITS: u32 = 3;

/// One variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// The floor, a word.
    Hello,
    /// The road without a log, Capabilities.
    Gates,
    /// The road, Capabilities.
    Recorded,
    /// The floor, the same 50 rows each time.
    Canned,
    /// The road without a log, a List of 50 rows.
    Rows,
    /// The road, a List of 50 rows.
    RecordedRows,
}

impl Variant {
    /// Every variant.
    pub const ALL: [Self; 6] = [Self::Hello, Self::Gates, Self::Recorded, Self::Canned, Self::Rows, Self::RecordedRows];

    /// What it is.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "floor: hello",
            Self::Gates => "Capabilities, log off",
            Self::Recorded => "Capabilities, durable",
            Self::Canned => "floor: 50 canned rows",
            Self::Rows => "List 50, log off",
            Self::RecordedRows => "List 50, durable",
        }
    }

    /// The floor that it is compared with.
    pub const fn floor(self) -> Self {
        match self {
            Self::Hello | Self::Gates | Self::Recorded => Self::Hello,
            Self::Canned | Self::Rows | Self::RecordedRows => Self::Canned,
        }
    }

    /// What is asked.
    pub fn ask(self) -> Ask {
        match self.floor() {
            Self::Hello => Ask::Hello,
            _ => Ask::tasks(ROWS),
        }
    }

    /// Whom.
    pub fn door(self, doors: &Doors) -> &[Client] {
        match self {
            Self::Hello | Self::Canned => &doors.floor,
            Self::Gates | Self::Rows => &doors.unrecorded,
            Self::Recorded | Self::RecordedRows => &doors.recorded,
        }
    }
}

/// Every slot, by variant and callers, in the order of the rounds; and what the disk allowed in each round.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// The slots.
    pub slots: BTreeMap<(usize, Variant), Vec<Slot>>,
    /// The disk, once a round.
    pub commits: Vec<Commits>,
}

impl Calls {
    /// The spread of one figure of a variant over the rounds.
    pub fn spread(&self, callers: usize, variant: Variant, figure: fn(&Slot) -> f64) -> Option<Spread> {
        Spread::of(self.values(callers, variant, figure))
    }

    /// The spread of the ratios of two variants' figures, round by round.
    pub fn ratio(&self, callers: usize, over: Variant, under: Variant, figure: fn(&Slot) -> f64) -> Option<Spread> {
        Spread::of_ratios(&self.values(callers, over, figure), &self.values(callers, under, figure))
    }

    /// The rate of a variant over the rate of single commits, round by round.
    pub fn over_commits(&self, callers: usize, variant: Variant) -> Option<Spread> {
        let commits: Vec<_> = self.commits.iter().map(|commits| commits.per_second).collect();
        Spread::of_ratios(&self.values(callers, variant, |slot| slot.rate), &commits)
    }

    /// The figure in each round.
    fn values(&self, callers: usize, variant: Variant, figure: fn(&Slot) -> f64) -> Vec<f64> {
        self.slots.get(&(callers, variant)).into_iter().flatten().map(figure).collect()
    }
}

/// Measures all variants with each number of callers, `rounds` times.
pub async fn measure(
    sharing: &mut Sharing,
    doors: &Doors,
    callers: &[usize],
    (rounds, long): (usize, Duration),
    tell: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Calls> {
    can(sharing, doors).await?;
    let (mut calls, meter, stretch) = (Calls::default(), sharing.meter(), Stretch { warm: WARM, long });
    for round in 0..rounds {
        calls.commits.push(commits(sharing, long).await?);
        for number in callers {
            for at in order(round, Variant::ALL.len()) {
                let Some(variant) = Variant::ALL.get(at).copied() else { continue };
                let slot = run(variant.door(doors), &variant.ask(), *number, stretch, meter).await;
                let slot = slot.with_context(|| format!("{} with {number} callers", variant.name()))?;
                calls.slots.entry((*number, variant)).or_default().push(slot);
            }
            tell(&format!("calls: round {} of {rounds}, {number} callers", round + 1))?;
        }
    }
    Ok(calls)
}

/// Gives the floor the very rows that the road answers with.
async fn can(sharing: &mut Sharing, doors: &Doors) -> Result<()> {
    let mut client = doors.recorded.first().context("no connection")?.clone();
    let request = ListRequest { resource: "tasks".to_owned(), limit: ROWS, ..ListRequest::default() };
    let answer: Option<ListResponse> = client.list(request).await?.into_inner().message().await?;
    let answer = answer.context("the instance answers no rows")?;
    anyhow::ensure!(answer.items.len() == 50, "the instance has fewer than {ROWS} rows to share");
    sharing.done(&Order::Canned(hex::encode(answer.encode_to_vec()))).await
}

async fn commits(sharing: &mut Sharing, long: Duration) -> Result<Commits> {
    sharing.commits((long / COMMITS).max(Duration::from_millis(50))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(rate: f64) -> Slot {
        Slot { rate, p50: 1.0, p99: 1.0, server: 1.0, postgres: 0.0 }
    }

    #[test]
    fn a_ratio_pairs_the_rounds_of_two_variants() {
        let mut calls = Calls::default();
        calls.slots.insert((64, Variant::Hello), vec![slot(100.0), slot(50.0)]);
        calls.slots.insert((64, Variant::Recorded), vec![slot(30.0), slot(20.0)]);
        calls.commits = vec![Commits { per_second: 3.0, sync: 1 }, Commits { per_second: 4.0, sync: 1 }];
        let ratio = calls.ratio(64, Variant::Recorded, Variant::Hello, |slot| slot.rate).unwrap();
        assert_eq!((ratio.low, ratio.high), (0.3, 0.4));
        assert_eq!(calls.over_commits(64, Variant::Recorded).unwrap().median, 7.5);
        assert_eq!(calls.ratio(16, Variant::Recorded, Variant::Hello, |slot| slot.rate), None);
    }
}

//! What it costs to tell of calls: three whole daemons, of which one tells nobody, one sends a span of each call to a collector, and one is asked for its
//! numbers each second, which is more often than anybody asks. They are asked in turn within one round.
//!
//! A daemon takes 240 calls a minute of one asking instance. So a slot is so many calls over many links, each of an instance of its own, and not so many
//! seconds; and each round is followed by a pause in which the links may ask again. [`told`] is who is told.

mod told;

use super::daemon::{Daemon, free_address};
use crate::{
    asker::{self, Link},
    load::{Ask, Client, Slot},
    plan::order,
    statistics::{Spread, micros},
};
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use told::{Collector, Scraper};

/// Rows of each daemon: as many as are asked for.
const ROWS: u32 = 50;
/// Callers at once.
const CALLERS: usize = 16;
/// Between two connections: an address may connect 20 times a second.
const PACE: Duration = Duration::from_millis(60);
/// Calls of one instance that a daemon takes each second, once the first 240 are used up.
const REFILL: f64 = 4.0;
/// By then spans that wait have left, and what that cost is counted.
const SETTLE: Duration = Duration::from_millis(1_500);

/// Who is told of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Telling {
    /// Nobody.
    Nobody,
    /// A collector, of each.
    Spans,
    /// Whoever reads numbers, each second.
    Numbers,
}

impl Telling {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nobody, Self::Spans, Self::Numbers];

    /// What it is.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "telemetry off",
            Self::Spans => "spans to a collector",
            Self::Numbers => "metrics, read each second",
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Capabilities.
    Hello,
    /// A List.
    Rows,
}

impl What {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Hello, Self::Rows];

    /// What it is.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "Capabilities",
            Self::Rows => "List 50",
        }
    }

    fn ask(self) -> Ask {
        match self {
            Self::Hello => Ask::Hello,
            Self::Rows => Ask::tasks(ROWS),
        }
    }
}

/// Every slot, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    /// The slots.
    pub slots: BTreeMap<(What, Telling), Vec<Slot>>,
    /// Calls of each.
    pub calls: usize,
    /// Batches that the collector took, and pages of numbers that were read.
    pub told: (u64, u64),
}

impl Telemetry {
    /// One figure over the rounds.
    pub fn spread(&self, what: What, telling: Telling, figure: fn(&Slot) -> f64) -> Option<Spread> {
        Spread::of(self.values(what, telling, figure))
    }

    /// The same over that of the daemon that tells nobody, round by round.
    pub fn ratio(&self, what: What, telling: Telling, figure: fn(&Slot) -> f64) -> Option<Spread> {
        Spread::of_ratios(&self.values(what, telling, figure), &self.values(what, Telling::Nobody, figure))
    }

    fn values(&self, what: What, telling: Telling, figure: fn(&Slot) -> f64) -> Vec<f64> {
        self.slots.get(&(what, telling)).into_iter().flatten().map(figure).collect()
    }
}

/// Measures all three, `rounds` times, with so many links to each and so many calls of each link in a slot.
pub async fn measure(
    rounds: usize,
    (links, each): (usize, usize),
    tell: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Telemetry> {
    tell(&format!("telemetry: three daemons and {links} links to each, which are made first"))?;
    let (collector, numbers_at) = (Collector::start().await?, free_address());
    let mut sides = Vec::new();
    for (at, telling) in Telling::ALL.into_iter().enumerate() {
        let settings = match telling {
            Telling::Nobody => String::new(),
            Telling::Spans => format!("\n[telemetry]\notlp_endpoint = \"http://{}\"\n", collector.at),
            Telling::Numbers => format!("\nmetrics_listen = \"{numbers_at}\"\n"),
        };
        sides.push(Side::start(at, &settings, links).await?);
    }
    let scraper = Scraper::start(numbers_at);
    // What is done once, a plan or a page from disk, is done before anything counts.
    for side in &sides {
        side.run(&Ask::tasks(ROWS), 1).await?;
    }
    let mut found = Telemetry { calls: links * each, ..Telemetry::default() };
    for round in 0..rounds {
        let began = Instant::now();
        for what in What::ALL {
            for at in order(round, sides.len()) {
                let (Some(telling), Some(side)) = (Telling::ALL.get(at), sides.get(at)) else { continue };
                let slot = side.run(&what.ask(), each).await;
                let slot = slot.with_context(|| format!("{}, {}", what.name(), telling.name()))?;
                found.slots.entry((what, *telling)).or_default().push(slot);
            }
        }
        tell(&format!("telemetry: round {} of {rounds}", round + 1))?;
        let calls = u32::try_from(What::ALL.len() * each).context("so many calls")?;
        sleep(Duration::from_secs_f64(f64::from(calls) / REFILL).saturating_sub(began.elapsed())).await;
    }
    found.told = (collector.batches(), scraper.pages());
    ensure!(found.told.0 > 0 && found.told.1 > 0, "nobody was told of anything: {:?}", found.told);
    Ok(found)
}

/// One daemon, and connections to it.
struct Side {
    daemon: Daemon,
    clients: Vec<Client>,
}

impl Side {
    async fn start(at: usize, settings: &str, links: usize) -> Result<Self> {
        let daemon = Daemon::start(at, ROWS.into(), settings)?;
        let mut clients = Vec::new();
        for at in 0..links {
            let invite = daemon.invite(&format!("link-{at}"))?;
            sleep(PACE).await;
            let link = Link::enrol(&invite).await?;
            sleep(PACE).await;
            clients.extend(asker::clients(&[link]).await?);
        }
        Ok(Self { daemon, clients })
    }

    /// Asks `each` times over each connection.
    async fn run(&self, ask: &Ask, each: usize) -> Result<Slot> {
        let meter = self.daemon.meter()?;
        let (before, from) = (meter.read()?, Instant::now());
        let shares = self.clients.chunks(self.clients.len().div_ceil(CALLERS).max(1));
        let callers = shares.map(|clients| tokio::spawn(asked(clients.to_vec(), ask.clone(), each)));
        let took = try_join_all(callers).await?.into_iter().collect::<Result<Vec<_>>>()?;
        let over = from.elapsed();
        sleep(SETTLE).await;
        Slot::of(took.concat(), over, meter.read()?.since(before))
    }
}

/// One caller: over each of its connections in turn, `each` times. How long each call took, in microseconds.
async fn asked(clients: Vec<Client>, ask: Ask, each: usize) -> Result<Vec<u32>> {
    let mut took = Vec::new();
    for mut client in clients.iter().cycle().take(clients.len() * each).cloned() {
        let began = Instant::now();
        ask.once(&mut client).await?;
        took.push(micros(began.elapsed()));
    }
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_pairs_the_rounds_with_those_that_told_nobody() {
        let slot = |rate| Slot { rate, p50: 1.0, p99: 1.0, server: 1.0, postgres: 0.0 };
        let mut found = Telemetry::default();
        found.slots.insert((What::Hello, Telling::Nobody), vec![slot(100.0), slot(50.0)]);
        found.slots.insert((What::Hello, Telling::Spans), vec![slot(90.0), slot(50.0)]);
        let ratio = found.ratio(What::Hello, Telling::Spans, |slot| slot.rate).unwrap();
        assert_eq!((ratio.low, ratio.high), (0.9, 1.0));
        assert_eq!(found.ratio(What::Rows, Telling::Spans, |slot| slot.rate), None);
    }
}

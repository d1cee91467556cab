//! The command line, and how much is done for it.

use crate::server::ServeArgs;
use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use std::time::Duration;

/// Measure what a link costs, as ratios against a bare tonic server with mutual TLS on the same machine
///
/// Everything is set up by itself: a PostgreSQL, an instance with rows, a floor to compare with, links with certificates of
/// their own. The sharing side runs in a process of its own, so that its processor time can be told from the load's.
/// Ratios are taken round by round, with the variants interleaved; absolute figures are beside them for orientation.
/// Nothing stays behind.
#[derive(Debug, Parser)]
#[command(name = "bench", version, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Another command than measuring.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to measure, and how long.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

/// What else there is.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print rows as JSON lines for `mosaic-fed import`
    Generate(GenerateArgs),
    /// The sharing side of a measurement
    #[command(hide = true)]
    Serve(ServeArgs),
    /// The asking side of a measurement
    #[command(hide = true)]
    Hold,
}

/// The arguments of a measurement.
#[derive(Clone, Debug, clap::Args)]
pub struct MeasureArgs {
    /// Rounds; in each, every variant is measured once
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: usize,
    /// Seconds of load for each variant, number of callers and round
    #[arg(long, default_value_t = 3.0, value_name = "S")]
    seconds: f64,
    /// How many callers ask at once
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256", value_name = "N,...")]
    callers: Vec<usize>,
    /// Measure only this; may be given several times
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME")]
    only: Vec<Part>,
    /// Rows of the large instance that List pages are read from
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    items: u64,
    /// One round of one second and small numbers of everything: whether it runs, not what it says
    #[arg(long)]
    quick: bool,
    /// Put the tables into bench/README.md
    #[arg(long)]
    pub write: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Calls under load: the floor, the gates, rows and the durable record
    Calls,
    /// What one more chunk of a long answer costs
    Chunks,
    /// Deciding a call among many grants
    Decisions,
    /// From a revocation to the last stream's end
    Cuts,
    /// Memory of an idle link, at both ends
    Memory,
    /// From a revocation to its receipt, among many live control sessions
    Ends,
    /// One question to many sources: a merged page against its slowest source, and the first row where some are bad
    Fan,
    /// Pages of a List among few and among many rows
    Pages,
    /// What it costs to send spans, and to let numbers be read, against a daemon that tells nobody of its calls
    Telemetry,
    /// Where the sharing side's processor time goes, by `perf`; only if asked for
    Profile,
}

/// The arguments of `generate`.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// How many rows
    #[arg(long, value_name = "N")]
    pub items: u64,
    /// The same number makes the same rows
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// How much is done.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Rounds.
    pub rounds: usize,
    /// Of each slot.
    pub long: Duration,
    /// Callers at once.
    pub callers: Vec<usize>,
    /// What is measured.
    pub parts: Vec<Part>,
    /// Rows of the instance under load.
    pub rows: u64,
    /// Rows of the large instance.
    pub items: u64,
    /// Grants that decisions are made among.
    pub grants: u32,
    /// Decisions.
    pub decisions: u32,
    /// Links that are held idle.
    pub links: usize,
    /// Streams that are cut at once, and how often.
    pub cuts: Vec<(usize, usize)>,
    /// Control sessions that stay, and how many end in each round of each kind.
    pub ends: (usize, usize),
    /// Calls for each kind of page.
    pub pages: usize,
    /// Sources that are asked at once, and how often.
    pub fan: (Vec<usize>, usize),
    /// Links to each daemon that tells of its calls, and how often each asks in a slot.
    pub telemetry: (usize, usize),
}

impl MeasureArgs {
    /// How much that is. Error: numbers that cannot be measured with.
    pub fn scale(&self) -> Result<Scale> {
        let seconds = if self.quick { self.seconds.min(1.0) } else { self.seconds };
        ensure!((0.05..=3_600.0).contains(&seconds), "--seconds is {seconds}; it must be 0.05 to 3600");
        ensure!(self.rounds > 0, "--rounds is 0; at least one is needed to compare anything");
        ensure!(
            self.callers.iter().all(|callers| (1..=4_096).contains(callers)),
            "--callers takes numbers of 1 to 4096"
        );
        let every = Part::value_variants().iter().copied().filter(|part| *part != Part::Profile);
        let parts = if self.only.is_empty() { every.collect() } else { self.only.clone() };
        let scale = Scale {
            rounds: self.rounds,
            long: Duration::from_secs_f64(seconds),
            callers: self.callers.clone(),
            parts,
            rows: 10_000,
            items: self.items,
            grants: 10_000,
            decisions: 200_000,
            links: 500,
            cuts: vec![(200, 20), (1_000, 10)],
            ends: (1_000, 20),
            pages: 300,
            fan: (vec![64, 256], 20 * self.rounds),
            telemetry: (48, 60),
        };
        Ok(if self.quick { scale.quick() } else { scale })
    }
}

impl Scale {
    fn quick(self) -> Self {
        let callers = self.callers.into_iter().filter(|callers| *callers <= 64).collect();
        Self {
            rounds: 1,
            callers,
            rows: 3_000,
            items: self.items.min(6_000),
            grants: 200,
            decisions: 5_000,
            links: 24,
            cuts: vec![(40, 2)],
            ends: (20, 3),
            pages: 10,
            fan: (vec![12], 3),
            telemetry: (4, 10),
            ..self
        }
    }

    /// Whether this is to be measured.
    pub fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn scale(words: &[&str]) -> Result<Scale> {
        Args::try_parse_from(["bench"].iter().chain(words)).unwrap().measure.scale()
    }

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn everything_but_the_profile_is_measured_unless_something_is_named() {
        let all = scale(&[]).unwrap();
        assert!(all.has(Part::Calls) && all.has(Part::Pages) && !all.has(Part::Profile));
        assert_eq!((all.rounds, all.long, all.callers), (5, Duration::from_secs(3), vec![1, 16, 64, 256]));
        assert_eq!(scale(&["--only", "cuts,memory"]).unwrap().parts, [Part::Cuts, Part::Memory]);
    }

    #[test]
    fn quick_is_small_in_everything() {
        let quick = scale(&["--quick", "--seconds", "9"]).unwrap();
        assert_eq!((quick.rounds, quick.long), (1, Duration::from_secs(1)));
        assert!(quick.items <= 6_000 && quick.links < 100 && !quick.callers.contains(&256));
    }

    #[test]
    fn numbers_that_measure_nothing_are_refused_with_what_would_do() {
        for words in [["--rounds", "0"], ["--seconds", "0"], ["--seconds", "nan"], ["--callers", "0"]] {
            assert!(!scale(&words).unwrap_err().to_string().is_empty(), "{words:?}");
        }
    }
}

//! The goals, each judged by a ratio of this very run; a goal whose part was not measured is not judged.

use crate::{
    found::Found,
    load::Slot,
    parts::{
        calls::{Calls, Variant},
        cuts::Cuts,
        ends::Ends,
        fan::{Fan, First, Merged, median, ratio},
    },
    statistics::Spread,
};

/// One goal and how it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// Its number in the project's list.
    pub number: u8,
    /// What it asks.
    pub asks: &'static str,
    /// What was found, with its unit.
    pub found: String,
    /// Whether that is enough.
    pub met: bool,
}

/// A bound on a figure.
#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }
}

/// Every goal that the run allows to judge: fewer grants or streams than a goal speaks of say nothing about it.
pub fn judge(found: &Found) -> Vec<Goal> {
    let calls = found.calls.iter().flat_map(of_calls);
    let memory = found.memory.iter().flat_map(|memory| {
        let (sharing, both) = (memory.streaming.sharing, memory.streaming.sharing + memory.streaming.asking);
        [
            size(8, "an idle link with an open stream ≤ 36 KiB on the sharing side", sharing, 36.0),
            size(8, "≤ 96 KiB at both ends together", both, 96.0),
        ]
    });
    let decided = found.decided.iter().filter(|decided| decided.grants >= 10_000).map(|decided| Goal {
        number: 10,
        asks: "decision p99 ≤ 20 µs with 10,000 grants",
        found: format!("{:.1} µs with {} grants", f64::from(decided.p99) / 1e3, decided.grants),
        met: decided.p99 <= 20_000,
    });
    let cuts = found.cuts.iter().filter(|cuts| cuts.streams >= 1_000).max_by_key(|cuts| cuts.streams).map(of_cuts);
    let ends = found.ends.iter().filter(|ends| ends.live >= 1_000).filter_map(of_ends);
    let fan = found.fan.iter().flat_map(of_fan);
    calls.chain(fan).chain(memory).chain(decided).chain(cuts).chain(ends).collect()
}

fn of_calls(calls: &Calls) -> Vec<Goal> {
    use Bound::{AtLeast, AtMost};
    use Variant::{Canned, Gates, Hello, Recorded, RecordedRows, Rows};
    let rate: fn(&Slot) -> f64 = |slot| slot.rate;
    let ratio = |callers, over, under| calls.ratio(callers, over, under, rate);
    let goal = |number, asks, spread: Option<Spread>, bound: Bound| {
        let spread = spread?;
        let found = format!("{} ({} to {})", times(spread.median), times(spread.low), times(spread.high));
        Some(Goal { number, asks, found, met: bound.holds(spread.median) })
    };
    let gates = calls.ratio(64, Gates, Hello, |slot| slot.server);
    [
        goal(1, "every gate, log off: server CPU ≤ 1.05x the floor (64 callers)", gates, AtMost(1.05)),
        goal(2, "durable Capabilities ≥ 0.30x the floor, 64 callers", ratio(64, Recorded, Hello), AtLeast(0.30)),
        goal(2, "the same at 256 callers ≥ 0.58x", ratio(256, Recorded, Hello), AtLeast(0.58)),
        goal(3, "durable calls ≥ 8x single commits, 64 callers", calls.over_commits(64, Recorded), AtLeast(8.0)),
        goal(
            4,
            "durable List 50 ≥ 0.90x the same with the log off, 256 callers",
            ratio(256, RecordedRows, Rows),
            AtLeast(0.90),
        ),
        goal(
            4,
            "durable List 50 ≥ 0.15x the canned answer, 256 callers",
            ratio(256, RecordedRows, Canned),
            AtLeast(0.15),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Merged against the slowest source of the same question, at the wire; and the first row where half of the sources are bad.
fn of_fan(fan: &Fan) -> Vec<Goal> {
    let page = |sources, asks, most| {
        let Merged { page, wire, .. } = fan.merged.iter().find(|merged| merged.sources == sources)?;
        let spread = ratio(page, wire)?;
        let found = format!("{} ({} to {})", times(spread.median), times(spread.low), times(spread.high));
        Some(Goal { number: 7, asks, found, met: spread.median <= most })
    };
    let First { faulty, fastest, .. } = &fan.first;
    let later = (f64::from(median(faulty)) - f64::from(median(fastest))) / 1e3;
    let first = Goal {
        number: 7,
        asks: "one hung, one slow, one revoked, one off among eight: first row ≤ the fastest source's + 5 ms",
        found: format!("{later:+.1} ms"),
        met: later <= 5.0,
    };
    [
        page(64, "64 sources: merged ≤ 1.2x the slowest one's last byte", 1.2),
        page(256, "256 sources: merged ≤ 1.25x the slowest one's last byte", 1.25),
        Some(first),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_cuts(cuts: &Cuts) -> Goal {
    let millis = f64::from(cuts.p99()) / 1e3;
    let found = format!("{millis:.1} ms with {} streams", cuts.streams);
    Goal { number: 10, asks: "revocation cut p99 ≤ 250 ms at 1,000 streams", found, met: millis <= 250.0 }
}

/// The worst kind of end is the one that counts.
fn of_ends(ends: &Ends) -> Option<Goal> {
    let (kind, times) = ends.kinds.iter().max_by_key(|(_, times)| times.p99())?;
    let silent: usize = ends.kinds.iter().map(|(_, times)| times.silent).sum();
    let millis = f64::from(times.p99()) / 1e3;
    let found = format!("{millis:.1} ms, {}, among {}; {silent} not acknowledged", kind.name(), ends.live);
    let asks = "revoke among 1,000 live sessions: p99 ≤ 250 ms to cut and acknowledge";
    Some(Goal { number: 10, asks, found, met: millis <= 250.0 && silent == 0 })
}

fn size(number: u8, asks: &'static str, bytes: f64, most: f64) -> Goal {
    let kibibytes = bytes / 1_024.0;
    Goal { number, asks, found: format!("{kibibytes:.1} KiB"), met: kibibytes <= most }
}

/// A ratio as people write it.
pub fn times(ratio: f64) -> String {
    format!("{ratio:.2}x")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::ends::{Kind, Times};

    fn slots(rate: f64, server: f64) -> Vec<Slot> {
        vec![Slot { rate, p50: 1.0, p99: 1.0, server, postgres: 0.0 }]
    }

    #[test]
    fn a_goal_is_judged_by_its_ratio_and_only_where_it_was_measured() {
        let mut calls = Calls::default();
        calls.slots.insert((64, Variant::Hello), slots(100.0, 10.0));
        calls.slots.insert((64, Variant::Gates), slots(90.0, 11.0));
        calls.slots.insert((64, Variant::Recorded), slots(31.0, 10.0));
        let goals = judge(&Found { calls: Some(calls), ..Found::default() });
        let verdicts: Vec<_> = goals.iter().map(|goal| (goal.number, goal.met)).collect();
        assert_eq!(verdicts, [(1, false), (2, true)]);
        assert!(goals[0].found.starts_with("1.10x"), "{}", goals[0].found);
    }

    #[test]
    fn nothing_measured_is_nothing_met() {
        assert_eq!(judge(&Found::default()), []);
    }

    #[test]
    fn the_slowest_kind_of_end_counts_and_one_that_was_not_acknowledged_misses() {
        let goal = |live, slow, silent| {
            let times = |whole, silent| Times { whole: vec![whole], silent, ..Times::default() };
            let kinds = vec![(Kind::Together, times(slow, 0)), (Kind::Alone, times(9_000, silent))];
            judge(&Found { ends: Some(Ends { live, kinds }), ..Found::default() })
        };
        assert_eq!(goal(999, 20_000, 0), [], "judged by fewer sessions");
        assert!(goal(1_000, 250_000, 0)[0].met && !goal(1_000, 250_001, 0)[0].met && !goal(1_000, 20_000, 1)[0].met);
        assert!(goal(1_000, 20_000, 0)[0].found.starts_with("20.0 ms, 10 at once"), "{:?}", goal(1_000, 20_000, 0));
    }

    #[test]
    fn a_fan_out_is_judged_by_its_number_of_sources_and_a_late_first_row_misses() {
        let merged = |sources, page| Merged { sources, page: vec![page], wire: vec![1_000], ..Merged::default() };
        let first = |faulty| First { faulty: vec![faulty], fastest: vec![2_000], ..First::default() };
        let verdicts = |merged, first| {
            let goals = judge(&Found { fan: Some(Fan { merged, first }), ..Found::default() });
            goals.iter().map(|goal| goal.met).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(vec![merged(64, 1_200), merged(256, 1_251)], first(7_000)), [true, false, true]);
        assert_eq!(verdicts(vec![merged(12, 9_000), merged(64, 1_201)], first(7_001)), [false, false]);
    }

    #[test]
    fn the_largest_cut_is_the_one_that_counts() {
        let cuts = |streams, end| Cuts { streams, ends: vec![end], ..Cuts::default() };
        let goals = judge(&Found { cuts: vec![cuts(1_000, 300_000), cuts(200, 9_000)], ..Found::default() });
        assert_eq!((goals.len(), goals[0].met), (1, false));
        assert!(goals[0].found.contains("300.0 ms with 1000"), "{}", goals[0].found);
    }
}

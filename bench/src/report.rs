//! What was found, as Markdown: tables of ratios with absolute figures beside them, and the goals with what was measured.

use crate::{
    found::{Found, Machine},
    goals::{self, times},
    load::Slot,
    parts::{
        calls::{Calls, Variant},
        chunks::{Chunks, more},
        cuts::Cuts,
        ends::{Ends, Times},
        fan::{self, Fan, First, Merged},
        memory::PerLink,
        pages::Pages,
        profile::Profile,
        telemetry::{Telemetry, Telling, What},
    },
    statistics::{Spread, percentile},
    words::Decided,
};
use std::collections::BTreeSet;

/// The whole report.
pub fn report(found: &Found) -> String {
    let sections = [
        Some(machine(&found.machine)),
        goals(found),
        found.calls.as_ref().map(calls),
        found.calls.as_ref().map(differences),
        found.chunks.as_ref().map(chunks),
        found.decided.as_ref().map(decisions),
        (!found.cuts.is_empty()).then(|| cuts(&found.cuts)),
        found.ends.as_ref().map(ends),
        found.memory.as_ref().map(memory),
        found.fan.as_ref().map(fan_out),
        found.pages.as_ref().map(pages),
        found.telemetry.as_ref().map(telemetry),
        (!found.profiles.is_empty()).then(|| profiles(&found.profiles)),
    ];
    sections.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn machine(machine: &Machine) -> String {
    let Machine { processors, model, load, postgres, rounds: (rounds, seconds), optimised } = machine;
    let build = if *optimised { "release build" } else { "a build for testing: its figures say nothing" };
    let postgres = if postgres.is_empty() { String::new() } else { format!(", PostgreSQL {postgres}") };
    format!(
        "{processors} processors ({model}), load {load} before the run{postgres}, {build}; load and server share the \
         processors. {rounds} rounds of {seconds} s.\n"
    )
}

fn goals(found: &Found) -> Option<String> {
    let goals = goals::judge(found);
    let met = |met| if met { "met" } else { "**missed**" };
    let rows = goals
        .iter()
        .map(|goal| vec![goal.number.to_string(), goal.asks.to_owned(), goal.found.clone(), met(goal.met).to_owned()]);
    (!goals.is_empty()).then(|| section("Goals", &["#", "goal", "measured", ""], rows))
}

/// Variants that differ by one thing, and the thing.
const STEPS: [(Variant, Variant, &str); 5] = [
    (Variant::Hello, Variant::Gates, "four layers, standing, limit, decision, the answer itself, the writer's queue"),
    (Variant::Gates, Variant::Recorded, "the record: hash, statement, commit, shared by a batch"),
    (Variant::Hello, Variant::Canned, "copying, encoding and sending 50 rows"),
    (Variant::Canned, Variant::Rows, "the gates once more, the select and reading its rows"),
    (Variant::Rows, Variant::RecordedRows, "the record"),
];

/// What each thing on a call's road costs: the difference of two variants' processor time with many callers.
fn differences(calls: &Calls) -> String {
    let callers = calls.slots.keys().map(|(callers, _)| *callers).filter(|callers| *callers <= 64).max().unwrap_or(0);
    let rows = STEPS.into_iter().map(|(from, to, adds)| {
        let more = |figure: fn(&Slot) -> f64| {
            let medians = [from, to].map(|variant| calls.spread(callers, variant, figure).map(|spread| spread.median));
            let [Some(from), Some(to)] = medians else { return "-".to_owned() };
            format!("{:+.0} µs", to - from)
        };
        let names = [from.name(), to.name()].map(str::to_owned);
        let figures = [more(|slot| slot.server), more(|slot| slot.postgres), adds.to_owned()];
        names.into_iter().chain(figures).collect()
    });
    let heads = ["from", "to", "server CPU", "PostgreSQL CPU", "for"];
    section(&format!("What a call costs, {callers} callers"), &heads, rows)
}

fn calls(calls: &Calls) -> String {
    let numbers: BTreeSet<usize> = calls.slots.keys().map(|(callers, _)| *callers).collect();
    let commits = Spread::of(calls.commits.iter().map(|commits| commits.per_second));
    let sync = Spread::of(calls.commits.iter().map(|commits| f64::from(commits.sync)));
    let disk = format!(
        "\nSingle rows committed one after the other: {} per second; a sync of the disk: {} µs (medians over the rounds).\n",
        whole(commits),
        whole(sync),
    );
    let tables = numbers.into_iter().map(|callers| {
        let rows = Variant::ALL.into_iter().map(|variant| of_variant(calls, callers, variant));
        let heads = [
            "variant",
            "calls/s",
            "of its floor",
            "p50 µs",
            "p99 µs",
            "server CPU µs",
            "of its floor",
            "PostgreSQL CPU µs",
        ];
        section(&format!("Calls, {callers} at once"), &heads, rows)
    });
    tables.chain([disk]).collect::<Vec<_>>().join("\n")
}

fn of_variant(calls: &Calls, callers: usize, variant: Variant) -> Vec<String> {
    let figure = |figure: fn(&Slot) -> f64| whole(calls.spread(callers, variant, figure));
    let ratio = |figure| {
        calls.ratio(callers, variant, variant.floor(), figure).map_or("-".to_owned(), |spread| times(spread.median))
    };
    let fine = |figure: fn(&Slot) -> f64| {
        calls.spread(callers, variant, figure).map_or("-".to_owned(), |spread| format!("{:.1}", spread.median))
    };
    vec![
        variant.name().to_owned(),
        figure(|slot| slot.rate),
        ratio(|slot: &Slot| slot.rate),
        figure(|slot| slot.p50),
        figure(|slot| slot.p99),
        fine(|slot| slot.server),
        ratio(|slot: &Slot| slot.server),
        fine(|slot| slot.postgres),
    ]
}

fn chunks(chunks: &Chunks) -> String {
    let row = |name: &str, one: &[Slot], many: &[Slot]| {
        let figure = |figure| more(one, many, figure).map_or("-".to_owned(), |spread| format!("{:.0}", spread.median));
        vec![name.to_owned(), figure(|slot: &Slot| slot.p50), figure(|slot| slot.server), figure(|slot| slot.postgres)]
    };
    let rows = [row("log off", &chunks.one, &chunks.many), row("durable", &chunks.recorded_one, &chunks.recorded_many)];
    section("One more chunk of 200 rows", &["", "p50 µs", "server CPU µs", "PostgreSQL CPU µs"], rows)
}

fn decisions(decided: &Decided) -> String {
    let micros = |nanos: u32| format!("{:.2}", f64::from(nanos) / 1e3);
    let millis = |micros: u32| format!("{:.1}", f64::from(micros) / 1e3);
    let row = vec![
        decided.grants.to_string(),
        micros(decided.p50),
        micros(decided.p99),
        micros(decided.p999),
        millis(decided.reading),
        millis(decided.change),
    ];
    let heads = ["grants", "p50 µs", "p99 µs", "p99.9 µs", "reading all ms", "taking over one change ms"];
    section("Standing, limit and decision of a call", &heads, [row])
}

fn cuts(cuts: &[Cuts]) -> String {
    let millis = |micros: u32| format!("{:.1}", f64::from(micros) / 1e3);
    let rows = cuts.iter().map(|cuts| {
        let worst = |times: &[u32]| millis(percentile(times, 1_000));
        vec![
            cuts.streams.to_string(),
            cuts.last.len().to_string(),
            millis(percentile(&cuts.ends, 500)),
            millis(cuts.p99()),
            worst(&cuts.last),
            millis(percentile(&cuts.acknowledged, 500)),
            worst(&cuts.acknowledged),
        ]
    });
    let heads = [
        "streams",
        "trials",
        "ended, p50 ms",
        "ended, p99 ms",
        "last, worst trial",
        "acknowledged, p50",
        "worst trial",
    ];
    section("From the order to revoke", &heads, rows)
}

fn ends(ends: &Ends) -> String {
    let millis = |micros: u32| format!("{:.1}", f64::from(micros) / 1e3);
    let spread = |times: &[u32]| [500, 990, 1_000].map(|at| millis(percentile(times, at))).join(" / ");
    let rows = ends.kinds.iter().map(|(kind, found)| {
        let Times { committed, stream, told, session, receipt, silent, .. } = found;
        let times = [committed, stream, told, session, receipt].map(|times| spread(times));
        let ratio = found.ratio().map_or("-".to_owned(), times_of);
        let first = [kind.name(), format!("{} ({silent})", receipt.len())];
        first.into_iter().chain(times).chain([ratio]).collect()
    });
    let heads = [
        "how they end",
        "ended (not acknowledged)",
        "committed",
        "stream cut",
        "told",
        "last connection ended",
        "receipt",
        "receipt, of a commit and a round trip",
    ];
    let table = section(&format!("From the order to revoke, among {} live control sessions", ends.live), &heads, rows);
    format!("{table}\nTimes are ms: p50 / p99 / worst.\n")
}

fn times_of(Spread { low, median, high }: Spread) -> String {
    format!("{} ({} to {})", times(median), times(low), times(high))
}

fn memory(memory: &PerLink) -> String {
    let kibibytes = |bytes: f64| format!("{:.1}", bytes / 1_024.0);
    let rows = [
        ("connected", memory.connected),
        ("with an open stream", memory.streaming),
        ("and a control session over its own connection", memory.in_touch),
        ("of which the session and its connection", memory.touch()),
    ];
    let rows = rows.map(|(name, ends)| {
        vec![
            name.to_owned(),
            kibibytes(ends.sharing),
            kibibytes(ends.sharing_share),
            kibibytes(ends.asking),
            kibibytes(ends.asking_share),
        ]
    });
    let heads = ["", "sharing side, RSS KiB", "PSS KiB", "asking side, RSS KiB", "PSS KiB"];
    section(&format!("Memory of an idle link, of {}", memory.links), &heads, rows)
}

fn fan_out(found: &Fan) -> String {
    let millis = |times: &[u32]| format!("{:.1}", f64::from(fan::median(times)) / 1e3);
    let rows = found.merged.iter().map(|Merged { sources, rows, page, wire, bare, alone }| {
        let of = |under: &[u32]| fan::ratio(page, under).map_or("-".to_owned(), times_of);
        let counts = [sources.to_string(), rows.to_string(), millis(page)];
        let each = [wire, bare, alone].map(|under| format!("{} ms: {}", millis(under), of(under)));
        counts.into_iter().chain(each).collect()
    });
    let heads = [
        "sources",
        "rows",
        "merged, p50 ms",
        "slowest source's last byte, same question",
        "slowest of the same sources asked at once by bare clients",
        "slowest source asked alone",
    ];
    let merged = section("One question to many sources", &heads, rows);
    let First { faulty, good, fastest, outcomes } = &found.first;
    let first = vec![millis(faulty), millis(good), millis(fastest)];
    let heads = ["eight, four of them bad", "the four good ones alone", "the fastest of those alone"];
    let first = section("The first row of a stream, p50 ms", &heads, [first]);
    let outcomes: Vec<_> = outcomes.iter().map(|(name, outcome)| format!("{name} {outcome}")).collect();
    format!(
        "{merged}\nRatios are merged over that figure, round by round.\n\n{first}\nEvery round ended so: {}.\n",
        outcomes.join(", ")
    )
}

fn pages(pages: &Pages) -> String {
    let Pages { few, filled: (items, millis), .. } = *pages;
    let pair = |(p50, p99): (u32, u32)| format!("{p50} / {p99}");
    let rows = pages.kinds.iter().map(|page| {
        let ratio = f64::from(page.many.0) / f64::from(page.few.0.max(1));
        vec![page.name.to_owned(), page.rows.to_string(), pair(page.few), pair(page.many), times(ratio)]
    });
    let among = [few, items].map(|rows| format!("among {rows}: p50 / p99 µs"));
    let heads = ["page", "rows", &among[0], &among[1], "p50"];
    let table = section("A page of a List among few and many rows", &heads, rows);
    format!("{table}\nFilling {items} rows took {:.1} s.\n", f64::from(u32::try_from(millis).unwrap_or(u32::MAX)) / 1e3)
}

fn telemetry(found: &Telemetry) -> String {
    let rows = What::ALL.into_iter().flat_map(|what| Telling::ALL.map(|telling| of_telling(found, what, telling)));
    let heads = ["", "calls/s", "of telemetry off", "p50 µs", "p99 µs", "server CPU µs", "of telemetry off"];
    let table = section(&format!("What it costs to tell of calls, {} calls a slot", found.calls), &heads, rows);
    let (batches, pages) = found.told;
    format!("{table}\nThe collector took {batches} batches, and {pages} pages of numbers were read.\n")
}

fn of_telling(found: &Telemetry, what: What, telling: Telling) -> Vec<String> {
    let figure = |figure: fn(&Slot) -> f64| whole(found.spread(what, telling, figure));
    let ratio = |figure: fn(&Slot) -> f64| found.ratio(what, telling, figure).map_or("-".to_owned(), times_of);
    vec![
        format!("{}, {}", what.name(), telling.name()),
        figure(|slot| slot.rate),
        ratio(|slot| slot.rate),
        figure(|slot| slot.p50),
        figure(|slot| slot.p99),
        figure(|slot| slot.server),
        ratio(|slot| slot.server),
    ]
}

fn profiles(profiles: &[Profile]) -> String {
    let names: Vec<_> = profiles.iter().map(|profile| profile.name).collect();
    let layers = profiles.first().map(|profile| profile.shares.iter().map(|(layer, _)| *layer).collect::<Vec<_>>());
    let rows = layers.into_iter().flatten().enumerate().map(|(at, layer)| {
        let share = |profile: &Profile| {
            profile.shares.get(at).map_or("-".to_owned(), |(_, share)| format!("{:.0} %", share * 100.0))
        };
        std::iter::once(layer.to_owned()).chain(profiles.iter().map(share)).collect()
    });
    let callers = profiles.first().map_or(0, |profile| profile.callers);
    let heads: Vec<_> = std::iter::once("the server's processor time").chain(names).collect();
    let table = section(&format!("Where the server's processor time goes, {callers} callers"), &heads, rows);
    let functions = profiles.iter().map(|profile| {
        let lines = profile.functions.iter().map(|(function, share)| format!("{:5.1} %  {function}", share * 100.0));
        format!("\n{}:\n\n```\n{}\n```\n", profile.name, lines.collect::<Vec<_>>().join("\n"))
    });
    std::iter::once(table).chain(functions).collect()
}

fn whole(spread: Option<Spread>) -> String {
    spread.map_or("-".to_owned(), |spread| format!("{:.0}", spread.median))
}

fn section(title: &str, heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let rule = format!("|{}\n", "---|".repeat(heads.len()));
    let rows: String = rows.into_iter().map(|row| line(&row)).collect();
    format!("### {title}\n\n{}{rule}{rows}", line(&heads))
}

/// Where the README keeps the last report.
pub const MARKS: [&str; 2] = ["<!-- bench: begin -->", "<!-- bench: end -->"];

/// `page` with `report` between its marks; none where it has no marks.
pub fn between_marks(page: &str, report: &str) -> Option<String> {
    let [begin, end] = MARKS;
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n\n{report}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_the_one_before_and_nothing_else() {
        let page = "top\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nbottom\n";
        let written = between_marks(page, "new").unwrap();
        assert_eq!(written, "top\n<!-- bench: begin -->\n\nnew\n<!-- bench: end -->\nbottom\n");
        assert_eq!(between_marks("no marks", "new"), None);
    }

    #[test]
    fn a_table_has_as_many_cells_in_each_line_as_it_has_heads() {
        let slot = Slot { rate: 10.0, p50: 1.0, p99: 2.0, server: 3.0, postgres: 4.0 };
        let mut found = Calls::default();
        for variant in Variant::ALL {
            found.slots.insert((1, variant), vec![slot.clone()]);
        }
        let table = calls(&found);
        let cells: BTreeSet<_> =
            table.lines().filter(|line| line.starts_with('|')).map(|line| line.matches('|').count()).collect();
        assert_eq!(cells.len(), 1, "{table}");
        assert!(table.contains("| List 50, durable | 10 | 1.00x |"), "{table}");
    }
}

//! The bench runs: every part that is quick enough, small, on a build that is not fast. What it says is looked at, how fast it
//! was is not.
#![expect(clippy::unwrap_used, reason = "a test without its program has failed")]

use std::process::{Command, Output};

fn bench(words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(words.split_whitespace()).output().unwrap()
}

fn said(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The cells of the first line of a table that begins so.
fn cells<'a>(report: &'a str, begins: &str) -> Vec<&'a str> {
    let line =
        report.lines().find(|line| line.starts_with(begins)).unwrap_or_else(|| panic!("no {begins} in:\n{report}"));
    line.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn a_quick_run_measures_every_variant_and_judges_the_goals() {
    let report = said(&bench("--quick --seconds 1 --callers 2,64 --only calls,chunks,cuts,decisions,memory,ends"));
    for variant in ["floor: hello", "Capabilities, log off", "Capabilities, durable", "List 50, durable"] {
        let cells = cells(&report, &format!("| {variant} |"));
        assert_eq!(cells.len(), 8);
        assert!(cells[1].parse::<u32>().unwrap() > 0 && cells[2].ends_with('x'), "{cells:?}");
    }
    assert_eq!(cells(&report, "| 40 |")[1], "2", "trials with 40 streams");
    for ended in ["one after the other, nobody asks", "one after the other, 16 ask", "10 at once, 16 ask"] {
        let cells = cells(&report, &format!("| {ended} |"));
        assert_eq!(cells[1], "3 (0)", "{cells:?}");
        assert!(cells[7].contains('x'), "{cells:?}");
    }
    assert!(!report.contains("1,000 live sessions"), "judged by few sessions");
    assert!(!report.contains("1,000 streams") && !report.contains("10,000 grants"), "judged by what was not measured");
    assert!(cells(&report, "| Capabilities, log off | Capabilities, durable |")[2].ends_with("µs"));
    let kibibytes = |begins: &str| cells(&report, begins)[1].parse::<f64>().unwrap();
    assert!(kibibytes("| with an open stream |") > 1.0);
    assert!(kibibytes("| and a control session over its own connection |") > kibibytes("| with an open stream |"));
    assert_eq!(report.contains("a build for testing: its figures say nothing"), cfg!(debug_assertions));
}

#[test]
fn pages_are_read_from_two_instances_of_different_size() {
    let report = said(&bench("--quick --items 3000 --only pages"));
    let cells = cells(&report, "| first page, every team |");
    assert_eq!(cells[1], "50");
    assert!(cells[4].ends_with('x'), "{cells:?}");
    assert!(report.contains("among 3000: p50") && !report.contains("### Goals"), "{report}");
}

#[test]
fn generated_lines_are_what_an_import_reads() {
    let lines = said(&bench("generate --items 25"));
    let rows: Vec<domain::item::NewItem> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 25);
    assert!(rows.iter().all(|row| !row.title.is_empty() && row.created_at.is_some()));
}

//! `docs/protocol.md` against the program: strangers write clients from that page alone, so what it names must exist, what
//! exists it must name, and its numbers and examples must be the program's own.
//!
//! Map: [`names`] judges every word in code style; [`facts`] compares tables and limits; [`examples`] reads the strings and
//! bytes that the page spells out.

mod examples;
mod facts;
mod names;

use super::root;
use std::{fs, path::PathBuf};

fn path() -> PathBuf {
    root().join("docs/protocol.md")
}

fn page() -> String {
    fs::read_to_string(path()).unwrap()
}

/// What stands under a heading, up to the next one of the same rank.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, after) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    after.split_once("\n## ").map_or(after, |(section, _)| section)
}

/// The cells of every row of the table under this head, without the line of dashes.
fn table<'a>(text: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let (_, after) = text.split_once(head).unwrap_or_else(|| panic!("no table under {head}"));
    let rows = after.trim_start().lines().take_while(|line| line.starts_with('|')).skip(1);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The blocks between fences, without the line that opens each.
fn fenced(page: &str) -> Vec<&str> {
    let blocks = page.split("\n```").skip(1).step_by(2);
    blocks.filter_map(|block| block.split_once('\n').map(|(_, text)| text)).collect()
}

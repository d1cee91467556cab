//! `audit verify`: an export against itself, against its signature, and against the head in the data directory. No daemon.

use super::minute;
use crate::{
    exit::{Exit, Failure, Outcome},
    out::Out,
    place::Place,
};
use clap::Args;
use domain::{
    audit::{
        SignedHead,
        chain::{Line, Verified, Verifier},
    },
    id::EntryHash,
};
use serde::Serialize;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

/// The arguments of `audit verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// What `audit export` wrote
    file: PathBuf,
    /// The key that must have signed it, as `mosaic-fed id` shows it; the data directory's if not given
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    entries: u64,
    first: Option<u64>,
    last: u64,
    instance: String,
    key: String,
    /// What the export was held against.
    compared_with: Option<String>,
}

/// A line of an export is one entry: far below this.
const MAX_LINE: usize = 1 << 20;

/// Verifies an export.
pub fn run(args: &VerifyArgs, place: Option<&Place>, out: &Out) -> Outcome {
    let known = known_head(place)?;
    let (verified, at_known) = read(&args.file, known.as_ref().map(|(_, head)| head.head.sequence))?;
    let head = &verified.head;
    pki::verify_head(head).map_err(|error| broken(&args.file, error))?;
    if let Some(key) = args.key.as_ref().filter(|key| **key != head.key) {
        return Err(broken(&args.file, format!("it is signed with {}, not with {key}", head.key)));
    }
    let known = known.filter(|(_, known)| args.key.is_none() || known.instance == head.instance);
    if let Some((path, known)) = &known {
        compare(head, known, at_known).map_err(|cause| broken(&args.file, format!("{cause} ({})", path.display())))?;
    }
    let report = Report {
        entries: verified.entries,
        first: verified.first,
        last: head.head.sequence,
        instance: format!("{} ({})", head.name, head.instance),
        key: head.key.clone(),
        compared_with: known.map(|(path, _)| path.display().to_string()),
    };
    out.value(&report, |report| shown(report, &minute(head.head.time)))?;
    if report.compared_with.is_none() && args.key.is_none() {
        out.remark(
            "whose key signed it was not checked: compare it with `mosaic-fed id` of that instance, or give --key",
        );
    }
    Ok(Exit::Done)
}

/// The signed head in the data directory, where there is one.
fn known_head(place: Option<&Place>) -> Outcome<Option<(PathBuf, SignedHead)>> {
    let Some(place) = place else { return Ok(None) };
    let path = place.dir().join(api::head::FILE);
    let head = api::head::read(place.dir()).map_err(|error| Failure::file("read", &path, &error))?;
    Ok(head.map(|head| (path, head)))
}

/// Reads the export, and on the way the hash of the entry that the known head names.
fn read(path: &Path, known: Option<u64>) -> Outcome<(Verified, Option<EntryHash>)> {
    let failed = |error| Failure::file("read", path, &error);
    let mut file = BufReader::new(fs::File::open(path).map_err(failed)?);
    let (mut verifier, mut at_known, mut line) = (Verifier::default(), None, String::new());
    loop {
        line.clear();
        let read = std::io::Read::take(&mut file, MAX_LINE as u64).read_line(&mut line).map_err(failed)?;
        if read == 0 {
            break;
        }
        verifier.line(&line).map_err(|error| broken(path, error))?;
        if let Ok(Line::Entry(entry)) = serde_json::from_str(&line)
            && Some(entry.sequence) == known
        {
            at_known = Some(entry.hash);
        }
    }
    Ok((verifier.finish().map_err(|error| broken(path, error))?, at_known))
}

/// Whether the export and the known head can be of one log.
fn compare(head: &SignedHead, known: &SignedHead, at_known: Option<EntryHash>) -> Result<(), String> {
    pki::verify_head(known).map_err(|error| format!("the head in the data directory is damaged: {error}"))?;
    if head.instance != known.instance || head.key != known.key {
        return Err(format!(
            "it is of {} ({}), the data directory is of {} ({})",
            head.name, head.instance, known.name, known.instance
        ));
    }
    // An export that ends before the known head, or begins after it, does not hold the entry: then there is nothing to compare.
    match at_known {
        Some(hash) if hash != known.head.hash => Err(format!(
            "entry {} is not the one that the head in the data directory names: the log was rewritten",
            known.head.sequence
        )),
        _ => Ok(()),
    }
}

fn broken(path: &Path, cause: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {cause}", path.display()))
        .next("export again; if it stays so, the log was changed outside the daemon: keep both files and compare")
}

fn shown(report: &Report, time: &str) -> String {
    let span =
        report.first.map_or_else(|| "an empty log".to_owned(), |first| format!("entries {first} to {}", report.last));
    let compared = report.compared_with.as_ref().map_or_else(String::new, |path| format!("\nagrees with   {path}"));
    format!(
        "unbroken      {span} ({} in all), head of {time} UTC\nsigned by     {}\nkey           {}{compared}",
        report.entries, report.instance, report.key
    )
}

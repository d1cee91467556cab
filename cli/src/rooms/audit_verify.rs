//! `audit verify`: an export against itself, against its signature, and against the head in the data directory. No daemon.

use super::{audit_proof, minute};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::Out,
    place::Place,
};
use clap::Args;
use domain::{
    audit::{
        SignedHead,
        chain::{Broken, Line, Verified, Verifier},
    },
    id::EntryHash,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// The arguments of `audit verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// What `audit export` or `audit prove` wrote
    file: PathBuf,
    /// The key that must have signed it, as `mosaic-fed id` shows it; the data directory's if not given
    #[arg(long, value_name = "HEX", value_parser = key)]
    key: Option<String>,
}

/// 64 hex digits, in either case.
fn key(text: &str) -> Result<String, String> {
    let text = text.trim().to_lowercase();
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text);
    }
    Err("a key is 64 hex digits; copy `audit key` from what `mosaic-fed id` shows on the instance it is of".to_owned())
}

/// What was found: of an export or of a proof.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Verified")]
pub enum Report {
    /// A log fits together.
    Log(LogReport),
    /// An entry is in a log.
    Proof(Box<audit_proof::ProofReport>),
}

/// What was found of an export.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VerifiedLog")]
pub struct LogReport {
    /// How many entries are in the file.
    entries: u64,
    /// The first entry's sequence; null where the file has none.
    first: Option<u64>,
    /// The sequence of the last entry, as the signed head says.
    last: u64,
    /// Name and id of the instance whose log it is.
    instance: String,
    /// The key that signed it, Ed25519, 64 hex digits.
    key: String,
    /// The file with a signed head that the export was held against; null where there is none.
    compared_with: Option<String>,
}

/// A line of an export is one entry: far below this.
const MAX_LINE: usize = 1 << 20;

/// Verifies an export.
pub fn run(args: &VerifyArgs, place: Option<&Place>, out: &Out) -> Outcome {
    let known = known_head(place)?;
    // Opened once: it may be a pipe.
    let opened = fs::File::open(&args.file).map_err(|error| unreadable(&args.file, &error))?;
    let mut file = BufReader::new(opened);
    let first = next_line(&mut file).map_err(|error| unreadable(&args.file, &error))?;
    let first = match first {
        Some(first) if audit_proof::is_one(&first) => {
            let text = audit_proof::text(&args.file, first, file)?;
            let by = (args.key.as_deref(), known.as_ref().map(|(_, head)| head));
            return audit_proof::verify(&args.file, &text, by, out);
        }
        other => other,
    };
    let lost = lost_heads(place);
    let wanted = known.iter().map(|(_, head)| head).chain(lost.iter().map(|(_, head)| head));
    let (verified, hashes) = read((&args.file, first, file), &wanted.map(|head| head.head.sequence).collect())?;
    let at = |head: &SignedHead| hashes.get(&head.head.sequence).copied();
    let at_known = known.as_ref().and_then(|(_, known)| at(known));
    let head = &verified.head;
    pki::verify_head(head).map_err(|error| broken(&args.file, error))?;
    if let Some(key) = args.key.as_ref().filter(|key| **key != head.key) {
        return Err(other_key(&args.file, head, key));
    }
    let known = known.filter(|(_, known)| args.key.is_none() || known.instance == head.instance);
    if let Some((path, known)) = &known {
        same_log(&args.file, head, known)?;
        compare(known, at_known).map_err(|cause| broken(&args.file, format!("{cause} ({})", path.display())))?;
    }
    for (path, lost) in lost.iter().filter(|(_, lost)| lost.instance == head.instance && lost.key == head.key) {
        leads_to(lost, head, at(lost)).map_err(|cause| put_back(&args.file, &cause, path))?;
    }
    let report = LogReport {
        entries: verified.entries,
        first: verified.first,
        last: head.head.sequence,
        instance: format!("{} ({})", head.name, head.instance),
        key: head.key.clone(),
        compared_with: known.as_ref().filter(|_| at_known.is_some()).map(|(path, _)| path.display().to_string()),
    };
    let (first, time) = (report.first, minute(head.head.time));
    let text = shown(&report, &time);
    out.value(&Report::Log(report), |_| text.clone())?;
    if let Some(first) = first.filter(|first| *first > 1) {
        out.remark(&format!(
            "the file begins at entry {first}: it says nothing of what was before; the whole log is `audit export` without --after"
        ));
    }
    if let (Some((path, known)), None) = (&known, at_known) {
        out.remark(&format!(
            "not compared with {}: entry {}, which it names, is not in the file",
            path.display(),
            known.head.sequence
        ));
    }
    if known.is_none() && args.key.is_none() {
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
    let head = api::head::read(place.dir()).map_err(|error| {
        Failure::file("read", &path, &error).next("the daemon writes it anew within a second: mosaic-fed serve")
    })?;
    Ok(head.map(|head| (path, head)))
}

/// Signed heads that the log in the database did not lead to any more, until the operator has answered for that.
fn lost_heads(place: Option<&Place>) -> Vec<(PathBuf, SignedHead)> {
    let lost = place.and_then(|place| Some((place.dir().join(api::head::LOST), api::head::lost(place.dir())?)));
    let signed = lost.into_iter().flat_map(|(path, lost)| lost.heads.into_iter().map(move |head| (path.clone(), head)));
    signed.filter(|(_, head)| pki::verify_head(head).is_ok()).collect()
}

/// Reads the export, whose first line was read, and on the way the hashes of the entries that known heads name.
fn read(
    (path, first, mut file): (&Path, Option<String>, BufReader<fs::File>),
    known: &BTreeSet<u64>,
) -> Outcome<(Verified, BTreeMap<u64, EntryHash>)> {
    let (mut verifier, mut hashes, mut number, mut next) = (Verifier::default(), BTreeMap::new(), 0, first);
    while let Some(line) = next {
        number += 1;
        verifier.line(&line).map_err(|error| match error {
            Broken::Unreadable { line: 1, .. } => no_export(path),
            error => broken(path, error),
        })?;
        if let Ok(Line::Entry(entry)) = serde_json::from_str(&line)
            && known.contains(&entry.sequence)
        {
            hashes.insert(entry.sequence, entry.hash);
        }
        next = next_line(&mut file).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => broken(path, format!("line {} is no text", number + 1)),
            _ => unreadable(path, &error),
        })?;
    }
    match verifier.finish() {
        Err(Broken::NoHead) if number == 0 => Err(no_export(path)),
        finished => Ok((finished.map_err(|error| broken(path, error))?, hashes)),
    }
}

fn next_line(file: &mut BufReader<fs::File>) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = file.take(MAX_LINE as u64).read_line(&mut line)?;
    Ok((read > 0).then_some(line))
}

/// What is no log of this instance cannot be judged by its key.
fn same_log(path: &Path, head: &SignedHead, known: &SignedHead) -> Outcome<()> {
    if head.instance != known.instance {
        let cause = format!(
            "{}: another instance's log: it is of {} ({}), the data directory is of {} ({})",
            path.display(),
            head.name,
            head.instance,
            known.name,
            known.instance
        );
        return Err(Failure::new(Exit::Failed, cause).next(format!(
            "give the audit key that `id` shows on {}: --key HEX; or -C with that instance's directory",
            head.name
        )));
    }
    if head.key == known.key { Ok(()) } else { Err(other_key(path, head, &known.key)) }
}

fn other_key(path: &Path, head: &SignedHead, key: &str) -> Failure {
    let cause = format!(
        "{}: another key: {}'s log here is signed with {}, not with {key}",
        path.display(),
        head.name,
        head.key
    );
    Failure::new(Exit::Failed, cause).next(format!(
        "compare both with the audit key that `id` shows on {}; where neither is wrong, somebody else signed this file",
        head.name
    ))
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData => no_export(path),
        io::ErrorKind::NotFound => Failure::input(path, error).next(EXPORT),
        _ => Failure::input(path, error),
    }
}

const EXPORT: &str = "make one: mosaic-fed audit export --output FILE";

/// A file whose very first line is no line of a log was not cut or altered: it is something else.
fn no_export(path: &Path) -> Failure {
    Failure::new(Exit::Usage, format!("{} is neither an export of a log nor a proof", path.display())).next(EXPORT)
}

/// Whether the export and the known head can be of one log.
fn compare(known: &SignedHead, at_known: Option<EntryHash>) -> Result<(), String> {
    pki::verify_head(known).map_err(|error| format!("the head in the data directory is damaged: {error}"))?;
    // An export that ends before the known head, or begins after it, does not hold the entry: then there is nothing to compare.
    match at_known {
        Some(hash) if hash != known.head.hash => Err(format!(
            "entry {} is not the one that the head in the data directory names: the log was rewritten",
            known.head.sequence
        )),
        _ => Ok(()),
    }
}

/// Whether the export is of the log that had this head, or was made before that.
fn leads_to(lost: &SignedHead, head: &SignedHead, at_lost: Option<EntryHash>) -> Result<(), String> {
    let reached = lost.head.sequence;
    match at_lost {
        Some(hash) if hash != lost.head.hash => {
            Err(format!("the log was rewritten: its entry {reached} is not the one that it had"))
        }
        None if head.head.sequence < reached && head.head.time > lost.head.time => Err(format!(
            "the log was shortened: it ends at entry {}, and had reached entry {reached} before that",
            head.head.sequence
        )),
        _ => Ok(()),
    }
}

fn put_back(path: &Path, cause: &str, kept: &Path) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {cause}, as the signed head in {} says", path.display(), kept.display())).next(
        "where a backup of the database was put back on purpose, start the daemon once with `mosaic-fed serve --audit-put-back`; where \
         not, somebody has changed the database: keep both files, and compare with earlier exports",
    )
}

fn broken(path: &Path, cause: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {cause}", path.display()))
        .next("export again; if it stays so, the log was changed outside the daemon: keep both files and compare")
}

fn shown(report: &LogReport, time: &str) -> String {
    let span =
        report.first.map_or_else(|| "an empty log".to_owned(), |first| format!("entries {first} to {}", report.last));
    let compared = report.compared_with.as_ref().map_or_else(String::new, |path| format!("\nagrees with   {path}"));
    format!(
        "unbroken      {span} ({} in all), head of {time} UTC\nsigned by     {}\nkey           {}{compared}",
        report.entries, report.instance, report.key
    )
}

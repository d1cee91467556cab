//! The log: who got what, under which grant.

use super::{asking, audit_verify, minute, or_dash};
use crate::{
    args::Global,
    config::shell_word,
    exit::{Exit, Failure, Outcome},
    out::Out,
    table::Table,
};
use api::{
    client::{Client, Lines},
    view,
};
use bytes::Bytes;
use clap::{Args, Subcommand};
use domain::{
    Time,
    audit::{Ending, chain::Line},
};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// What a table of entries has above it. Lines that come one by one leave out what is empty.
const HEAD: [&str; 10] = ["#", "TIME (UTC)", "WHAT", "ENDED", "REASON", "KIND", "ROWS", "GRANT", "FOR/BY", "NOTE"];

/// The commands of `audit`.
#[derive(Subcommand)]
pub enum AuditCommand {
    /// The last entries
    Tail {
        /// How many, 1 to 10000
        #[arg(short = 'n', long, default_value_t = 20, value_parser = super::up_to(view::MAX_ENTRIES))]
        lines: u32,
        /// Go on with new ones as they come
        #[arg(short, long)]
        follow: bool,
    },
    /// Entries that fit
    Query(QueryArgs),
    /// Prove that one entry is in the log, to whoever has nothing but the log's key
    Prove {
        /// Which entry: its number
        #[arg(value_parser = number)]
        sequence: u64,
        /// The file to write; stdout if not given
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Check an export for changes, or a proof; needs no daemon
    Verify(audit_verify::VerifyArgs),
    /// The whole log with its signed head, one JSON value a line
    Export {
        /// The file to write; stdout if not given
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Only entries after this one
        #[arg(long, value_name = "SEQUENCE")]
        after: Option<u64>,
    },
}

/// The arguments of `audit query`.
#[derive(Args)]
pub struct QueryArgs {
    /// Only of this grant or link: its name, or the beginning of its id
    #[arg(long)]
    grant: Option<String>,
    /// answered, refused, abandoned or done
    #[arg(long, value_parser = ending)]
    ending: Option<Ending>,
    /// Only at or after this time, as in 2026-11-21T09:30:00Z
    #[arg(long)]
    since: Option<Time>,
    /// Only entries after this one
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<u64>,
    /// At most this many, 1 to 10000
    #[arg(long, default_value_t = 100, value_parser = super::up_to(view::MAX_ENTRIES))]
    limit: u32,
}

fn number(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "an entry is named by its number, 1 or more, as `audit tail` shows it".to_owned())
}

fn ending(text: &str) -> Result<Ending, String> {
    Ending::from_word(text).ok_or_else(|| format!("choose {}", super::joined(Ending::ALL)))
}

/// `audit`.
pub async fn run(command: AuditCommand, global: &Global, out: &Out) -> Outcome {
    match command {
        AuditCommand::Tail { lines, follow } => tail(&global.client()?, out, lines, follow).await,
        AuditCommand::Query(args) => query(args, &global.client()?, out).await,
        AuditCommand::Prove { sequence, output } => prove(&global.client()?, out, sequence, output).await,
        AuditCommand::Verify(args) => audit_verify::run(&args, global.place().ok().as_ref(), out),
        AuditCommand::Export { output, after } => export(&global.client()?, out, output, after).await,
    }
}

async fn tail(client: &Client, out: &Out, lines: u32, follow: bool) -> Outcome {
    let filter = view::AuditFilter { limit: Some(lines), last: true, ..view::AuditFilter::default() };
    let entries: Vec<view::AuditEntry> = client.get(&asking("/v1/audit", &filter)?).await?;
    if !follow {
        out.table(&entries, |entries| entries_table(entries))?;
        out.next("audit export --output FILE");
        return Ok(Exit::Done);
    }
    if !out.json {
        out.raw(format!("{}\n", HEAD.join("  ")).as_bytes())?;
    }
    for entry in &entries {
        out.line(entry, entry_line)?;
    }
    let after = entries.last().map(|entry| entry.entry.sequence);
    let filter = view::AuditFilter { after, ..view::AuditFilter::default() };
    let mut lines = client.lines(&asking("/v1/audit/follow", &filter)?).await?;
    while let Some(entry) = lines.value::<view::AuditEntry>().await? {
        out.line(&entry, entry_line)?;
    }
    Ok(Exit::Done)
}

/// Writes every line; the last one.
async fn write_all(lines: &mut Lines, file: fs::File, failed: impl Fn(io::Error) -> Failure) -> Outcome<Option<Bytes>> {
    let failed = |error| failed(error).next("make room, or name another file");
    let (mut file, mut last) = (io::BufWriter::new(file), None);
    while let Some(line) = lines.next().await? {
        file.write_all(&line).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
        last = Some(line);
    }
    file.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    Ok(last)
}

async fn query(args: QueryArgs, client: &Client, out: &Out) -> Outcome {
    let QueryArgs { grant, ending, since, after, limit } = args;
    let filter = view::AuditFilter { grant, ending, since, after, limit: Some(limit), last: false };
    let entries: Vec<view::AuditEntry> = client.get(&asking("/v1/audit", &filter)?).await?;
    out.table(&entries, |entries| entries_table(entries))?;
    let more = entries.last().filter(|_| entries.len() as u64 == u64::from(limit));
    out.next(&more.map_or("audit tail".to_owned(), |last| going_on(&filter, last.entry.sequence, limit)));
    Ok(Exit::Done)
}

/// The same question about what follows.
fn going_on(filter: &view::AuditFilter, after: u64, limit: u32) -> String {
    let said = [
        filter.grant.as_deref().map(|grant| format!(" --grant {}", shell_word(grant))),
        filter.ending.map(|ending| format!(" --ending {ending}")),
        filter.since.map(|since| format!(" --since {since}")),
    ];
    format!("audit query{} --after {after} --limit {limit}", said.into_iter().flatten().collect::<String>())
}

fn cells(view: &view::AuditEntry) -> [String; 10] {
    let entry = &view.entry;
    let answered = if entry.rows == 0 { String::new() } else { entry.rows.to_string() };
    [
        entry.sequence.to_string(),
        entry.time.to_string().chars().take(19).collect::<String>().replace('T', " "),
        entry.about.clone(),
        entry.ending.to_string(),
        entry.reason.clone().unwrap_or_default(),
        entry.resource.as_ref().map(ToString::to_string).unwrap_or_default(),
        answered,
        view.grant_name
            .as_ref()
            .map_or_else(|| entry.grant.map(|id| super::short(&id)).unwrap_or_default(), ToString::to_string),
        view.subject_name
            .as_ref()
            .map_or_else(|| entry.subject.map(|id| super::short(&id)).unwrap_or_default(), ToString::to_string),
        entry.note.clone(),
    ]
}

fn entries_table(entries: &[view::AuditEntry]) -> Table {
    let mut table = Table::new(&HEAD, "no entries");
    for entry in entries {
        table.row(cells(entry));
    }
    table
}

fn entry_line(entry: &view::AuditEntry) -> String {
    let filled = cells(entry).into_iter().filter(|cell| !cell.is_empty());
    crate::out::escaped(&filled.collect::<Vec<_>>().join("  "))
}

async fn prove(client: &Client, out: &Out, sequence: u64, output: Option<PathBuf>) -> Outcome {
    let proof: view::AuditProof = client.get(&format!("/v1/audit/{sequence}/proof")).await?;
    let Some(path) = output else {
        out.value(&proof, |proof| proof.proof.trim_end().to_owned())?;
        return Ok(Exit::Done);
    };
    let mut file = created(&path)?;
    let written = file.write_all(proof.proof.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        drop(fs::remove_file(&path));
        Failure::file("write", &path, &error).next("make room, or name another file")
    })?;
    out.value(&proof, |proof| {
        format!("{}: that entry {} is in the log of {} entries", path.display(), proof.sequence, proof.size)
    })?;
    out.next(&format!("audit verify {}", shell_word(&or_dash(Some(&path.display())))));
    Ok(Exit::Done)
}

/// A new file that nobody else reads.
fn created(path: &Path) -> Outcome<fs::File> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| {
        let failure = Failure::file("write", path, &error);
        failure.next(match error.kind() {
            io::ErrorKind::AlreadyExists => "name a file that is not there yet, or remove this one",
            io::ErrorKind::NotFound => "make the directory first, or name another one",
            _ => "name a file in a directory that you may write to",
        })
    })
}

async fn export(client: &Client, out: &Out, output: Option<PathBuf>, after: Option<u64>) -> Outcome {
    let filter = view::AuditFilter { after, ..view::AuditFilter::default() };
    let mut lines = client.lines(&asking("/v1/audit/export", &filter)?).await?;
    let Some(path) = output else {
        while let Some(line) = lines.next().await? {
            out.raw(&line)?;
            out.raw(b"\n")?;
        }
        return Ok(Exit::Done);
    };
    let failed = |error| Failure::file("write", &path, &error);
    let file = created(&path)?;
    let head = write_all(&mut lines, file, failed).await.inspect_err(|_| {
        // A piece of a log would stand in the way of the whole one.
        drop(fs::remove_file(&path));
    })?;
    let head = head.and_then(|line| serde_json::from_slice(&line).ok());
    let Some(Line::Head(head)) = head else {
        return Err(Failure::of("the export has no signed head: its end is missing"));
    };
    out.value(&head, |head| {
        let time = minute(head.head.time);
        format!("{}: entries up to {} ({time} UTC), signed by {}", path.display(), head.head.sequence, head.name)
    })?;
    out.next(&format!("audit verify {}", shell_word(&or_dash(Some(&path.display())))));
    Ok(Exit::Done)
}

//! `mosaic-fed import`: people's own files, read on this side of the door and written through it. A second run changes
//! nothing; what cannot be taken is reported with its place, and the rest goes in.

mod front_matter;
mod jsonl;
mod markdown;
mod walk;

use crate::{
    exit::{Exit, Failure, Outcome, PERMIT},
    out::Out,
    rooms::writable_team,
};
use api::{client::Client, view};
use clap::Args;
use domain::{
    id::{Project, Resource, TeamId},
    item::NewItem,
    kind::Kinds,
};
use serde::Serialize;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Items in one request at most.
const BATCH_ITEMS: usize = 200;
/// Bytes of text in one request, unless one item alone is larger.
const BATCH_BYTES: usize = 1 << 20;

/// The arguments of `import`.
#[derive(Args)]
pub struct ImportArgs {
    /// A folder of Markdown, a Markdown file, or a file of JSON lines (.jsonl, .ndjson)
    path: PathBuf,
    /// What a Markdown file becomes, and a JSON line that does not say
    #[arg(long, default_value = "notes", value_parser = crate::rooms::kind)]
    kind: Resource,
    /// The team whose rows they are, where they do not say; yours alone if not given
    #[arg(long)]
    team: Option<TeamId>,
    /// The project they belong to, where they do not say
    #[arg(long)]
    project: Option<Project>,
    /// A name for where they come from, so that the folder may move and still be known; the path if not given
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Fail if anything is refused; the rest goes in all the same
    #[arg(long)]
    strict: bool,
}

/// What was not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// `file` or `file:line`.
    pub at: String,
    /// Cause and next step.
    pub reason: String,
}

/// What an import did.
#[derive(Debug, Default, Serialize)]
struct Report {
    read: u64,
    added: u64,
    updated: u64,
    unchanged: u64,
    refused: Vec<Refused>,
}

/// An item with the place it was found at.
pub struct Found {
    /// `file` or `file:line`.
    pub at: String,
    /// The item.
    pub item: NewItem,
}

/// What every item of an import has in common.
pub struct Common {
    kind: Resource,
    team: Option<TeamId>,
    project: Option<Project>,
    source: String,
}

/// `import`.
pub async fn run(args: ImportArgs, client: &Client, out: &Out) -> Outcome {
    let ImportArgs { path, kind, team, project, source, strict } = args;
    if Kinds::builtin().get(&kind).is_none() {
        let next = format!("name one that exists: --kind with one of {}", Kinds::builtin().listed());
        return Err(Failure::new(Exit::Missing, format!("there is no kind `{kind}`")).next(next));
    }
    let root = importable(&path)?;
    // Judged once, before anything is read: each line by itself would be refused for the same reason.
    if let Some(team) = &team {
        writable_team(client, team).await?;
    }
    let source = source.unwrap_or_else(|| origin(&root).display().to_string());
    let mut import = Import {
        client,
        common: Common { kind: kind.clone(), team, project, source },
        batch: Batch::default(),
        report: Report::default(),
        last_kind: None,
    };
    import.all(&root).await?;
    let (report, kind) = (import.report, import.last_kind.unwrap_or(kind));
    out.value(&report, |report| {
        format!(
            "{} read: {} added, {} updated, {} unchanged, {} refused",
            report.read,
            report.added,
            report.updated,
            report.unchanged,
            report.refused.len()
        )
    })?;
    if !out.json {
        report.refused.iter().for_each(|refused| out.remark(&format!("refused {}: {}", refused.at, refused.reason)));
    }
    if report.read == 0 {
        let looked_for =
            if root.is_dir() { "a folder is searched for files that end in .md" } else { "it has no line" };
        out.remark(&format!("nothing importable was found in {}: {looked_for}", path.display()));
    }
    out.next(&format!("list {kind}"));
    Ok(if strict && !report.refused.is_empty() { Exit::Incomplete } else { Exit::Done })
}

/// Where rows come from if nothing else is said. A Markdown file alone comes from its folder, so that it is the same row as
/// when that folder is imported whole; the keys of JSON lines belong to their file.
fn origin(root: &Path) -> &Path {
    match walk::kind(root) {
        Some(walk::Kind::Markdown) if root.is_file() => root.parent().unwrap_or(root),
        _ => root,
    }
}

/// The path without links, if it is one that an import reads.
fn importable(path: &Path) -> Outcome<PathBuf> {
    let root = path.canonicalize().map_err(|error| unusable(path, &error))?;
    let opened = if root.is_dir() { std::fs::read_dir(&root).map(drop) } else { std::fs::File::open(&root).map(drop) };
    opened.map_err(|error| unusable(path, &error))?;
    // A link is judged by its own name as well as by that of what it leads to.
    if root.is_dir() || walk::kind(&root).is_some() {
        return Ok(root);
    }
    let cause = format!("{} is neither Markdown nor JSON lines by its name", path.display());
    Err(Failure::new(Exit::Usage, cause).next(format!("import {}; rename the file if it is one", walk::IMPORTABLE)))
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    match (Failure::input(path, error), error.kind()) {
        (failure, io::ErrorKind::PermissionDenied) => failure,
        (failure, _) => failure.next(format!("check the path; import {}", walk::IMPORTABLE)),
    }
}

/// Why a file below a folder could not be read, and what to do.
fn unread(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{error}; {PERMIT}"),
        io::ErrorKind::NotFound => format!("{error}; it went away meanwhile, or is a link to nothing: remove it"),
        _ => format!("{error}; try again without it"),
    }
}

#[derive(Default)]
struct Batch {
    places: Vec<String>,
    items: Vec<NewItem>,
    bytes: usize,
}

struct Import<'a> {
    client: &'a Client,
    common: Common,
    batch: Batch,
    report: Report,
    last_kind: Option<Resource>,
}

impl Import<'_> {
    async fn all(&mut self, root: &Path) -> Outcome<()> {
        for file in walk::files(root) {
            let file = match file {
                Ok(file) => file,
                Err(refused) => {
                    self.refuse(refused);
                    continue;
                }
            };
            match file.kind {
                walk::Kind::Markdown => self.take(markdown::read(&file, &self.common)).await?,
                walk::Kind::Lines => self.lines(&file).await?,
            }
        }
        self.send().await
    }

    async fn lines(&mut self, file: &walk::File) -> Outcome<()> {
        let lines = match jsonl::Lines::open(file) {
            Ok(lines) => lines,
            Err(refused) => {
                self.refuse(refused);
                return Ok(());
            }
        };
        let mut keys = jsonl::Keys::default();
        for line in lines {
            let found = line.and_then(|line| line.item(&self.common, &mut keys));
            self.take(found).await?;
        }
        Ok(())
    }

    async fn take(&mut self, found: Result<Found, Refused>) -> Outcome<()> {
        match found {
            Ok(found) => self.add(found).await,
            Err(refused) => {
                self.refuse(refused);
                Ok(())
            }
        }
    }

    fn refuse(&mut self, refused: Refused) {
        self.report.read += 1;
        self.report.refused.push(refused);
    }

    async fn add(&mut self, Found { at, item }: Found) -> Outcome<()> {
        let bytes = item.title.len() + item.body.as_ref().map_or(0, String::len);
        let full = self.batch.items.len() >= BATCH_ITEMS || self.batch.bytes + bytes > BATCH_BYTES;
        if full {
            self.send().await?;
        }
        self.last_kind = Some(item.resource.clone());
        self.batch.places.push(at);
        self.batch.items.push(item);
        self.batch.bytes += bytes;
        Ok(())
    }

    async fn send(&mut self) -> Outcome<()> {
        let Batch { places, items, .. } = std::mem::take(&mut self.batch);
        if items.is_empty() {
            return Ok(());
        }
        let written: Vec<view::Written> = self.client.post("/v1/items", &view::ItemsOrder { items, dry_run: false }).await?;
        for (at, written) in places.into_iter().zip(written) {
            self.count(at, written);
        }
        Ok(())
    }

    fn count(&mut self, at: String, written: view::Written) {
        let Report { read, added, updated, unchanged, refused } = &mut self.report;
        *read += 1;
        match written.verdict {
            view::PutVerdict::Added => *added += 1,
            view::PutVerdict::Updated => *updated += 1,
            view::PutVerdict::Unchanged => *unchanged += 1,
            view::PutVerdict::Refused => {
                let reason = written.reason.unwrap_or_else(|| "refused without a reason".to_owned());
                refused.push(Refused { at, reason });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_be_read_has_cause_next_step_and_exit_code() {
        let cases = [(io::ErrorKind::NotFound, Exit::Missing), (io::ErrorKind::PermissionDenied, Exit::Forbidden)];
        for (kind, exit) in cases {
            let failure = unusable(Path::new("notes"), &kind.into());
            assert_eq!(failure.exit, exit);
            assert!(failure.cause.contains("notes") && failure.next.is_some(), "{failure:?}");
            assert!(unread(&kind.into()).contains("; "));
        }
    }
}

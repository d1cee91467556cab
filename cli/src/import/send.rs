//! The way of rows from files to the daemon: read by format, gathered into requests, counted by the verdict on each.

use super::{
    Common, Found, calendar,
    format::Format,
    jsonl, markdown,
    progress::Progress,
    report::{Refused, Report, Tally},
    taskwarrior, todo_txt,
    walk::{self, File},
};
use crate::exit::Outcome;
use api::{client::Client, view};
use domain::{
    id::Resource,
    item::{MAX_ITEM_BYTES, NewItem},
};
use std::path::Path;

/// Items in one request at most.
const BATCH_ITEMS: usize = 200;
/// Bytes of items and their keys in one request: as JSON it is at most six times as long, which the door still takes.
const BATCH_BYTES: usize = MAX_ITEM_BYTES;

#[derive(Default)]
struct Batch {
    places: Vec<String>,
    items: Vec<NewItem>,
    bytes: usize,
}

/// One import under way.
pub struct Import<'a> {
    client: &'a Client,
    common: &'a Common,
    progress: Progress,
    todo: todo_txt::Seen,
    batch: Batch,
    report: Report,
    tally: Tally,
    last_kind: Option<Resource>,
}

/// What an import came to.
pub struct Done {
    /// What is told.
    pub report: Report,
    /// The kind of the last row.
    pub kind: Option<Resource>,
}

impl<'a> Import<'a> {
    /// Writes rows through `client`, or only asks what would become of them.
    pub fn new(client: &'a Client, common: &'a Common, check: bool, progress: Progress) -> Self {
        let report = Report { check, ..Report::default() };
        Self {
            client,
            common,
            progress,
            todo: todo_txt::Seen::default(),
            batch: Batch::default(),
            report,
            tally: Tally::default(),
            last_kind: None,
        }
    }

    /// Reads every file at or below `root`.
    pub async fn all(mut self, root: &Path, format: Option<Format>) -> Outcome<Done> {
        for file in walk::files(root, format) {
            match file {
                Ok(file) => self.file(&file).await?,
                Err(refused) => self.refuse(refused),
            }
        }
        self.send().await?;
        self.report.cut_series = self.tally.cut;
        self.report.remarks = self.tally.remarks(&self.common.horizon.to_string(), &self.common.zone_name);
        Ok(Done { report: self.report, kind: self.last_kind })
    }

    async fn file(&mut self, file: &File) -> Outcome<()> {
        let common = self.common;
        match file.format {
            Format::Markdown => self.take(markdown::read(file, common)).await?,
            Format::Jsonl => return self.lines(file).await,
            Format::Todotxt => {
                let found = todo_txt::read(file, common, &mut self.todo);
                self.every(found).await?;
            }
            Format::Taskwarrior => {
                let found = taskwarrior::read(file, common, &mut self.tally);
                self.every(found).await?;
            }
            Format::Icalendar => {
                // Rows are made as they are sent: a series is many of them, each with the whole text.
                let mut tally = std::mem::take(&mut self.tally);
                for found in calendar::read(file, common, &mut tally) {
                    self.take(found).await?;
                }
                self.tally = tally;
            }
        }
        self.progress.bytes(file.size);
        Ok(())
    }

    async fn lines(&mut self, file: &File) -> Outcome<()> {
        let lines = match jsonl::Lines::open(file, &self.progress) {
            Ok(lines) => lines,
            Err(refused) => {
                self.refuse(refused);
                return Ok(());
            }
        };
        let (mut keys, scope) = (jsonl::Keys::default(), file.scope(&self.common.source));
        for line in lines {
            let found = line.and_then(|line| line.item(&scope, self.common, &mut keys));
            self.take(found).await?;
        }
        Ok(())
    }

    async fn every(&mut self, found: Vec<Result<Found, Refused>>) -> Outcome<()> {
        for found in found {
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
        // What the daemon would refuse in any case, the door may not even take.
        if let Err(cause) = item.check_size() {
            self.refuse(Refused { at, reason: cause.to_string() });
            return Ok(());
        }
        let bytes = item.size() + item.source_key.as_ref().map_or(0, String::len);
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
        let order = view::ItemsOrder { items, dry_run: self.report.check };
        let written: Vec<view::Written> = self.client.post("/v1/items", &order).await?;
        for (at, written) in places.into_iter().zip(written) {
            self.count(at, written);
        }
        self.progress.rows(self.report.read);
        Ok(())
    }

    fn count(&mut self, at: String, written: view::Written) {
        let Report { read, added, updated, unchanged, refused, .. } = &mut self.report;
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

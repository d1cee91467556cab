//! The way of rows from files to the daemon: read by format, gathered into requests, counted by the verdict on each.

use super::{
    Common,
    progress::Progress,
    reading::{Reading, Sourced},
    report::{Refused, Report},
    walk::File,
};
use crate::{exit::Outcome, rooms::asking};
use api::{client::Client, view};
use domain::{
    id::{ItemId, Resource},
    item::{MAX_ITEM_BYTES, NewItem},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Items in one request at most.
const BATCH_ITEMS: usize = 200;
/// Bytes of items and their keys in one request: as JSON it is at most six times as long, which the door still takes.
const BATCH_BYTES: usize = MAX_ITEM_BYTES;

/// Where rows on their way came from: the file, and the place to be told.
type Origin = (Arc<Path>, String);

#[derive(Default)]
struct Batch {
    origins: Vec<Origin>,
    items: Vec<NewItem>,
    bytes: usize,
}

/// One import under way.
pub struct Import<'a> {
    reading: Reading<'a>,
    sending: Sending<'a>,
}

/// The rows that were read, on their way to the daemon.
struct Sending<'a> {
    client: &'a Client,
    progress: Progress,
    batch: Batch,
    done: Done,
    /// Of a check: the rows that are here already.
    met: BTreeSet<ItemId>,
}

/// What an import came to.
#[derive(Debug, Default)]
pub struct Done {
    /// What is told.
    pub report: Report,
    /// The kind of the last row.
    pub kind: Option<Resource>,
    /// The files of which anything was refused.
    pub refused_in: BTreeSet<PathBuf>,
}

impl<'a> Import<'a> {
    /// Writes rows through `client`, or only asks what would become of them.
    pub fn new(client: &'a Client, common: &'a Common, check: bool, progress: Progress) -> Self {
        let done = Done { report: Report { check, ..Report::default() }, ..Done::default() };
        let sending =
            Sending { client, progress: progress.clone(), batch: Batch::default(), done, met: BTreeSet::new() };
        Self { reading: Reading::new(common, progress), sending }
    }

    /// Reads these files, and sends what is in them.
    pub async fn all(self, files: impl IntoIterator<Item = Result<File, Refused>>) -> Outcome<Done> {
        let Self { mut reading, mut sending } = self;
        for file in files {
            match file {
                Ok(file) => {
                    let path = Arc::from(file.path.as_path());
                    for row in reading.rows(&file) {
                        sending.take(&path, row).await?;
                    }
                }
                Err(refused) => sending.refuse(None, refused),
            }
        }
        sending.send().await?;
        let Reading { common, tally, .. } = reading;
        if sending.done.report.check {
            sending.done.report.gone = Some(sending.gone(&common.source).await?);
        }
        let mut done = sending.done;
        done.report.cut_series = tally.cut;
        done.report.remarks = tally.remarks(&common.horizon.to_string(), &common.zone_name);
        Ok(done)
    }
}

impl Sending<'_> {
    async fn take(&mut self, path: &Arc<Path>, row: Result<Sourced, Refused>) -> Outcome<()> {
        let Sourced { at, item } = match row {
            Ok(row) => row,
            Err(refused) => {
                self.refuse(Some(path), refused);
                return Ok(());
            }
        };
        // What the daemon would refuse in any case, the door may not even take.
        match item.check_size() {
            Ok(size) => self.add((Arc::clone(path), at), item, size).await,
            Err(cause) => {
                self.refuse(Some(path), Refused { at, reason: cause.to_string() });
                Ok(())
            }
        }
    }

    fn refuse(&mut self, path: Option<&Path>, refused: Refused) {
        self.done.report.read += 1;
        self.done.report.refused.push(refused);
        self.done.refused_in.extend(path.map(Path::to_owned));
    }

    async fn add(&mut self, origin: Origin, item: NewItem, size: usize) -> Outcome<()> {
        let bytes = size + item.source_key.as_ref().map_or(0, String::len);
        let full = self.batch.items.len() >= BATCH_ITEMS || self.batch.bytes + bytes > BATCH_BYTES;
        if full {
            self.send().await?;
        }
        self.done.kind = Some(item.resource.clone());
        self.batch.origins.push(origin);
        self.batch.items.push(item);
        self.batch.bytes += bytes;
        Ok(())
    }

    async fn send(&mut self) -> Outcome<()> {
        let Batch { origins, items, .. } = std::mem::take(&mut self.batch);
        if items.is_empty() {
            return Ok(());
        }
        let order = view::ItemsOrder { items, check: self.done.report.check };
        let written: Vec<view::Written> = self.client.post("/v1/items", &order).await?;
        for (origin, written) in origins.into_iter().zip(written) {
            self.count(origin, written);
        }
        self.progress.rows(self.done.report.read);
        Ok(())
    }

    /// How many rows of the source are here that were not met.
    async fn gone(&self, source: &str) -> Outcome<u64> {
        let question = view::SourceQuestion { source: source.to_owned() };
        let view::SourceEntry { rows } = self.client.get(&asking("/v1/items/source", &question)?).await?;
        Ok(rows.saturating_sub(self.met.len() as u64))
    }

    fn count(&mut self, (path, at): Origin, written: view::Written) {
        if self.done.report.check {
            self.met.extend(written.id);
        }
        let Report { read, added, updated, unchanged, .. } = &mut self.done.report;
        let counted = match written.verdict {
            view::PutVerdict::Added => added,
            view::PutVerdict::Updated => updated,
            view::PutVerdict::Unchanged => unchanged,
            view::PutVerdict::Refused => {
                let reason = written.reason.unwrap_or_else(|| "refused without a reason".to_owned());
                return self.refuse(Some(&path), Refused { at, reason });
            }
        };
        *counted += 1;
        *read += 1;
    }
}

//! The way of rows from files to the daemon: read by format, gathered into requests, counted by the verdict on each. Reading has
//! a thread of its own, so that no file, however large or slow, keeps the command from ending when it is told to.

use super::{
    Common,
    progress::Progress,
    reading::{Reading, Sourced},
    report::{Refused, Report, Tally},
    walk::{File, Walk},
};
use crate::{
    exit::{Failure, Outcome},
    rooms::asking,
};
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
use tokio::{sync::mpsc, task::spawn_blocking};

/// Items in one request at most.
const BATCH_ITEMS: usize = 200;
/// Bytes of items and their keys in one request: as JSON it is at most six times as long, which the door still takes.
const BATCH_BYTES: usize = MAX_ITEM_BYTES;

/// Rows that are read before they are taken: the largest have a megabyte each.
const READ_AHEAD: usize = 16;

/// Where rows on their way came from: the file, and the place to be told.
type Origin = (Option<Arc<Path>>, String);

#[derive(Default)]
struct Batch {
    origins: Vec<Origin>,
    items: Vec<NewItem>,
    bytes: usize,
}

/// What is to be read.
pub enum Found {
    /// Every file on the way, as it is come by.
    Way(Walk),
    /// These.
    Files(Vec<Result<File, Refused>>),
}

/// A row that was read, or why it could not be; and its file, if it got that far.
type Read = (Option<Arc<Path>>, Result<Sourced, Refused>);

impl Found {
    /// Reads everything, as far as anybody takes it.
    fn read(self, common: &Common, progress: Progress, rows: &mpsc::Sender<Read>) -> Tally {
        let mut reading = Reading::new(common, progress);
        match self {
            Self::Way(mut walk) => read(walk.files(), &mut reading, rows),
            Self::Files(files) => read(files, &mut reading, rows),
        }
        reading.tally
    }
}

fn read(files: impl IntoIterator<Item = Result<File, Refused>>, reading: &mut Reading<'_>, rows: &mpsc::Sender<Read>) {
    for file in files {
        let sent = match file {
            Ok(file) => {
                let path: Arc<Path> = Arc::from(file.path.as_path());
                reading.rows(&file).try_for_each(|row| rows.blocking_send((Some(Arc::clone(&path)), row)))
            }
            Err(refused) => rows.blocking_send((None, Err(refused))),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// One import under way.
pub struct Import<'a> {
    common: Arc<Common>,
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
    pub fn new(client: &'a Client, common: &Arc<Common>, check: bool, progress: Progress) -> Self {
        let done = Done { report: Report { check, ..Report::default() }, ..Done::default() };
        let sending = Sending { client, progress, batch: Batch::default(), done, met: BTreeSet::new() };
        Self { common: Arc::clone(common), sending }
    }

    /// Reads what was found, and sends what is in it.
    pub async fn all(self, found: Found) -> Outcome<Done> {
        let Self { common, mut sending } = self;
        let (rows, mut read) = mpsc::channel(READ_AHEAD);
        let (shared, progress) = (Arc::clone(&common), sending.progress.clone());
        let reader = spawn_blocking(move || found.read(&shared, progress, &rows));
        while let Some((path, row)) = read.recv().await {
            sending.take(path, row).await?;
        }
        let tally = reader.await.map_err(Failure::of)?;
        sending.send().await?;
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
    async fn take(&mut self, path: Option<Arc<Path>>, row: Result<Sourced, Refused>) -> Outcome<()> {
        // What the daemon would refuse in any case, the door may not even take.
        let sized = row.and_then(|Sourced { at, item }| match item.check_size() {
            Ok(size) => Ok((at, item, size)),
            Err(cause) => Err(Refused { at, reason: cause.to_string() }),
        });
        match sized {
            Ok((at, item, size)) => self.add((path, at), item, size).await,
            Err(refused) => {
                self.refuse(path.as_deref(), refused);
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
                return self.refuse(path.as_deref(), Refused { at, reason });
            }
        };
        *counted += 1;
        *read += 1;
    }
}

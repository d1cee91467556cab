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
use api::{
    Kind,
    client::{Client, ClientError},
    view,
};
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
pub const READ_AHEAD: usize = 16;

const TOO_LARGE: &str = "larger than the daemon takes at once; shorten it or split it";

/// Where rows on their way came from: the file, and the place to be told.
type Origin = (Option<Arc<Path>>, String);

#[derive(Default)]
struct Batch {
    origins: Vec<Origin>,
    items: Vec<NewItem>,
    bytes: usize,
}

/// What is to be read.
#[derive(Clone)]
pub enum Found {
    /// Every file on the way, as it is come by.
    Way(Walk),
    /// These.
    Files(Vec<Result<File, Refused>>),
}

/// A row that was read, or why it could not be; and its file, if it got that far.
pub type Read = (Option<Arc<Path>>, Result<Sourced, Refused>);

impl Found {
    /// Reads everything, as far as anybody takes it.
    pub fn read(self, common: &Common, progress: Progress, rows: &mpsc::Sender<Read>) -> Tally {
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
        let is_taken = |path, row| rows.blocking_send((path, row)).is_ok();
        let all_taken = match file {
            Ok(file) => {
                let path: Arc<Path> = Arc::from(file.path.as_path());
                reading.rows(&file).all(|row| is_taken(Some(Arc::clone(&path)), row))
            }
            Err(refused) => is_taken(None, Err(refused)),
        };
        if !all_taken {
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
        self.done.report.refuse(refused);
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
        let mut order = view::ItemsOrder { items, check: self.done.report.check };
        match self.put(&order).await? {
            Some(written) => origins.into_iter().zip(written).for_each(|(origin, written)| self.count(origin, written)),
            None => {
                for (origin, item) in origins.into_iter().zip(std::mem::take(&mut order.items)) {
                    order.items = vec![item];
                    self.send_alone(origin, &order).await?;
                }
            }
        }
        self.progress.rows(self.done.report.read);
        Ok(())
    }

    async fn send_alone(&mut self, (path, at): Origin, order: &view::ItemsOrder) -> Outcome<()> {
        match self.put(order).await? {
            Some(written) => written.into_iter().for_each(|written| self.count((path.clone(), at.clone()), written)),
            None => self.refuse(path.as_deref(), Refused { at, reason: TOO_LARGE.to_owned() }),
        }
        Ok(())
    }

    /// The verdicts; none where the door takes no request so large.
    async fn put(&self, order: &view::ItemsOrder) -> Outcome<Option<Vec<view::Written>>> {
        match self.client.post("/v1/items", order).await {
            Ok(written) => Ok(Some(written)),
            Err(ClientError::Problem(problem)) if problem.kind == Kind::TooLarge => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// How many rows of the source are here that were not met.
    async fn gone(&self, source: &str) -> Outcome<u64> {
        let question = view::SourceQuestion { source: source.to_owned() };
        let view::SourceEntry { rows, .. } = self.client.get(&asking("/v1/items/source", &question)?).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use api::Problem;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{UnixListener, UnixStream},
    };

    /// The body of a request, after its head.
    async fn asked(stream: &mut UnixStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let mut part = vec![0; 4_096];
            let size = stream.read(&mut part).await.unwrap();
            bytes.extend_from_slice(&part[..size]);
            let text = String::from_utf8_lossy(&bytes).to_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if size == 0 || body.len() >= length.parse().unwrap() {
                return bytes[head.len() + 4..].to_vec();
            }
        }
    }

    /// A door that takes nothing of more than `most` bytes, which the daemon's own does not refuse: no batch is so large.
    async fn narrow_door(listener: UnixListener, most: usize) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let body = asked(&mut stream).await;
            let (status, answer) = if body.len() > most {
                ("413 Payload Too Large", serde_json::to_string(&Problem::new(Kind::TooLarge, "too large")).unwrap())
            } else {
                let order: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let added = order["items"].as_array().unwrap().iter().map(|_| r#"{"verdict":"added"}"#);
                ("200 OK", format!("[{}]", added.collect::<Vec<_>>().join(",")))
            };
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", answer.len());
            stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n{answer}").as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_batch_that_is_too_large_for_the_door_goes_in_row_by_row() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let line =
            |title: &str, size: usize| format!("{{\"title\": \"{title}\", \"body\": \"{}\"}}\n", "x".repeat(size));
        std::fs::write(base.join("a.jsonl"), [line("a", 300), line("b", 3_000), line("c", 300)].concat()).unwrap();
        tokio::spawn(narrow_door(UnixListener::bind(base.join("door")).unwrap(), 1_000));
        let client = Client::new(base.join("door"), None, None);
        let common = Arc::new(Common::of_tests("notes"));
        let walk = Walk::new(&base.join("a.jsonl"), None, false);
        let done = Import::new(&client, &common, false, Progress::none()).all(Found::Way(walk)).await.unwrap();
        assert_eq!((done.report.added, done.report.read), (2, 3), "{:?}", done.report);
        let refused = &done.report.refused[0];
        assert!(refused.at == "a.jsonl:2" && refused.reason == TOO_LARGE, "{refused:?}");
    }
}

//! Audited before answered: the one writer that every record goes through, and the proof that a record is durable.

use crate::{AuditLog, Committed, StoreError};
use domain::{
    Reason,
    audit::{
        Ending, Record,
        fold::{Folds, Verdict},
    },
    world::Clock,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// An answer whose record is durable. Only [`Auditor::release`] makes it; a response is built only from it.
#[derive(Debug)]
pub struct Released<T>(T);

impl<T> Released<T> {
    /// The answer, which may leave.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Why an answer must not leave.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The grant moved since the decision; the log has the refusal.
    #[error("the grant changed before the answer could leave")]
    Withdrawn(Reason),
    /// The record could not be made durable.
    #[error("the answer could not be recorded: {0}")]
    Unavailable(String),
}

/// Records at most this many in one transaction.
const MAX_BATCH: usize = 512;
/// Records that may wait; beyond, callers are refused at once instead of queueing without end.
const MAX_QUEUE: usize = 8_192;
/// How long a caller waits for its record before it is refused.
const PATIENCE: Duration = Duration::from_secs(5);

struct Queued {
    record: Record,
    done: Option<oneshot::Sender<Result<Committed, String>>>,
}

/// The writer of this process. Its batch is whatever queued during the last commit; there is no timer.
#[derive(Debug)]
pub struct Auditor {
    queue: mpsc::Sender<Queued>,
    folds: Arc<Mutex<Folds>>,
    clock: Arc<dyn Clock>,
    lost: Arc<std::sync::atomic::AtomicU64>,
    fault: Fault,
}

/// Why the last batch could not be written; none where it was.
type Fault = Arc<Mutex<Option<String>>>;

impl Auditor {
    /// Starts the writer. Its task ends, after writing what is queued, when every [`Auditor`] handle is dropped.
    pub fn start<L: AuditLog + ?Sized + 'static>(log: Arc<L>, clock: Arc<dyn Clock>) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(MAX_QUEUE);
        let folds = Arc::new(Mutex::new(Folds::default()));
        let lost = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let fault = Fault::default();
        let kept = (Arc::clone(&lost), Arc::clone(&fault));
        let task = tokio::spawn(write(log, waiting, Arc::clone(&folds), Arc::clone(&clock), kept));
        (Self { queue, folds, clock, lost, fault }, task)
    }

    /// Makes the record of `answer` durable, after a last look at the grant, and lets the answer go.
    pub async fn release<T>(&self, record: Record, answer: T) -> Result<Released<T>, ReleaseError> {
        match self.write(record).await? {
            Committed::Written { .. } => Ok(Released(answer)),
            Committed::Withdrawn { reason, .. } => Err(ReleaseError::Withdrawn(reason)),
        }
    }

    /// Makes a record durable that no answer hangs on.
    pub async fn record(&self, record: Record) -> Result<(), ReleaseError> {
        self.write(record).await.map(|_| ())
    }

    /// Makes a refusal durable, unless it repeats one of the last ten seconds: then it is counted.
    pub async fn refuse(&self, record: Record) -> Result<(), ReleaseError> {
        match self.fold(&record) {
            Verdict::Write => {
                let written = self.record(record.clone()).await;
                if written.is_err() {
                    self.folds.lock().unwrap_or_else(PoisonError::into_inner).forget(&record);
                }
                written
            }
            Verdict::Counted => Ok(()),
        }
    }

    /// Queues a record without waiting: for calls that were abandoned and garbage that nobody waits for. A full queue
    /// counts it as lost.
    pub fn enqueue(&self, record: Record) {
        if record.ending == Ending::Refused && self.fold(&record) == Verdict::Counted {
            return;
        }
        if self.queue.try_send(Queued { record, done: None }).is_err() {
            self.lost.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Records that nobody waited for and that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Records that wait to be written.
    pub fn waiting(&self) -> u64 {
        (self.queue.max_capacity() - self.queue.capacity()) as u64
    }

    /// The clock records are stamped with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn fold(&self, record: &Record) -> Verdict {
        self.folds.lock().unwrap_or_else(PoisonError::into_inner).take(record)
    }

    /// Why the last batch could not be written; none where it was, or nothing was to be.
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn write(&self, record: Record) -> Result<Committed, ReleaseError> {
        let away = |why: &str| ReleaseError::Unavailable(why.to_owned());
        let (done, verdict) = oneshot::channel();
        let queued = Queued { record, done: Some(done) };
        self.queue.try_send(queued).map_err(|_| away("too many records are waiting"))?;
        match tokio::time::timeout(PATIENCE, verdict).await {
            Ok(Ok(Ok(committed))) => Ok(committed),
            Ok(Ok(Err(cause))) => Err(ReleaseError::Unavailable(cause)),
            Ok(Err(_)) => Err(away("the writer has stopped")),
            Err(_) => Err(away("the database took longer than five seconds")),
        }
    }
}

async fn write<L: AuditLog + ?Sized>(
    log: Arc<L>,
    mut waiting: mpsc::Receiver<Queued>,
    folds: Arc<Mutex<Folds>>,
    clock: Arc<dyn Clock>,
    (lost, fault): (Arc<std::sync::atomic::AtomicU64>, Fault),
) {
    let mut sweep = tokio::time::interval(Duration::from_secs(1));
    let mut batch = Vec::new();
    loop {
        let open = tokio::select! {
            count = waiting.recv_many(&mut batch, MAX_BATCH) => count > 0,
            _ = sweep.tick() => true,
        };
        let closed = close_folds(&folds, clock.now(), open);
        batch.extend(closed.into_iter().map(|record| Queued { record, done: None }));
        if let Some(outcome) = commit(&*log, &mut batch, &lost).await {
            *fault.lock().unwrap_or_else(PoisonError::into_inner) = outcome.err();
        }
        if !open {
            return;
        }
    }
}

fn close_folds(folds: &Mutex<Folds>, now: domain::Time, open: bool) -> Vec<Record> {
    let mut folds = folds.lock().unwrap_or_else(PoisonError::into_inner);
    if open { folds.close(now) } else { folds.close_all() }
}

/// Whether the batch was written; none where there was none.
async fn commit<L: AuditLog + ?Sized>(
    log: &L,
    batch: &mut Vec<Queued>,
    lost: &std::sync::atomic::AtomicU64,
) -> Option<Result<(), String>> {
    if batch.is_empty() {
        return None;
    }
    let (records, waiters): (Vec<_>, Vec<_>) = batch.drain(..).map(|queued| (queued.record, queued.done)).unzip();
    let verdicts = log.commit(&records).await.map_err(|error: StoreError| error.to_string());
    if let Err(cause) = &verdicts {
        tracing::error!(
            records = records.len(),
            cause,
            "audit records could not be written; their answers are refused"
        );
    }
    for (at, waiter) in waiters.into_iter().enumerate() {
        let verdict = match &verdicts {
            Ok(verdicts) => verdicts.get(at).copied().ok_or_else(|| "the database lost the record".to_owned()),
            Err(cause) => Err(cause.clone()),
        };
        match (waiter, verdict) {
            // A waiter that went away took its answer with it; its record stands.
            (Some(waiter), verdict) => drop(waiter.send(verdict)),
            (None, Err(_)) => drop(lost.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
            (None, Ok(_)) => {}
        }
    }
    Some(verdicts.map(drop))
}

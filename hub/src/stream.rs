//! QUERY as a stream: rows in arrival order, each source's outcome when it ends. The first row waits for nobody but its own
//! source and its record.

use crate::{
    Asker, Hub, HubError,
    ask::Ask,
    call::Facts,
    cursor::Progress,
    flight::Over,
    judge::Hold,
    outcome::Failure,
    peer::Batch,
    question::{Question, Source},
    record::Sum,
};
use domain::answer::{Outcome, Row, SourceOutcome, Step, Verdict};
use futures::{
    Stream, StreamExt,
    future::pending,
    stream::{self, BoxStream},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{
    Notify,
    mpsc::{Sender, channel, error::SendError},
};
use tokio_stream::wrappers::ReceiverStream;

/// Steps that may wait for a slow reader; beyond, the sources wait.
const WAITING: usize = 64;

/// What waits for the reader.
enum Waiting {
    /// The next row of its source.
    Row(Arc<Shelf>),
    /// How the source ended, and after how long: whether it was cut short, or the failure.
    End(Arc<Shelf>, Result<bool, Failure>, Duration),
}

/// Rows of one source that wait for the reader, and that are let go of all at once when their grant ends.
struct Shelf {
    /// `here`, or the link's name.
    source: String,
    rows: Mutex<Rows>,
    empty: Notify,
    over: Option<Over>,
}

#[derive(Default)]
struct Rows {
    /// Why one was let go of when it was its turn.
    lost: Option<Failure>,
    waiting: VecDeque<Box<Row>>,
    /// What lets them leave; nothing holds this instance's own.
    hold: Option<Hold>,
    shown: u64,
    facts: Facts,
}

impl Shelf {
    fn new(source: &str, over: Option<Over>) -> Self {
        Self { source: source.to_owned(), rows: Mutex::default(), empty: Notify::new(), over }
    }

    fn is_over(&self) -> bool {
        self.over.as_ref().is_some_and(Over::is_so)
    }

    fn put(&self, row: Row) {
        self.lock().waiting.push_back(Box::new(row));
    }

    fn held_by(&self, hold: Option<Hold>) {
        self.lock().hold = hold;
    }

    /// The next row; none where it may not leave any more.
    fn take(&self) -> Option<Box<Row>> {
        let mut rows = self.lock();
        let next = rows.waiting.pop_front();
        if rows.waiting.is_empty() {
            self.empty.notify_one();
        }
        match rows.leave(Ok(next?)) {
            Ok(row) => {
                rows.shown += 1;
                Some(row)
            }
            Err(failure) => {
                rows.lost = Some(failure);
                None
            }
        }
    }

    /// How it ended for the reader, who may have come after what the source ended with.
    fn end(&self, ended: Result<bool, Failure>, took: Duration) -> SourceOutcome {
        let ended = {
            let mut rows = self.lock();
            match rows.lost.take() {
                // By now there may be more to say of it.
                Some(lost) => rows.leave(Ok(())).and(Err(lost)),
                None => rows.leave(ended),
            }
        };
        self.outcome(ended, took)
    }

    /// Waits until the reader has every row, or lets go of those it has not when their grant ends.
    async fn cleared(&self) {
        let over = async {
            match &self.over {
                Some(over) => over.wait().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = over => self.lock().waiting.clear(),
            () = self.emptied() => {}
        }
    }

    async fn emptied(&self) {
        while !self.lock().waiting.is_empty() {
            self.empty.notified().await;
        }
    }

    fn outcome(&self, ended: Result<bool, Failure>, took: Duration) -> SourceOutcome {
        let (name, Rows { shown: rows, facts, .. }) = (&self.source, &*self.lock());
        facts.of(match ended {
            Ok(truncated) => {
                SourceOutcome { rows: *rows, truncated, ..SourceOutcome::empty(name, Outcome::Ok, "", took) }
            }
            Err(failure) => failure.ending(name, *rows, took),
        })
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn leave<T>(&self, came: Result<T, Failure>) -> Result<T, Failure> {
        match &self.hold {
            Some(hold) => hold.leave(came),
            None => came,
        }
    }
}

impl Waiting {
    /// What the reader is told of it.
    fn step(self) -> Option<Step> {
        match self {
            Self::Row(rows) => rows.take().map(Step::Row),
            Self::End(rows, ended, took) => Some(Step::End(rows.end(ended, took))),
        }
    }
}

impl Hub {
    /// Rows of every source in arrival order, at most `limit` of each, and its outcome as each source ends. Dropping the
    /// stream ends the questions.
    pub async fn stream(
        self: &Arc<Self>,
        asker: &Asker,
        question: Question,
    ) -> Result<BoxStream<'static, Step>, HubError> {
        question.check()?;
        if question.cursor.is_some() {
            return Err(HubError::Cursor);
        }
        let sources = self.sources(asker, &question.from).await?;
        let names = sources.iter().map(|source| source.name().to_owned()).collect();
        let (steps, receiver) = channel(WAITING);
        for source in sources {
            let (hub, asker, question, steps) = (Arc::clone(self), *asker, question.clone(), steps.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = steps.closed() => {}
                    () = hub.stopping.cancelled() => {}
                    () = tell(&hub, asker, &question, &source, &steps) => {}
                }
            });
        }
        let steps = ReceiverStream::new(receiver).filter_map(|waiting: Waiting| async { waiting.step() });
        Ok(judged(steps, names).boxed())
    }
}

/// The same steps, and what they come to. Where this instance stops meanwhile, what did not end is missing.
fn judged(steps: impl Stream<Item = Step>, asked: Vec<String>) -> impl Stream<Item = Step> {
    stream::unfold(Some((Box::pin(steps), asked, Vec::new())), |open| async {
        let (mut steps, asked, mut ended) = open?;
        Some(match steps.next().await {
            None => (Step::Verdict(Verdict::of_asked(asked.iter().map(String::as_str), &ended)), None),
            Some(step) => {
                ended.extend(if let Step::End(end) = &step { Some(end.clone()) } else { None });
                (step, Some((steps, asked, ended)))
            }
        })
    })
}

async fn tell(hub: &Hub, asker: Asker, question: &Question, source: &Source, steps: &Sender<Waiting>) {
    let mut ask = Ask::new(
        hub,
        &asker,
        source,
        (question.list(), question.manner().alone()),
        (Progress::NotAsked, hub.deadlines.until()),
    );
    let (over, started) = (ask.place().map(|place| place.over()), ask.started);
    let shelf = Arc::new(Shelf::new(source.name(), over.clone()));
    shelf.held_by(ask.hold());
    let relayed = relay(&mut ask, steps, &shelf);
    let ended = match &over {
        Some(over) => over.unless(relayed).await,
        None => relayed.await,
    };
    if shelf.is_over() {
        ask.end(Some(&Failure::ended()));
    }
    shelf.lock().facts = ask.facts();
    let told = steps.send(Waiting::End(Arc::clone(&shelf), ended, started.elapsed()));
    // The question has its place until the reader has its rows.
    let held = async {
        shelf.cleared().await;
        drop(ask);
    };
    drop(tokio::join!(told, held));
}

/// Passes rows on as they come, each batch after its record.
async fn relay(ask: &mut Ask<'_>, steps: &Sender<Waiting>, shelf: &Arc<Shelf>) -> Result<bool, Failure> {
    loop {
        let batch = match ask.next().await {
            Ok(batch) => batch,
            Err(failure) => {
                ask.end(Some(&failure));
                return Err(ask.record_failure(failure).await);
            }
        };
        shelf.held_by(ask.hold());
        let end = batch.end;
        if end.is_some() {
            ask.end(None);
        }
        if end.is_some() || !batch.items.is_empty() {
            ask.record(Sum { rows: batch.items.len() as u64, bytes: batch.bytes }).await?;
        }
        if pass_on(batch, shelf, steps).await.is_err() {
            return Ok(false);
        }
        if let Some(truncated) = end {
            return Ok(truncated);
        }
    }
}

async fn pass_on(batch: Batch, shelf: &Arc<Shelf>, steps: &Sender<Waiting>) -> Result<(), SendError<Waiting>> {
    for item in batch.items {
        let row = Row { source: shelf.source.clone(), as_of: batch.as_of, late: false, cached: batch.cached, item };
        shelf.put(row);
        steps.send(Waiting::Row(Arc::clone(shelf))).await?;
    }
    Ok(())
}

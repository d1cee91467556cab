//! QUERY as a stream: rows in arrival order, each source's outcome when it ends. The first row waits for nobody but its own
//! source and its record.

use crate::{
    Asker, Hub, HubError,
    ask::Ask,
    cursor::Progress,
    flight::Over,
    outcome::Failure,
    peer::Batch,
    question::{Question, Source},
    record::Sum,
};
use domain::answer::{Outcome, Row, SourceOutcome, Step};
use futures::{StreamExt, stream::BoxStream};
use std::sync::Arc;
use tokio::sync::mpsc::{Sender, channel, error::SendError};
use tokio_stream::wrappers::ReceiverStream;

/// Steps that may wait for a slow reader; beyond, the sources wait.
const WAITING: usize = 64;

/// A step on its way to the reader, and how it learns that its grant has ended.
type Waiting = (Option<Over>, Step);

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
        // Rows that wait for a slow reader are not shown any more once their grant has ended.
        let shown = |(over, step): Waiting| async move {
            let withheld = matches!(step, Step::Row(_)) && over.is_some_and(|over| over.is_so());
            (!withheld).then_some(step)
        };
        Ok(ReceiverStream::new(receiver).filter_map(shown).boxed())
    }
}

async fn tell(hub: &Hub, asker: Asker, question: &Question, source: &Source, steps: &Sender<Waiting>) {
    let mut ask = Ask::new(hub, &asker, source, question.list(), Progress::NotAsked);
    let (over, mut rows, started) = (ask.over(), 0, ask.started);
    let relayed = relay(&mut ask, source.name(), steps, &mut rows);
    let ended = match &over {
        Some(over) => over.unless(relayed).await,
        None => relayed.await,
    };
    if over.is_some_and(|over| over.is_so()) {
        ask.end(Some(&Failure::ended()));
    }
    // Before the end is told, which may wait for a slow reader: the source holds nothing any more.
    drop(ask);
    let took = started.elapsed();
    let end = match ended {
        Ok(truncated) => {
            SourceOutcome { rows, truncated, ..SourceOutcome::empty(source.name(), Outcome::Ok, "", took) }
        }
        Err(failure) => failure.ending(source.name(), rows, took),
    };
    drop(steps.send((None, Step::End(end))).await);
}

/// Passes rows on as they come, each batch after its record.
async fn relay(ask: &mut Ask<'_>, name: &str, steps: &Sender<Waiting>, rows: &mut u64) -> Result<bool, Failure> {
    loop {
        let batch = match ask.next().await {
            Ok(batch) => batch,
            Err(failure) => {
                ask.end(Some(&failure));
                return Err(ask.record_failure(failure).await);
            }
        };
        let end = batch.end;
        if end.is_some() {
            ask.end(None);
        }
        if end.is_some() || !batch.items.is_empty() {
            ask.record(Sum { rows: batch.items.len() as u64, bytes: batch.bytes }, "").await?;
        }
        *rows += batch.items.len() as u64;
        if pass_on(batch, name, ask.over(), steps).await.is_err() {
            return Ok(false);
        }
        if let Some(truncated) = end {
            return Ok(truncated);
        }
    }
}

async fn pass_on(
    batch: Batch,
    name: &str,
    over: Option<Over>,
    steps: &Sender<Waiting>,
) -> Result<(), SendError<Waiting>> {
    for item in batch.items {
        let row = Row { source: name.to_owned(), as_of: batch.as_of, late: false, item };
        steps.send((over.clone(), Step::Row(Box::new(row)))).await?;
    }
    Ok(())
}

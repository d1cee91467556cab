//! Asking a link is written into this instance's own log before anything of its answer is shown.

use crate::{Asker, Hub, outcome::Failure};
use domain::{
    audit::{Act, Ending, Record, Stage, Subject},
    id::{QueryHash, RequestId, Resource},
};
use std::sync::Arc;
use store::{Auditor, LinkRecord};
use tokio::time::Instant;

/// The record of a question that is under way. Dropped before it was closed it writes itself as abandoned: the question
/// had gone out.
pub(crate) struct Asking {
    auditor: Arc<Auditor>,
    draft: Record,
    started: Instant,
    open: bool,
}

/// What came of a part of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Asking {
    pub(crate) fn new(hub: &Hub, asker: &Asker, link: &LinkRecord, request: RequestId) -> Self {
        let about = Subject::Act(Act::Ask);
        let draft = Record {
            grant: Some(link.id),
            peer: Some(link.peer),
            subject: Some(asker.user),
            ..Record::new(hub.world.now(), Stage::Ask, Ending::Abandoned, about, request)
        };
        Self { auditor: Arc::clone(&hub.auditor), draft, started: Instant::now(), open: true }
    }

    /// With what was asked: the hash is the one that the other side's log has.
    pub(crate) fn about(mut self, resource: &Resource, query: QueryHash) -> Self {
        self.draft.resource = Some(resource.clone());
        self.draft.query = Some(query);
        self
    }

    /// Writes that this much was answered; it may be shown once this returns.
    pub(crate) async fn answered(&mut self, sum: Sum, note: &str) -> Result<(), Failure> {
        let record = Record { rows: sum.rows, bytes: sum.bytes, ..self.record(Ending::Answered) };
        self.write(record.noting(note)).await
    }

    /// Writes that nothing was answered, and why.
    pub(crate) async fn failed(&mut self, failure: &Failure) -> Result<(), Failure> {
        let record = Record { reason: failure.refusal, ..self.record(Ending::Refused) };
        self.write(record.noting(&format!("{}: {}", failure.outcome, failure.reason))).await
    }

    fn record(&self, ending: Ending) -> Record {
        let time = self.auditor.clock().now();
        Record { time, ending, latency: self.started.elapsed(), ..self.draft.clone() }
    }

    async fn write(&mut self, record: Record) -> Result<(), Failure> {
        self.open = false;
        let written = self.auditor.record(record).await;
        written.map_err(|error| {
            Failure::own(format!("the question could not be recorded, so its answer is not shown: {error}"))
        })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.open {
            self.auditor.enqueue(self.record(Ending::Abandoned));
        }
    }
}

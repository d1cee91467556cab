//! Asking a link is written into this instance's own log before anything of its answer is shown; so is that an invite was
//! sent, which may have spent it, whatever came back.

use crate::{
    Asker, Hub, HubError,
    outcome::{Failure, Kind},
};
use domain::{
    answer::Outcome,
    audit::{Act, Ending, Record, Stage, Subject},
    id::{GrantId, InstanceId, QueryHash, Resource},
    invite::Invite,
    operation::Method,
};
use link::{
    Trail,
    trail::{Begin, NotSent, Part, Side},
};
use std::sync::Arc;
use store::{Auditor, LinkRecord, ReleaseError, StoreError};
use tokio::time::Instant;

/// The record of a question that is under way. Dropped before it was closed it writes itself as abandoned: the question
/// had gone out.
pub(crate) struct Asking {
    auditor: Arc<Auditor>,
    draft: Record,
    started: Instant,
    open: bool,
    trail: Trail,
}

/// What the log says of an answer that was shown once more, for which nothing was sent.
const KEPT: &str = "kept from an earlier answer";

/// What came of a part of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Asking {
    /// A question of `asker` over `link`, which is asked by `method`.
    pub(crate) fn new(hub: &Hub, asker: &Asker, link: &LinkRecord, method: Method) -> Self {
        Self::begin(hub, asker, (Stage::Ask, Act::Ask), (link.id, link.peer), method)
    }

    /// The making or renewing of a link, from the sending of the invite to the link's own record.
    pub(crate) fn linking(hub: &Hub, asker: &Asker, invite: &Invite, act: Act) -> Self {
        Self::begin(hub, asker, (Stage::Admin, act), (invite.grant, invite.instance), Method::Enroll)
    }

    fn begin(
        hub: &Hub,
        asker: &Asker,
        (stage, act): (Stage, Act),
        (grant, peer): (GrantId, InstanceId),
        method: Method,
    ) -> Self {
        let trail = hub.trails.begin(Begin {
            side: Side::Asking,
            method: Some(method),
            grant: Some(grant),
            peer: Some(peer),
            request: asker.request,
            parent: asker.trace,
        });
        let draft = Record {
            grant: Some(grant),
            peer: Some(peer),
            subject: Some(asker.user),
            ..Record::new(hub.world.now(), stage, Ending::Abandoned, Subject::Act(act), asker.request)
        };
        Self { auditor: Arc::clone(&hub.auditor), draft, started: Instant::now(), open: true, trail }
    }

    /// What is told of it while it runs and after it.
    pub(crate) fn trail(&self) -> Trail {
        self.trail.clone()
    }

    /// With what was called, where that is not asking for rows.
    pub(crate) fn calling(mut self, what: &'static str) -> Self {
        what.clone_into(&mut self.draft.note);
        self
    }

    /// With what was asked: the hash is the one that the other side's log has.
    pub(crate) fn about(mut self, resource: &Resource, query: QueryHash) -> Self {
        self.trail.about(resource);
        self.draft.resource = Some(resource.clone());
        self.draft.query = Some(query);
        self
    }

    /// Writes that this much was answered, by an earlier answer if it was `kept`; it may be shown once this returns.
    pub(crate) async fn answered(&mut self, sum: Sum, kept: bool) -> Result<(), Failure> {
        self.gave(sum, kept, "").await
    }

    async fn gave(&mut self, sum: Sum, kept: bool, note: &str) -> Result<(), Failure> {
        if kept {
            self.trail.cached();
        }
        let note = noted(kept, note);
        let record = Record { rows: sum.rows, bytes: sum.bytes, ..self.record(Ending::Answered, &note) };
        self.write(record).await.map_err(|error| unrecorded(&error))?;
        self.trail.answered(sum.rows, sum.bytes);
        Ok(())
    }

    /// Writes that this much was answered before it broke off.
    pub(crate) async fn broke_off(&mut self, sum: Sum, kept: bool, failure: &Failure) -> Result<(), Failure> {
        self.gave(sum, kept, &format!("{}: {}", Outcome::Partial, failure.reason)).await?;
        self.trail.broke_off(failure.outcome);
        Ok(())
    }

    /// Writes that nothing was answered, or nothing that may be shown, and why.
    pub(crate) async fn failed(&mut self, failure: &Failure) -> Result<(), Failure> {
        self.failed_by(failure, false).await
    }

    /// The same of a question that an earlier answer was there for, so that nothing was sent.
    pub(crate) async fn failed_of_kept(&mut self, failure: &Failure) -> Result<(), Failure> {
        self.failed_by(failure, true).await
    }

    async fn failed_by(&mut self, failure: &Failure, kept: bool) -> Result<(), Failure> {
        let note = noted(kept, &format!("{}: {}", failure.outcome, failure.reason));
        self.trail.broke_off(failure.outcome);
        match failure.kind {
            Kind::HeldBack(why) => self.trail.not_sent(why),
            Kind::Withheld => self.trail.not_sent(NotSent::Door),
            _ => {}
        }
        // The other side's log says that it answered, so this one does not say that it refused.
        let ending = if failure.kind == Kind::Withheld { Ending::Answered } else { Ending::Refused };
        let record = Record { reason: failure.refusal, ..self.record(ending, &note) };
        self.write(record).await.map_err(|error| unrecorded(&error))
    }

    /// Writes that no link came about, and hands the error back; or the failure of recording with it.
    pub(crate) async fn no_link(mut self, error: HubError) -> HubError {
        self.trail.came_to(Outcome::Error);
        let reason = if let HubError::Refused { reason, .. } = &error { *reason } else { None };
        let record = Record { reason, ..self.record(Ending::Refused, &error.to_string()) };
        match self.write(record).await {
            Ok(()) => error,
            Err(why) => {
                StoreError::Unavailable(format!("no link was made and that could not be recorded ({why}): {error}"))
                    .into()
            }
        }
    }

    /// The act was recorded together with what it did.
    pub(crate) fn recorded(mut self) {
        self.open = false;
        self.trail.answered(0, 0);
    }

    fn record(&self, ending: Ending, note: &str) -> Record {
        let time = self.auditor.clock().now();
        let note = [self.draft.note.as_str(), note].into_iter().filter(|part| !part.is_empty());
        let note = note.collect::<Vec<_>>().join(": ");
        Record { time, ending, latency: self.started.elapsed(), ..self.draft.clone() }.noting(&note)
    }

    async fn write(&mut self, record: Record) -> Result<(), ReleaseError> {
        self.open = false;
        let written = self.trail.time(Part::Record, self.auditor.record(record)).await;
        if written.is_err() {
            self.trail.came_to(Outcome::Error);
        }
        written
    }
}

fn noted(kept: bool, note: &str) -> String {
    let parts = [if kept { KEPT } else { "" }, note];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

fn unrecorded(error: &ReleaseError) -> Failure {
    Failure::own(format!("the question could not be recorded, so its answer is not shown: {error}"))
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.open {
            self.auditor.enqueue(self.record(Ending::Abandoned, ""));
        }
    }
}

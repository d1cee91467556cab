//! The gate: the only place that decides, and the only place where an answer becomes a response.
//!
//! `answer` is the whole of it: convert, decide, handle, release. A streamed answer walks the last three anew for every
//! chunk, on the standing of that moment.

use super::{Road, audit::Draft, status};
use domain::{
    Caller, Permitted, Reason, Refusal,
    audit::{Ending, Record, Stage},
    decide,
    decide::Ground,
    grant::Grant,
    invite::Invited,
    operation::Operation,
};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use link::{Connection, trail::Part};
use prost::Message;
use std::sync::{Arc, atomic::Ordering};
use store::{ReleaseError, Released, StoreError};
use tonic::{Request, Response, Status};

/// An answer that no record stands for yet.
#[derive(Debug)]
pub struct Answer<T> {
    /// The message.
    pub message: T,
    /// Rows in it.
    pub rows: u64,
}

/// One chunk of a streamed answer, and what to ask for the next one.
#[derive(Debug)]
pub struct ChunkOf<T, O> {
    /// The chunk.
    pub answer: Answer<T>,
    /// The operation that continues after it; none when it is the last.
    pub next: Option<O>,
}

/// What the layers learnt of a call.
#[derive(Debug)]
pub struct Call<G: Ground> {
    draft: Draft,
    caller: Option<Caller<G>>,
    connection: Option<Connection>,
    /// Whether a chunk of this call was answered already.
    later: bool,
}

impl<G: Ground> Call<G> {
    fn of<M>(request: &Request<M>) -> Result<Self, Status> {
        let extensions = request.extensions();
        // Without a draft nothing could be recorded, so nothing is answered.
        let draft = extensions.get::<Draft>().cloned();
        let draft = draft.ok_or_else(|| status::status(&Refusal::new(Reason::AuditUnavailable)))?;
        Ok(Self { draft, caller: extensions.get().cloned(), connection: extensions.get().cloned(), later: false })
    }

    /// What the handler came to, and how long it took.
    async fn database<T>(&self, handled: impl Future<Output = Result<T, Refusal>>) -> Result<T, Stop> {
        let handled = self.draft.trail().time(Part::Database, handled).await;
        handled.map_err(|refusal| Stop::Refused(Stage::Store, refusal))
    }

    /// The same call, for its next chunk.
    fn following(&self, template: Record) -> Self {
        let (caller, connection) = (self.caller.clone(), self.connection.clone());
        Self { draft: self.draft.following(template), caller, connection, later: true }
    }
}

/// Why a call goes no further.
enum Stop {
    /// It was refused.
    Refused(Stage, Refusal),
    /// Its answer has no record.
    Unreleased(ReleaseError),
}

/// Decides and releases.
#[derive(Clone)]
pub struct Gate(Arc<Road>);

impl Gate {
    /// A gate at the end of `road`.
    pub fn new(road: &Arc<Road>) -> Self {
        Self(Arc::clone(road))
    }

    /// What the layers share.
    pub fn road(&self) -> &Arc<Road> {
        &self.0
    }

    /// One call, one answer, under the connection's grant.
    pub async fn answer<M, O, T, F>(
        &self,
        request: Request<M>,
        convert: impl FnOnce(M) -> Result<O, Refusal>,
        handle: impl FnOnce(Permitted<O>) -> F,
    ) -> Result<Response<T>, Status>
    where
        O: Operation<Ground = Grant>,
        T: Message,
        F: Future<Output = Result<Answer<T>, Refusal>>,
    {
        let call = Call::of(&request)?;
        let walk = async {
            let operation = convert(request.into_inner()).map_err(|refusal| Stop::Refused(Stage::Convert, refusal))?;
            let caller = call.caller.clone().ok_or_else(nobody)?;
            let permit = decided(&call, &caller, operation)?;
            // An operation that changes standing moves its own grant: its answer stands on the change's own record.
            let moves = O::METHOD.moves_standing();
            let generation = (!moves).then_some(permit.grant().generation);
            let answer = call.database(handle(permit)).await?;
            self.release(&call, generation, answer).await
        };
        match walk.await {
            Ok(released) => Ok(respond(released)),
            Err(stop) => Err(self.stop(&call, stop).await),
        }
    }

    /// One call, one answer, under an invite: `convert` gives what names it, `find` judges it.
    pub async fn enrol<M, O, T, K, C, F>(
        &self,
        request: Request<M>,
        convert: impl FnOnce(M) -> Result<(K, O), Refusal>,
        find: impl FnOnce(K) -> C,
        handle: impl FnOnce(Permitted<O>) -> F,
    ) -> Result<Response<T>, Status>
    where
        O: Operation<Ground = Invited>,
        T: Message,
        C: Future<Output = Result<Caller<Invited>, Refusal>>,
        F: Future<Output = Result<Answer<T>, Refusal>>,
    {
        let call = Call::of(&request)?;
        let walk = async {
            let converted = convert(request.into_inner()).map_err(|refusal| Stop::Refused(Stage::Convert, refusal))?;
            let (key, operation) = converted;
            let caller = find(key).await.map_err(|refusal| Stop::Refused(Stage::Standing, refusal))?;
            call.draft.note(|record| name_invite(record, caller.ground()));
            let permit = decided(&call, &caller, operation)?;
            let answer = call.database(handle(permit)).await?;
            self.release(&call, None, answer).await
        };
        match walk.await {
            Ok(released) => Ok(respond(released)),
            Err(stop) => Err(self.stop(&call, stop).await),
        }
    }

    /// One call, an answer in chunks, each decided, read, recorded and released on its own.
    pub async fn stream<M, O, T>(
        &self,
        request: Request<M>,
        convert: impl FnOnce(M) -> Result<O, Refusal>,
        room: impl Chunks<O, T>,
    ) -> Result<Response<BoxStream<'static, Result<T, Status>>>, Status>
    where
        O: Operation<Ground = Grant>,
        T: Message + 'static,
    {
        let call = Call::of(&request)?;
        let operation = match convert(request.into_inner()) {
            Ok(operation) => operation,
            Err(refusal) => return Err(self.stop(&call, Stop::Refused(Stage::Convert, refusal)).await),
        };
        // The first chunk comes before the headers, so that a refusal is a plain status.
        let (first, rest) = self.chunk(call, operation, &room).await?;
        let later = stream::unfold((self.clone(), rest, room), |(gate, rest, room)| async move {
            let (call, operation) = rest?;
            Some(match gate.chunk(call, operation, &room).await {
                Ok((released, rest)) => (Ok(released.into_inner()), (gate, rest, room)),
                Err(status) => (Err(status), (gate, None, room)),
            })
        });
        Ok(respond_stream(first, later))
    }

    async fn chunk<O, T>(&self, call: Call<Grant>, operation: O, room: &impl Chunks<O, T>) -> Result<Step<O, T>, Status>
    where
        O: Operation<Ground = Grant>,
        T: Message,
    {
        match self.walk_chunk(&call, operation, room).await {
            Ok(step) => Ok(step),
            Err(stop) => Err(self.stop(&call, stop).await),
        }
    }

    async fn walk_chunk<O, T>(
        &self,
        call: &Call<Grant>,
        operation: O,
        room: &impl Chunks<O, T>,
    ) -> Result<Step<O, T>, Stop>
    where
        O: Operation<Ground = Grant>,
        T: Message,
    {
        let presented = call.connection.as_ref().and_then(Connection::presented).ok_or_else(nobody)?;
        let caller = self.0.snapshots.judge(presented).map_err(|refusal| Stop::Refused(Stage::Standing, refusal))?;
        let permit = decided(call, &caller, operation)?;
        let chunk = call.database(room.chunk(&permit)).await?;
        let template = call.draft.template();
        let released = self.release(call, Some(permit.grant().generation), chunk.answer).await?;
        // A draft opened before the release would tell of a chunk that nobody asked for, should the release fail.
        let following = chunk.next.zip(template);
        Ok((released, following.map(|(operation, template)| (call.following(template), operation))))
    }

    async fn release<G: Ground, T: Message>(
        &self,
        call: &Call<G>,
        generation: Option<u64>,
        answer: Answer<T>,
    ) -> Result<Released<T>, Stop> {
        let record = call.draft.take().ok_or_else(nobody)?;
        let bytes = u64::try_from(answer.message.encoded_len()).unwrap_or(u64::MAX);
        let record =
            Record { stage: Stage::Release, ending: Ending::Answered, rows: answer.rows, bytes, generation, ..record };
        let trail = call.draft.trail();
        let released = trail.time(Part::Record, self.0.auditor.release(record, answer.message)).await;
        if released.is_ok() {
            trail.answered(answer.rows, bytes);
        }
        released.map_err(Stop::Unreleased)
    }

    /// Turns the end of a call into its status, with the refusal on record first.
    async fn stop<G: Ground>(&self, call: &Call<G>, stop: Stop) -> Status {
        let refusal = match stop {
            Stop::Refused(stage, refusal) => {
                self.alarm(&refusal);
                call.draft.refuse(stage, &refusal);
                if call.later
                    && let Err(error) = self.write_refusal(call).await
                {
                    call.draft.trail().refused(Reason::AuditUnavailable);
                    return status::status(&self.unrecorded(&error));
                }
                refusal
            }
            Stop::Unreleased(ReleaseError::Withdrawn(reason)) => Refusal::new(reason),
            Stop::Unreleased(error) => self.unrecorded(&error),
        };
        call.draft.trail().refused(refusal.reason());
        status::status(&refusal)
    }

    /// After the first chunk the audit layer has returned; refusals of later chunks are written here.
    async fn write_refusal<G: Ground>(&self, call: &Call<G>) -> Result<(), ReleaseError> {
        match call.draft.take() {
            Some(record) => self.0.auditor.refuse(record).await,
            None => Ok(()),
        }
    }

    fn unrecorded(&self, error: &ReleaseError) -> Refusal {
        self.0.faults.unrecorded.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%error, "a call was refused because its record could not be written");
        Refusal::new(Reason::AuditUnavailable)
    }

    fn alarm(&self, refusal: &Refusal) {
        if refusal.reason() == Reason::SecondCheck {
            self.0.faults.second_check.fetch_add(1, Ordering::Relaxed);
            tracing::error!("a row outside the grant reached the second check: the database's policies are broken");
        }
    }
}

/// A chunk that may leave, and the call and operation that follow it.
type Step<O, T> = (Released<T>, Option<(Call<Grant>, O)>);

/// The one call of `domain::decide` in the daemon.
fn decided<O: Operation>(
    call: &Call<O::Ground>,
    caller: &Caller<O::Ground>,
    operation: O,
) -> Result<Permitted<O>, Stop> {
    call.draft.note(|record| {
        record.stage = Stage::Decide;
        record.resource = operation.resource().cloned();
        record.query = Some(operation.query_hash());
    });
    if let Some(resource) = operation.resource() {
        call.draft.trail().about(resource);
    }
    decide(caller, operation).map_err(|refusal| Stop::Refused(Stage::Decide, refusal))
}

fn name_invite(record: &mut Record, invited: &Invited) {
    record.grant = Some(invited.grant.id);
    record.subject = Some(invited.grant.subject);
    record.note = format!("invite {}", invited.id);
}

fn nobody() -> Stop {
    Stop::Refused(Stage::Decide, Refusal::new(Reason::NotPermitted).because("no caller"))
}

/// Reads one chunk of a streamed answer.
pub trait Chunks<O: Operation, T>: Send + Sync + 'static {
    /// The chunk that the permit allows, and what to ask for the next.
    fn chunk(&self, permit: &Permitted<O>) -> impl Future<Output = Result<ChunkOf<T, O>, Refusal>> + Send;
}

/// What a store error is to the other side.
pub fn from_store(error: StoreError) -> Refusal {
    match error {
        StoreError::SecondCheck(_) => Refusal::new(Reason::SecondCheck),
        StoreError::PageToken(_) => Refusal::new(Reason::BadPageToken),
        other => Refusal::new(Reason::StoreUnavailable).because(other.to_string()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where a response is made, from a release")]
fn respond<T>(released: Released<T>) -> Response<T> {
    Response::new(released.into_inner())
}

/// The same for a stream that begins with a released chunk; each later one comes from its own release.
#[expect(clippy::disallowed_methods, reason = "the one place where a response is made, from a release")]
fn respond_stream<T: Send + 'static>(
    first: Released<T>,
    later: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> Response<BoxStream<'static, Result<T, Status>>> {
    let first = first.into_inner();
    Response::new(stream::once(async { Ok(first) }).chain(later).boxed())
}

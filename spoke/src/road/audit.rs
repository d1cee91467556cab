//! Second layer: a draft of the call's record, closed exactly once. The gate closes it with the answer it lets go; this
//! layer closes it with a refusal; dropped unfinished, it enqueues itself as abandoned.

use super::{Road, status};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use domain::{
    Reason, Refusal,
    audit::{Ending, Record, Stage, Subject},
    id::RequestId,
    operation::{Entrance, Method},
};
use http::header::CONTENT_TYPE;
use link::{Connection, Trail, trail::Part};
use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering};
use store::Auditor;
use tokio::time::Instant;

/// The record of a call in the making. Clones share it.
#[derive(Clone, Debug)]
pub struct Draft(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    auditor: Arc<Auditor>,
    began: Instant,
    record: Mutex<Option<Record>>,
    trail: Trail,
}

impl Draft {
    fn open(auditor: &Arc<Auditor>, record: Record, trail: Trail) -> Self {
        let record = Mutex::new(Some(record));
        Self(Arc::new(Shared { auditor: Arc::clone(auditor), began: Instant::now(), record, trail }))
    }

    /// What is told of the call.
    pub fn trail(&self) -> &Trail {
        &self.0.trail
    }

    /// Fills in what has become known.
    pub fn note(&self, fill: impl FnOnce(&mut Record)) {
        if let Some(record) = self.0.lock().as_mut() {
            fill(record);
        }
    }

    /// Turns the draft into a refusal, which the layer writes before the answer.
    pub fn refuse(&self, stage: Stage, refusal: &Refusal) {
        self.0.trail.refused(refusal.reason());
        self.note(|record| {
            record.stage = stage;
            record.ending = Ending::Refused;
            record.reason = Some(refusal.reason());
            record.note = domain::audit::one_line(refusal.detail().unwrap_or_default());
        });
    }

    /// Takes the record out, timed; none when it was taken before. Whoever takes it writes it.
    pub fn take(&self) -> Option<Record> {
        let mut record = self.0.lock().take()?;
        record.time = self.0.auditor.clock().now();
        record.latency = self.0.began.elapsed();
        Some(record)
    }

    /// What the draft says so far, while it is open.
    pub fn template(&self) -> Option<Record> {
        self.0.lock().clone()
    }

    /// A new draft for the next chunk of the same call.
    #[must_use]
    pub fn following(&self, template: Record) -> Self {
        let record = Record { stage: Stage::Decide, ending: Ending::Abandoned, ..template };
        Self::open(&self.0.auditor, record, self.0.trail.clone())
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Record>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(mut record) = self.lock().take() {
            self.trail.abandoned();
            record.time = self.auditor.clock().now();
            record.latency = self.began.elapsed();
            self.auditor.enqueue(record);
        }
    }
}

/// Opens the draft, walks on, and writes the refusal if there was one.
pub async fn audit(
    State((road, entrance)): State<(Arc<Road>, Entrance)>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(trail) = request.extensions().get::<Trail>().cloned() else {
        // The layer above gives every call one.
        return status::response(&Refusal::new(Reason::AuditUnavailable));
    };
    let draft = Draft::open(&road.auditor, begin(&road, entrance, &request), trail.clone());
    request.extensions_mut().insert(draft.clone());
    let mut response = match not_grpc(&request) {
        None => next.run(request).await,
        Some(refusal) => {
            draft.refuse(Stage::Convert, &refusal);
            status::response(&refusal)
        }
    };
    let Some(mut record) = draft.take() else { return response };
    if record.ending != Ending::Refused {
        response = refused_by_codec(&mut record, response);
        if let Some(reason) = record.reason {
            trail.refused(reason);
        }
    }
    if let Err(error) = trail.time(Part::Record, road.auditor.refuse(record)).await {
        trail.refused(Reason::AuditUnavailable);
        road.faults.unrecorded.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%error, "a refusal could not be recorded");
        return status::response(&Refusal::new(Reason::AuditUnavailable));
    }
    response
}

/// `Code::Unimplemented` in a header.
const UNIMPLEMENTED: &str = "12";

/// What is no gRPC request, wherever it goes: the libraries below look at the path alone.
fn not_grpc(request: &Request) -> Option<Refusal> {
    let content = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let grpc = content.is_some_and(|content| content.starts_with("application/grpc"));
    if request.method() == http::Method::POST && grpc && request.uri().query().is_none() {
        return None;
    }
    Some(Refusal::malformed("request", "a gRPC call is a POST of application/grpc to a path without a query"))
}

/// A call that never reached the gate was refused by routing or by tonic's codec, in words of theirs: the record keeps them, the
/// other side is told what it is told of any such call. Only that a message is packed in a way we do not read is said as gRPC says it.
fn refused_by_codec(record: &mut Record, response: Response) -> Response {
    let unknown = record.about == Subject::UnknownCall;
    let said = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let refusal = if unknown {
        Refusal::new(Reason::UnknownMethod)
    } else {
        Refusal::malformed("message", "not a whole message of this call, or too large")
    };
    record.ending = Ending::Refused;
    record.stage = Stage::Convert;
    record.reason = Some(refusal.reason());
    let packed = !unknown && said("grpc-status") == UNIMPLEMENTED;
    record.note = domain::audit::one_line(&format!("grpc-status {} {}", said("grpc-status"), said("grpc-message")));
    if packed { response } else { status::response(&refusal) }
}

/// What the other listener offers is not known here.
fn begin(road: &Road, entrance: Entrance, request: &Request) -> Record {
    let id = request.extensions().get::<RequestId>().copied();
    let id = id.unwrap_or_else(|| RequestId(road.world.uuid()));
    let connection = request.extensions().get::<Connection>();
    let method = Method::from_path(request.uri().path()).filter(|method| method.entrance() == entrance);
    let about = method.map_or(Subject::UnknownCall, Subject::Call);
    let record = Record::new(road.world.now(), Stage::Standing, Ending::Abandoned, about, id);
    match connection {
        Some(connection) => from_connection(record, connection),
        None => record,
    }
}

fn from_connection(record: Record, connection: &Connection) -> Record {
    let presented = connection.presented();
    Record {
        address: connection.address().to_string(),
        grant: presented.map(|presented| presented.grant),
        peer: presented.map(|presented| presented.peer),
        subject: presented.map(|presented| presented.subject),
        ..record
    }
}

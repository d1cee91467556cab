//! What is told of each request over a link while it runs and once it is over: a span that other programs' traces go on in, numbers, and
//! a line in the log if it was slow. The same words on both sides.
//!
//! Nothing in it is of a row, and nothing of it can be chosen by the other side but the trace's ids: a verb is one of
//! [`Method`], a kind one of this program's own, an outcome one of two closed lists. So neither the numbers nor the log grow by what is sent.

use crate::Class;
use domain::{
    Reason,
    answer::Outcome,
    id::{GrantId, InstanceId, RequestId, Resource},
    kind::Kinds,
    operation::Method,
    trace::TraceParent,
};
use futures::FutureExt;
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The name of the span.
pub const SPAN: &str = "federation.request";
/// What takes longer than this is slow, unless it is said otherwise.
const SLOW: Duration = Duration::from_secs(1);
/// Upper bounds of the counted times, in seconds.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Nobody waited for its end.
const ABANDONED: &str = "abandoned";
/// A kind, or a method, that there is none of.
const UNKNOWN: &str = "unknown";

/// Which end of a link a request is told of at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one that asks.
    Asking,
    /// The one that shares.
    Sharing,
}

impl Side {
    const fn word(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Sharing => "sharing",
        }
    }
}

impl EncodeLabelValue for Side {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.word().encode(encoder)
    }
}

/// What a request spends its time on; the rest of it is this program's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Waiting for somebody who asks the same.
    Queue,
    /// Reading the rows.
    Database,
    /// Writing the record.
    Record,
    /// Waiting for the other side, and connecting to it.
    Wire,
}

impl Part {
    const COUNT: usize = 4;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    side: Side,
    verb: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    side: Side,
    verb: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    side: Side,
    resource: &'static str,
}

/// Why a question for rows was not sent over its link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NotSent {
    /// Its link is left alone for a while.
    Circuit,
    /// Its grant does not let rows be shown where they were asked for.
    Door,
    /// What was asked before for the same answer has used up its time.
    Time,
    /// An equal question was being asked, and what that came to was its answer too.
    Equal,
    /// Nobody waited for it any more.
    #[default]
    GivenUp,
}

impl NotSent {
    const fn word(self) -> &'static str {
        match self {
            Self::Circuit => "circuit",
            Self::Door => "door",
            Self::Time => "time",
            Self::Equal => "equal",
            Self::GivenUp => "given_up",
        }
    }
}

impl EncodeLabelValue for NotSent {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.word().encode(encoder)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Unsent {
    reason: NotSent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Second {
    taken: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnedAway {
    reason: &'static str,
}

/// Makes the trails of an instance, and counts them.
#[derive(Clone, Debug)]
pub struct Trails(Arc<Told>);

#[derive(Debug)]
struct Told {
    slow: Duration,
    requests: Family<Ended, Counter>,
    seconds: Family<Asked, Histogram, fn() -> Histogram>,
    rows: Family<Of, Counter>,
    bytes: Family<Of, Counter>,
    cached: Counter,
    not_sent: Family<Unsent, Counter>,
    turned_away: Family<TurnedAway, Counter>,
    slow_requests: Family<Asked, Counter>,
    second_tries: Family<Second, Counter>,
}

impl Default for Trails {
    fn default() -> Self {
        Self::new(SLOW)
    }
}

impl Trails {
    /// With how long a request may take before it is told of in the log; 0 for never.
    pub fn new(slow: Duration) -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self(Arc::new(Told {
            slow,
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            rows: Family::default(),
            bytes: Family::default(),
            cached: Counter::default(),
            not_sent: Family::default(),
            turned_away: Family::default(),
            slow_requests: Family::default(),
            second_tries: Family::default(),
        }))
    }

    /// What was counted.
    pub fn register(&self, registry: &mut Registry) {
        let told = &self.0;
        registry.register("requests", "Requests over links that ended, by their outcome", told.requests.clone());
        let seconds = told.seconds.clone();
        registry.register_with_unit(
            "request_duration",
            "How long requests over links took, to the end of the answer",
            Unit::Seconds,
            seconds,
        );
        registry.register("rows", "Rows that went over links, by kind", told.rows.clone());
        registry.register_with_unit(
            "answers",
            "Size of the answers that went over links, by kind",
            Unit::Bytes,
            told.bytes.clone(),
        );
        registry.register("kept_answers", "Questions that an earlier answer was shown for", told.cached.clone());
        registry.register(
            "not_sent",
            "Questions that ended before they were sent over their link, by why",
            told.not_sent.clone(),
        );
        let help = "Connections turned away before any call, by reason";
        registry.register("turned_away", help, told.turned_away.clone());
        let help = "Requests over links that took longer than `slow_request`";
        registry.register("slow_requests", help, told.slow_requests.clone());
        let help = "Requests asked once more over another connection, by whether the second answer was taken";
        registry.register("second_tries", help, told.second_tries.clone());
    }

    /// A connection was turned away before any call.
    pub fn turned_away(&self, class: Class) {
        self.0.turned_away.get_or_create(&TurnedAway { reason: class.word() }).inc();
    }

    /// A request begins.
    pub fn begin(&self, known: Begin) -> Trail {
        let Begin { side, method, grant, peer, request, parent } = known;
        let verb = method.map_or(UNKNOWN, Method::word);
        let span = span(side, verb, request);
        if let Some(grant) = grant {
            span.record("grant_id", tracing::field::display(grant));
        }
        if let Some(peer) = peer {
            span.record("peer", tracing::field::display(peer));
        }
        if let Some(parent) = parent {
            // Where nothing is exported there is nobody to tell.
            let _ = span.set_parent(Context::new().with_remote_span_context(remote(parent)));
        }
        let end = Mutex::new(End { outcome: ABANDONED, ..End::default() });
        let (trails, began) = (self.clone(), Instant::now());
        Trail(Arc::new(Inner { trails, side, verb, grant, request, parent, span, began, end }))
    }
}

/// What is known of a request when it begins.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// At which end.
    pub side: Side,
    /// What is called; none where there is no such method.
    pub method: Option<Method>,
    /// Under which grant.
    pub grant: Option<GrantId>,
    /// Which instance is at the other end.
    pub peer: Option<InstanceId>,
    /// The request's id, in both logs.
    pub request: RequestId,
    /// Which trace it goes on in; a new one begins where there is none.
    pub parent: Option<TraceParent>,
}

/// One request, until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Trail(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trails: Trails,
    side: Side,
    verb: &'static str,
    grant: Option<GrantId>,
    request: RequestId,
    parent: Option<TraceParent>,
    span: Span,
    began: Instant,
    end: Mutex<End>,
}

#[derive(Debug, Default)]
struct End {
    outcome: &'static str,
    resource: Option<&'static str>,
    cached: bool,
    /// Why nothing went over the link, as long as nothing did.
    unsent: Option<NotSent>,
    /// Of a request that was asked once more, whether that answer was taken.
    second: Option<bool>,
    failed: bool,
    rows: u64,
    bytes: u64,
    took: [Duration; Part::COUNT],
}

impl Trail {
    /// The span of it.
    pub fn span(&self) -> &Span {
        &self.0.span
    }

    /// The request's id.
    pub fn request(&self) -> RequestId {
        self.0.request
    }

    /// Where in a trace the other side goes on; none where nobody traces.
    pub fn traceparent(&self) -> Option<TraceParent> {
        let context = self.0.span.context();
        let span = context.span().span_context().clone();
        let own = TraceParent::new(span.trace_id().to_bytes(), span.span_id().to_bytes(), span.is_sampled());
        own.or(self.0.parent)
    }

    /// Of which kind the rows are that it is about.
    pub fn about(&self, resource: &Resource) {
        let resource = known(resource);
        self.0.lock().resource = Some(resource);
        self.0.span.record("resource", resource);
    }

    /// Nothing has gone over the link yet, and may never: [`Trail::sent`] says that something does.
    pub fn waits(&self) {
        self.0.lock().unsent = Some(NotSent::default());
    }

    /// It goes over the link.
    pub fn sent(&self) {
        self.0.lock().unsent = None;
    }

    /// It was asked once more over another connection; whether that answer was taken.
    pub fn second(&self, taken: bool) {
        self.0.lock().second = Some(taken);
    }

    /// It does not, unless it went before.
    pub fn not_sent(&self, why: NotSent) {
        if let Some(unsent) = &mut self.0.lock().unsent {
            *unsent = why;
        }
    }

    /// This much of an answer was recorded, and may go on.
    pub fn answered(&self, rows: u64, bytes: u64) {
        let mut end = self.0.lock();
        (end.outcome, end.rows, end.bytes) = (Outcome::Ok.word(), end.rows + rows, end.bytes + bytes);
    }

    /// An earlier answer did.
    pub fn cached(&self) {
        self.0.lock().cached = true;
    }

    /// It was refused here.
    pub fn refused(&self, reason: Reason) {
        let mut end = self.0.lock();
        end.outcome = reason.code();
        // Only what is amiss here is an error of this side: a refusal is what it is there for.
        end.failed = matches!(
            reason,
            Reason::AuditUnavailable | Reason::StoreUnavailable | Reason::SnapshotStale | Reason::SecondCheck
        );
    }

    /// Nobody waited for its end, or for the rest of it.
    pub fn abandoned(&self) {
        self.0.lock().outcome = ABANDONED;
    }

    /// It ended so, as the asking side sees it.
    pub fn came_to(&self, outcome: Outcome) {
        let mut end = self.0.lock();
        end.outcome = outcome.word();
        end.failed = outcome != Outcome::Ok;
    }

    /// The same of an answer that broke off: it is partial where rows of it were shown.
    pub fn broke_off(&self, outcome: Outcome) {
        let shown = self.0.lock().rows > 0;
        self.came_to(if shown { Outcome::Partial } else { outcome });
    }

    /// Notes how long `work` takes, as a part of it.
    pub fn time<T>(&self, part: Part, work: impl Future<Output = T>) -> impl Future<Output = T> {
        let began = Instant::now();
        // An async block would hold the work twice.
        work.inspect(move |_| self.0.lock().took[part as usize] += began.elapsed())
    }
}

impl Inner {
    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, end: &End, latency: Duration) {
        let (told, side, verb) = (&self.trails.0, self.side, self.verb);
        told.cached.inc_by(u64::from(end.cached));
        if let Some(reason) = end.unsent {
            if !end.cached {
                told.not_sent.get_or_create(&Unsent { reason }).inc();
            }
            return;
        }
        if let Some(taken) = end.second {
            told.second_tries.get_or_create(&Second { taken: if taken { "yes" } else { "no" } }).inc();
        }
        told.requests.get_or_create(&Ended { side, verb, outcome: end.outcome }).inc();
        told.seconds.get_or_create(&Asked { side, verb }).observe(latency.as_secs_f64());
        if let Some(resource) = end.resource.filter(|_| end.rows > 0 && !end.cached) {
            told.rows.get_or_create(&Of { side, resource }).inc_by(end.rows);
            told.bytes.get_or_create(&Of { side, resource }).inc_by(end.bytes);
        }
    }
}

impl Inner {
    /// One line, without anything that was asked for or answered.
    fn tell_if_slow(&self, end: &End, latency: Duration) {
        let slow = self.trails.0.slow;
        if slow.is_zero() || latency < slow {
            return;
        }
        let (side, verb) = (self.side, self.verb);
        self.trails.0.slow_requests.get_or_create(&Asked { side, verb }).inc();
        let [queue, database, record, wire] = end.took.map(millis);
        let rest = millis(latency.saturating_sub(end.took.iter().sum()));
        let grant = self.grant.map_or_else(|| UNKNOWN.to_owned(), |grant| grant.to_string());
        let (outcome, resource) = (end.outcome, end.resource.unwrap_or("none"));
        tracing::warn!(
            parent: None,
            side = side.word(), verb, resource, outcome, cached = end.cached, rows = end.rows, request_id = %self.request,
            grant_id = grant, took_ms = millis(latency), queue_ms = queue, database_ms = database, record_ms = record,
            wire_ms = wire, rest_ms = rest, "a slow request"
        );
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let (latency, end) = (self.began.elapsed(), std::mem::take(&mut *self.lock()));
        self.span.record("outcome", end.outcome);
        self.span.record("latency_ms", millis(latency));
        self.span.record("cached", end.cached);
        self.span.record("rows", end.rows);
        if end.failed {
            self.span.record("otel.status_code", "ERROR");
        }
        self.count(&end, latency);
        self.tell_if_slow(&end, latency);
    }
}

/// The span, closed with the trail. What of it is not known yet is empty.
fn span(side: Side, verb: &'static str, request: RequestId) -> Span {
    // Whoever asks the log for `spoke=debug` sees the sharing side's, as everything else of it.
    macro_rules! span {
        ($target:literal, $kind:literal) => {
            tracing::debug_span!(
                target: $target, parent: None, "federation.request", otel.kind = $kind, request_id = %request, verb,
                grant_id = Empty, peer = Empty, resource = Empty, outcome = Empty, latency_ms = Empty, cached = Empty,
                rows = Empty, otel.status_code = Empty
            )
        };
    }
    match side {
        Side::Asking => span!("hub", "client"),
        Side::Sharing => span!("spoke", "server"),
    }
}

/// Whether the other side recorded its part is its own affair, and its `tracestate` too.
fn remote(parent: TraceParent) -> SpanContext {
    let flags = if parent.recorded() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let (trace, span) = (TraceId::from_bytes(parent.trace()), SpanId::from_bytes(parent.span()));
    SpanContext::new(trace, span, flags, true, TraceState::NONE)
}

/// A name of our own for what may be a word of the other side's.
fn known(resource: &Resource) -> &'static str {
    Kinds::builtin().names().find(|name| *name == resource).map_or(UNKNOWN, Resource::as_str)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

//! What is told of each request over a link while it runs and once it is over: a span that other programs' traces go on in, numbers, and
//! a line in the log if it was slow. The same words on both sides.
//!
//! Nothing in it is of a row, and nothing of it can be chosen by the other side but the trace's ids: a verb is one of
//! [`Method`], a kind one of this program's own, an outcome one of two closed lists. So neither the numbers nor the log grow by what is sent.
//!
//! Map: [`Trail`] follows one request, `span` is its span, `numbers` counts it once it is over, and the line of a slow one is written here.

mod numbers;
mod span;

pub use span::SPAN;

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
use numbers::Numbers;
use prometheus_client::registry::Registry;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tracing::Span;

/// What takes longer than this is slow, unless it is said otherwise.
const SLOW: Duration = Duration::from_secs(1);
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

/// Makes the trails of an instance, and counts them.
#[derive(Clone, Debug)]
pub struct Trails(Arc<Told>);

#[derive(Debug)]
struct Told {
    slow: Duration,
    numbers: Numbers,
}

impl Default for Trails {
    fn default() -> Self {
        Self::new(SLOW)
    }
}

impl Trails {
    /// With how long a request may take before it is told of in the log; 0 for never.
    pub fn new(slow: Duration) -> Self {
        Self(Arc::new(Told { slow, numbers: Numbers::default() }))
    }

    /// What was counted.
    pub fn register(&self, registry: &mut Registry) {
        self.0.numbers.register(registry);
    }

    /// A connection was turned away before any call.
    pub fn turned_away(&self, class: Class) {
        self.0.numbers.turned_away(class);
    }

    /// A request begins.
    pub fn begin(&self, known: Begin) -> Trail {
        let verb = known.method.map_or(UNKNOWN, Method::word);
        let span = span::begun(&known, verb);
        let Begin { side, grant, request, parent, .. } = known;
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
        span::place(&self.0.span).or(self.0.parent)
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

    /// One line, without anything that was asked for or answered.
    fn tell_if_slow(&self, end: &End, latency: Duration) {
        let slow = self.trails.0.slow;
        if slow.is_zero() || latency < slow {
            return;
        }
        let (side, verb) = (self.side, self.verb);
        self.trails.0.numbers.slow(side, verb);
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
        span::ended(&self.span, &end, latency);
        self.trails.0.numbers.ended(self.side, self.verb, &end, latency);
        self.tell_if_slow(&end, latency);
    }
}

/// A name of our own for what may be a word of the other side's.
fn known(resource: &Resource) -> &'static str {
    Kinds::builtin().names().find(|name| *name == resource).map_or(UNKNOWN, Resource::as_str)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

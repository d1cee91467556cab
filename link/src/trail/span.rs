//! The span of a request, which other programs' traces go on in.

use super::{Begin, End, Side, millis};
use domain::{id::RequestId, trace::TraceParent};
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use std::time::Duration;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The name of the span.
pub const SPAN: &str = "federation.request";

/// The span of a request that begins.
pub(super) fn begun(known: &Begin, verb: &'static str) -> Span {
    let span = span(known.side, verb, known.request);
    if let Some(grant) = known.grant {
        span.record("grant_id", tracing::field::display(grant));
    }
    if let Some(peer) = known.peer {
        span.record("peer", tracing::field::display(peer));
    }
    if let Some(parent) = known.parent {
        // Where nothing is exported there is nobody to tell.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote(parent)));
    }
    span
}

/// How it ended.
pub(super) fn ended(span: &Span, end: &End, latency: Duration) {
    span.record("outcome", end.outcome);
    span.record("latency_ms", millis(latency));
    span.record("cached", end.cached);
    span.record("rows", end.rows);
    if end.failed {
        span.record("otel.status_code", "ERROR");
    }
}

/// Where in a trace others go on; none where nobody traces.
pub(super) fn place(span: &Span) -> Option<TraceParent> {
    let context = span.context();
    let span = context.span().span_context().clone();
    TraceParent::new(span.trace_id().to_bytes(), span.span_id().to_bytes(), span.is_sampled())
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

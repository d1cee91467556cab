//! Where spans wait: those of calls that were answered in one queue, and those of calls that were refused or broken off here in a small one of
//! their own. How many of the latter there are is chosen by whoever sends them, and no rate of a grant limits it: in one queue for both a flood of
//! them would push out what happened to everybody else.

use opentelemetry::{Context, trace::SpanKind};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor, TracerProviderBuilder,
    },
};
use std::time::Duration;

/// Spans that wait, at most; what comes beyond them is dropped.
const QUEUE: usize = 2_048;
/// The same of calls that were refused or broken off.
const REFUSED: usize = 256;
/// Spans in a batch, at most.
const BATCH: usize = 512;
/// How long a batch waits to become full.
const DELAY: Duration = Duration::from_secs(1);

/// Both queues, each with an exporter of its own.
pub(super) fn both<E: SpanExporter + 'static>(
    provider: TracerProviderBuilder,
    [answered, refused]: [E; 2],
) -> TracerProviderBuilder {
    let queue = |exporter, of_refused, length| {
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(length)
            .with_max_export_batch_size(BATCH.min(length))
            .with_scheduled_delay(DELAY);
        Queue { of_refused, waiting: BatchSpanProcessor::builder(exporter).with_batch_config(batches.build()).build() }
    };
    provider.with_span_processor(queue(answered, false, QUEUE)).with_span_processor(queue(refused, true, REFUSED))
}

#[derive(Debug)]
struct Queue {
    of_refused: bool,
    waiting: BatchSpanProcessor,
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.waiting.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if is_refused(&span) == self.of_refused {
            self.waiting.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.waiting.force_flush()
    }

    fn shutdown_with_timeout(&self, patience: Duration) -> OTelSdkResult {
        self.waiting.shutdown_with_timeout(patience)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.waiting.set_resource(resource);
    }
}

/// Whether it is of a call that was not answered here. What this instance asks of others it asks at its own rate.
fn is_refused(span: &SpanData) -> bool {
    let is_ok = || span.attributes.iter().any(|one| one.key.as_str() == "outcome" && one.value.as_str() == "ok");
    span.span_kind == SpanKind::Server && !is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::{
        KeyValue,
        trace::{Span as _, Tracer as _, TracerProvider as _},
    };
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use std::{
        collections::BTreeMap,
        sync::{Arc, Condvar, Mutex},
    };

    /// A collector that takes nothing until it is let.
    #[derive(Clone, Debug, Default)]
    struct Away(Arc<(Mutex<Taken>, Condvar)>);

    /// Whether it takes spans, and how many it took, by name.
    type Taken = (bool, BTreeMap<String, usize>);

    impl SpanExporter for Away {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            let (state, let_go) = &*self.0;
            let mut state = let_go.wait_while(state.lock().unwrap(), |(is_back, _)| !*is_back).unwrap();
            for span in batch {
                *state.1.entry(span.name.to_string()).or_default() += 1;
            }
            Ok(())
        }
    }

    impl Away {
        fn comes_back(&self) {
            self.0.0.lock().unwrap().0 = true;
            self.0.1.notify_all();
        }

        fn took(&self, name: &str) -> usize {
            self.0.0.lock().unwrap().1.get(name).copied().unwrap_or_default()
        }
    }

    fn ends(provider: &SdkTracerProvider, name: &'static str, kind: SpanKind, outcome: &'static str) {
        let tracer = provider.tracer("test");
        let mut span = tracer.span_builder(name).with_kind(kind).start(&tracer);
        span.set_attribute(KeyValue::new("outcome", outcome));
        span.end();
    }

    #[test]
    fn a_flood_of_refusals_pushes_out_no_span_of_a_call_that_was_answered() {
        let collector = Away::default();
        let provider = both(SdkTracerProvider::builder(), [collector.clone(), collector.clone()]).build();
        for at in 0..20_000 {
            ends(&provider, "refused", SpanKind::Server, if at % 2 == 0 { "NOT_PERMITTED" } else { "abandoned" });
        }
        for _ in 0..1_000 {
            ends(&provider, "answered", SpanKind::Server, "ok");
            ends(&provider, "asked", SpanKind::Client, "denied");
        }
        collector.comes_back();
        provider.shutdown().unwrap();
        assert_eq!((collector.took("answered"), collector.took("asked")), (1_000, 1_000));
        let refused = collector.took("refused");
        assert!((1..=3 * REFUSED).contains(&refused), "a few of them are told: {refused}");
    }
}

//! What is counted of requests. Each label is of a closed list, so that no number of requests makes more of them.

use super::{End, NotSent, Side};
use crate::Class;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{fmt, time::Duration};

/// Upper bounds of the counted times, in seconds.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl EncodeLabelValue for Side {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.word().encode(encoder)
    }
}

impl EncodeLabelValue for NotSent {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.word().encode(encoder)
    }
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

/// The numbers of an instance.
#[derive(Debug)]
pub(super) struct Numbers {
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

impl Default for Numbers {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            rows: Family::default(),
            bytes: Family::default(),
            cached: Counter::default(),
            not_sent: Family::default(),
            turned_away: Family::default(),
            slow_requests: Family::default(),
            second_tries: Family::default(),
        }
    }
}

impl Numbers {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Requests over links that ended, by their outcome", self.requests.clone());
        let seconds = self.seconds.clone();
        registry.register_with_unit(
            "request_duration",
            "How long requests over links took, to the end of the answer",
            Unit::Seconds,
            seconds,
        );
        registry.register("rows", "Rows that went over links, by kind", self.rows.clone());
        registry.register_with_unit(
            "answers",
            "Size of the answers that went over links, by kind",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register("kept_answers", "Questions that an earlier answer was shown for", self.cached.clone());
        registry.register(
            "not_sent",
            "Questions that ended before they were sent over their link, by why",
            self.not_sent.clone(),
        );
        let help = "Connections turned away before any call, by reason";
        registry.register("turned_away", help, self.turned_away.clone());
        let help = "Requests over links that took longer than `slow_request`";
        registry.register("slow_requests", help, self.slow_requests.clone());
        let help = "Requests asked once more over another connection, by whether the second answer was taken";
        registry.register("second_tries", help, self.second_tries.clone());
    }

    /// A connection was turned away before any call.
    pub(super) fn turned_away(&self, class: Class) {
        self.turned_away.get_or_create(&TurnedAway { reason: class.word() }).inc();
    }

    /// A request ended.
    pub(super) fn ended(&self, side: Side, verb: &'static str, end: &End, latency: Duration) {
        self.cached.inc_by(u64::from(end.cached));
        if let Some(reason) = end.unsent {
            if !end.cached {
                self.not_sent.get_or_create(&Unsent { reason }).inc();
            }
            return;
        }
        if let Some(taken) = end.second {
            self.second_tries.get_or_create(&Second { taken: if taken { "yes" } else { "no" } }).inc();
        }
        self.requests.get_or_create(&Ended { side, verb, outcome: end.outcome }).inc();
        self.seconds.get_or_create(&Asked { side, verb }).observe(latency.as_secs_f64());
        if let Some(resource) = end.resource.filter(|_| end.rows > 0 && !end.cached) {
            self.rows.get_or_create(&Of { side, resource }).inc_by(end.rows);
            self.bytes.get_or_create(&Of { side, resource }).inc_by(end.bytes);
        }
    }

    /// A request was slow.
    pub(super) fn slow(&self, side: Side, verb: &'static str) {
        self.slow_requests.get_or_create(&Asked { side, verb }).inc();
    }
}

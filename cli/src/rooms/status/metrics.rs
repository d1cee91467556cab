//! `status` in numbers, as `OpenMetrics` text: what is counted has a stable name, and what must not be is not 0.

use crate::exit::{Exit, Failure};
use api::view::Status;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::ConstCounter, family::Family, gauge::ConstGauge, gauge::Gauge},
    registry::Registry,
};
use std::{fmt, sync::atomic::AtomicU64, time::Duration};

/// Before every name.
const PREFIX: &str = "mosaic_fed";

/// Of which state a count is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    state: String,
}

/// Which link a number is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Link {
    link: String,
}

/// All of it.
pub(super) fn text(status: &Status) -> Result<String, Failure> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register("up", "1 while the daemon answers", ConstGauge::new(1_u64));
    standing(status, &mut registry);
    alarms(status, &mut registry);
    counters(status, &mut registry);
    encoded(&registry)
}

/// What there is to say where nothing runs.
pub(super) fn not_running() -> Result<String, Failure> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register("up", "1 while the daemon answers", ConstGauge::new(0_u64));
    encoded(&registry)
}

/// What there is at this moment.
fn standing(status: &Status, registry: &mut Registry) {
    let grants = Family::<Of, Gauge<u64, AtomicU64>>::default();
    let of = |state: &str| Of { state: state.to_owned() };
    grants.get_or_create(&of("active")).set(status.grants);
    grants.get_or_create(&of("pending")).set(status.pending_grants);
    grants.get_or_create(&of("waiting")).set(status.waiting_grants.len() as u64);
    registry.register("grants", "Grants that have not ended, by state", grants);
    let links = Family::<Of, Gauge<u64, AtomicU64>>::default();
    for count in &status.links {
        links.get_or_create(&of(&count.state)).set(count.links);
    }
    registry.register("links", "Own links, by state", links);
    for (name, help, value) in [
        ("database_up", "1 while the database answers", u64::from(status.database_answers)),
        ("connections", "Connections under grants", status.connections),
        ("sessions", "Control sessions under grants", status.sessions),
        ("calls", "Calls under way", status.calls),
        ("calls_parked", "Connections of other sides that wait to be used", status.calls_parked),
        ("audit_head", "Number of the log's last entry", status.audit_head.unwrap_or_default()),
    ] {
        registry.register(name, help, ConstGauge::new(value));
    }
    let age = Duration::from_millis(status.snapshot_age_ms).as_secs_f64();
    registry.register("snapshot_age_seconds", "Since the grants were read last", ConstGauge::new(age));
    let since = Duration::from_micros(status.since.micros().try_into().unwrap_or_default()).as_secs_f64();
    registry.register("start_time_seconds", "When the daemon started, since 1970", ConstGauge::new(since));
}

/// What must not stay so: anything but 0 wants somebody to look.
fn alarms(status: &Status, registry: &mut Registry) {
    let hours = Family::<Link, Gauge<u64, AtomicU64>>::default();
    for degraded in &status.degraded_links {
        hours.get_or_create(&Link { link: degraded.link.to_string() }).set(degraded.hours_left);
    }
    registry.register(
        "degraded_link_hours_left",
        "Until the certificate of a link ends that was not renewed in time",
        hours,
    );
    let list = |failure: Option<&String>| u64::from(failure.is_some());
    let given = status.list_given.as_ref().and_then(|list| list.failure.as_ref());
    let taken = status.list_taken.as_ref().and_then(|list| list.failure.as_ref());
    for (name, help, value) in [
        ("degraded_links", "Own links whose certificate was not renewed in time", status.degraded_links.len() as u64),
        ("failing_calls", "Grants whose holder is called and not reached", status.failing_calls.len() as u64),
        (
            "doubtful_grants",
            "Grants that the database has and that are not believed",
            status.doubtful_grants.len() as u64,
        ),
        (
            "audit_fault",
            "1 while the log cannot be written and answers are refused",
            u64::from(status.audit_fault.is_some()),
        ),
        (
            "floors_failure",
            "1 while how far grants have come cannot be remembered",
            u64::from(status.floors_failure.is_some()),
        ),
        ("floors_lost", "1 while it is forgotten how far grants had come", u64::from(status.floors_lost)),
        ("list_given_failure", "1 while the list of revoked certificates cannot be made", list(given)),
        (
            "list_taken_failure",
            "1 while the list of revoked certificates taken is too old, or not to be had or believed",
            list(taken),
        ),
    ] {
        registry.register(name, help, ConstGauge::new(value));
    }
}

/// What happened since the daemon started.
fn counters(status: &Status, registry: &mut Registry) {
    for (name, help, value) in [
        ("renewals_done", "Certificates of links renewed", status.renewals_done),
        ("renewals_failed", "Renewals tried in vain", status.renewals_failed),
        ("incidents", "Connections turned away before any call", status.incidents),
        ("second_check_failures", "Answers refused by the second check", status.second_check_failures),
        (
            "refused_unrecorded",
            "Answers held back because no record of them could be written",
            status.refused_unrecorded,
        ),
        (
            "unknown_certificates",
            "Calls with a certificate of this CA that was never issued here",
            status.unknown_certificates,
        ),
        (
            "replaced_certificates",
            "Uses of a certificate that was replaced by a newer one",
            status.replaced_certificates,
        ),
        ("clock_refusals", "Grants not made because this machine's clock went back", status.clock_refusals),
        (
            "audit_records_lost",
            "Records that nobody waited for and that could not be written",
            status.audit_records_lost,
        ),
    ] {
        registry.register(name, help, ConstCounter::new(value));
    }
}

fn encoded(registry: &Registry) -> Result<String, Failure> {
    let mut text = String::new();
    let unwritten =
        |error: fmt::Error| Failure::new(Exit::Failed, format!("the metrics could not be written: {error}"));
    encode(&mut text, registry).map_err(unwritten)?;
    Ok(text)
}

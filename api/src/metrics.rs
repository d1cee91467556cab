//! This instance in numbers, as `OpenMetrics` text: what is counted has a stable name, and what must not be is not 0. One page for both who
//! ask: a person, who is told of their own links by name (`status --metrics`), and whoever reads the port, who is told of nobody's.
//!
//! Each label is of a closed list of this program's own, but for the names of a person's own links. So no number of strangers, paths or
//! peers makes the page longer.

use crate::{Door, routes, view, view::Status};
use link::Trails;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::ConstCounter, family::Family, gauge::ConstGauge, gauge::Gauge},
    registry::Registry,
};
use std::{collections::BTreeMap, fmt, sync::atomic::AtomicU64, time::Duration};

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

/// What is counted beside what `status` says.
pub struct Counted<'a> {
    /// Requests over links.
    pub trails: &'a Trails,
    /// Every user's links.
    pub links: &'a [view::LinkEntry],
    /// Records that wait to be written.
    pub audit_queue: u64,
    /// Connections to the database, and how many of them nobody uses.
    pub database: Option<(u64, u64)>,
}

/// What a person is told.
///
/// # Errors
/// Never, as far as the library says.
pub fn of_person(status: &Status) -> Result<String, fmt::Error> {
    let mut registry = begun(status, true);
    let hours = Family::<Link, Gauge<u64, AtomicU64>>::default();
    for degraded in &status.degraded_links {
        hours.get_or_create(&Link { link: degraded.link.to_string() }).set(degraded.hours_left);
    }
    let help = "Until the certificate of a link ends that was not renewed in time; 0 once it has ended";
    registry.register("degraded_link_hours_left", help, hours);
    encoded(&registry)
}

/// What whoever reads the port is told.
pub(crate) async fn of_all(door: &Door) -> Result<String, fmt::Error> {
    let (status, links) = routes::status::of_all(door).await;
    let counted = Counted {
        trails: &door.trails,
        links: &links,
        audit_queue: door.auditor.waiting(),
        database: door.store.connections(),
    };
    text(&status, &counted)
}

fn text(status: &Status, counted: &Counted<'_>) -> Result<String, fmt::Error> {
    let mut registry = begun(status, false);
    counted.trails.register(&mut registry);
    let circuits = Family::<Of, Gauge<u64, AtomicU64>>::default();
    let mut by_state = BTreeMap::<&str, u64>::new();
    for link in counted.links {
        *by_state.entry(&link.circuit.state).or_default() += 1;
    }
    for (state, links) in by_state {
        circuits.get_or_create(&Of { state: state.to_owned() }).set(links);
    }
    registry.register("circuits", "Own links by whether questions over them are sent", circuits);
    if let Some(days) = counted.links.iter().map(|link| link.days_left).min() {
        let help = "Until the first of the certificates of own links ends; below 0 once it has ended";
        registry.register("certificate_days_left", help, ConstGauge::new(days));
    }
    gauge(&mut registry, "audit_queue", "Records that wait to be written", Some(counted.audit_queue));
    let (open, idle) = counted.database.unzip();
    gauge(&mut registry, "database_connections", "Connections to the database", open);
    gauge(&mut registry, "database_connections_idle", "Of them those that nobody uses", idle);
    encoded(&registry)
}

/// What both are told; of what a person alone may know of, nothing where it is not for one.
fn begun(status: &Status, is_a_persons: bool) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register("up", "1 while the daemon answers", ConstGauge::new(1_u64));
    standing(status, is_a_persons, &mut registry);
    alarms(status, is_a_persons, &mut registry);
    counters(status, &mut registry);
    registry
}

/// What there is to say where nothing runs.
///
/// # Errors
/// Never, as far as the library says.
pub fn not_running() -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register("up", "1 while the daemon answers", ConstGauge::new(0_u64));
    encoded(&registry)
}

/// What there is at this moment. Of what only the database knows nothing is said while that is away: a number would be invented.
fn standing(status: &Status, is_a_persons: bool, registry: &mut Registry) {
    let grants = Family::<Of, Gauge<u64, AtomicU64>>::default();
    let of = |state: &str| Of { state: state.to_owned() };
    grants.get_or_create(&of("active")).set(status.grants);
    if status.database_answers && is_a_persons {
        grants.get_or_create(&of("pending")).set(status.pending_grants);
        grants.get_or_create(&of("waiting")).set(count(&status.waiting_grants));
    }
    registry.register("grants", "Grants that have not ended, by state", grants);
    let links = Family::<Of, Gauge<u64, AtomicU64>>::default();
    for count in &status.links {
        links.get_or_create(&of(&count.state)).set(count.links);
    }
    registry.register("links", "Own links, by state", links);
    for (name, help, value) in [
        ("database_up", "1 while the database answers", Some(u64::from(status.database_answers))),
        ("connections", "Connections under grants", Some(status.connections)),
        ("sessions", "Control sessions under grants", Some(status.sessions)),
        ("calls", "Calls under way", Some(status.calls)),
        ("calls_parked", "Connections of other sides that wait to be used", Some(status.calls_parked)),
        ("audit_head", "Number of the log's last entry", status.audit_head),
    ] {
        gauge(registry, name, help, value);
    }
    let age = Duration::from_millis(status.snapshot_age_ms).as_secs_f64();
    registry.register("snapshot_age_seconds", "Since the grants were read last", ConstGauge::new(age));
    let since = Duration::from_micros(status.since.micros().try_into().unwrap_or_default()).as_secs_f64();
    registry.register("start_time_seconds", "When the daemon started, since 1970", ConstGauge::new(since));
}

/// What must not stay so: anything but 0 wants somebody to look.
fn alarms(status: &Status, is_a_persons: bool, registry: &mut Registry) {
    let is = |fault: Option<&String>| Some(u64::from(fault.is_some()));
    let is_there = |reached: Option<u64>| Some(u64::from(reached.is_some()));
    let given = status.list_given.as_ref().and_then(|list| list.failure.as_ref());
    let taken = status.list_taken.as_ref().and_then(|list| list.failure.as_ref());
    let known = |count: u64| status.database_answers.then_some(count);
    for (name, help, value) in [
        ("degraded_links", "Own links whose certificate was not renewed in time", known(count(&status.degraded_links))),
        (
            "holders_not_reached",
            "Grants whose holder this instance calls to connect (`invite --call`) and does not reach",
            known(count(&status.failing_calls)).filter(|_| is_a_persons),
        ),
        (
            "doubtful_grants",
            "Grants that the database has and that are not believed",
            Some(count(&status.doubtful_grants)),
        ),
        (
            "doubtful_keys",
            "Revoked keys whose row was changed or removed; they stay refused",
            Some(count(&status.doubtful_keys)),
        ),
        ("audit_fault", "1 while the log cannot be written and answers are refused", is(status.audit_fault.as_ref())),
        (
            "audit_head_lost",
            "1 while the log does not lead to where it had been, and nobody has answered for it",
            is_there(status.audit_head_lost),
        ),
        ("floors_failure", "1 while how far grants have come cannot be remembered", is(status.floors_failure.as_ref())),
        (
            "floors_lost",
            "1 while it is forgotten how far grants had come, and which keys were revoked",
            Some(u64::from(status.floors_lost)),
        ),
        (
            "issuer_failure",
            "1 while the certificate authority did not answer when it was needed last",
            is(status.issuer.failure.as_ref()),
        ),
        ("list_given_failure", "1 while the list of revoked certificates cannot be made", is(given)),
        (
            "collector_failure",
            "1 while the collector of spans does not take them",
            Some(u64::from(status.collector.as_ref().is_some_and(|collector| collector.is_failing))),
        ),
        (
            "list_taken_failure",
            "1 while the list of revoked certificates taken is too old, or not to be had or believed",
            is(taken),
        ),
    ] {
        gauge(registry, name, help, value);
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: Option<u64>) {
    if let Some(value) = value {
        registry.register(name, help, ConstGauge::new(value));
    }
}

fn count<T>(many: &[T]) -> u64 {
    many.len() as u64
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

fn encoded(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests;

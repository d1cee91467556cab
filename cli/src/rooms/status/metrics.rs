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

/// What there is at this moment. Of what only the database knows nothing is said while that is away: a number would be invented.
fn standing(status: &Status, registry: &mut Registry) {
    let grants = Family::<Of, Gauge<u64, AtomicU64>>::default();
    let of = |state: &str| Of { state: state.to_owned() };
    grants.get_or_create(&of("active")).set(status.grants);
    if status.database_answers {
        grants.get_or_create(&of("pending")).set(status.pending_grants);
        grants.get_or_create(&of("waiting")).set(count(&status.waiting_grants));
    }
    registry.register("grants", "Grants that have not ended, by state", grants);
    let links = Family::<Of, Gauge<u64, AtomicU64>>::default();
    for count in &status.links {
        links.get_or_create(&of(&count.state)).set(count.links);
    }
    registry.register("links", "Own links, by state", links);
    let hours = Family::<Link, Gauge<u64, AtomicU64>>::default();
    for degraded in &status.degraded_links {
        hours.get_or_create(&Link { link: degraded.link.to_string() }).set(degraded.hours_left);
    }
    let help = "Until the certificate of a link ends that was not renewed in time; 0 once it has ended";
    registry.register("degraded_link_hours_left", help, hours);
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
fn alarms(status: &Status, registry: &mut Registry) {
    let is = |fault: Option<&String>| Some(u64::from(fault.is_some()));
    let is_there = |reached: Option<u64>| Some(u64::from(reached.is_some()));
    let given = status.list_given.as_ref().and_then(|list| list.failure.as_ref());
    let taken = status.list_taken.as_ref().and_then(|list| list.failure.as_ref());
    let known = |count: u64| status.database_answers.then_some(count);
    for (name, help, value) in [
        ("degraded_links", "Own links whose certificate was not renewed in time", known(count(&status.degraded_links))),
        ("failing_calls", "Grants whose holder is called and not reached", known(count(&status.failing_calls))),
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

fn encoded(registry: &Registry) -> Result<String, Failure> {
    let mut text = String::new();
    let unwritten =
        |error: fmt::Error| Failure::new(Exit::Failed, format!("the metrics could not be written: {error}"));
    encode(&mut text, registry).map_err(unwritten)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn status(more: &Value) -> Status {
        let mut said = json!({
            "name": "office", "version": "0", "pid": 1, "since": "2026-11-22T08:00:00Z", "database": "here",
            "database_answers": true, "grants": 1, "pending_grants": 2, "connections": 3, "sessions": 4, "calls": 5,
            "calls_parked": 6, "snapshot_age_ms": 1500, "second_check_failures": 7, "refused_unrecorded": 8,
            "unknown_certificates": 9, "replaced_certificates": 10, "clock_refusals": 11, "incidents": 12,
            "audit_records_lost": 13, "audit_head": 14, "doubtful_grants": [], "links": [{"state": "up", "links": 15}],
            "renewals_done": 16, "renewals_failed": 17, "degraded_links": [],
        });
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(said).unwrap()
    }

    fn told(status: &Status) -> BTreeMap<String, String> {
        let text = text(status).ok().unwrap();
        assert!(text.ends_with("# EOF\n"), "{text}");
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap());
        lines.map(|(name, value)| (name.trim_start_matches("mosaic_fed_").to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn each_number_stands_under_its_own_name() {
        let told = told(&status(&json!({})));
        let names = [
            "grants{state=\"active\"}",
            "grants{state=\"pending\"}",
            "connections",
            "sessions",
            "calls",
            "calls_parked",
            "second_check_failures_total",
            "refused_unrecorded_total",
            "unknown_certificates_total",
            "replaced_certificates_total",
            "clock_refusals_total",
            "incidents_total",
            "audit_records_lost_total",
            "audit_head",
            "links{state=\"up\"}",
            "renewals_done_total",
            "renewals_failed_total",
        ];
        let values: Vec<_> = names.iter().map(|name| told[*name].clone()).collect();
        assert_eq!(values, (1..=17).map(|value| value.to_string()).collect::<Vec<_>>());
        assert_eq!([&told["snapshot_age_seconds"], &told["start_time_seconds"]], ["1.5", "1795334400.0"]);
    }

    #[test]
    fn each_thing_that_must_not_be_raises_its_own_alarm_and_no_other() {
        let names = [
            "degraded_links",
            "failing_calls",
            "doubtful_grants",
            "doubtful_keys",
            "audit_fault",
            "audit_head_lost",
            "floors_failure",
            "floors_lost",
            "issuer_failure",
            "list_given_failure",
            "list_taken_failure",
        ];
        let (grant, time) = ("7c9e6679-7425-40de-944b-e07fc1f90ae7", "2026-11-22T08:00:00Z");
        let raised = |more: &Value| -> Vec<&str> {
            let told = told(&status(more));
            names.into_iter().filter(|name| told[*name] != "0").collect()
        };
        assert_eq!(raised(&json!({})), Vec::<&str>::new());
        let degraded = json!({"link": "work", "certificate_not_after": time, "hours_left": 0, "reason": "because"});
        for (name, more) in names.into_iter().zip([
            json!({"degraded_links": [degraded]}),
            json!({"failing_calls": [{"grant": "home", "reason": "because"}]}),
            json!({"doubtful_grants": [{"id": grant, "reason": "because"}]}),
            json!({"doubtful_keys": ["ab".repeat(32)]}),
            json!({"audit_fault": "full"}),
            json!({"audit_head_lost": 62}),
            json!({"floors_failure": "full"}),
            json!({"floors_lost": true}),
            json!({"issuer": {"step_ca": "a:1", "failure": "because"}}),
            json!({"list_given": {"address": "a:1", "failure": "because"}}),
            json!({"list_taken": {"source": "a", "certificates": 0, "failure": "because"}}),
        ]) {
            assert_eq!(raised(&more), [name]);
        }
    }

    #[test]
    fn what_nobody_knows_has_no_number() {
        let told = told(&status(&json!({"database_answers": false, "audit_head": null})));
        for unknown in ["audit_head", "failing_calls", "degraded_links", "grants{state=\"pending\"}"] {
            assert!(!told.contains_key(unknown), "{unknown}");
        }
        assert_eq!((&*told["database_up"], &*told["grants{state=\"active\"}"]), ("0", "1"));
    }
}

use super::*;
use domain::{
    Reason,
    answer::Outcome,
    id::{GrantId, InstanceId, RequestId},
    kind::Kinds,
    operation::Method,
    trace::TraceParent,
};
use link::{
    Class,
    trail::{Begin, Side},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

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
    let text = of_person(status).unwrap();
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
        "holders_not_reached",
        "doubtful_grants",
        "doubtful_keys",
        "audit_fault",
        "audit_head_lost",
        "floors_failure",
        "floors_lost",
        "issuer_failure",
        "list_given_failure",
        "list_taken_failure",
        "collector_failure",
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
        json!({"collector": {"at": "a:1", "failure": "because", "is_failing": true}}),
    ]) {
        assert_eq!(raised(&more), [name]);
    }
}

#[test]
fn what_nobody_knows_has_no_number() {
    let told = told(&status(&json!({"database_answers": false, "audit_head": null})));
    for unknown in ["audit_head", "holders_not_reached", "degraded_links", "grants{state=\"pending\"}"] {
        assert!(!told.contains_key(unknown), "{unknown}");
    }
    assert_eq!((&*told["database_up"], &*told["grants{state=\"active\"}"]), ("0", "1"));
}

/// Every series of the page: what stands before a value.
fn series(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

/// Requests of everybody and about everything, each another one.
fn strangers(trails: &Trails, many: u128) {
    for number in 0..many {
        let peer = InstanceId(Uuid::from_u128(number + 1));
        let known = Begin {
            side: if number % 2 == 0 { Side::Sharing } else { Side::Asking },
            method: Method::from_path(&format!("/mosaic.federation.v1.QueryService/List{number}")),
            grant: Some(GrantId(Uuid::from_u128(number + 1))),
            peer: Some(peer),
            request: RequestId(Uuid::from_u128(number + 1)),
            parent: TraceParent::new((number + 1).to_be_bytes(), [1; 8], true),
        };
        let trail = trails.begin(known);
        let letters: String = number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
        trail.about(&format!("kind_{letters}").parse().unwrap());
        trail.answered(1, 1);
        trails.turned_away(Class::Rate);
    }
}

#[test]
fn label_cardinality() {
    let trails = Trails::default();
    let page = || {
        let counted = Counted { trails: &trails, links: &[], audit_queue: 0, database: Some((1, 1)) };
        text(&status(&json!({})), &counted).unwrap()
    };
    strangers(&trails, 2);
    let before = series(&page());
    strangers(&trails, 100_000);
    assert_eq!(series(&page()), before, "not one series more for 100,000 paths, kinds, peers, grants and traces");
    // And the whole of what can be: each verb, outcome and kind that there is.
    for side in [Side::Asking, Side::Sharing] {
        for method in Method::ALL {
            for outcome in Outcome::ALL {
                let (grant, peer, parent) = (None, None, None);
                let request = RequestId(Uuid::from_u128(1));
                let begin = || trails.begin(Begin { side, method: Some(method), grant, peer, request, parent });
                begin().came_to(outcome);
                for reason in Reason::ALL {
                    begin().refused(reason);
                }
                for kind in Kinds::builtin().names() {
                    let trail = begin();
                    trail.about(kind);
                    trail.answered(1, 1);
                }
            }
        }
    }
    assert!(series(&page()).len() < 1_000, "{}", series(&page()).len());
}

#[test]
fn whoever_reads_the_port_is_told_of_no_link_by_name() {
    let degraded = json!({"link": "clinic", "certificate_not_after": "2026-11-22T08:00:00Z", "hours_left": 0, "reason": "because"});
    let said = status(&json!({"degraded_links": [degraded]}));
    let counted = Counted { trails: &Trails::default(), links: &[], audit_queue: 3, database: None };
    let page = text(&said, &counted).unwrap();
    assert!(!page.contains("clinic") && page.contains("mosaic_fed_degraded_links 1\n"), "{page}");
    assert!(page.contains("mosaic_fed_audit_queue 3\n") && !page.contains("database_connections"), "{page}");
    assert!(of_person(&said).unwrap().contains("degraded_link_hours_left{link=\"clinic\"} 0\n"));
}

/// A page with something of everything on it, but for what only a person is told.
fn whole_page() -> String {
    let trails = Trails::new(Duration::from_nanos(1));
    strangers(&trails, 2);
    let request = RequestId(Uuid::from_u128(1));
    let (grant, peer, parent) = (None, None, None);
    let begin =
        || trails.begin(Begin { side: Side::Asking, method: Some(Method::ALL[0]), grant, peer, request, parent });
    begin().waits();
    begin().second(true);
    let link: view::LinkEntry = serde_json::from_value(json!({
        "id": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "name": "work", "peer_name": "office", "resources": [], "state": "up",
        "certificate_not_after": "2026-11-22T08:00:00Z", "renewal_due": "2026-11-22T08:00:00Z", "renewal_overdue": false,
        "days_left": 1, "addresses": [], "calls": false, "circuit": {"state": "closed", "failures": 0},
    }))
    .unwrap();
    let counted = Counted { trails: &trails, links: &[link], audit_queue: 0, database: Some((3, 2)) };
    text(&status(&json!({})), &counted).unwrap()
}

/// The rows of the page in docs, from what the port says.
fn table(page: &str) -> String {
    let kind = |name: &str| {
        let said = page.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} ")));
        said.unwrap_or_else(|| panic!("{name} has no type")).to_owned()
    };
    let labels = |name: &str| {
        let begins = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', '_']) && rest.contains('{'))
        };
        let inside = page.lines().find(begins).and_then(|line| line.split(['{', '}']).nth(1)).unwrap_or_default();
        let names =
            inside.split(',').filter_map(|pair| pair.split('=').next()).filter(|name| !["", "le"].contains(name));
        names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let helps = page.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    let row = |(name, help): (&str, &str)| {
        format!("| `{name}` | {} | {} | {} |\n", kind(name), labels(name), help.trim_end_matches('.'))
    };
    format!("| name | type | labels | what it is |\n|---|---|---|---|\n{}", helps.map(row).collect::<String>())
}

#[test]
fn the_page_in_docs_lists_what_the_port_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/telemetry.md");
    let written = std::fs::read_to_string(path).unwrap();
    let (before, rest) = written.split_once("<!-- from here on generated -->\n").expect("where the table begins");
    let (_, after) = rest.split_once("<!-- to here -->\n").expect("where it ends");
    let right = format!("{before}<!-- from here on generated -->\n{}<!-- to here -->\n{after}", table(&whole_page()));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &right).unwrap();
    }
    assert!(
        written == right || std::env::var_os("UPDATE_DOCS").is_some(),
        "UPDATE_DOCS=1 cargo test -p api writes it anew"
    );
}

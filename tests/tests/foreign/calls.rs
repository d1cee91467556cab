//! The other calls of a link, what a grant refuses, and the id that both sides' logs know a call by.

use crate::{contract, office::Office, stage::Stage};
use domain::{audit::Ending, id::RequestId};
use serde_json::{Value, json};
use std::collections::BTreeMap;

async fn the_opening_says_who_is_there_and_what_may_be_asked(stage: Stage) {
    let office = Office::start().await;
    let spec = r#"{"resources":["tasks"],"max_rows_per_query":321,"rate":{"per_minute":50,"burst":40}}"#;
    let grant = office.linked(&stage, spec).await;
    let said = stage.ask("link", &["connect"]).await;
    assert_eq!((said.events(), said.code), (vec!["connected"], 0));
    let connected = said.one("connected");
    assert_eq!(connected["instance_id"], office.instance.id.to_string());
    assert_eq!((&connected["instance_name"], &connected["version"]), (&json!("office"), &json!(1)));
    assert_eq!(connected["capabilities"], json!(["CAPABILITY_QUERY"]));
    assert_eq!(connected["max_rows"], 321);
    assert_eq!(connected["rate"], json!({"per_minute": 50, "burst": 40}));
    assert_eq!(contract::time(&connected["certificate_not_after"]), grant.leaf.map(|leaf| leaf.not_after));
    assert_eq!(office.on_record(connected, grant.id).await[0].about, "connect");
}

async fn capabilities_are_the_grants_scope_at_this_moment(stage: Stage) {
    let office = Office::start().await;
    let spec = r#"{"resources":["tasks","notes"],"withhold":["secret","personal"],"verbs":["capabilities","list"],
        "rate":{"per_minute":30,"burst":20}}"#;
    let grant = office.linked(&stage, spec).await;
    let said = stage.ask("link", &["capabilities"]).await;
    let line = said.one("capabilities");
    assert_eq!(
        (&line["grant_id"], &line["grant_name"]),
        (&json!(grant.id.to_string()), &json!(grant.name.to_string()))
    );
    assert_eq!(line["workspace"], "main");
    let fields = |(kind, filter): (&_, &domain::scope::Filter)| (ToString::to_string(kind), names(&filter.fields));
    let expected: BTreeMap<_, _> = grant.scope.resources().map(fields).collect();
    assert_eq!(sorted(&line["resources"]), json!(expected));
    assert!(!line["resources"].to_string().contains("\"body\""), "{line}");
    let mut verbs: Vec<_> = line["verbs"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    verbs.sort_unstable();
    assert_eq!(verbs, ["VERB_CAPABILITIES", "VERB_LIST"]);
    assert_eq!((&line["max_rows"], &line["calls_left"]), (&json!(1_000), &json!(19)));
    assert_eq!(line["rate"], json!({"per_minute": 30, "burst": 20}));
    assert_eq!(contract::time(&line["not_after"]), Some(grant.scope.not_after()));
    let health = stage.ask("link", &["health"]).await;
    assert_eq!(health.one("health")["status"], "SERVING");
    assert_eq!(health.code, 0);
}

async fn what_lies_outside_the_scope_is_refused_with_its_reason_and_on_record(stage: Stage) {
    let office = Office::start().await;
    let grant = office.linked(&stage, r#"{"resources":["tasks"],"verbs":["capabilities","list"]}"#).await;
    let row = office.shown("tasks").await[0]["id"].as_str().expect("an id").to_owned();
    let mut refusals = Vec::new();
    for arguments in [vec!["list", "notes"], vec!["get", "tasks", &row]] {
        let said = stage.ask("link", &arguments).await;
        assert_eq!(said.refusal(), ("PERMISSION_DENIED", "OUT_OF_SCOPE"));
        let refused = said.one("refused");
        assert!(said.all("row").is_empty() && said.all("end").is_empty());
        assert!(refused["message"].as_str().is_some_and(|text| text.contains("tasks")), "{refused}");
        assert!(refused["retry_after_ms"].is_null(), "{refused}");
        refusals.push(refused.clone());
    }
    // Equal refusals within seconds are folded into the record of the first.
    let log = office.on_record(&refusals[0], grant.id).await;
    assert_eq!((log[0].about.as_str(), log[0].ending), ("list", Ending::Refused));
    assert_eq!(log[0].reason.as_deref(), Some("OUT_OF_SCOPE"));
}

async fn what_is_malformed_is_refused_with_the_field_that_is_not_in_its_form(stage: Stage) {
    let office = Office::start().await;
    office.linked(&stage, r#"{"resources":["tasks"]}"#).await;
    let cases: [(&[&str], &str); 3] = [
        (&["list", "tasks", "--limit", "10001"], "limit"),
        (&["list", "No Kind"], "resource"),
        (&["get", "tasks", "0F8FAD5B-D9CB-469F-A165-70867728950E"], "id"),
    ];
    for (arguments, field) in cases {
        let said = stage.ask("link", arguments).await;
        assert_eq!(said.refusal(), ("INVALID_ARGUMENT", "MALFORMED"));
        let violations = said.one("refused")["violations"].as_array().expect("a list").clone();
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert_eq!(violations[0]["field"], field);
        assert!(violations[0]["description"].as_str().is_some_and(|text| !text.is_empty()), "{violations:?}");
    }
}

async fn a_call_is_found_in_the_log_under_the_id_it_was_sent_with(stage: Stage) {
    let office = Office::start().await;
    let grant = office.linked(&stage, r#"{"resources":["tasks"]}"#).await;
    let cases: [(&[&str], &str, Ending); 4] = [
        (&["capabilities"], "capabilities", Ending::Answered),
        (&["connect"], "connected", Ending::Answered),
        (&["list", "tasks", "--limit", "2"], "page", Ending::Answered),
        (&["list", "notes"], "refused", Ending::Refused),
    ];
    for (arguments, event, ending) in cases {
        let id = RequestId(office.instance.world.uuid()).to_string();
        let said = stage.ask("link", &[arguments, &["--request-id", &id]].concat()).await;
        assert_eq!(said.one(event)["request_id"], id);
        let log = office.on_record(said.one(event), grant.id).await;
        assert!(log.iter().all(|entry| entry.ending == ending), "{log:?}");
    }
}

fn names(fields: &std::collections::BTreeSet<domain::id::Field>) -> Vec<String> {
    fields.iter().map(|field| field.as_str().to_owned()).collect()
}

fn sorted(resources: &Value) -> Value {
    let mut resources = resources.clone();
    for fields in resources.as_object_mut().expect("an object").values_mut() {
        fields.as_array_mut().expect("a list").sort_by_key(ToString::to_string);
    }
    resources
}

crate::for_each_client!(
    the_opening_says_who_is_there_and_what_may_be_asked,
    capabilities_are_the_grants_scope_at_this_moment,
    what_lies_outside_the_scope_is_refused_with_its_reason_and_on_record,
    what_is_malformed_is_refused_with_the_field_that_is_not_in_its_form,
    a_call_is_found_in_the_log_under_the_id_it_was_sent_with,
);

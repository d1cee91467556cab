//! Each shape against a whole value of what it describes. The values are written out field by field, so that a new field there does
//! not compile here.

use super::*;
use domain::{
    answer::{self, Outcome as SourceEnd},
    audit::{self, chain},
    id::{EntryHash, GrantId, InstanceId, ItemId, QueryHash, RequestId, UserId},
    item, kind, rights, scope,
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// That the value has exactly the fields of the shape, all that it must have among them.
fn fits<T: JsonSchema>(value: &impl Serialize) {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let (schema, value) = (schema.as_value().clone(), serde_json::to_value(value).unwrap());
    agree(&schema, &schema, &value, &T::schema_name());
}

fn agree(root: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = resolved(root, schema);
    if let Some(options) = schema["anyOf"].as_array() {
        let option = options.iter().find(|option| (option["type"] == "null") == value.is_null());
        return agree(root, option.unwrap(), value, place);
    }
    match value {
        Value::Object(fields) if !schema["properties"].is_null() => {
            let names: BTreeSet<_> = fields.keys().collect();
            let known: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
            assert_eq!(names, known, "{place}");
            fields
                .iter()
                .for_each(|(name, field)| agree(root, &schema["properties"][name], field, &format!("{place}.{name}")));
        }
        Value::Array(values) => values.iter().for_each(|one| agree(root, &schema["items"], one, place)),
        Value::Object(fields) if schema["additionalProperties"].is_object() => {
            fields.values().for_each(|field| agree(root, &schema["additionalProperties"], field, place));
        }
        _ => {}
    }
}

fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    schema["$ref"].as_str().map_or(schema, |path| root.pointer(path.trim_start_matches('#')).unwrap())
}

/// That a value with nothing to say prints exactly what the shape says is always there.
fn always_prints<T: JsonSchema>(bare: &impl Serialize) {
    let schema = SchemaSettings::default().for_serialize().into_generator().into_root_schema_for::<T>();
    let required = schema.as_value()["required"].as_array().cloned().unwrap_or_default();
    let required: BTreeSet<_> = required.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let value = serde_json::to_value(bare).unwrap();
    let printed: BTreeSet<_> = value.as_object().unwrap().keys().cloned().collect();
    assert_eq!(printed, required, "{}", T::schema_name());
}

fn words<T: JsonSchema>(all: &[impl Serialize]) {
    let schema = serde_json::to_string(&SchemaGenerator::default().into_root_schema_for::<T>()).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let of_each = schema["oneOf"].as_array().into_iter().flatten().map(|one| one["const"].clone());
    let plain = schema["enum"].as_array().into_iter().flatten().cloned();
    let known: BTreeSet<_> = of_each.chain(plain).map(|word| word.to_string()).collect();
    let there: BTreeSet<_> = all.iter().map(|word| serde_json::to_value(word).unwrap().to_string()).collect();
    assert_eq!(known, there, "{}", T::schema_name());
}

fn time() -> domain::Time {
    domain::Time::from_seconds(1_790_000_000)
}

fn row() -> answer::Row {
    let item = item::Item {
        id: ItemId(Uuid::from_u128(1)),
        resource: "tasks".parse().unwrap(),
        created_at: time(),
        updated_at: time(),
        title: Some("t".into()),
        body: Some("b".into()),
        team: Some("T".parse().unwrap()),
        project: Some("P".parse().unwrap()),
        owner: Some("dana".parse().unwrap()),
        tags: ["red".parse().unwrap()].into(),
        attributes: Map::from_iter([("status".to_owned(), json!("open"))]),
    };
    answer::Row { source: "here".into(), as_of: time(), late: true, cached: true, item }
}

fn end() -> answer::SourceOutcome {
    answer::SourceOutcome {
        source: "work".into(),
        outcome: SourceEnd::Offline,
        reason: Some("r".into()),
        rows: 1,
        truncated: true,
        took_ms: 1,
        retry_after_ms: Some(1),
        words: Some("a b c d".into()),
        withheld: Some(1),
        calls_left: Some(1),
    }
}

fn verdict() -> answer::Verdict {
    answer::Verdict::of(&[end()])
}

fn complete() -> answer::Verdict {
    answer::Verdict::of(&[])
}

fn entry() -> audit::Entry {
    audit::Entry {
        sequence: 1,
        time: time(),
        stage: audit::Stage::Admin,
        ending: audit::Ending::Done,
        about: "start".into(),
        request: RequestId(Uuid::from_u128(2)),
        address: String::new(),
        grant: Some(GrantId(Uuid::from_u128(3))),
        peer: Some(InstanceId(Uuid::from_u128(4))),
        subject: Some(UserId(Uuid::from_u128(5))),
        resource: Some("tasks".parse().unwrap()),
        query: Some(QueryHash::default()),
        reason: Some("GRANT_RATE".into()),
        note: String::new(),
        rows: 0,
        bytes: 0,
        latency_us: 0,
        previous: EntryHash::default(),
        hash: EntryHash::default(),
    }
}

#[test]
fn rows_and_their_outcomes_have_the_fields_that_are_described() {
    fits::<Page>(&answer::Page { rows: vec![row()], sources: vec![end()], next: Some("c".into()), verdict: verdict() });
    let withheld = Some(vec!["body".parse().unwrap()]);
    fits::<One>(&answer::One { row: Some(row()), withheld, sources: vec![end()], verdict: verdict() });
    fits::<Verdict>(&verdict());
    fits::<Row>(&row());
    fits::<SourceOutcome>(&end());
    let item::Item { resource, title, body, team, project, tags, attributes, .. } = row().item;
    let title = title.unwrap();
    let (source_key, created_at) = (Some("k".into()), Some(time()));
    fits::<NewItem>(&item::NewItem { resource, title, body, team, project, tags, attributes, source_key, created_at });
}

#[test]
fn entries_and_heads_have_the_fields_that_are_described() {
    fits::<Entry>(&entry());
    let head = audit::Head { sequence: 1, hash: EntryHash::default(), time: time() };
    let name = "office".parse().unwrap();
    let instance = InstanceId(Uuid::from_u128(1));
    fits::<SignedHead>(&audit::SignedHead { instance, name, head, key: "k".into(), signature: "s".into() });
    let step = serde_json::to_value(answer::Step::End(end())).unwrap();
    let line = serde_json::to_value(chain::Line::Entry(Box::new(entry()))).unwrap();
    assert!(step.get("end").is_some() && line.get("entry").is_some(), "{step} {line}");
}

#[test]
fn a_scope_has_the_fields_that_are_described() {
    let filter = scope::spec::FilterSpec {
        include_teams: Some(vec!["T".into()]),
        include_personal: Some(true),
        include_projects: Some(vec!["P".into()]),
        include_tags: Some(scope::spec::Tags::Any(vec!["red".into()])),
        since: Some(time()),
    };
    fits::<Filter>(&filter);
    fits::<Ceiling>(&scope::ceiling::Ceiling {
        resources: Some(vec!["tasks".into()]),
        excluded_resources: vec!["notes".into()],
        filters: BTreeMap::from([("tasks".into(), filter.clone())]),
        fields: BTreeMap::from([("tasks".into(), vec!["title".into()])]),
        withhold: vec![kind::Class::Secret],
        max_rows_per_query: Some(1),
        verbs: Some(vec![scope::Verb::List]),
        rate: Some(scope::Rate::DEFAULT),
        max_days: Some(1),
    });
    fits::<Spec>(&scope::Spec {
        workspace: "main".parse().unwrap(),
        resources: vec!["tasks".into()],
        excluded_resources: vec!["notes".into()],
        filters: BTreeMap::from([("tasks".into(), filter)]),
        fields: BTreeMap::from([("tasks".into(), vec!["title".into()])]),
        withhold: Some(vec![kind::Class::Secret]),
        max_rows_per_query: Some(1),
        verbs: Some(vec![scope::Verb::List]),
        commands: vec!["c".into()],
        topics: vec!["t".into()],
        rate: Some(scope::Rate::DEFAULT),
        doors: Some(vec![scope::Door::Cli]),
        not_after: Some(time()),
    });
}

#[test]
fn what_has_nothing_to_say_is_left_out_as_it_is_described() {
    let item = item::Item { title: None, body: None, team: None, project: None, owner: None, ..row().item };
    let item = item::Item { tags: BTreeSet::new(), attributes: Map::new(), ..item };
    always_prints::<Row>(&answer::Row { late: false, cached: false, item: item.clone(), ..row() });
    always_prints::<Item>(&item);
    let silent = answer::SourceOutcome { reason: None, retry_after_ms: None, words: None, ..end() };
    let silent = answer::SourceOutcome { withheld: None, calls_left: None, ..silent };
    always_prints::<SourceOutcome>(&silent);
    always_prints::<Page>(&answer::Page { rows: Vec::new(), sources: Vec::new(), next: None, verdict: complete() });
    always_prints::<One>(&answer::One { row: None, withheld: None, sources: Vec::new(), verdict: complete() });
    always_prints::<Verdict>(&complete());
    let nobody = audit::Entry { grant: None, peer: None, subject: None, ..entry() };
    always_prints::<Entry>(&audit::Entry { resource: None, query: None, reason: None, ..nobody });
    always_prints::<Spec>(&scope::Spec::sharing("main".parse().unwrap(), Vec::new()));
    always_prints::<Ceiling>(&scope::ceiling::Ceiling::default());
    always_prints::<Rate>(&scope::Rate::DEFAULT);
    always_prints::<Filter>(&scope::spec::FilterSpec::default());
}

#[test]
fn every_word_is_one_that_is_described() {
    words::<Outcome>(&SourceEnd::ALL);
    words::<Stage>(audit::Stage::ALL);
    words::<Ending>(audit::Ending::ALL);
    words::<Role>(&rights::Role::ALL);
    words::<Verb>(&scope::Verb::ALL);
    words::<DoorWord>(&scope::Door::ALL);
}

//! Rows as a stranger reads them: every one, once, in order, page by page, with each field as it stands in the tables.

use crate::{
    client::Said,
    contract,
    office::{OWN_TASKS, Office, REMARK, TEAM_TASKS},
    stage::Stage,
};
use domain::audit::Ending;
use serde_json::{Value, json};

const SCOPE: &str = r#"{"resources":["tasks","notes"]}"#;

async fn all_pages_together_are_exactly_the_rows_of_the_instance_in_their_order(stage: Stage) {
    let office = Office::start().await;
    let grant = office.linked(&stage, SCOPE).await;
    let shown = office.shown("tasks").await;
    assert_eq!(shown.len(), TEAM_TASKS + OWN_TASKS);
    let said = stage.ask("link", &["list", "tasks", "--limit", "50", "--all"]).await;
    assert_eq!(said.code, 0, "{said:#?}");
    assert_eq!(ids(&said.all("row")), ids(&shown.iter().collect::<Vec<_>>()));
    let pages = said.all("page");
    let sizes: Vec<_> = pages.iter().map(|page| page["rows"].as_u64().expect("a number")).collect();
    assert_eq!(sizes, [50, 50, 50, 50, 50, 50, 50, 50, 50, 3]);
    let more: Vec<_> = pages.iter().map(|page| page["truncated"] == true).collect();
    assert_eq!(more, [true, true, true, true, true, true, true, true, true, false]);
    let end = said.one("end");
    assert_eq!((end["pages"].as_u64(), end["rows"].as_u64()), (Some(10), Some(453)));
    for (page, size) in pages.into_iter().zip(sizes) {
        let log = office.on_record(page, grant.id).await;
        assert_eq!(log.iter().map(|entry| entry.rows).sum::<u64>(), size, "{log:?}");
        assert!(log.iter().all(|entry| entry.about == "list" && entry.ending == Ending::Answered), "{log:?}");
    }
}

async fn a_page_of_many_rows_comes_in_chunks_and_says_that_there_is_more(stage: Stage) {
    let office = Office::start().await;
    let grant = office.linked(&stage, SCOPE).await;
    let said = stage.ask("link", &["list", "tasks", "--limit", "420"]).await;
    let shown = office.shown("tasks").await;
    assert_eq!(ids(&said.all("row")), ids(&shown.iter().take(420).collect::<Vec<_>>()));
    let (page, end) = (said.one("page"), said.one("end"));
    assert_eq!((page["rows"].as_u64(), page["truncated"].as_bool()), (Some(420), Some(true)));
    assert_eq!((end["pages"].as_u64(), end["rows"].as_u64()), (Some(1), Some(420)));
    let log = office.on_record(page, grant.id).await;
    assert_eq!(page["chunks"].as_u64(), Some(log.len() as u64), "one record for each chunk: {log:?}");
    assert!(log.len() > 2, "{log:?}");
    let notes = stage.ask("link", &["list", "notes"]).await;
    assert_eq!(ids(&notes.all("row")), ids(&office.shown("notes").await.iter().collect::<Vec<_>>()));
    assert_eq!(notes.one("page")["truncated"], false);
}

async fn bodies_come_only_where_they_were_asked_for_and_every_field_is_the_rows_own(stage: Stage) {
    let office = Office::start().await;
    office.linked(&stage, SCOPE).await;
    let shown = office.shown("tasks").await;
    for body in [false, true] {
        let more: &[&str] = if body { &["--body"] } else { &[] };
        let said = stage.ask("link", &[&["list", "tasks"], more].concat()).await;
        assert_eq!(said.all("row").len(), shown.len(), "{:?}", said.words);
        for (row, stored) in said.all("row").into_iter().zip(&shown) {
            assert_eq!(plain(row), as_shared(stored, body));
        }
        assert!(!whole(&said).contains(REMARK), "a secret field left");
    }
}

async fn one_row_is_the_row_of_the_instance_with_its_body(stage: Stage) {
    let office = Office::start().await;
    let grant = office.linked(&stage, SCOPE).await;
    let shown = office.shown("tasks").await;
    let stored = shown.iter().find(|row| row["tags"].as_array().is_some_and(|tags| tags.len() == 3)).expect("tags");
    let said = stage.ask("link", &["get", "tasks", id(stored)]).await;
    assert_eq!(said.events(), ["row", "got"]);
    assert_eq!(plain(said.one("row")), as_shared(stored, true));
    let log = office.on_record(said.one("got"), grant.id).await;
    assert_eq!((log.len(), log[0].about.as_str(), log[0].rows), (1, "get", 1));
    assert!(contract::time(&said.one("got")["as_of"]) <= Some(log[0].time), "{log:?}");
}

async fn a_hidden_row_and_a_missing_one_are_refused_alike(stage: Stage) {
    let office = Office::start().await;
    office.linked(&stage, SCOPE).await;
    let hidden = office.hidden("tasks").await;
    let mut refusals = Vec::new();
    for id in [id(&hidden[0]), id(hidden.last().expect("a row")), "0f8fad5b-d9cb-469f-a165-70867728950e"] {
        let said = stage.ask("link", &["get", "tasks", id]).await;
        assert_eq!(said.refusal(), ("NOT_FOUND", "NOT_FOUND"));
        let mut refused = said.one("refused").clone();
        refused["request_id"] = Value::Null;
        refusals.push(refused);
    }
    assert!(refusals.windows(2).all(|pair| pair[0] == pair[1]), "{refusals:#?}");
}

fn ids(rows: &[&Value]) -> Vec<String> {
    rows.iter().map(|row| id(row).to_owned()).collect()
}

fn id(row: &Value) -> &str {
    row["id"].as_str().expect("an id")
}

fn whole(said: &Said) -> String {
    said.lines.iter().map(Value::to_string).collect()
}

/// A printed row in the form that the tables are read in: absent where null or empty, times in microseconds, numbers as doubles.
fn plain(row: &Value) -> Value {
    let mut row = row.clone();
    for key in ["created_at", "updated_at"] {
        row[key] = contract::time(&row[key]).expect("a time").micros().into();
    }
    let fields = row.as_object_mut().expect("an object");
    fields.remove("event");
    fields.retain(|_, value| !value.is_null() && *value != json!([]) && *value != json!({}) && *value != json!(""));
    if let Some(attributes) = fields.get_mut("attributes").and_then(Value::as_object_mut) {
        for value in attributes.values_mut() {
            *value = value.as_f64().map_or_else(|| value.clone(), Value::from);
        }
    }
    row
}

/// A row of the tables as a grant without more words lets it leave.
fn as_shared(stored: &Value, body: bool) -> Value {
    let mut stored = stored.clone();
    let attributes = stored["attributes"].as_object_mut().expect("an object");
    attributes.remove("private_remark");
    for value in attributes.values_mut() {
        *value = value.as_f64().map_or_else(|| value.clone(), Value::from);
    }
    let fields = stored.as_object_mut().expect("an object");
    fields.retain(|key, value| *value != json!([]) && (body || key != "body"));
    stored
}

crate::for_each_client!(
    all_pages_together_are_exactly_the_rows_of_the_instance_in_their_order,
    a_page_of_many_rows_comes_in_chunks_and_says_that_there_is_more,
    bodies_come_only_where_they_were_asked_for_and_every_field_is_the_rows_own,
    one_row_is_the_row_of_the_instance_with_its_body,
    a_hidden_row_and_a_missing_one_are_refused_alike,
);

//! A sharing side that lies in its answers: nothing of a lie is shown, nobody else pays for it.

use crate::{
    home::{Home, answered, assert_ended, from, tasks},
    service::{After, Behaviour, chunk},
    side::{Side, task},
};
use domain::answer::Outcome;
use hub::Deadlines;
use proto::v1;
use std::time::Duration;

fn end(truncated: bool) -> v1::ListEnd {
    v1::ListEnd { truncated, next_page_token: String::new() }
}

fn with_first(change: impl FnOnce(&mut v1::Item)) -> v1::ListResponse {
    let mut answer = chunk(vec![task(2, 2), task(1, 1)], Some(end(false)));
    change(&mut answer.items[0]);
    answer
}

fn deep(depth: usize) -> prost_types::Value {
    let kind = if depth == 0 {
        prost_types::value::Kind::BoolValue(true)
    } else {
        prost_types::value::Kind::ListValue(prost_types::ListValue { values: vec![deep(depth - 1)] })
    };
    prost_types::Value { kind: Some(kind) }
}

fn attribute(value: prost_types::Value) -> prost_types::Struct {
    prost_types::Struct { fields: [("status".to_owned(), value)].into() }
}

fn number(value: f64) -> prost_types::Value {
    prost_types::Value { kind: Some(prost_types::value::Kind::NumberValue(value)) }
}

fn lies() -> Vec<(&'static str, Vec<v1::ListResponse>)> {
    let whole = |rows| chunk(rows, Some(end(false)));
    let first = |change: fn(&mut v1::Item)| vec![with_first(change)];
    vec![
        ("bad `id`", first(|item| item.id = "0F8FAD5B-D9CB-469F-A165-70867728950E".into())),
        ("bad `resource`", first(|item| item.resource = "tasks; drop table".into())),
        ("another kind", first(|item| item.resource = "notes".into())),
        ("bad `created_at`", first(|item| item.created_at = None)),
        ("bad `updated_at`", first(|item| item.updated_at = None)),
        ("bad `team`", first(|item| item.team = Some("\u{7}".into()))),
        ("bad `owner`", first(|item| item.owner = Some("A b".into()))),
        ("bad `tags`", first(|item| item.tags = vec![String::new()])),
        ("bad `size`", first(|item| item.title = Some("x".repeat(3 << 20)))),
        ("bad `attributes`", first(|item| item.attributes = Some(attribute(deep(20))))),
        ("bad `attributes`", first(|item| item.attributes = Some(attribute(number(f64::NAN))))),
        ("bad `attributes`", first(|item| item.attributes = Some(attribute(prost_types::Value { kind: None })))),
        ("out of order", vec![whole(vec![task(1, 1), task(2, 2)])]),
        ("out of order", vec![whole(vec![task(1, 1), task(1, 1)])]),
        ("out of order", vec![chunk(vec![task(5, 5)], None), whole(vec![task(6, 6)])]),
        ("more rows than asked for", vec![whole((0..9).map(|id| task(20 - id, id)).collect())]),
        ("neither rows nor an end", vec![chunk(Vec::new(), None); 3]),
        ("neither rows nor an end", vec![chunk(vec![task(5, 5)], None), chunk(Vec::new(), None)]),
        ("without sending any", vec![chunk(Vec::new(), Some(end(true)))]),
        ("without their time", vec![v1::ListResponse { as_of: None, ..whole(vec![task(1, 1)]) }]),
        ("above 4 MiB", vec![with_first(|item| item.body = Some("x".repeat(5 << 20)))]),
    ]
}

#[tokio::test]
async fn every_lie_is_an_error_of_its_source_and_no_row_of_it_is_shown() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    home.add_tasks([3]).await;
    for (word, chunks) in lies() {
        answered(&home, &side).await;
        side.next(Behaviour::Chunks(chunks, After::Nothing));
        let page = home.ask(5).await;
        assert_ended(&page, "work", Outcome::Error, word);
        assert!(page.rows.iter().all(|row| row.source == "here") && page.rows.len() == 1, "{word}");
    }
    // It may tell the truth again.
    answered(&home, &side).await;
    side.board().rows = vec![task(9, 9)];
    assert_eq!(home.ask(5).await.rows.len(), 2);
}

#[tokio::test]
async fn attributes_nested_without_end_are_refused_by_the_reader() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    let answer = with_first(|item| item.attributes = Some(attribute(deep(150))));
    side.next(Behaviour::Chunks(vec![answer], After::Nothing));
    assert_ended(&home.ask(5).await, "work", Outcome::Error, "try again");
}

#[tokio::test]
async fn rows_before_the_place_asked_for_are_a_lie() {
    let home = Home::new().await;
    let side = Side::with("work", (0..4).map(|id| task(id, id)).collect()).await;
    home.link(&side).await;
    let first = home.hub.page(&home.alice, tasks(from(&["work"]), 2)).await.unwrap();
    side.next(Behaviour::Chunks(vec![chunk(vec![task(3, 3)], Some(end(false)))], After::Nothing));
    let question = hub::Question { cursor: first.next.clone(), ..tasks(from(&["work"]), 2) };
    let second = home.hub.page(&home.alice, question).await.unwrap();
    assert_ended(&second, "work", Outcome::Error, "out of order");
}

#[tokio::test]
async fn a_body_that_was_not_asked_for_is_not_kept() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    side.next(Behaviour::Chunks(vec![with_first(|item| item.body = Some("long".into()))], After::Nothing));
    assert!(home.ask(5).await.rows.iter().all(|row| row.item.body.is_none()));
}

#[tokio::test]
async fn what_one_source_sends_fills_no_more_memory_than_its_share_of_a_page() {
    let patient = Deadlines { source: Duration::from_secs(30), overall: Duration::from_mins(1) };
    let home = Home::with(patient).await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    // 60 rows of 1.9 MiB: more than a page holds. It ends early and goes on; nothing is lost and nothing fails.
    let rows = (0..60).map(|id| {
        let mut row = task(100 - id, id);
        row.title = Some("x".repeat(1_900_000));
        chunk(vec![row], None)
    });
    side.next(Behaviour::Chunks(rows.collect(), After::Nothing));
    let page = home.hub.page(&home.alice, tasks(from(&["work"]), 1_000)).await.unwrap();
    assert!((30..40).contains(&page.rows.len()), "{}", page.rows.len());
    assert!(page.next.is_some() && page.sources[0].truncated, "{:?}", page.sources);
}

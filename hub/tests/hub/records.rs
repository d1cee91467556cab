//! Asking is recorded here before anything is shown, so that both sides' logs can be matched; rows are in neither.

use crate::{
    home::{Home, assert_ended, from, tasks},
    service::{After, Behaviour, chunk},
    side::{Side, task},
};
use domain::{
    answer::{Outcome, Step},
    audit::{Ending, Stage},
    operation::Operation,
    wire,
};
use futures::StreamExt;
use hub::{Deadlines, call::REQUEST_ID};
use std::{sync::atomic::Ordering, time::Duration};
use store::{AuditLog as _, AuditQuery, Links as _};

#[tokio::test]
async fn one_question_to_a_link_is_one_record_that_matches_the_other_sides() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(2, 2), task(1, 1)]).await;
    home.link(&side).await;
    home.add_tasks([3]).await;
    let before = home.asked().await.len();
    home.ask(5).await;
    let records = home.asked().await.split_off(before);
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((record.stage, record.ending, record.rows), (Stage::Ask, Ending::Answered, 2));
    assert_eq!((record.grant, record.peer), (Some(side.grant), Some(side.instance)));
    assert_eq!(record.subject, Some(home.alice.user));
    assert_eq!(record.resource.as_ref().unwrap().as_str(), "tasks");
    assert!(record.bytes > 50);
    let (wire, metadata) = side.board().asked.pop().unwrap();
    assert_eq!(metadata.get(REQUEST_ID).unwrap().to_str().unwrap(), record.request.to_string());
    assert_eq!(record.query, Some(wire::list(&wire).unwrap().query_hash()), "both sides hash the same question");
    let timeout = metadata.get("grpc-timeout").unwrap().to_str().unwrap().to_owned();
    let micros: u64 = timeout.strip_suffix('u').unwrap().parse().unwrap();
    assert!((500_000..=2_000_000).contains(&micros), "{timeout}");
}

#[tokio::test]
async fn a_failed_question_is_recorded_with_its_reason() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    side.die().await;
    home.ask(5).await;
    let record = home.asked().await.pop().unwrap();
    assert_eq!((record.ending, record.rows), (Ending::Refused, 0));
    assert!(record.note.starts_with("offline: "), "{}", record.note);
}

#[tokio::test]
async fn rows_that_could_not_be_recorded_are_not_shown() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    home.add_tasks([3]).await;
    home.log.broken.store(true, Ordering::SeqCst);
    let page = home.ask(5).await;
    assert_ended(&page, "work", Outcome::Error, "the disk is full");
    assert!(page.rows.iter().all(|row| row.source == "here") && page.rows.len() == 1);
    let steps = home.hub.stream(&home.alice, tasks(from(&["work"]), 5)).await.unwrap();
    let steps: Vec<_> = steps.collect().await;
    assert!(matches!(steps.as_slice(), [Step::End(end)] if end.outcome == Outcome::Error), "{steps:?}");
    let one = home.hub.get(&home.alice, &from(&["work"]), "tasks".parse().unwrap(), task(1, 1).id).await.unwrap();
    assert_eq!((one.row, one.sources[0].outcome), (None, Outcome::Error));
    home.log.broken.store(false, Ordering::SeqCst);
    assert_eq!(home.ask(5).await.rows.len(), 2, "the link itself is not to blame");
}

#[tokio::test]
async fn rows_whose_record_is_stuck_are_not_shown_at_the_overall_deadline() {
    let home = Home::with(Deadlines { source: Duration::from_secs(2), overall: Duration::from_secs(3) }).await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    home.add_tasks([3]).await;
    home.log.stuck.store(true, Ordering::SeqCst);
    let page = home.ask(5).await;
    assert_ended(&page, "work", Outcome::Timeout, "no answer within");
    assert!(page.rows.iter().all(|row| row.source == "here") && page.rows.len() == 1);
}

#[tokio::test]
async fn a_streamed_answer_is_recorded_chunk_by_chunk_before_each_is_shown() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    let end = Some(proto::v1::ListEnd { truncated: false, next_page_token: String::new() });
    let chunks = vec![chunk(vec![task(3, 3), task(2, 2)], None), chunk(vec![task(1, 1)], end)];
    side.next(Behaviour::Chunks(chunks, After::Nothing));
    let before = home.asked().await.len();
    let mut steps = home.hub.stream(&home.alice, tasks(from(&["work"]), 5)).await.unwrap();
    assert!(matches!(steps.next().await, Some(Step::Row(_))));
    assert!(home.asked().await.len() > before, "its record was there before the row");
    while steps.next().await.is_some() {}
    let rows: Vec<_> = home.asked().await[before..].iter().map(|record| record.rows).collect();
    assert_eq!(rows, [2, 1]);
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_an_abandoned_record() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    side.always(Behaviour::Hang);
    let question = home.hub.page(&home.alice, tasks(from(&["work"]), 5));
    assert!(tokio::time::timeout(Duration::from_millis(300), question).await.is_err());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(home.asked().await.pop().unwrap().ending, Ending::Abandoned);
}

#[tokio::test]
async fn nothing_of_another_instances_rows_is_kept() {
    const MARK: &str = "marker-7f3a-of-a-foreign-row";
    let home = Home::new().await;
    let mut row = task(1, 1);
    row.title = Some(MARK.into());
    let side = Side::with("work", vec![row]).await;
    home.link(&side).await;
    let page = home.ask(5).await;
    assert_eq!(page.rows[0].item.title.as_deref(), Some(MARK));
    home.hub.get(&home.alice, &from(&["work"]), "tasks".parse().unwrap(), page.rows[0].item.id).await.unwrap();
    let log = format!("{:?}", home.model.entries(&AuditQuery::default()).await.unwrap());
    let links = home.model.links(home.alice.user).await.unwrap();
    let status = format!("{:?}", home.hub.links(&home.alice).await.unwrap());
    assert!(!log.contains(MARK) && !status.contains(MARK));
    assert!(links.iter().all(|link| !link.certificate.windows(MARK.len()).any(|w| w == MARK.as_bytes())));
    let local = home.hub.page(&home.alice, tasks(from(&["here"]), 5)).await.unwrap();
    assert!(local.rows.is_empty());
}

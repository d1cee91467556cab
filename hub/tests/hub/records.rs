//! Asking is recorded here before anything is shown, so that both sides' logs can be matched; rows are in neither.

use crate::{
    home::{Home, assert_ended, fresh_invite, from, name, tasks},
    service::{After, Behaviour, chunk},
    side::{Side, task},
};
use domain::{
    answer::{Outcome, Step},
    audit::{Ending, Entry, Stage},
    operation::Operation,
    wire,
};
use futures::StreamExt;
use hub::{Asker, Deadlines};
use proto::REQUEST_ID;
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
    assert!(
        matches!(steps.as_slice(), [Step::End(end), Step::Verdict(_)] if end.outcome == Outcome::Error),
        "{steps:?}"
    );
    let one =
        home.hub.get(&home.alice, &from(&["work"]), ("tasks".parse().unwrap(), task(1, 1).id), false).await.unwrap();
    assert_eq!((one.row.clone(), one.sources[0].outcome), (None, Outcome::Error));
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
    home.hub.get(&home.alice, &from(&["work"]), ("tasks".parse().unwrap(), page.rows[0].item.id), false).await.unwrap();
    let log = format!("{:?}", home.model.entries(&AuditQuery::default()).await.unwrap());
    let links = home.model.links(home.alice.user).await.unwrap();
    let status = format!("{:?}", home.hub.links(&home.alice).await.unwrap());
    assert!(!log.contains(MARK) && !status.contains(MARK));
    assert!(links.iter().all(|link| !link.certificate.windows(MARK.len()).any(|w| w == MARK.as_bytes())));
    let local = home.hub.page(&home.alice, tasks(from(&["here"]), 5)).await.unwrap();
    assert!(local.rows.is_empty());
}

impl Home {
    /// Every record of one question: what it is about, how it ended, and its note.
    async fn records_of(&self, asker: &Asker) -> Vec<(String, Ending, String)> {
        let entries = self.model.entries(&AuditQuery::default()).await.unwrap();
        let of_question = entries.into_iter().filter(|entry| entry.request == asker.request);
        of_question.map(|Entry { about, ending, note, .. }| (about, ending, note)).collect()
    }
}

fn record(about: &str, ending: Ending, note: &str) -> (String, Ending, String) {
    (about.to_owned(), ending, note.to_owned())
}

#[tokio::test]
async fn every_record_and_every_call_of_one_question_has_its_id() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    let (linking, asking, one, leaving) = (home.anew(), home.anew(), home.anew(), home.anew());
    home.hub.link(&linking, &side.invite().encode(), None).await.unwrap();
    home.hub.page(&asking, tasks(from(&["work"]), 5)).await.unwrap();
    home.hub.get(&one, &from(&["work"]), ("tasks".parse().unwrap(), task(1, 1).id), false).await.unwrap();
    home.hub.unlink(&leaving, &name("work"), false).await.unwrap();
    let calls = [
        ("enroll", linking),
        ("connect", linking),
        ("capabilities", linking),
        ("list", asking),
        ("get", one),
        // The row came without a body: what the grant keeps back is part of the same question.
        ("capabilities", one),
        ("disconnect", leaving),
    ];
    let calls: Vec<_> = calls.into_iter().map(|(call, asker)| (call, asker.request.to_string())).collect();
    assert_eq!(side.board().ids, calls);
    let (done, answered) = (Ending::Done, Ending::Answered);
    let linked = [record("link_add", done, "work"), record("ask", answered, "ping")];
    assert_eq!(home.records_of(&linking).await, linked);
    assert_eq!(home.records_of(&asking).await, [record("ask", answered, "")]);
    assert_eq!(home.records_of(&one).await, [record("ask", answered, "")]);
    let left = [record("ask", answered, "disconnect"), record("link_remove", done, "work")];
    assert_eq!(home.records_of(&leaving).await, left);
}

#[tokio::test]
async fn the_next_question_uses_the_same_connection_and_the_cursor_of_the_one_before() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(2, 2), task(1, 1)]).await;
    home.link(&side).await;
    let first = home.hub.page(&home.anew(), tasks(from(&["work"]), 1)).await.unwrap();
    let question = hub::Question { cursor: first.next.clone(), ..tasks(from(&["work"]), 1) };
    let second = home.hub.page(&home.anew(), question).await.unwrap();
    assert_eq!((first.rows[0].item.id, second.rows[0].item.id), (task(2, 2).id, task(1, 1).id));
    assert_eq!(side.registry.connections(side.grant), 1);
}

#[tokio::test]
async fn leaving_in_the_background_is_recorded_however_it_ends() {
    let home = Home::new().await;
    for dead in [false, true] {
        let side = Side::with("work", vec![]).await;
        home.link(&side).await;
        if dead {
            side.die().await;
        }
        let leaving = home.anew();
        home.hub.unlink(&leaving, &name("work"), true).await.unwrap();
        let mut records = home.records_of(&leaving).await;
        let patience = tokio::time::Instant::now() + Duration::from_secs(20);
        while records.len() < 2 && tokio::time::Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(10)).await;
            records = home.records_of(&leaving).await;
        }
        let (about, ending, note) = &records[1];
        assert_eq!((about.as_str(), *ending), ("ask", if dead { Ending::Refused } else { Ending::Answered }));
        assert!(note.starts_with(if dead { "disconnect: offline: " } else { "disconnect" }), "{note}");
    }
}

#[tokio::test]
async fn an_invite_that_made_no_link_leaves_a_refused_record() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.hub.link(&home.bob, &side.invite().encode(), None).await.unwrap();
    let (spent, away) = (home.anew(), home.anew());
    home.hub.link(&spent, &side.invite().encode(), None).await.unwrap_err();
    let entry = home.model.entries(&AuditQuery::default()).await.unwrap().pop().unwrap();
    assert_eq!((entry.about.as_str(), entry.ending, entry.stage), ("link_add", Ending::Refused, Stage::Admin));
    assert_eq!((entry.request, entry.subject), (spent.request, Some(home.alice.user)));
    assert_eq!((entry.grant, entry.peer), (Some(side.grant), Some(side.instance)));
    assert_eq!(entry.reason.as_deref(), Some("INVITE_SPENT"));
    assert!(
        entry.note.starts_with("the other side did not accept the invite: this invite can no longer"),
        "{}",
        entry.note
    );
    side.die().await;
    home.hub.link(&away, &fresh_invite(&side, 'c'), None).await.unwrap_err();
    let records = home.records_of(&away).await;
    assert!(matches!(records.as_slice(), [(about, Ending::Refused, _)] if about == "link_add"), "{records:?}");
    home.log.broken.store(true, Ordering::SeqCst);
    let error = home.hub.link(&away, &fresh_invite(&side, 'd'), None).await.unwrap_err();
    assert!(error.to_string().contains("could not be recorded"), "{error}");
}

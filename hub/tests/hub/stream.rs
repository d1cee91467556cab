//! The streamed shape: arrival order, nobody waits for anybody.

use crate::{
    home::{Home, from, tasks},
    service::{After, Behaviour, chunk},
    side::{Side, task},
};
use domain::answer::{Outcome, Row, SourceOutcome, Step};
use futures::StreamExt;
use hub::{HubError, Question, Sources};
use std::time::Duration;
use tokio::time::timeout;

/// A verdict, where it is there, is the last step and says what the ends say.
fn split(steps: Vec<Step>) -> (Vec<Row>, Vec<SourceOutcome>) {
    let (mut rows, mut ends) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Row(row) => rows.push(*row),
            Step::End(end) => ends.push(end),
            Step::Verdict(verdict) => {
                let whole = ends.iter().all(|end: &SourceOutcome| end.outcome == Outcome::Ok);
                assert_eq!((verdict.complete, verdict.missing.is_none()), (whole, whole), "{ends:?}");
            }
        }
    }
    (rows, ends)
}

#[tokio::test]
async fn rows_of_the_others_arrive_before_a_hung_source_reaches_its_deadline() {
    let home = Home::new().await;
    let (hung, quick) = (Side::with("hung", vec![]).await, Side::with("quick", vec![task(2, 2), task(1, 1)]).await);
    home.link(&hung).await;
    home.link(&quick).await;
    home.add_tasks([5]).await;
    hung.always(Behaviour::Hang);
    let mut steps = home.hub.stream(&home.alice, tasks(Sources::All, 5)).await.unwrap();
    let mut seen = Vec::new();
    // Three rows and two ends are all there before the third source can have ended.
    while seen.len() < 5 {
        seen.push(steps.next().await.unwrap());
    }
    assert!(!seen.iter().any(|step| matches!(step, Step::End(end) if end.source == "hung")));
    let last = split(steps.collect().await).1.remove(0);
    assert_eq!((last.source.as_str(), last.outcome, last.rows), ("hung", Outcome::Timeout, 0));
    let (rows, ends) = split(seen);
    assert_eq!((rows.len(), ends.len()), (3, 2));
    assert!(ends.iter().all(|end| end.outcome == Outcome::Ok));
}

#[tokio::test]
async fn each_source_gives_at_most_the_limit_and_says_that_it_has_more() {
    let home = Home::new().await;
    let side = Side::with("work", (0..9).map(|id| task(id, id)).collect()).await;
    home.link(&side).await;
    home.add_tasks(0..9).await;
    let steps = home.hub.stream(&home.alice, tasks(Sources::All, 4)).await.unwrap();
    let steps: Vec<_> = steps.collect().await;
    assert!(matches!(steps.last(), Some(Step::Verdict(verdict)) if verdict.complete), "{steps:?}");
    let (rows, ends) = split(steps);
    assert_eq!(rows.len(), 8);
    assert!(ends.iter().all(|end| end.truncated && end.rows == 4), "{ends:?}");
}

#[tokio::test]
async fn rows_before_a_failure_make_it_partial_and_before_a_lie_an_error() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    for (after, outcome) in [(vec![], Outcome::Partial), (vec![chunk(vec![task(9, 9)], None)], Outcome::Error)] {
        let chunks = [vec![chunk(vec![task(3, 3)], None)], after].concat();
        side.next(Behaviour::Chunks(chunks, After::Nothing));
        let steps = home.hub.stream(&home.alice, tasks(from(&["work"]), 5)).await.unwrap();
        let (rows, ends) = split(steps.collect().await);
        assert_eq!((rows.len(), ends[0].outcome, ends[0].rows), (1, outcome, 1), "{ends:?}");
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_questions() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    side.always(Behaviour::Hang);
    let steps = home.hub.stream(&home.alice, tasks(from(&["work"]), 5)).await.unwrap();
    while side.registry.connections(side.grant) == 0 || side.board().asked.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(steps);
    timeout(Duration::from_secs(1), home.hub.stop()).await.expect("its task ended with the reader");
    let record = home.asked().await.pop().unwrap();
    assert_eq!(record.ending, domain::audit::Ending::Abandoned);
}

#[tokio::test]
async fn stopping_ends_streams_that_are_under_way() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    side.always(Behaviour::Hang);
    let steps = home.hub.stream(&home.alice, tasks(from(&["work"]), 5)).await.unwrap();
    timeout(Duration::from_secs(1), home.hub.stop()).await.expect("stopped");
    let steps = steps.collect::<Vec<_>>().await;
    let [Step::Verdict(verdict)] = &steps[..] else { panic!("{steps:?}") };
    assert!(!verdict.complete && verdict.missing.as_ref().unwrap().contains("work"), "{verdict:?}");
}

#[tokio::test]
async fn a_stream_has_no_cursor() {
    let home = Home::new().await;
    let question = Question { cursor: Some("x".into()), ..tasks(Sources::All, 5) };
    assert!(matches!(home.hub.stream(&home.alice, question).await, Err(HubError::Cursor)));
}

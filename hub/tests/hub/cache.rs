//! Answers that are shown once more: when, to whom, and that none is after the other side was told that all were let go of.

use crate::{
    control::{acknowledged, pair, tell, until},
    home::{Home, from, tasks},
    service::{After, Behaviour, chunk, refusal},
    side::{Side, task},
};
use domain::answer::{One, Outcome, Page, Step};
use futures::StreamExt;
use hub::Question;
use proto::v1::{self, notice::News};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

async fn page(home: &Home, question: Question) -> Page {
    home.hub.page(&home.anew(), question).await.unwrap().part().0
}

async fn one(home: &Home, fresh: bool) -> One {
    let row = ("tasks".parse().unwrap(), task(0, 1).id);
    home.hub.get(&home.anew(), &from(&["work"]), row, fresh).await.unwrap().part().0
}

fn work(limit: u32) -> Question {
    tasks(from(&["work"]), limit)
}

fn sent(side: &Side, what: &str) -> usize {
    side.board().ids.iter().filter(|(called, _)| *called == what).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_question_is_answered_from_what_came_a_moment_ago_and_that_is_said_and_recorded() {
    let (home, side) = pair(3).await;
    let first = page(&home, work(5)).await;
    side.board().rows.clear();
    let again = page(&home, work(5)).await;
    assert!(first.rows.iter().all(|row| !row.cached) && again.rows.iter().all(|row| row.cached), "{again:?}");
    let rows = |page: &Page| page.rows.iter().map(|row| (row.item.clone(), row.as_of)).collect::<Vec<_>>();
    assert_eq!((rows(&first).len(), rows(&first)), (3, rows(&again)));
    assert_eq!((again.sources[0].outcome, sent(&side, "list")), (Outcome::Ok, 1));
    let log = home.asked().await;
    let rows: Vec<_> = log.iter().filter(|entry| entry.resource.is_some()).collect();
    let notes: Vec<_> = rows.iter().map(|entry| (entry.note.as_str(), entry.rows, entry.bytes > 0)).collect();
    assert_eq!(notes, [("", 3, true), ("kept from an earlier answer", 3, false)], "{log:?}");
    // Another question, and the same one asked anew.
    assert_eq!((page(&home, work(4)).await.rows.len(), sent(&side, "list")), (0, 2));
    assert_eq!(page(&home, Question { fresh: true, ..work(5) }).await.rows.len(), 0);
    assert_eq!((page(&home, work(5)).await.rows.len(), sent(&side, "list")), (0, 3), "what came last is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_and_one_row_are_kept_as_well() {
    let (home, side) = pair(3).await;
    let stream = async || {
        let steps: Vec<_> = home.hub.stream(&home.anew(), work(5)).await.unwrap().collect().await;
        steps.into_iter().filter_map(|step| if let Step::Row(row) = step { Some(row.cached) } else { None }).collect()
    };
    let (first, again): (Vec<bool>, Vec<bool>) = (stream().await, stream().await);
    assert_eq!((first, again, sent(&side, "list")), (vec![false; 3], vec![true; 3], 1));
    let (first, again) = (one(&home, false).await, one(&home, false).await);
    assert_eq!([first, again].map(|one| one.row.map(|row| row.cached)), [Some(false), Some(true)]);
    assert_eq!(sent(&side, "get"), 1);
    assert_eq!((one(&home, true).await.row.map(|row| row.cached), sent(&side, "get")), (Some(false), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_lied_or_was_not_there_is_not_kept() {
    let (home, side) = pair(3).await;
    side.next(Behaviour::Refuse(refusal(tonic::Code::Unavailable, "UNAVAILABLE", "the log is full")));
    assert_eq!(page(&home, work(5)).await.sources[0].outcome, Outcome::Error);
    assert_eq!(page(&home, work(5)).await.rows.len(), 3);
    side.board().rows.retain(|row| row.id != task(0, 1).id);
    assert_eq!(one(&home, false).await.row, None);
    side.board().rows.push(task(0, 1));
    assert!(one(&home, false).await.row.is_some(), "it has come meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_control_session_every_question_is_asked() {
    let home = Home::new().await;
    let side = Side::with("work", (0..3).map(|id| task(id, id)).collect()).await;
    home.link(&side).await;
    for _ in 0..2 {
        assert!(page(&home, work(5)).await.rows.iter().all(|row| !row.cached));
    }
    assert_eq!(sent(&side, "list"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_grant_is_acknowledged_when_nothing_of_before_is_kept() {
    let (home, side) = pair(3).await;
    page(&home, work(5)).await;
    side.board().rows.truncate(1);
    tell(&side, 3, News::Changed(v1::Terms::default()));
    until("it is acknowledged", async || acknowledged(&side) == [3]).await;
    let after = page(&home, work(5)).await;
    assert_eq!((after.rows.len(), after.rows[0].cached), (1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_what_is_kept_stops_when_the_grant_changes() {
    let (home, side) = pair(0).await;
    let rows = |range: std::ops::Range<i64>, end| chunk(range.rev().map(|id| task(id, id)).collect(), end);
    let end = Some(v1::ListEnd { truncated: false, ..v1::ListEnd::default() });
    side.next(Behaviour::Chunks(vec![rows(200..400, None), rows(0..200, end)], After::Nothing));
    let steps = async || home.hub.stream(&home.anew(), work(1_000)).await.unwrap();
    let is_row = |step: &Step| matches!(step, Step::Row(_));
    assert_eq!(steps().await.collect::<Vec<_>>().await.iter().filter(|step| is_row(step)).count(), 400);
    let mut again = steps().await;
    assert!(matches!(again.next().await, Some(Step::Row(row)) if row.cached));
    tell(&side, 3, News::Changed(v1::Terms::default()));
    until("it is acknowledged", async || acknowledged(&side) == [3]).await;
    let rest: Vec<_> = again.collect().await;
    let end = rest.iter().find_map(|step| if let Step::End(end) = step { Some(end) } else { None }).unwrap();
    let rows = rest.iter().filter(|step| is_row(step)).count();
    assert_eq!((rows, end.outcome, end.rows), (0, Outcome::Partial, 1), "none after the word: {end:?}");
    assert!(end.reason.as_deref().is_some_and(|reason| reason.contains("was changed")), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_waits_for_another_source_lets_go_of_what_was_kept_when_its_grant_changes() {
    let (home, side) = pair(3).await;
    let slow = Side::with("slow", vec![task(9, 9)]).await;
    home.link(&slow).await;
    assert_eq!(page(&home, work(5)).await.rows.len(), 3);
    slow.always(Behaviour::Hang);
    let (hub, alice) = (home.hub.clone(), home.anew());
    let both = tokio::spawn(async move { hub.page(&alice, tasks(from(&["work", "slow"]), 5)).await.unwrap().part().0 });
    until("the other source is asked", async || sent(&slow, "list") == 1).await;
    tell(&side, 3, News::Changed(v1::Terms::default()));
    until("it is acknowledged", async || acknowledged(&side) == [3]).await;
    let both = both.await.unwrap();
    assert_eq!(both.rows.len(), 0, "{both:?}");
    let work = both.sources.iter().find(|source| source.source == "work").unwrap();
    assert!(work.reason.as_deref().is_some_and(|reason| reason.contains("was changed")), "{work:?}");
    assert!(!both.verdict.complete, "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_equal_questions_at_one_time_one_is_asked() {
    let (home, side) = pair(3).await;
    let home = Arc::new(home);
    let ask = || {
        let home = Arc::clone(&home);
        tokio::spawn(async move { page(&home, work(5)).await })
    };
    let pages: Vec<_> = (0..20).map(|_| ask()).collect();
    for page in pages {
        assert_eq!(page.await.unwrap().rows.len(), 3);
    }
    let recorded = home.asked().await.into_iter().filter(|entry| entry.resource.is_some()).count();
    assert_eq!((sent(&side, "list"), recorded), (1, 20));
    side.always(Behaviour::Hang);
    let pages: Vec<_> = (0..20)
        .map(|_| {
            let home = Arc::clone(&home);
            tokio::spawn(async move { page(&home, work(4)).await })
        })
        .collect();
    for page in pages {
        assert_eq!(page.await.unwrap().sources[0].outcome, Outcome::Timeout);
    }
    assert_eq!(sent(&side, "list"), 2, "they share its failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_that_is_kept_is_held_by_anybody_when_the_end_is_acknowledged() {
    for round in 0..10_u64 {
        let (home, side) = pair(3).await;
        let (home, stop, hits) = (Arc::new(home), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let side = Arc::new(side);
        let readers: Vec<_> = (0..4)
            .map(|reader| {
                let (home, side, stop, hits) = (home.clone(), side.clone(), stop.clone(), hits.clone());
                tokio::spawn(async move {
                    while !stop.load(Ordering::SeqCst) {
                        let held = home.hub.page(&home.anew(), work(5 + reader % 2)).await.unwrap();
                        // While it is held, nobody has given the word.
                        assert!(held.rows.is_empty() || acknowledged(&side).is_empty(), "rows after the word");
                        hits.fetch_add(usize::from(held.rows.iter().any(|row| row.cached)), Ordering::SeqCst);
                    }
                })
            })
            .collect();
        until("answers are shown once more", async || hits.load(Ordering::SeqCst) > 20).await;
        tokio::time::sleep(Duration::from_micros(round * 137)).await;
        side.always(Behaviour::Refuse(refusal(tonic::Code::PermissionDenied, "NOT_PERMITTED", "it has ended")));
        tell(&side, 3, News::Ended(v1::Ended { at: None }));
        until("it is acknowledged", async || acknowledged(&side) == [3]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        stop.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.await.unwrap();
        }
        let after = page(&home, work(5)).await;
        assert_eq!((after.rows.len(), after.sources[0].outcome), (0, Outcome::Revoked));
    }
}

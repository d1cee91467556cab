//! A source that cannot be reached is left alone for a while, told of all the same, and asked again by one question alone.

use crate::{
    home::{Home, assert_ended, ended, fresh_invite, from, tasks},
    service::{Behaviour, refusal},
    side::{Side, task},
};
use domain::answer::{Outcome, Step};
use futures::{StreamExt, future::join_all};
use hub::{CircuitState, CircuitStatus, Deadlines, Sources};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Code;

const SHORT: Deadlines = Deadlines { source: Duration::from_millis(300), overall: Duration::from_secs(10) };

async fn linked() -> (Home, Side) {
    let home = Home::with(SHORT).await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    (home, side)
}

async fn circuit(home: &Home) -> CircuitStatus {
    home.hub.links(&home.alice).await.unwrap()[0].circuit
}

fn unavailable() -> Behaviour {
    Behaviour::Refuse(refusal(Code::Unavailable, "STORE_UNAVAILABLE", "it cannot"))
}

/// Opens it by questions that end like this.
async fn opened(home: &Home, side: &Side, behaviour: Behaviour) {
    side.always(behaviour);
    for _ in 0..3 {
        assert_eq!(circuit(home).await.state, CircuitState::Closed);
        home.ask(5).await;
    }
    assert_eq!(circuit(home).await.state, CircuitState::Open);
}

/// Lets the longest first pause pass.
async fn pass() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(7)).await;
    tokio::time::resume();
}

fn asked(side: &Side) -> usize {
    side.board().asked.len()
}

#[tokio::test]
async fn a_hung_source_costs_three_deadlines_and_then_nothing_and_is_told_of_and_recorded_each_time() {
    let (home, side) = linked().await;
    home.add_tasks([3]).await;
    opened(&home, &side, Behaviour::Hang).await;
    let (sent, records, began) = (asked(&side), home.asked().await.len(), Instant::now());
    let page = home.ask(5).await;
    assert!(began.elapsed() < SHORT.source / 2, "{:?}", began.elapsed());
    assert_ended(&page, "work", Outcome::Timeout, "not asked now, after 3 failures in a row");
    let wait = ended(&page, "work").retry_after_ms.unwrap();
    assert!((4_000..=6_250).contains(&wait), "{wait}");
    assert_eq!((page.rows.len(), asked(&side)), (1, sent));
    let record = home.asked().await.split_off(records).pop().unwrap();
    assert!(record.note.starts_with("timeout: ") && record.note.contains("not asked now"), "{}", record.note);
    // A stream and a single row are held back like a page.
    let steps = home.hub.stream(&home.alice, tasks(from(&["work"]), 5)).await.unwrap().collect::<Vec<_>>().await;
    assert!(steps.iter().any(|step| matches!(step, Step::End(end) if end.outcome == Outcome::Timeout)), "{steps:?}");
    let kind = "tasks".parse().unwrap();
    let one = home.hub.get(&home.alice, &from(&["work"]), (kind, task(1, 1).id), false).await.unwrap().part().0;
    assert_eq!((one.row, one.sources[0].outcome), (None, Outcome::Timeout));
    assert_eq!(asked(&side), sent);
}

#[tokio::test]
async fn a_source_that_died_is_offline_at_once_after_three_tries_and_comes_back_by_one_probe() {
    let (home, side) = linked().await;
    opened(&home, &side, unavailable()).await;
    pass().await;
    assert_eq!(circuit(&home).await.state, CircuitState::HalfOpen);
    side.always(Behaviour::Hang);
    let sent = asked(&side);
    let pages = join_all((0..8).map(|_| home.ask(5))).await;
    assert_eq!(asked(&side) - sent, 1, "one of eight questions was the probe");
    let held = pages.iter().filter(|page| ended(page, "work").outcome == Outcome::Error).count();
    assert_eq!(held, 7, "the others end as the last one did");
    pass().await;
    home.ask(5).await;
    assert_eq!(asked(&side) - sent, 1, "the second pause is twice as long");
    pass().await;
    side.board().always = None;
    assert_eq!(ended(&home.ask(5).await, "work").outcome, Outcome::Ok);
    assert_eq!(circuit(&home).await, CircuitStatus::default());
}

#[tokio::test]
async fn a_probe_whose_reader_went_away_is_followed_by_another() {
    let (home, side) = linked().await;
    opened(&home, &side, Behaviour::Hang).await;
    pass().await;
    let sent = asked(&side);
    {
        let mut probe = std::pin::pin!(home.ask(5));
        while asked(&side) == sent {
            let given_up = tokio::time::timeout(Duration::from_millis(5), &mut probe).await;
            assert!(given_up.is_err(), "it ended before it was sent");
        }
    }
    assert_eq!(asked(&side), sent + 1);
    side.board().always = None;
    assert_eq!(ended(&home.ask(5).await, "work").outcome, Outcome::Ok);
}

#[tokio::test]
async fn a_ping_is_never_held_back_and_one_that_is_answered_closes_it() {
    let (home, side) = linked().await;
    opened(&home, &side, unavailable()).await;
    side.board().always = None;
    assert_ended(&home.ask(5).await, "work", Outcome::Error, "not asked now");
    assert_eq!(home.hub.ping(&home.alice, &side.name).await.unwrap().outcome.outcome, Outcome::Ok);
    assert_eq!(ended(&home.ask(5).await, "work").outcome, Outcome::Ok);
}

#[tokio::test]
async fn a_control_session_that_begins_closes_it() {
    let (home, side) = linked().await;
    opened(&home, &side, unavailable()).await;
    side.board().always = None;
    side.board().has_sessions = true;
    home.hub.keep_in_touch();
    while circuit(&home).await.state != CircuitState::Closed {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ended(&home.ask(5).await, "work").outcome, Outcome::Ok);
    home.hub.stop().await;
}

#[tokio::test]
async fn refusals_never_open_it() {
    let (home, side) = linked().await;
    for (code, reason) in [
        (Code::PermissionDenied, "OUT_OF_SCOPE"),
        (Code::ResourceExhausted, "GRANT_RATE"),
        (Code::InvalidArgument, "BAD_PAGE_TOKEN"),
        (Code::PermissionDenied, "NOT_PERMITTED"),
    ] {
        side.always(Behaviour::Refuse(refusal(code, reason, "no")));
        let sent = asked(&side);
        for _ in 0..5 {
            home.ask(5).await;
        }
        // A connection that was there before and is refused is tried anew once.
        assert!(asked(&side) - sent >= 5, "{reason}");
        assert_eq!(circuit(&home).await.state, CircuitState::Closed, "{reason}");
    }
}

#[tokio::test]
async fn it_is_the_links_own_and_a_new_link_starts_anew() {
    let (home, side) = linked().await;
    let other = Side::with("lab", vec![task(2, 2)]).await;
    home.link(&other).await;
    side.always(unavailable());
    for _ in 0..4 {
        assert_eq!(ended(&home.ask(5).await, "lab").outcome, Outcome::Ok);
    }
    home.hub.unlink(&home.alice, &side.name, true).await.unwrap();
    side.board().always = None;
    home.hub.link(&home.alice, &fresh_invite(&side, '1'), None).await.unwrap();
    let page = home.hub.page(&home.alice, tasks(Sources::All, 5)).await.unwrap();
    assert!(page.sources.iter().all(|source| source.outcome == Outcome::Ok), "{:?}", page.sources);
}

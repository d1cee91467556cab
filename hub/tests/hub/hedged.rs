//! A question that is long without an answer is asked once more over another connection, where that is wanted and borne: one answer, one record.

use crate::{
    control::{acknowledged, tell, until},
    explain::planned,
    home::{DEADLINES, Home, from, tasks},
    numbers::counted,
    service::{After, Behaviour, Capabilities, chunk, refusal, says},
    side::{Side, task},
};
use domain::answer::{One, Outcome, Page, Step};
use futures::{StreamExt, future::join};
use hub::{Asks, CircuitStatus, Deadlines, PAGES};
use proto::v1::{self, notice::News, session_response::Said};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::sleep};
use tonic::Code;

const AFTER: Duration = Duration::from_millis(40);
/// For questions that wait as long as the test looks.
const LONG: Deadlines = Deadlines { source: Duration::from_mins(1), overall: Duration::from_mins(1) };
/// For those that nobody is to answer.
const SHORT: Deadlines = Deadlines { source: Duration::from_millis(500), overall: Duration::from_secs(10) };

/// A link over which no row was asked for yet, of an instance that asks twice.
async fn hedging(deadlines: Deadlines) -> (Home, Side) {
    let mut home = Home::new().await;
    let side = Side::with("work", (0..3).map(|id| task(id, id)).collect()).await;
    home.link(&side).await;
    home.hub.stop().await;
    until("the former one's connections are closed", async || side.registry.connections(side.grant) == 0).await;
    home.hub = home.restarted_hedging(AFTER, deadlines);
    // Until somebody has told how much is left of the limit nothing is asked twice.
    side.board().calls_left = vec!["100"];
    home.hub.ping(&home.alice, &side.name).await.unwrap();
    side.board().ids.clear();
    (home, side)
}

fn listed(home: &Home) -> impl Future<Output = Page> {
    let asker = home.anew();
    async move { home.hub.page(&asker, tasks(from(&["work"]), 5)).await.unwrap().part().0 }
}

fn got(home: &Home) -> impl Future<Output = One> {
    let (asker, id) = (home.anew(), ("tasks".parse().unwrap(), task(1, 1).id));
    async move { home.hub.get(&asker, &from(&["work"]), id, false).await.unwrap().part().0 }
}

fn called(side: &Side, what: &str) -> usize {
    side.board().ids.iter().filter(|(called, _)| *called == what).count()
}

async fn has_given_up(side: &Side, calls: usize) {
    until("the other tries are given up", async || side.board().gone == calls).await;
}

fn second(home: &Home) -> Vec<String> {
    counted(home, &["second_tries_total"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_answer_is_taken_once_and_the_first_try_is_given_up() {
    let (home, side) = hedging(LONG).await;
    side.next(Behaviour::Hang);
    let page = listed(&home).await;
    assert_eq!((page.rows.len(), page.sources[0].outcome, called(&side, "list")), (3, Outcome::Ok, 2));
    has_given_up(&side, 1).await;
    assert_eq!(side.registry.connections(side.grant), 2, "over another connection");
    side.next(Behaviour::Hang);
    let one = got(&home).await;
    assert_eq!((one.row.map(|row| row.item.id), called(&side, "get")), (Some(task(1, 1).id), 2));
    has_given_up(&side, 2).await;
    assert_eq!(side.registry.connections(side.grant), 2, "which stays for a while");
    side.next(Behaviour::Hang);
    let steps: Vec<_> = home.hub.stream(&home.anew(), tasks(from(&["work"]), 5)).await.unwrap().collect().await;
    assert_eq!(steps.iter().filter(|step| matches!(step, Step::Row(_))).count(), 3, "{steps:?}");
    let records = home.asked().await;
    let about = |entry: &&domain::audit::Entry| entry.resource.is_some();
    assert_eq!(records.iter().filter(about).map(|entry| entry.rows).collect::<Vec<_>>(), [3, 1, 3], "{records:?}");
    assert_eq!(second(&home), ["second_tries_total{taken=\"yes\"} 3"]);
    let requests = counted(&home, &["requests_total{side=\"asking\",verb=\"list\""]);
    assert_eq!(requests, ["requests_total{side=\"asking\",verb=\"list\",outcome=\"ok\"} 2"]);
    assert_eq!(home.hub.links(&home.alice).await.unwrap()[0].circuit, CircuitStatus::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_is_taken_where_it_comes_first_or_the_second_is_of_no_use() {
    for second_try in [Behaviour::Hang, Behaviour::Refuse(refusal(Code::ResourceExhausted, "GRANT_RATE", "too many"))] {
        let (home, side) = hedging(LONG).await;
        let late = Arc::new(Notify::new());
        side.next(Behaviour::Late(Arc::clone(&late)));
        side.next(second_try.clone());
        let let_go = async {
            until("it is asked twice", async || called(&side, "list") == 2).await;
            late.notify_one();
        };
        let (page, ()) = join(listed(&home), let_go).await;
        assert_eq!((page.rows.len(), page.sources[0].outcome), (3, Outcome::Ok));
        has_given_up(&side, usize::from(matches!(second_try, Behaviour::Hang))).await;
        assert_eq!(second(&home), ["second_tries_total{taken=\"no\"} 1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_after_its_first_rows_is_not_asked_again_and_shows_no_row_twice() {
    let (home, side) = hedging(SHORT).await;
    side.next(Behaviour::Hang);
    side.next(Behaviour::Chunks(vec![chunk(vec![task(9, 9)], None)], After::Silence));
    let page = listed(&home).await;
    assert_eq!((page.rows.len(), page.sources[0].outcome, called(&side, "list")), (1, Outcome::Partial, 2));
    has_given_up(&side, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_grant_ends_both_tries() {
    let (home, side) = hedging(LONG).await;
    side.board().has_sessions = true;
    home.hub.keep_in_touch();
    until("a session is begun", async || side.board().tell.is_some()).await;
    side.always(Behaviour::Hang);
    let tell = async {
        until("it is asked twice", async || called(&side, "list") == 2).await;
        let news = Some(News::Ended(v1::Ended { at: None }));
        let notice = v1::Notice { generation: 3, news };
        side.board().tell.as_ref().unwrap().send(says(Said::Notice(notice))).unwrap();
        until("it is acknowledged", async || side.board().acknowledged == [3]).await;
    };
    let (page, ()) = join(listed(&home), tell).await;
    assert_eq!((page.rows.len(), page.sources[0].outcome), (0, Outcome::Revoked));
    has_given_up(&side, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_is_an_answer_whichever_try_it_comes_to() {
    let (home, side) = hedging(LONG).await;
    side.next(Behaviour::Hang);
    side.next(Behaviour::Refuse(refusal(Code::PermissionDenied, "NOT_PERMITTED", "it was revoked")));
    let page = listed(&home).await;
    assert_eq!((page.rows.len(), page.sources[0].outcome), (0, Outcome::Revoked), "nobody waits for the first one");
    assert_eq!(called(&side, "list"), 2, "nor asks a third time");
    has_given_up(&side, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unless_it_is_wanted_nothing_is_asked_twice() {
    let home = Home::with(SHORT).await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    side.always(Behaviour::Hang);
    let (page, one) = (listed(&home).await, got(&home).await);
    assert_eq!((page.sources[0].outcome, one.sources[0].outcome), (Outcome::Timeout, Outcome::Timeout));
    assert_eq!((called(&side, "list"), called(&side, "get")), (1, 1));
    assert!(second(&home).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_which_nothing_is_known_bears_no_second_try() {
    let (home, side) = hedging(SHORT).await;
    side.board().calls_left.clear();
    side.board().has_sessions = true;
    home.hub.keep_in_touch();
    until("a session is begun", async || home.hub.links(&home.alice).await.unwrap().remove(0).session.is_some()).await;
    let tries = async || {
        side.board().ids.clear();
        side.always(Behaviour::Hang);
        assert_eq!(listed(&home).await.sources[0].outcome, Outcome::Timeout);
        called(&side, "list")
    };
    assert_eq!(tries().await, 2, "as much as a ping has told");
    // Another limit may be in force now.
    tell(&side, 9, News::Changed(v1::Terms::default()));
    until("it is acknowledged", async || acknowledged(&side) == [9]).await;
    assert_eq!(tries().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_nearly_used_up_bears_no_second_try() {
    for (left, tries) in [("9", 1), ("10", 2)] {
        let (home, side) = hedging(SHORT).await;
        side.board().calls_left = vec![left];
        assert_eq!(listed(&home).await.sources[0].calls_left, left.parse().ok());
        side.board().ids.clear();
        side.always(Behaviour::Hang);
        assert_eq!(listed(&home).await.sources[0].outcome, Outcome::Timeout);
        assert_eq!(called(&side, "list"), tries, "with {left} left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_of_a_link_that_was_left_alone_is_sent_once() {
    let (home, side) = hedging(SHORT).await;
    side.always(Behaviour::Refuse(refusal(Code::Unavailable, "STORE_UNAVAILABLE", "it cannot")));
    for _ in 0..3 {
        listed(&home).await;
    }
    side.board().ids.clear();
    side.always(Behaviour::Hang);
    let asked = async {
        until("the pause is over", async || {
            drop(listed(&home).await);
            called(&side, "list") > 0
        })
        .await;
    };
    asked.await;
    has_given_up(&side, 1).await;
    assert_eq!(called(&side, "list"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_asked_for_once_and_what_two_tries_cost_is_told() {
    let (home, side) = hedging(DEADLINES).await;
    let held = Arc::new(Notify::new());
    side.board().capabilities = Capabilities::Held(Arc::clone(&held));
    let let_go = async {
        until("they are asked for", async || called(&side, "capabilities") == 1).await;
        sleep(5 * AFTER).await;
        held.notify_one();
    };
    let (told, ()) = join(planned(&home, &["work"], "tasks", Asks::Page), let_go).await;
    assert_eq!((called(&side, "capabilities"), told.taken, told.costs), (1, 1, (1, 2)));
    side.board().capabilities = Capabilities::Told;
    for (asks, costs) in [(Asks::Row, (1, 3)), (Asks::Beginning, (1, 2 * PAGES + 3))] {
        assert_eq!(planned(&home, &["work"], "tasks", asks).await.costs, costs, "{asks:?}");
    }
}

//! The control session from the asking side: what is said back, and when.

use crate::{
    home::{Home, from, tasks},
    service::{After, Behaviour, chunk, refusal, says},
    side::{Side, task},
};
use domain::answer::{Outcome, Step};
use futures::StreamExt;
use hub::LinkState;
use proto::v1::{self, notice::News, session_response::Said};
use std::{sync::atomic::Ordering, time::Duration};
use tokio::time::{sleep, timeout};

/// Longer than anything here takes, shorter than nobody's patience.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than the first pause after a session that is lost, with all its chance: 1 s, and up to 1 s more.
const FIRST_PAUSE: Duration = Duration::from_millis(2_500);

pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

pub async fn pair(rows: i64) -> (Home, Side) {
    paired(Home::new().await, rows).await
}

async fn paired(home: Home, rows: i64) -> (Home, Side) {
    let side = Side::with("work", (0..rows).map(|id| task(id, id)).collect()).await;
    side.board().has_sessions = true;
    home.link(&side).await;
    home.hub.keep_in_touch();
    until("a session is begun", async || session(&home).await.is_some()).await;
    (home, side)
}

async fn session(home: &Home) -> Option<hub::SessionStatus> {
    home.hub.links(&home.alice).await.unwrap().remove(0).session
}

pub fn tell(side: &Side, generation: u64, news: News) {
    let notice = v1::Notice { generation, news: Some(news) };
    side.board().tell.as_ref().unwrap().send(says(Said::Notice(notice))).unwrap();
}

pub fn acknowledged(side: &Side) -> Vec<u64> {
    side.board().acknowledged.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_grant_is_acknowledged_only_when_no_question_holds_rows_of_it() {
    let (home, side) = pair(3).await;
    // Its rows are here, and it waits for its record.
    home.log.stuck.store(true, Ordering::SeqCst);
    let (hub, alice) = (home.hub.clone(), home.alice);
    let question = tokio::spawn(async move { hub.page(&alice, tasks(from(&["work"]), 5)).await.unwrap() });
    until("the question has arrived", async || side.board().asked.len() == 1).await;
    sleep(Duration::from_millis(50)).await;
    tell(&side, 3, News::Ended(v1::Ended { at: None }));
    sleep(Duration::from_millis(300)).await;
    assert_eq!(acknowledged(&side), [0; 0], "while a question holds rows");
    home.log.stuck.store(false, Ordering::SeqCst);
    until("it is acknowledged", async || acknowledged(&side) == [3]).await;
    let page = question.await.unwrap();
    assert_eq!((page.rows.len(), page.sources[0].outcome), (0, Outcome::Revoked), "{page:?}");
    let link = home.hub.links(&home.alice).await.unwrap().remove(0);
    assert_eq!(link.state, LinkState::Revoked);
    let log = home.model_log().await;
    assert!(log.iter().any(|entry| entry.about == "link_end" && entry.grant == Some(side.grant)), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_waits_for_its_answer_ends_with_the_grant() {
    let (home, side) = pair(1).await;
    side.always(Behaviour::Hang);
    let (hub, alice) = (home.hub.clone(), home.alice);
    let listed = tokio::spawn({
        let (hub, alice) = (hub.clone(), alice);
        async move { hub.page(&alice, tasks(from(&["work"]), 5)).await.unwrap().sources.remove(0) }
    });
    let got = tokio::spawn(async move {
        let (kind, id) = ("tasks".parse().unwrap(), task(0, 0).id);
        hub.get(&alice, &from(&["work"]), (kind, id), false).await.unwrap().sources.remove(0)
    });
    until("both have arrived", async || {
        side.board().ids.iter().filter(|id| ["list", "get"].contains(&id.0)).count() == 2
    })
    .await;
    tell(&side, 3, News::Ended(v1::Ended { at: None }));
    for ended in [listed.await.unwrap(), got.await.unwrap()] {
        assert_eq!((ended.outcome, ended.rows), (Outcome::Revoked, 0), "{ended:?}");
        assert!(ended.reason.unwrap().contains("ask the owner"));
    }
    until("it is acknowledged", async || acknowledged(&side) == [3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_by_the_beginning_of_an_id_is_under_way_until_it_is_let_go_of() {
    let (home, side) = pair(3).await;
    let (start, kind) = (task(0, 2).id.to_string(), "tasks".parse().unwrap());
    let sought = home.hub.seek(&home.alice, &from(&["work"]), &kind, (&start, false), home.hub.until()).await.unwrap();
    let ids: Vec<_> = sought.found.keys().copied().collect();
    assert_eq!(ids, [task(0, 2).id]);
    tell(&side, 3, News::Ended(v1::Ended { at: None }));
    sleep(Duration::from_millis(300)).await;
    assert_eq!(acknowledged(&side), [0; 0], "while somebody holds what was found");
    drop(sought);
    until("it is acknowledged", async || acknowledged(&side) == [3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_waits_for_one_source_forgets_what_another_ones_grant_showed_when_that_ends() {
    // A question that hangs is not over before the test has seen what it looks for.
    let home = Home::with(hub::Deadlines { source: 4 * PATIENCE, overall: 4 * PATIENCE }).await;
    let (home, side) = paired(home, 3).await;
    // Older, so that what the first page has of the other source is there when it ends.
    let slow = Side::with("slow", (0..500).map(|id| task(id - 1_000, id)).collect()).await;
    slow.board().has_sessions = true;
    home.link(&slow).await;
    slow.next(Behaviour::Honest);
    slow.next(Behaviour::Hang);
    let (hub, alice, kind) = (home.hub.clone(), home.alice, "tasks".parse().unwrap());
    let both = from(&["work", "slow"]);
    let seek = tokio::spawn(async move { hub.seek(&alice, &both, &kind, ("0000", false), hub.until()).await.unwrap() });
    until("the second page is asked for", async || slow.board().asked.len() == 2).await;
    side.always(Behaviour::Refuse(refusal(tonic::Code::PermissionDenied, "NOT_PERMITTED", "it has ended")));
    tell(&side, 3, News::Ended(v1::Ended { at: None }));
    until("it is acknowledged", async || acknowledged(&side) == [3]).await;
    let sought = timeout(PATIENCE, seek).await.unwrap().unwrap();
    assert!(!sought.found.is_empty() && sought.found.values().all(|sources| !sources.contains("work")));
    assert!(sought.is_uncertain() && sought.ended.contains_key("work"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_wait_for_a_slow_reader_are_not_shown_after_the_end() {
    let (home, side) = pair(0).await;
    let rows = |range: std::ops::Range<i64>| chunk(range.rev().map(|id| task(id, id)).collect(), None);
    side.next(Behaviour::Chunks(vec![rows(200..400), rows(0..200)], After::Silence));
    let mut steps = home.hub.stream(&home.alice, tasks(from(&["work"]), 1_000)).await.unwrap();
    assert!(matches!(steps.next().await, Some(Step::Row(_))));
    // Nobody reads on: what came waits, and so does the source.
    tell(&side, 3, News::Ended(v1::Ended { at: None }));
    until("it is acknowledged", async || acknowledged(&side) == [3]).await;
    let rest: Vec<_> = timeout(PATIENCE, steps.collect()).await.unwrap();
    let [Step::End(end), Step::Verdict(verdict)] = &rest[..] else {
        panic!("{} steps after the acknowledgement", rest.len())
    };
    assert_eq!((end.outcome, verdict.complete), (Outcome::Revoked, false), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_acknowledged_and_ends_nothing() {
    let (home, side) = pair(2).await;
    side.next(Behaviour::Chunks(vec![chunk(vec![task(9, 9)], None)], After::Silence));
    let mut steps = home.hub.stream(&home.alice, tasks(from(&["work"]), 9)).await.unwrap();
    assert!(steps.next().await.is_some());
    tell(&side, 7, News::Changed(v1::Terms::default()));
    until("it is acknowledged", async || acknowledged(&side) == [7]).await;
    assert_eq!(session(&home).await.unwrap().generation, 7);
    assert!(timeout(Duration::from_millis(200), steps.next()).await.is_err(), "the stream goes on");
    let page = home.hub.page(&home.alice, tasks(from(&["work"]), 5)).await.unwrap();
    assert_eq!(page.rows.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_lost_is_begun_anew_and_the_clocks_are_compared() {
    let (home, side) = pair(0).await;
    until("the clocks are compared", async || {
        session(&home).await.and_then(|session| session.clock_offset_ms).is_some_and(|ms| (9_000..11_000).contains(&ms))
    })
    .await;
    side.board().tell = None;
    until("another one is begun", async || side.board().sessions == 2).await;
    until("it is shown", async || session(&home).await.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_removed_has_no_session() {
    let (home, side) = pair(0).await;
    home.hub.unlink(&home.alice, &"work".parse().unwrap(), false).await.unwrap();
    until("the session has ended", async || side.board().hung_up == 1).await;
    sleep(FIRST_PAUSE).await;
    assert_eq!(side.board().sessions, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_without_sessions_makes_a_link_like_any_other() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    home.hub.keep_in_touch();
    until("it is asked for a session", async || side.board().sessions_asked == 1).await;
    sleep(FIRST_PAUSE).await;
    assert_eq!(side.board().sessions_asked, 1, "who has no sessions is not asked again soon");
    let page = home.hub.page(&home.alice, tasks(from(&["work"]), 5)).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    let link = home.hub.links(&home.alice).await.unwrap().remove(0);
    assert_eq!((link.state, link.session), (LinkState::Up, None));
}

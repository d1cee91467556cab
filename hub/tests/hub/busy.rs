//! The connections of a busy link, and of a machine that slept: how many there are, and that none outlives what ends it.

use crate::{
    home::{Home, from},
    service::{Behaviour, says},
    side::{Side, task},
};
use hub::{Hub, SessionStatus};
use proto::v1::{self, notice::News, session_response::Said};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(10);

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

/// A link whose other side leaves every question without an answer.
async fn linked() -> (Home, Side) {
    // Questions that wait for as long as the test looks.
    let home = Home::with(hub::Deadlines { source: 4 * PATIENCE, overall: 4 * PATIENCE }).await;
    let side = Side::with("work", Vec::new()).await;
    side.board().has_sessions = true;
    home.link(&side).await;
    home.hub.keep_in_touch();
    until("a session is begun", async || session(&home).await.is_some()).await;
    side.always(Behaviour::Hang);
    (home, side)
}

async fn session(home: &Home) -> Option<SessionStatus> {
    home.hub.links(&home.alice).await.unwrap().remove(0).session
}

/// Asks so many different questions; done when all have arrived.
async fn ask(home: &Home, side: &Side, questions: &mut JoinSet<()>, count: i64) {
    let before = asked(side);
    for number in 0..count {
        let (hub, alice): (Arc<Hub>, _) = (Arc::clone(&home.hub), home.anew());
        let id = task(0, i64::try_from(before).unwrap() + number).id;
        questions.spawn(async move {
            drop(hub.get(&alice, &from(&["work"]), ("tasks".parse().unwrap(), id), true).await);
        });
    }
    until("all have arrived", async || asked(side) == before + usize::try_from(count).unwrap()).await;
}

fn asked(side: &Side) -> usize {
    side.board().ids.iter().filter(|id| id.0 == "get").count()
}

fn connections(side: &Side) -> usize {
    side.registry.connections(side.grant)
}

/// Those that questions go over: the session has one of its own.
fn for_questions(side: &Side) -> usize {
    connections(side).saturating_sub(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_link_has_up_to_four_connections_and_the_end_of_its_grant_ends_them_all() {
    let (home, side) = linked().await;
    let mut questions = JoinSet::new();
    ask(&home, &side, &mut questions, 40).await;
    assert_eq!(for_questions(&side), 1, "40 calls fit one");
    // What is asked while one is being made goes over those that are there, so how many it takes is not the same each time.
    while for_questions(&side) < 4 {
        assert!(asked(&side) < 600, "{} connections for {} calls", for_questions(&side), asked(&side));
        ask(&home, &side, &mut questions, 20).await;
    }
    ask(&home, &side, &mut questions, 80).await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(for_questions(&side), 4, "never a fifth");
    let ended = v1::Notice { generation: 3, news: Some(News::Ended(v1::Ended { at: None })) };
    side.board().tell.as_ref().unwrap().send(says(Said::Notice(ended))).unwrap();
    while questions.join_next().await.is_some() {}
    until("the end is acknowledged", async || side.board().acknowledged == [3]).await;
    until("no connection is left", async || connections(&side) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_removed_keeps_no_connection() {
    let (home, side) = linked().await;
    let mut questions = JoinSet::new();
    ask(&home, &side, &mut questions, 60).await;
    until("two", async || for_questions(&side) == 2).await;
    side.board().always = None;
    home.hub.unlink(&home.anew(), &side.name, true).await.unwrap();
    while questions.join_next().await.is_some() {}
    until("no connection is left", async || connections(&side) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_slept_is_in_touch_at_once_over_new_connections() {
    let (home, side) = linked().await;
    side.board().always = None;
    let since = session(&home).await.unwrap().since;
    home.hub.woken();
    until("a session begins anew", async || session(&home).await.is_some_and(|session| session.since > since)).await;
    until("the old connections have gone", async || connections(&side) == 1).await;
    assert_eq!(side.board().sessions, 2);
    // Also where the next session was an hour away.
    side.board().has_sessions = false;
    side.board().tell = None;
    until("it is asked for, and there is none", async || side.board().sessions_asked == 3).await;
    until("that is known", async || session(&home).await.is_none()).await;
    sleep(Duration::from_millis(300)).await;
    side.board().has_sessions = true;
    home.hub.woken();
    until("it begins", async || session(&home).await.is_some()).await;
    assert!(home.ask(1).await.sources.iter().all(|source| source.reason.is_none()));
}

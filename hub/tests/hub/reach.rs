//! Addresses that a sharing side has tried, and one that wants to have more of it than whether they lead to itself.

use crate::{
    home::{Home, name},
    service::says,
    side::Side,
};
use domain::reach::{ADDRESSES, ANSWER, REQUESTS};
use hub::Hub;
use proto::v1::{self, notice::News, session_response::Said};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(10);
/// What an answer may be late by, on a machine that does other things too.
const SLACK: Duration = Duration::from_millis(400);

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

async fn linked() -> (Home, Side) {
    let home = Home::new().await;
    let side = Side::with("work", Vec::new()).await;
    side.board().has_sessions = true;
    home.link(&side).await;
    in_touch(&home.hub, &side).await;
    (home, side)
}

async fn in_touch(hub: &Arc<Hub>, side: &Side) {
    let before = side.board().sessions;
    hub.keep_in_touch();
    until("a session is begun", || side.board().sessions > before && !side.board().ids.is_empty()).await;
    sleep(Duration::from_millis(100)).await;
}

fn ask(side: &Side, number: u32, addresses: &[String]) -> Instant {
    let reach = v1::Reach { number, addresses: addresses.to_vec() };
    side.board().tell.as_ref().unwrap().send(says(Said::Reach(reach))).unwrap();
    Instant::now()
}

/// The answer to this request.
async fn answer(side: &Side, number: u32) -> (Vec<bool>, Instant) {
    let found = || side.board().reached.iter().find(|(word, _)| word.number == number).cloned();
    until("an answer", || found().is_some()).await;
    found().map(|(word, at)| (word.reached, at)).unwrap()
}

/// A door of somebody else's, and how many came to it.
async fn door() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, came) = (listener.local_addr().unwrap().to_string(), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&came);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            held.push(socket);
        }
    });
    (address, came)
}

/// The side's own addresses: of links, and of enrolment.
fn own(side: &Side) -> [String; 2] {
    let invite = side.invite();
    [invite.addresses[0].clone(), invite.enrol_addresses[0].clone()]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_to_the_link_itself_is_told_apart_and_the_answer_always_takes_as_long() {
    let (_home, side) = linked().await;
    assert!(side.board().tries, "it says that it tries addresses");
    let [links, enrolment] = own(&side);
    let other = Side::with("other", Vec::new()).await;
    let ((mute, came), refused) = (door().await, TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    // One that nobody answers at, one of another root, and one alone that is known at once.
    for (number, addresses, expected) in [
        (1, vec![links.clone(), mute, own(&other)[0].clone(), enrolment], vec![true, false, false, true]),
        (2, vec![links], vec![true]),
        (3, vec![refused.to_string()], vec![false]),
    ] {
        let asked = ask(&side, number, &addresses);
        let (reached, at) = answer(&side, number).await;
        assert_eq!(reached, expected);
        let took = at.duration_since(asked);
        assert!(
            took >= ANSWER.saturating_sub(Duration::from_millis(50)) && took < ANSWER + SLACK,
            "{number}: {took:?}"
        );
    }
    assert_eq!(came.load(Ordering::SeqCst), 1);
    assert_eq!(side.board().sessions, 1, "it is one session all the while");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_too_much_or_for_what_is_no_address_has_no_answer_and_nobody_knocks_anywhere() {
    let (_home, side) = linked().await;
    let (address, came) = door().await;
    let many = |count: usize| vec![address.clone(); count];
    for (number, addresses) in [
        (1, many(100)),
        (2, many(ADDRESSES + 1)),
        (3, Vec::new()),
        (4, vec![address.clone(), format!("http://{address}/")]),
        (5, vec![format!("{address}\r\nGET /")]),
        (6, vec!["a".repeat(8_000)]),
    ] {
        ask(&side, number, &addresses);
    }
    sleep(ANSWER + SLACK).await;
    assert!(side.board().reached.is_empty(), "{:?}", side.board().reached);
    assert_eq!(came.load(Ordering::SeqCst), 0);
    // None of it was counted, nor ended the session.
    ask(&side, 7, &many(ADDRESSES));
    assert_eq!(answer(&side, 7).await.0, [false; ADDRESSES]);
    assert_eq!((came.load(Ordering::SeqCst), side.board().sessions), (ADDRESSES, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_all_the_time_has_a_few_answers_and_a_new_session_gives_no_more() {
    let (_home, side) = linked().await;
    let (address, came) = door().await;
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < ANSWER * 5 {
        number += 1;
        ask(&side, number, std::slice::from_ref(&address));
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!((side.board().reached.len(), came.load(Ordering::SeqCst)), (REQUESTS, REQUESTS));
    side.board().tell = None;
    until("another session", || side.board().sessions == 2).await;
    sleep(Duration::from_millis(100)).await;
    ask(&side, 1, std::slice::from_ref(&address));
    sleep(ANSWER + SLACK).await;
    assert_eq!((side.board().reached.len(), came.load(Ordering::SeqCst)), (REQUESTS, REQUESTS));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_turned_off_it_is_not_announced_and_not_done() {
    let (home, side) = linked().await;
    home.hub.stop().await;
    let hub = home.restarted_without_trying();
    in_touch(&hub, &side).await;
    let (address, came) = door().await;
    ask(&side, 1, &[address, own(&side)[0].clone()]);
    sleep(ANSWER + SLACK).await;
    assert!(!side.board().tries && side.board().reached.is_empty(), "{:?}", side.board().reached);
    assert_eq!(came.load(Ordering::SeqCst), 0);
    let link = hub.links(&home.alice).await.unwrap().remove(0);
    assert!(link.name == name("work") && link.session.is_some(), "the session goes on");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_is_unknown_is_passed_over_and_the_next_one_heard() {
    let (_home, side) = linked().await;
    let unknown = v1::SessionResponse { said: None };
    side.board().tell.as_ref().unwrap().send(unknown).unwrap();
    let notice = v1::Notice { generation: 3, news: Some(News::Changed(v1::Terms::default())) };
    side.board().tell.as_ref().unwrap().send(says(Said::Notice(notice))).unwrap();
    until("it is acknowledged", || side.board().acknowledged == [3]).await;
    // News of a kind that is unknown may concern what is kept: as a change.
    let notice = v1::Notice { generation: 4, news: None };
    side.board().tell.as_ref().unwrap().send(says(Said::Notice(notice))).unwrap();
    until("it is acknowledged", || side.board().acknowledged == [3, 4]).await;
    assert_eq!(side.board().sessions, 1);
}

//! Answers that were there, and by the time they could be shown may not be any more: what is told of them, and recorded, is the same for a page,
//! a stream and one row.

use crate::{
    control::{tell, until},
    doors::{called, notify, restarted, restarted_with, terms, through, work},
    home::{Home, from, tasks},
    service::{Behaviour, Capabilities, refusal},
    side::{Side, task},
};
use domain::{
    answer::{Outcome, SourceOutcome, Step},
    audit::Ending,
    scope::Door,
};
use futures::StreamExt;
use hub::{Asker, CircuitState, CircuitStatus, Deadlines, Hub, LinkState};
use proto::v1::{self, notice::News};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};
use tonic::Code;

/// Such as no slow machine reaches: here nothing ends by the time it took.
const PATIENT: Deadlines = Deadlines { source: Duration::from_secs(40), overall: Duration::from_secs(50) };
const WITHHELD: &str =
    "answered, and not shown: its owner does not let rows be shown through `mcp`; it names cli: ask there, or";

/// How rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Page,
    Stream,
    Get,
}

impl Way {
    const ALL: [Self; 3] = [Self::Page, Self::Stream, Self::Get];

    /// How the other side's room is called.
    const fn room(self) -> &'static str {
        match self {
            Self::Page | Self::Stream => "list",
            Self::Get => "get",
        }
    }

    /// How the link ended, and how many of its rows were shown.
    async fn ask(self, hub: &Arc<Hub>, asker: &Asker, fresh: bool) -> (SourceOutcome, usize) {
        let question = hub::Question { fresh, ..tasks(from(&["work"]), 5) };
        match self {
            Self::Page => {
                let page = hub.page(asker, question).await.unwrap().part().0;
                (work(&page.sources).clone(), page.rows.len())
            }
            Self::Stream => {
                let steps: Vec<_> = hub.stream(asker, question).await.unwrap().collect().await;
                let rows = steps.iter().filter(|step| matches!(step, Step::Row(_))).count();
                let end = steps.into_iter().find_map(|step| if let Step::End(end) = step { Some(end) } else { None });
                (end.unwrap(), rows)
            }
            Self::Get => {
                let row = ("tasks".parse().unwrap(), task(0, 0).id);
                let one = hub.get(asker, &from(&["work"]), row, fresh).await.unwrap().part().0;
                (work(&one.sources).clone(), usize::from(one.row.is_some()))
            }
        }
    }

    fn begin(self, home: &Home, fresh: bool) -> JoinHandle<(SourceOutcome, usize)> {
        let (hub, asker) = (Arc::clone(&home.hub), through(home, Door::Mcp));
        tokio::spawn(async move { self.ask(&hub, &asker, fresh).await })
    }

    /// Asks, and has the door closed while the other side is at it.
    async fn is_closed_out(self, home: &Home, side: &Side, generation: u64) -> SourceOutcome {
        let late = Arc::new(Notify::new());
        side.always(Behaviour::Late(Arc::clone(&late)));
        let before = calls(side, self);
        let asked = self.begin(home, true);
        until("it is asked", async || calls(side, self) > before).await;
        notify(side, generation, &["cli"]).await;
        late.notify_one();
        let (end, rows) = asked.await.unwrap();
        side.board().always = None;
        assert_eq!(rows, 0, "{self:?}: {end:?}");
        end
    }
}

fn calls(side: &Side, way: Way) -> usize {
    called(side).into_iter().filter(|what| *what == way.room()).count()
}

fn why(end: &SourceOutcome) -> &str {
    end.reason.as_deref().unwrap_or_default()
}

async fn are_told(home: &Home) {
    until("the terms are told", async || home.hub.links(&home.alice).await.unwrap()[0].terms.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_and_may_not_be_shown_is_told_and_recorded_as_answered() {
    let (home, side) = restarted_with(Some(terms(&["title"], &["cli", "mcp"])), PATIENT).await;
    are_told(&home).await;
    for (way, generation) in Way::ALL.into_iter().zip([10, 20, 30]) {
        let end = way.is_closed_out(&home, &side, generation).await;
        assert_eq!((end.outcome, end.rows), (Outcome::Denied, 0), "{way:?}: {end:?}");
        assert!(why(&end).starts_with(WITHHELD), "{way:?}: {end:?}");
        let record = home.asked().await.pop().unwrap();
        assert_eq!((record.ending, record.rows), (Ending::Answered, 0), "{way:?}: {record:?}");
        assert!(record.note.starts_with(&format!("denied: {WITHHELD}")), "{way:?}: {}", record.note);
        let link = home.hub.links(&home.alice).await.unwrap().remove(0);
        assert_eq!((link.state, link.last_failure), (LinkState::Up, None), "{way:?}: nothing is wrong with the link");
        assert!(link.last_success.is_some(), "{way:?}");
        // Asked while it is closed, it is told otherwise.
        let (end, _) = way.ask(&home.hub, &through(&home, Door::Mcp), true).await;
        assert!(why(&end).starts_with("not asked: its owner"), "{way:?}: {end:?}");
        let record = home.asked().await.pop().unwrap();
        assert_eq!(record.ending, Ending::Refused, "{way:?}: {record:?}");
        assert!(record.note.starts_with("denied: not asked: "), "{way:?}: {}", record.note);
        notify(&side, generation + 1, &["cli", "mcp"]).await;
    }
}

#[tokio::test]
async fn a_probe_whose_answer_may_not_be_shown_closes_the_circuit() {
    let (home, side) = restarted_with(Some(terms(&["title"], &["cli", "mcp"])), PATIENT).await;
    are_told(&home).await;
    let circuit = async || home.hub.links(&home.alice).await.unwrap()[0].circuit;
    for (way, generation) in Way::ALL.into_iter().zip([10, 20, 30]) {
        side.always(Behaviour::Refuse(refusal(Code::Unavailable, "STORE_UNAVAILABLE", "it cannot")));
        for _ in 0..3 {
            Way::Page.ask(&home.hub, &through(&home, Door::Mcp), true).await;
        }
        assert_eq!(circuit().await.state, CircuitState::Open);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(7)).await;
        tokio::time::resume();
        assert_eq!(circuit().await.state, CircuitState::HalfOpen);
        let end = way.is_closed_out(&home, &side, generation).await;
        assert!(why(&end).starts_with(WITHHELD), "{way:?}: {end:?}");
        assert_eq!(circuit().await, CircuitStatus::default(), "{way:?}");
        notify(&side, generation + 1, &["cli", "mcp"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_a_stream_and_one_row_tell_the_same_of_what_changed_while_they_waited() {
    let (home, side) = restarted_with(Some(terms(&["title"], &["cli", "mcp"])), PATIENT).await;
    are_told(&home).await;
    let mut generation = 10;
    let open: &[&str] = &["cli", "mcp"];
    for (kept, doors, outcome, reason) in [
        (false, &["cli"][..], Outcome::Denied, WITHHELD),
        (false, open, Outcome::Ok, ""),
        (true, &["cli"], Outcome::Denied, WITHHELD),
        (true, open, Outcome::Error, "its grant was changed at this very moment; ask again"),
    ] {
        for way in Way::ALL {
            if kept {
                assert!(way.ask(&home.hub, &through(&home, Door::Mcp), false).await.1 > 0, "{way:?}");
            }
            let (asked, waited) = (calls(&side, way), home.log.waited.load(Ordering::SeqCst));
            home.log.stuck.store(true, Ordering::SeqCst);
            let answer = way.begin(&home, !kept);
            until("its record waits", async || home.log.waited.load(Ordering::SeqCst) > waited).await;
            assert_eq!(calls(&side, way) - asked, usize::from(!kept), "{way:?}");
            notify(&side, generation, doors).await;
            home.log.stuck.store(false, Ordering::SeqCst);
            let (end, rows) = answer.await.unwrap();
            assert_eq!((end.outcome, rows > 0), (outcome, outcome == Outcome::Ok), "{kept} {doors:?} {way:?}: {end:?}");
            assert!(why(&end).starts_with(reason), "{kept} {doors:?} {way:?}: {end:?}");
            notify(&side, generation + 1, open).await;
            generation += 2;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_grant_gives_is_asked_for_once_a_row_though_it_changes_meanwhile() {
    let (home, side) = restarted(Some(v1::Terms::default())).await;
    let held = Arc::new(Notify::new());
    side.board().capabilities = Capabilities::Held(Arc::clone(&held));
    until("a session is begun", async || side.board().tell.is_some()).await;
    let (hub, alice) = (Arc::clone(&home.hub), home.anew());
    let answer = tokio::spawn(async move { Way::Get.ask(&hub, &alice, false).await });
    until("its capabilities are asked for", async || called(&side).contains(&"capabilities")).await;
    tell(&side, 7, News::Changed(v1::Terms::default()));
    until("it is acknowledged", async || side.board().acknowledged.contains(&7)).await;
    held.notify_one();
    let (end, rows) = answer.await.unwrap();
    assert_eq!((end.outcome, rows), (Outcome::Ok, 1), "{end:?}");
    assert_eq!(called(&side), ["capabilities", "get"]);
}

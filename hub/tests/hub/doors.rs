//! What the other side tells of a grant over its session is obeyed: a link is asked only through the doors that its owner names, and which
//! fields are kept back is known without a ping.

use crate::{
    control::until,
    home::{DEADLINES, Home, from, tasks},
    service::{After, Behaviour, Capabilities, chunk, says},
    side::{Side, task},
};
use domain::{
    answer::{Outcome, Page, SourceOutcome, Step},
    scope::{Door, Verb},
};
use futures::StreamExt;
use hub::{Asker, Asks, Deadlines};
use proto::v1::{self, notice::News, session_response::Said};
use std::sync::Arc;
use tokio::sync::Notify;

pub fn terms(fields: &[&str], doors: &[&str]) -> v1::Terms {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    v1::Terms {
        resources: vec![v1::ResourceScope { resource: "tasks".into(), fields }],
        verbs: vec![v1::Verb::List.into(), v1::Verb::Get.into()],
        doors: doors.iter().map(|door| (*door).to_owned()).collect(),
        ..v1::Terms::default()
    }
}

/// A link that was there before this daemon started: nobody has pinged it.
pub async fn restarted(terms: Option<v1::Terms>) -> (Home, Side) {
    restarted_with(terms, DEADLINES).await
}

/// The same with these deadlines.
pub async fn restarted_with(terms: Option<v1::Terms>, deadlines: Deadlines) -> (Home, Side) {
    let mut home = Home::new().await;
    let side = Side::with("work", (0..3).map(|id| task(id, id)).collect()).await;
    home.link(&side).await;
    {
        let mut board = side.board();
        (board.has_sessions, board.terms) = (terms.is_some(), terms);
        board.ids.clear();
    }
    home.hub = home.restarted_with(deadlines);
    home.hub.keep_in_touch();
    (home, side)
}

/// The calls but for those that the session is made of.
pub fn called(side: &Side) -> Vec<&'static str> {
    side.board().ids.iter().map(|(what, _)| *what).collect()
}

pub fn through(home: &Home, door: Door) -> Asker {
    Asker { door, ..home.anew() }
}

async fn page(home: &Home, door: Door) -> Page {
    home.hub.page(&through(home, door), tasks(from(&["work", "here"]), 5)).await.unwrap().part().0
}

pub fn work(sources: &[SourceOutcome]) -> &SourceOutcome {
    sources.iter().find(|source| source.source == "work").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_the_session_tells_which_fields_are_kept_back() {
    let (home, side) = restarted(Some(terms(&["title", "body"], &["cli", "api"]))).await;
    until("the terms are told", async || home.hub.links(&home.alice).await.unwrap()[0].terms.is_some()).await;
    let said = page(&home, Door::Cli).await;
    let all = domain::kind::Kinds::builtin().get(&"tasks".parse().unwrap()).unwrap().fields.len();
    assert_eq!(work(&said.sources).withheld, u32::try_from(all - 2).ok(), "{said:?}");
    assert_eq!(called(&side), ["list"], "nobody had to be asked for it");
    let known = home.hub.links(&home.alice).await.unwrap().remove(0).terms.unwrap();
    assert_eq!((known.verbs, known.doors), ([Verb::List, Verb::Get].into(), [Door::Cli, Door::Api].into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_not_asked_through_a_door_that_its_grant_does_not_name() {
    let (home, side) = restarted(Some(terms(&["title"], &["cli", "api"]))).await;
    // Also by the very first question, which may come before the session has begun.
    let refused = page(&home, Door::Mcp).await;
    let gap = work(&refused.sources);
    assert_eq!((gap.outcome, gap.rows, refused.rows.len()), (Outcome::Denied, 0, 0), "{refused:?}");
    let why = gap.reason.as_deref().unwrap();
    assert!(
        why.starts_with("not asked: ") && why.contains("through `mcp`") && why.contains("it names cli, api: ask there"),
        "{why}"
    );
    assert!(!refused.verdict.complete && refused.verdict.missing.unwrap().contains("work (denied)"));
    let asker = through(&home, Door::Mcp);
    let (kind, id) = ("tasks".parse().unwrap(), task(0, 0).id);
    let got = home.hub.get(&asker, &from(&["work"]), (kind, id), false).await.unwrap();
    assert!(got.row.is_none() && got.sources[0].outcome == Outcome::Denied, "{:?}", *got);
    let steps: Vec<_> = home.hub.stream(&asker, tasks(from(&["work"]), 5)).await.unwrap().collect().await;
    assert!(steps.iter().all(|step| !matches!(step, Step::Row(_))), "{steps:?}");
    let planned =
        home.hub.explain(&asker, &from(&["work"]), &"tasks".parse().unwrap(), Asks::Beginning).await.unwrap().remove(0);
    assert_eq!((planned.outcome.outcome, &planned.shares), (Outcome::Denied, &None));
    assert_eq!(
        (planned.taken, planned.costs, planned.is_asked()),
        (0, (0, 0), false),
        "what is not asked costs nothing"
    );
    assert_eq!(called(&side), [""; 0], "nothing was sent");
    assert_eq!(page(&home, Door::Api).await.rows.len(), 3);
    // What was kept for one door is not shown through another.
    let kept = page(&home, Door::Mcp).await;
    assert_eq!((kept.rows.len(), work(&kept.sources).outcome), (0, Outcome::Denied));
    assert!(work(&kept.sources).reason.as_deref().unwrap().starts_with("not asked: "), "{kept:?}");
    assert_eq!(home.hub.links(&home.alice).await.unwrap()[0].state, hub::LinkState::Up, "nothing is wrong with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_doors_is_obeyed_from_its_notice_on() {
    let (home, side) = restarted(Some(terms(&["title"], &["cli", "mcp"]))).await;
    assert_eq!(page(&home, Door::Mcp).await.rows.len(), 3);
    for (generation, doors, rows) in [(7, "cli", 0), (8, "mcp", 3)] {
        notify(&side, generation, &[doors]).await;
        assert_eq!(page(&home, Door::Mcp).await.rows.len(), rows, "{doors}");
    }
    let cli = page(&home, Door::Cli).await;
    assert!(
        work(&cli.sources).reason.as_deref().unwrap().contains("it names mcp"),
        "the command line is a door like others"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_does_not_tell_its_terms_is_asked_for_them_once_before_any_row() {
    let (home, side) = restarted(None).await;
    assert_eq!(page(&home, Door::Mcp).await.rows.len(), 0, "its capabilities name the command line alone");
    assert_eq!(page(&home, Door::Cli).await.rows.len(), 3);
    assert_eq!(called(&side), ["capabilities", "list"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_not_here_yet_opens_none_of_those_that_are() {
    let (home, side) = restarted(Some(terms(&["title"], &["hologram"]))).await;
    side.always(Behaviour::Honest);
    for door in Door::ALL {
        let gap = page(&home, door).await;
        assert!(gap.rows.is_empty() && work(&gap.sources).outcome == Outcome::Denied, "{gap:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_told_is_not_undone_by_a_grant_that_does_not_answer_for_its_capabilities() {
    let (home, side) = restarted(Some(terms(&["title"], &["cli"]))).await;
    side.board().capabilities = Capabilities::Refused;
    assert!(page(&home, Door::Mcp).await.rows.is_empty());
    let work = home.hub.links(&home.alice).await.unwrap().remove(0).name;
    home.hub.ping(&home.alice, &work).await.unwrap();
    let terms = home.hub.links(&home.alice).await.unwrap().remove(0).terms.unwrap();
    assert_eq!(terms.doors, [Door::Cli].into(), "after a ping");
    // Nor by the end of the session.
    side.board().tell = None;
    until("another one is begun", async || side.board().sessions == 2).await;
    home.hub.ping(&home.alice, &work).await.unwrap();
    assert!(page(&home, Door::Mcp).await.rows.is_empty());
    assert_eq!(called(&side).iter().filter(|what| **what == "list").count(), 0);
    assert_eq!(page(&home, Door::Cli).await.rows.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_doors_nobody_tells_is_for_people_at_the_command_line() {
    let (home, side) = restarted(None).await;
    side.board().capabilities = Capabilities::Refused;
    let gap = page(&home, Door::Api).await;
    assert!(gap.rows.is_empty() && work(&gap.sources).reason.as_deref().unwrap().contains("is not known"), "{gap:?}");
    assert_eq!(page(&home, Door::Cli).await.rows.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_long_on_its_way_does_not_undo_a_notice() {
    let (home, side) = restarted(Some(v1::Terms::default())).await;
    let held = Arc::new(Notify::new());
    side.board().capabilities = Capabilities::Held(Arc::clone(&held));
    until("a session is begun", async || side.board().tell.is_some()).await;
    let asked = tokio::spawn({
        let (hub, alice) = (Arc::clone(&home.hub), home.alice);
        async move { hub.ping(&alice, &"work".parse().unwrap()).await.unwrap() }
    });
    until("its capabilities are asked for", async || called(&side).contains(&"capabilities")).await;
    notify(&side, 7, &["mcp"]).await;
    held.notify_one();
    // What the other side answers names the command line alone, as it was when that was asked.
    let ping = asked.await.unwrap();
    assert_eq!(ping.shares.as_ref().map(|shares| &shares.doors), Some(&[Door::Cli].into()), "{ping:?}");
    assert_eq!(page(&home, Door::Mcp).await.rows.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_waits_when_its_door_is_closed_is_not_sent_and_one_that_was_sent_is_not_shown() {
    let (home, side) = restarted(Some(terms(&["title"], &["cli", "mcp"]))).await;
    assert_eq!(page(&home, Door::Cli).await.rows.len(), 3);
    side.board().asked.clear();
    let (held, last) = (Arc::new(Notify::new()), chunk(vec![task(7, 7)], Some(v1::ListEnd::default())));
    side.next(Behaviour::Chunks(vec![chunk(vec![task(9, 9)], None)], After::Held(Arc::clone(&held), Box::new(last))));
    let mut steps = home.hub.stream(&through(&home, Door::Mcp), tasks(from(&["work"]), 9)).await.unwrap();
    assert!(matches!(steps.next().await, Some(Step::Row(_))));
    side.next(Behaviour::Chunks(vec![chunk(vec![task(8, 8)], None)], After::Silence));
    let first = ask(&home, Door::Cli);
    until("the first is asked", async || side.board().asked.len() == 2).await;
    let second = ask(&home, Door::Mcp);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    notify(&side, 7, &["cli"]).await;
    held.notify_one();
    // The first one's source falls silent, and is left alone at its deadline.
    assert_eq!(first.await.unwrap().rows.len(), 1);
    let second = second.await.unwrap();
    assert_eq!((second.rows.len(), work(&second.sources).outcome), (0, Outcome::Denied), "{second:?}");
    assert_eq!(side.board().asked.len(), 2, "it was not sent");
    assert!(work(&second.sources).reason.as_deref().unwrap().starts_with("not asked: "), "{second:?}");
    let Some(Step::End(end)) = steps.next().await else { panic!("a row after the door was closed") };
    assert_eq!((end.rows, end.outcome), (1, Outcome::Denied), "{end:?}");
    assert!(end.reason.as_deref().unwrap().starts_with("answered, and not shown: "), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_wait_for_a_slow_reader_are_not_shown_once_their_door_is_closed() {
    let (home, side) = restarted(Some(terms(&["title"], &["cli", "mcp"]))).await;
    let rows = |range: std::ops::Range<i64>| range.rev().map(|id| task(id, id)).collect::<Vec<_>>();
    // Kept before, so that it is also a grant's change that they do not outlive.
    for kept in [false, true] {
        side.board().rows = rows(0..30);
        let reader = through(&home, Door::Mcp);
        if kept {
            let before: Vec<_> = home.hub.stream(&reader, tasks(from(&["work"]), 40)).await.unwrap().collect().await;
            assert_eq!(before.len(), 32, "{before:?}");
        }
        let asked = side.board().asked.len();
        let mut steps = home.hub.stream(&reader, tasks(from(&["work"]), 40)).await.unwrap();
        assert!(matches!(steps.next().await, Some(Step::Row(row)) if row.cached == kept));
        assert_eq!(side.board().asked.len() - asked, usize::from(!kept));
        // Nobody reads on: what came waits.
        notify(&side, 7 + 2 * u64::from(kept), &["cli"]).await;
        let rest: Vec<_> = steps.collect().await;
        let [Step::End(end), Step::Verdict(verdict)] = &rest[..] else { panic!("{} steps after it", rest.len()) };
        assert_eq!((end.rows, end.truncated, verdict.complete), (1, false, false), "{end:?}");
        assert_eq!(end.outcome, Outcome::Denied, "{end:?}");
        assert!(end.reason.as_deref().unwrap().starts_with("answered, and not shown: "), "{end:?}");
        notify(&side, 8 + 2 * u64::from(kept), &["cli", "mcp"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_wait_on_a_page_for_another_source_are_not_shown_once_their_door_is_closed() {
    let (home, side) = restarted(Some(terms(&["title"], &["cli", "mcp"]))).await;
    let slow = Side::with("slow", vec![]).await;
    (slow.board().has_sessions, slow.board().terms) = (true, Some(terms(&["title"], &["mcp"])));
    home.link(&slow).await;
    let (held, last) = (Arc::new(Notify::new()), chunk(vec![task(7, 7)], Some(v1::ListEnd::default())));
    slow.next(Behaviour::Chunks(vec![chunk(vec![task(9, 9)], None)], After::Held(Arc::clone(&held), Box::new(last))));
    let (hub, asker) = (Arc::clone(&home.hub), through(&home, Door::Mcp));
    let page = tokio::spawn(async move { hub.page(&asker, tasks(from(&["work", "slow"]), 9)).await.unwrap().part().0 });
    until("the quick one was asked, and its answer recorded", async || {
        home.asked().await.iter().any(|entry| entry.grant == Some(side.grant) && entry.rows == 3)
    })
    .await;
    notify(&side, 7, &["cli"]).await;
    held.notify_one();
    let page = page.await.unwrap();
    assert_eq!((page.rows.len(), work(&page.sources).outcome), (2, Outcome::Denied), "{page:?}");
    assert!(work(&page.sources).reason.as_deref().unwrap().starts_with("answered, and not shown: "), "{page:?}");
}

fn ask(home: &Home, door: Door) -> tokio::task::JoinHandle<Page> {
    let (hub, asker) = (Arc::clone(&home.hub), through(home, door));
    tokio::spawn(async move { hub.page(&asker, tasks(from(&["work"]), 7)).await.unwrap().part().0 })
}

pub async fn notify(side: &Side, generation: u64, doors: &[&str]) {
    let news = Some(News::Changed(terms(&["title"], doors)));
    side.board().tell.as_ref().unwrap().send(says(Said::Notice(v1::Notice { generation, news }))).unwrap();
    until("it is acknowledged", async || side.board().acknowledged.contains(&generation)).await;
}

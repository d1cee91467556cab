//! What the other side tells of a grant over its session is obeyed: a link is asked only through the doors that its owner names, and which
//! fields are kept back is known without a ping.

use crate::{
    control::until,
    home::{Home, from, tasks},
    service::{Behaviour, says},
    side::{Side, task},
};
use domain::{
    answer::{Outcome, Page, SourceOutcome, Step},
    scope::{Door, Verb},
};
use futures::StreamExt;
use hub::Asker;
use proto::v1::{self, notice::News, session_response::Said};

fn terms(fields: &[&str], doors: &[&str]) -> v1::Terms {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    v1::Terms {
        resources: vec![v1::ResourceScope { resource: "tasks".into(), fields }],
        verbs: vec![v1::Verb::List.into(), v1::Verb::Get.into()],
        doors: doors.iter().map(|door| (*door).to_owned()).collect(),
        ..v1::Terms::default()
    }
}

/// A link that was there before this daemon started: nobody has pinged it.
async fn restarted(terms: Option<v1::Terms>) -> (Home, Side) {
    let mut home = Home::new().await;
    let side = Side::with("work", (0..3).map(|id| task(id, id)).collect()).await;
    home.link(&side).await;
    {
        let mut board = side.board();
        (board.has_sessions, board.terms) = (terms.is_some(), terms);
        board.ids.clear();
    }
    home.hub = home.restarted();
    home.hub.keep_in_touch();
    (home, side)
}

/// The calls but for those that the session is made of.
fn called(side: &Side) -> Vec<&'static str> {
    side.board().ids.iter().map(|(what, _)| *what).collect()
}

fn through(home: &Home, door: Door) -> Asker {
    Asker { door, ..home.anew() }
}

async fn page(home: &Home, door: Door) -> Page {
    home.hub.page(&through(home, door), tasks(from(&["work", "here"]), 5)).await.unwrap().part().0
}

fn work(sources: &[SourceOutcome]) -> &SourceOutcome {
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
    assert!(why.contains("through `mcp`") && why.contains("it names cli, api: ask there"), "{why}");
    assert!(!refused.verdict.complete && refused.verdict.missing.unwrap().contains("work (denied)"));
    let asker = through(&home, Door::Mcp);
    let (kind, id) = ("tasks".parse().unwrap(), task(0, 0).id);
    let got = home.hub.get(&asker, &from(&["work"]), (kind, id), false).await.unwrap();
    assert!(got.row.is_none() && got.sources[0].outcome == Outcome::Denied, "{:?}", *got);
    let steps: Vec<_> = home.hub.stream(&asker, tasks(from(&["work"]), 5)).await.unwrap().collect().await;
    assert!(steps.iter().all(|step| !matches!(step, Step::Row(_))), "{steps:?}");
    let planned = home.hub.explain(&asker, &from(&["work"]), &"tasks".parse().unwrap()).await.unwrap();
    assert_eq!((planned[0].outcome.outcome, &planned[0].shares), (Outcome::Denied, &None));
    assert_eq!(called(&side), [""; 0], "nothing was sent");
    assert_eq!(page(&home, Door::Api).await.rows.len(), 3);
    // What was kept for one door is not shown through another.
    let kept = page(&home, Door::Mcp).await;
    assert_eq!((kept.rows.len(), work(&kept.sources).outcome), (0, Outcome::Denied));
    assert_eq!(home.hub.links(&home.alice).await.unwrap()[0].state, hub::LinkState::Up, "nothing is wrong with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_doors_is_obeyed_from_its_notice_on() {
    let (home, side) = restarted(Some(terms(&["title"], &["cli", "mcp"]))).await;
    assert_eq!(page(&home, Door::Mcp).await.rows.len(), 3);
    for (generation, doors, rows) in [(7, "cli", 0), (8, "mcp", 3)] {
        let news = Some(News::Changed(terms(&["title"], &[doors])));
        side.board().tell.as_ref().unwrap().send(says(Said::Notice(v1::Notice { generation, news }))).unwrap();
        until("it is acknowledged", async || side.board().acknowledged.contains(&generation)).await;
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

//! What a question would cost is what it takes, and what it takes to know that is told.

use crate::{
    doors::{called, restarted, terms},
    home::{Home, from},
    service::{Behaviour, Capabilities, refusal},
    side::{Side, task},
};
use domain::{answer::Outcome, id::Resource, item::Item};
use hub::{Asks, PAGES, Planned};
use tonic::Code;

fn kind(name: &str) -> Resource {
    name.parse().unwrap()
}

pub async fn planned(home: &Home, names: &[&str], resource: &str, asks: Asks) -> Planned {
    home.hub.explain(&home.anew(), &from(names), &kind(resource), asks).await.unwrap().pop().unwrap()
}

/// A row that a reader finds empty, so that it is looked up whether its grant keeps something back.
fn empty() -> Item {
    Item { title: None, ..task(1, 1) }
}

async fn get(home: &Home) -> hub::Held<domain::answer::One> {
    home.hub.get(&home.anew(), &from(&["work"]), (kind("tasks"), empty().id), true).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn to_know_what_a_grant_gives_one_call_is_made_also_where_nothing_was_known_of_it() {
    let (home, side) = restarted(None).await;
    for _ in 0..2 {
        let planned = planned(&home, &["work"], "tasks", Asks::Page).await;
        assert_eq!((planned.taken, planned.costs, planned.refusal), (1, (1, 1), None));
        assert_eq!(called(&side), ["capabilities"], "not once for its doors and once more for its words");
        side.board().ids.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_row_would_cost_is_what_it_costs() {
    for (told, words) in [(None, 1), (Some(terms(&["body"], &["cli"])), 0)] {
        let is_told = told.is_some();
        let (home, side) = restarted(told).await;
        side.board().rows = vec![empty()];
        if is_told {
            crate::control::until("the terms are told", async || {
                home.hub.links(&home.alice).await.unwrap()[0].terms.is_some()
            })
            .await;
        }
        for (names, asks, costs) in [
            (&["work"][..], Asks::Row, (1, 1 + words)),
            (&["here", "work"], Asks::Row, (0, 1 + words)),
            (&["here", "work"], Asks::Beginning, (1, PAGES + 1 + words)),
            (&["here", "work"], Asks::Page, (1, 1)),
        ] {
            assert_eq!(planned(&home, names, "tasks", asks).await.costs, costs, "{asks:?}, told: {is_told}");
        }
        side.board().ids.clear();
        let got = get(&home).await;
        assert_eq!(got.withheld.as_ref().map(|fields| fields.contains(&"body".parse().unwrap())), Some(!is_told));
        assert_eq!(called(&side).len(), 1 + words as usize, "{:?}, told: {is_told}", called(&side));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_link_of_which_nothing_was_known_asks_for_its_words_once() {
    let (home, side) = restarted(None).await;
    side.board().rows = vec![empty()];
    assert!(get(&home).await.withheld.is_some());
    assert_eq!(called(&side), ["capabilities", "get"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_would_be_refused_is_asked_in_vain_and_takes_its_first_call() {
    let (home, _side) = restarted(None).await;
    for asks in [Asks::Page, Asks::Row, Asks::Beginning] {
        let planned = planned(&home, &["work"], "notes", asks).await;
        assert_eq!((planned.costs, planned.is_asked()), ((1, 1), true), "{asks:?}");
        assert_eq!(planned.refusal.as_deref(), Some("the grant does not share notes"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_left_alone_costs_nothing_and_a_refusal_by_its_limit_neither() {
    let (home, side) = restarted(None).await;
    side.board().capabilities = Capabilities::Refused;
    let unsaid = planned(&home, &["work"], "tasks", Asks::Page).await;
    assert_eq!((unsaid.taken, unsaid.costs, unsaid.shares), (1, (1, 1), None), "it was asked, and does not say");
    side.always(Behaviour::Refuse(refusal(Code::Unavailable, "STORE_UNAVAILABLE", "it cannot")));
    for _ in 0..3 {
        home.ask(5).await;
    }
    side.board().ids.clear();
    let alone = planned(&home, &["work"], "tasks", Asks::Page).await;
    assert_eq!((alone.outcome.outcome, alone.taken, alone.costs), (Outcome::Error, 0, (0, 0)));
    assert_eq!(called(&side), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_limit_or_the_door_refused_has_taken_no_call() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    for (code, reason, taken) in [
        (Code::ResourceExhausted, "GRANT_RATE", 0),
        (Code::PermissionDenied, "NOT_PERMITTED", 0),
        (Code::Unavailable, "STORE_UNAVAILABLE", 1),
    ] {
        crate::home::answered(&home, &side).await;
        side.board().capabilities = Capabilities::Failed(refusal(code, reason, "no"));
        assert_eq!(planned(&home, &["work"], "tasks", Asks::Page).await.taken, taken, "{reason}");
        side.board().capabilities = Capabilities::Told;
    }
    side.die().await;
    assert_eq!(planned(&home, &["work"], "tasks", Asks::Page).await.taken, 0, "nobody was reached");
}

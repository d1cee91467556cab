//! What is counted of questions: those that went over a link as requests, and those that did not by why.

use crate::{
    control::until,
    doors::{restarted, terms},
    home::{Home, from, tasks},
    service::{Behaviour, refusal},
    side::Side,
};
use domain::scope::Door;
use hub::Asker;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tonic::Code;

/// The counted numbers that begin so, each with its value.
pub fn counted(home: &Home, starts: &[&str]) -> Vec<String> {
    let (mut registry, mut said) = (Registry::default(), String::new());
    home.trails.register(&mut registry);
    encode(&mut said, &registry).unwrap();
    let mut lines: Vec<_> =
        said.lines().filter(|line| starts.iter().any(|start| line.starts_with(start))).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn of_lists(home: &Home) -> Vec<String> {
    let lists = "requests_total{side=\"asking\",verb=\"list\"";
    let times = "request_duration_seconds_count{side=\"asking\",verb=\"list\"";
    counted(home, &[lists, times, "not_sent_total", "kept_answers_total", "rows_total"])
}

fn pages(home: &Home, door: Door, rows: u32) -> impl Future<Output = ()> {
    let asker = Asker { door, ..home.anew() };
    async move { drop(home.hub.page(&asker, tasks(from(&["work"]), rows)).await.unwrap()) }
}

fn unavailable(side: &Side) {
    side.always(Behaviour::Refuse(refusal(Code::Unavailable, "STORE_UNAVAILABLE", "it cannot")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_go_over_its_link_is_no_request_and_is_counted_by_why() {
    let (home, side) = restarted(Some(terms(&["title"], &["cli"]))).await;
    until("the terms are told", async || home.hub.links(&home.alice).await.unwrap()[0].terms.is_some()).await;
    assert_eq!(of_lists(&home), ["kept_answers_total 0"]);
    // Sent; kept from that; refused by its door.
    for door in [Door::Cli, Door::Cli, Door::Mcp] {
        pages(&home, door, 5).await;
    }
    let first = [
        "kept_answers_total 1",
        "not_sent_total{reason=\"door\"} 1",
        "request_duration_seconds_count{side=\"asking\",verb=\"list\"} 1",
        "requests_total{side=\"asking\",verb=\"list\",outcome=\"ok\"} 1",
        "rows_total{side=\"asking\",resource=\"tasks\"} 3",
    ];
    assert_eq!(of_lists(&home), first);
    // Two that are equal, of which one is sent and neither answered; one that nobody waits for.
    side.next(Behaviour::Hang);
    let (one, other) = (pages(&home, Door::Cli, 6), pages(&home, Door::Cli, 6));
    let given_up = async {
        until("one is sent", async || side.board().asked.len() == 2).await;
        drop(tokio::time::timeout(std::time::Duration::from_millis(50), pages(&home, Door::Cli, 6)).await);
    };
    tokio::join!(one, other, given_up);
    // Three that are answered badly, and one that is held back for it.
    unavailable(&side);
    for _ in 0..3 {
        pages(&home, Door::Cli, 7).await;
    }
    let told = of_lists(&home);
    for line in [
        "not_sent_total{reason=\"circuit\"} 1",
        "not_sent_total{reason=\"door\"} 1",
        "not_sent_total{reason=\"equal\"} 1",
        "not_sent_total{reason=\"given_up\"} 1",
        "request_duration_seconds_count{side=\"asking\",verb=\"list\"} 4",
        "requests_total{side=\"asking\",verb=\"list\",outcome=\"error\"} 2",
        "requests_total{side=\"asking\",verb=\"list\",outcome=\"ok\"} 1",
        "requests_total{side=\"asking\",verb=\"list\",outcome=\"timeout\"} 1",
    ] {
        assert!(told.iter().any(|said| said == line), "{line} in {told:#?}");
    }
    assert_eq!(told.iter().filter(|line| line.starts_with("request")).count(), 4, "{told:#?}");
    assert_eq!(side.board().asked.len(), 4, "requests at the other side");
}

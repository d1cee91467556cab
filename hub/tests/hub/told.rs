//! What the other side tells beside its rows: what is left of the grant's limit, and how many fields the grant keeps back.

use crate::{
    home::{Home, ended, from, tasks},
    service::{Behaviour, refusal, says},
    side::{Side, task},
};
use domain::{
    answer::{Outcome, SourceOutcome, Step},
    kind::Kinds,
    wire,
};
use futures::StreamExt;
use proto::v1::{self, notice::News, session_response::Said};
use std::time::Duration;
use tonic::Code;

async fn linked() -> (Home, Side) {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    (home, side)
}

async fn work(home: &Home) -> SourceOutcome {
    ended(&home.ask(5).await, "work").clone()
}

#[tokio::test]
async fn what_is_left_of_the_limit_is_in_a_page_a_stream_a_row_and_a_refusal() {
    let (home, side) = linked().await;
    assert_eq!(work(&home).await.calls_left, None, "it does not say");
    side.board().calls_left = vec!["17"];
    let page = home.ask(5).await;
    assert_eq!((ended(&page, "work").calls_left, ended(&page, "here").calls_left), (Some(17), None));
    let steps = home.hub.stream(&home.alice, tasks(from(&["work"]), 5)).await.unwrap();
    let ends: Vec<_> =
        steps.filter_map(async |step| if let Step::End(end) = step { Some(end) } else { None }).collect().await;
    assert_eq!(ends[0].calls_left, Some(17));
    let row = v1::GetResponse { item: Some(wire::item(task(1, 1))), as_of: Some(wire::timestamp(home.world.now())) };
    let row = v1::GetResponse { item: row.item.map(|item| v1::Item { body: Some("text".into()), ..item }), ..row };
    side.next(Behaviour::Row(Box::new(row)));
    let one =
        home.hub.get(&home.alice, &from(&["work"]), ("tasks".parse().unwrap(), task(1, 1).id), false).await.unwrap();
    assert_eq!((one.row.is_some(), one.sources[0].calls_left), (true, Some(17)));
    side.board().calls_left = vec!["0"];
    side.next(Behaviour::Refuse(refusal(Code::ResourceExhausted, "GRANT_RATE", "used up")));
    let limited = work(&home).await;
    assert_eq!((limited.outcome, limited.calls_left), (Outcome::RateLimited, Some(0)));
}

#[tokio::test]
async fn nonsense_about_what_is_left_is_not_believed_and_costs_no_row() {
    let (home, side) = linked().await;
    let nonsense: [&[&str]; 9] =
        [&["-1"], &["+5"], &["1e3"], &["0x10"], &[" 7"], &[""], &["100001"], &["99999999999999999999999"], &["5", "6"]];
    for said in nonsense {
        side.board().calls_left = said.to_vec();
        let work = work(&home).await;
        assert_eq!((work.outcome, work.rows, work.calls_left), (Outcome::Ok, 1, None), "{said:?}");
    }
    side.board().calls_left = vec!["100000"];
    assert_eq!(work(&home).await.calls_left, Some(100_000), "the most that a grant may allow");
}

#[tokio::test]
async fn how_many_fields_are_kept_back_is_told_until_the_grant_changes() {
    let (home, side) = linked().await;
    let all = Kinds::builtin().get(&"tasks".parse().unwrap()).unwrap().fields.len();
    let kept_back = Some(u32::try_from(all - 1).unwrap());
    let page = home.ask(5).await;
    assert_eq!((ended(&page, "work").withheld, ended(&page, "here").withheld), (kept_back, None));
    side.board().has_sessions = true;
    home.hub.keep_in_touch();
    while side.board().tell.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let fields = ["title", "body", "tags"].map(str::to_owned).to_vec();
    let resources = vec![v1::ResourceScope { resource: "tasks".into(), fields }];
    let told = v1::Terms { resources, ..v1::Terms::default() };
    for (generation, terms) in [(3, told), (4, v1::Terms::default())] {
        let notice = v1::Notice { generation, news: Some(News::Changed(terms)) };
        side.board().tell.as_ref().unwrap().send(says(Said::Notice(notice))).unwrap();
        while side.board().acknowledged.last() != Some(&generation) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let now = if generation == 3 { kept_back.map(|fields| fields - 2) } else { kept_back };
        assert_eq!(
            work(&home).await.withheld,
            now,
            "as the session told, else as the other side says when it is asked"
        );
    }
    home.hub.stop().await;
}

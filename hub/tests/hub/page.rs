//! The ordered page: order, paging to the end, late sources, cursors.

use crate::{
    home::{Home, assert_ended, ended, from, tasks},
    service::{After, Behaviour, chunk},
    side::{Side, task},
};
use domain::answer::{Outcome, Page, Row};
use hub::{Asker, HubError, Question, Sources};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

fn order(rows: &[Row]) -> Vec<(i64, String)> {
    rows.iter().map(|row| (row.item.created_at.seconds() - 1_790_000_000, row.source.clone())).collect()
}

fn is_ordered(rows: &[Row]) -> bool {
    rows.windows(2).all(|pair| pair[0].item.position() >= pair[1].item.position())
}

async fn next_page(home: &Home, before: &Page, limit: u32) -> Page {
    let question = Question { cursor: before.next.clone(), ..tasks(Sources::All, limit) };
    home.hub.page(&home.alice, question).await.unwrap().part().0
}

#[tokio::test]
async fn rows_of_all_sources_come_in_one_order_with_their_source() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(5, 1), task(3, 2), task(1, 3)]).await;
    home.link(&side).await;
    home.add_tasks([4, 2]).await;
    let page = home.ask(10).await;
    let expected = [(5, "work"), (4, "here"), (3, "work"), (2, "here"), (1, "work")];
    assert_eq!(order(&page.rows), expected.map(|(at, source)| (at, source.to_owned())));
    assert_eq!((page.next, page.sources.len()), (None, 2));
    assert!(page.rows.iter().all(|row| row.item.body.is_none() && !row.late));
}

#[tokio::test]
async fn paging_to_the_end_shows_every_row_once_also_where_times_are_equal() {
    let home = Home::new().await;
    // Two sources hold rows of the same instants, and even rows of the same ids.
    let one = Side::with("one", (0..37).map(|id| task(id / 5, 1_000 + id)).collect()).await;
    let two = Side::with("two", (0..23).map(|id| task(id / 5, 1_000 + id)).collect()).await;
    home.link(&one).await;
    home.link(&two).await;
    home.add_tasks((0..11).map(|at| at / 3)).await;
    let (mut page, mut rows) = (home.ask(4).await, Vec::new());
    for _ in 0..40 {
        rows.extend(page.rows.clone());
        if page.next.is_none() {
            break;
        }
        page = next_page(&home, &page, 4).await;
    }
    let distinct: BTreeSet<_> = rows.iter().map(|row| (row.source.clone(), row.item.id)).collect();
    assert_eq!((rows.len(), distinct.len()), (37 + 23 + 11, 37 + 23 + 11));
    assert!(is_ordered(&rows) && rows.iter().all(|row| !row.late));
}

#[tokio::test]
async fn own_rows_beyond_one_chunk_are_all_shown() {
    let home = Home::new().await;
    home.add_tasks(0..450).await;
    let page = home.ask(430).await;
    assert_eq!((page.rows.len(), ended(&page, "here").truncated), (430, true));
    let rest = next_page(&home, &page, 430).await;
    assert_eq!((rest.rows.len(), rest.next), (20, None));
}

#[tokio::test]
async fn a_source_that_was_cut_short_ends_the_page_there() {
    let home = Home::new().await;
    let side = Side::with("work", (0..6).map(|id| task(10 + id, id)).collect()).await;
    side.board().cap = Some(2);
    home.link(&side).await;
    home.add_tasks([1]).await;
    let page = home.ask(10).await;
    // Were the older row of `here` shown now, the other rows of `work` would come out of order later.
    assert_eq!(order(&page.rows), [(15, "work".to_owned()), (14, "work".to_owned())]);
    assert!(ended(&page, "work").truncated);
    let page = next_page(&home, &page, 10).await;
    assert_eq!(order(&page.rows)[0], (13, "work".to_owned()));
}

#[tokio::test]
async fn rows_of_a_late_source_come_on_the_next_page_flagged() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(9, 1), task(2, 2)]).await;
    home.link(&side).await;
    home.add_tasks([7, 5, 3]).await;
    side.next(Behaviour::Hang);
    let first = home.ask(2).await;
    assert_eq!(order(&first.rows), [(7, "here".to_owned()), (5, "here".to_owned())]);
    assert_ended(&first, "work", Outcome::Timeout, "try again");
    let second = next_page(&home, &first, 9).await;
    let shown: Vec<_> = second.rows.iter().map(|row| (row.source.as_str(), row.late)).collect();
    assert_eq!(shown, [("work", true), ("here", false), ("work", false)]);
    assert_eq!(second.next, None);
}

#[tokio::test]
async fn what_a_source_gave_before_it_stopped_is_shown_and_the_rest_comes_later() {
    let home = Home::new().await;
    let rows: Vec<_> = (0..4).map(|id| task(10 - id, id)).collect();
    let side = Side::with("work", rows.clone()).await;
    home.link(&side).await;
    side.next(Behaviour::Chunks(vec![chunk(rows[..2].to_vec(), None)], After::Nothing));
    let first = home.ask(10).await;
    assert_ended(&first, "work", Outcome::Partial, "stopped before its end");
    assert_eq!((first.rows.len(), ended(&first, "work").rows), (2, 2));
    let second = next_page(&home, &first, 10).await;
    assert_eq!(order(&second.rows), [(8, "work".to_owned()), (7, "work".to_owned())]);
}

#[tokio::test]
async fn what_broke_off_beyond_the_end_of_a_page_is_missing_from_none() {
    let home = Home::new().await;
    let rows: Vec<_> = (0..4).map(|id| task(10 - id, id)).collect();
    let side = Side::with("work", rows.clone()).await;
    home.link(&side).await;
    home.add_tasks([20, 19]).await;
    let broken = Behaviour::Chunks(vec![chunk(rows[..3].to_vec(), None)], After::Nothing);
    for (limit, shown) in [(3, 1), (4, 2)] {
        side.next(broken.clone());
        let page = home.ask(limit).await;
        let work = ended(&page, "work");
        assert_eq!((work.outcome, work.rows, work.truncated, &work.reason), (Outcome::Ok, shown, true, &None));
        assert!(page.verdict.complete, "{page:?}");
        let strict = Question { cursor: page.next.clone(), strict: true, ..tasks(Sources::All, 10) };
        let rest = home.hub.page(&home.alice, strict).await.unwrap().part().0;
        assert_eq!((page.rows.len() + rest.rows.len(), rest.next), (6, None));
    }
    side.next(broken);
    let page = home.ask(5).await;
    assert_eq!(
        (ended(&page, "work").outcome, page.verdict.complete),
        (Outcome::Partial, false),
        "what follows is not known"
    );
}

#[tokio::test]
async fn a_hung_source_costs_the_others_nothing_but_the_deadline() {
    let home = Home::new().await;
    let (hung, quick) = (Side::with("hung", vec![]).await, Side::with("quick", vec![task(1, 1)]).await);
    home.link(&hung).await;
    home.link(&quick).await;
    hung.always(Behaviour::Hang);
    let started = Instant::now();
    let page = home.ask(5).await;
    let took = started.elapsed();
    assert!(took < crate::home::DEADLINES.source + Duration::from_millis(700), "{took:?}");
    assert_eq!(ended(&page, "quick").outcome, Outcome::Ok);
    assert!(ended(&page, "quick").took_ms < 1_000, "{page:?}");
    assert_eq!(page.rows.len(), 1);
}

#[tokio::test]
async fn a_page_that_showed_nothing_has_no_next_one() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    home.add_tasks([1]).await;
    side.die().await;
    let first = home.ask(5).await;
    assert_eq!((first.rows.len(), first.next.is_some()), (1, true));
    let second = next_page(&home, &first, 5).await;
    assert_eq!((second.rows.len(), second.next.as_ref()), (0, None));
    assert_eq!(ended(&second, "work").outcome, Outcome::Offline);
}

#[tokio::test]
async fn a_cursor_belongs_to_its_question_user_and_sources() {
    let home = Home::new().await;
    let side = Side::with("work", (0..5).map(|id| task(id, id)).collect()).await;
    home.link(&side).await;
    let cursor = home.ask(2).await.next;
    let good = Question { cursor: cursor.clone(), ..tasks(Sources::All, 3) };
    assert!(home.hub.page(&home.alice, good.clone()).await.is_ok());
    let others = [
        Question { include_body: true, ..good.clone() },
        Question { resource: "notes".parse().unwrap(), ..good.clone() },
        Question { from: from(&["work"]), ..good.clone() },
    ];
    for other in others {
        let refused = home.hub.page(&home.alice, other.clone()).await;
        assert!(matches!(refused, Err(HubError::Cursor)), "{other:?}");
    }
    for garbage in [Some("nonsense".to_owned()), cursor.map(|text| text[..text.len() - 4].to_owned())] {
        let refused = home.hub.page(&home.alice, Question { cursor: garbage, ..good.clone() }).await;
        assert!(matches!(&refused, Err(HubError::Question(words)) if words.contains("not a cursor")), "{refused:?}");
    }
    let elsewhere = Asker { workspace: domain::id::WorkspaceId(home.world.uuid()), ..home.alice };
    for asker in [home.bob, elsewhere] {
        assert!(matches!(home.hub.page(&asker, good.clone()).await, Err(HubError::Cursor)));
    }
}

#[tokio::test]
async fn a_strict_question_shows_nothing_unless_every_source_answers() {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    home.add_tasks([2]).await;
    let strict = Question { strict: true, ..tasks(Sources::All, 5) };
    assert_eq!(home.hub.page(&home.alice, strict.clone()).await.unwrap().rows.len(), 2);
    side.die().await;
    match home.hub.page(&home.alice, strict).await {
        Err(HubError::Incomplete(sources)) => assert_eq!(sources.len(), 2),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_limit_outside_one_to_ten_thousand_is_refused() {
    let home = Home::new().await;
    for (limit, good) in [(0, false), (1, true), (10_000, true), (10_001, false)] {
        assert_eq!(home.hub.page(&home.alice, tasks(Sources::All, limit)).await.is_ok(), good, "{limit}");
    }
}

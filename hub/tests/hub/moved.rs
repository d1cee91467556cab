//! An answer page by page, while links come and go between two pages.

use crate::{
    home::{Home, assert_ended, ended, from, name, tasks},
    side::{Side, task},
};
use domain::answer::{Outcome, Page};
use hub::{HubError, Question, Sources};

async fn next_page(home: &Home, from: Sources, before: &Page) -> Result<Page, HubError> {
    let question = Question { cursor: before.next.clone(), ..tasks(from, 2) };
    home.hub.page(&home.alice, question).await.map(|page| page.part().0)
}

/// Six rows at `work`, four at `lab`, two here.
async fn linked() -> (Home, Side, Side) {
    let home = Home::new().await;
    let work = Side::with("work", (0..6).map(|id| task(2 * id, 10 + id)).collect()).await;
    let lab = Side::with("lab", (0..4).map(|id| task(2 * id + 1, 20 + id)).collect()).await;
    home.link(&work).await;
    home.link(&lab).await;
    home.add_tasks([1, 2]).await;
    (home, work, lab)
}

#[tokio::test]
async fn a_link_that_is_removed_between_two_pages_is_a_gap_and_the_others_go_on() {
    for named in [Sources::All, from(&["here", "lab", "work"])] {
        let (home, _work, _lab) = linked().await;
        let first = home.hub.page(&home.alice, tasks(named.clone(), 2)).await.unwrap().part().0;
        assert!(first.verdict.complete && first.rows.iter().all(|row| row.source == "work"), "{first:?}");
        home.hub.unlink(&home.alice, &name("work"), true).await.unwrap();
        let second = next_page(&home, named.clone(), &first).await.unwrap();
        assert_ended(&second, "work", Outcome::Revoked, "removed since the answer began");
        assert_eq!(second.verdict.missing.as_deref(), Some("the rows of work (revoked) are missing"));
        assert_eq!((ended(&second, "work").rows, ended(&second, "lab").outcome), (0, Outcome::Ok));
        let (mut page, mut rows) = (second.clone(), second.rows.clone());
        while page.next.is_some() {
            page = next_page(&home, named.clone(), &page).await.unwrap();
            assert!(page.verdict.complete, "it is told once, by the page on which it went: {page:?}");
            rows.extend(page.rows.clone());
        }
        let of = |source: &str| rows.iter().filter(|row| row.source == source).count();
        assert_eq!((of("work"), of("lab"), of("here")), (0, 4, 2));
    }
}

#[tokio::test]
async fn a_strict_page_says_that_a_link_was_removed() {
    let (home, _work, _lab) = linked().await;
    let first = home.ask(2).await;
    home.hub.unlink(&home.alice, &name("lab"), true).await.unwrap();
    let strict = Question { cursor: first.next, strict: true, ..tasks(Sources::All, 2) };
    let refused = home.hub.page(&home.alice, strict).await.unwrap_err();
    assert!(refused.to_string().contains("lab is revoked (this link was removed"), "{refused}");
}

#[tokio::test]
async fn a_link_that_is_added_between_two_pages_is_of_the_next_answer() {
    let (home, _work, _lab) = linked().await;
    let first = home.ask(2).await;
    let new = Side::with("new", vec![task(3, 99)]).await;
    home.link(&new).await;
    let second = next_page(&home, Sources::All, &first).await.unwrap();
    assert!(second.verdict.complete && second.sources.iter().all(|source| source.source != "new"), "{second:?}");
    assert!(home.ask(2).await.sources.iter().any(|source| source.source == "new"));
}

#[tokio::test]
async fn a_link_of_the_same_name_is_not_the_one_that_was_removed() {
    let (home, _work, _lab) = linked().await;
    let named = from(&["work", "lab"]);
    let first = home.hub.page(&home.alice, tasks(named.clone(), 2)).await.unwrap().part().0;
    home.hub.unlink(&home.alice, &name("work"), true).await.unwrap();
    let other = Side::with("work", vec![task(3, 99)]).await;
    home.link(&other).await;
    let second = next_page(&home, named, &first).await.unwrap();
    assert_ended(&second, "work", Outcome::Revoked, "removed since the answer began");
    assert!(other.board().asked.is_empty(), "a cursor of another grant was sent to it");
}

#[tokio::test]
async fn a_cursor_goes_with_the_sources_that_it_was_made_for() {
    let (home, _work, _lab) = linked().await;
    let all = home.ask(2).await;
    let one = home.hub.page(&home.alice, tasks(from(&["work"]), 2)).await.unwrap().part().0;
    for (page, others) in
        [(&all, from(&["here", "lab", "work"])), (&all, from(&["work"])), (&one, Sources::All), (&one, from(&["lab"]))]
    {
        assert!(matches!(next_page(&home, others.clone(), page).await, Err(HubError::Cursor)), "{others:?}");
    }
    let unknown = next_page(&home, from(&["nobody"]), &one).await;
    assert!(matches!(unknown, Err(HubError::NoSuchLink(_))), "{unknown:?}");
}

//! One row, from whoever has it.

use crate::{
    home::{Home, answered, from},
    service::{Behaviour, refusal},
    side::{Side, task},
};
use domain::{
    answer::Outcome,
    id::{ItemId, Resource},
    wire,
};
use hub::{Deadlines, Sources};
use proto::v1;
use std::time::Duration;
use tonic::Code;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_row_is_found_wherever_it_is_and_a_hung_link_delays_it_not() {
    let home = Home::new().await;
    let (hung, side) = (Side::with("hung", vec![]).await, Side::with("work", vec![task(1, 1)]).await);
    home.link(&hung).await;
    home.link(&side).await;
    hung.always(Behaviour::Hang);
    let resource = || "tasks".parse().unwrap();
    let one = home.hub.get(&home.alice, &Sources::All, (resource(), task(1, 1).id), false).await.unwrap().part().0;
    assert_eq!(one.row.unwrap().source, "work");
    assert!(one.sources.iter().all(|ended| ended.outcome == Outcome::Ok && ended.source != "hung"));
}

#[tokio::test]
async fn a_row_of_this_instance_is_asked_of_nobody_else() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    home.add_tasks([1]).await;
    let mine = home.ask(1).await.rows.remove(0);
    let asked = home.asked().await.len();
    let one =
        home.hub.get(&home.alice, &Sources::All, (mine.item.resource, mine.item.id), false).await.unwrap().part().0;
    assert_eq!(one.row.unwrap().item.body.as_deref(), Some("text"), "a row on its own carries its body");
    assert_eq!((one.sources.len(), home.asked().await.len()), (1, asked));
}

#[tokio::test]
async fn a_row_that_nobody_has_is_no_error_of_anybody() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    let nobodys = ItemId(Uuid::from_u128(404));
    let one =
        home.hub.get(&home.alice, &Sources::All, ("tasks".parse().unwrap(), nobodys), false).await.unwrap().part().0;
    assert_eq!(one.row, None);
    assert!(one.sources.len() == 2 && one.sources.iter().all(|ended| ended.outcome == Outcome::Ok && ended.rows == 0));
}

#[tokio::test]
async fn a_refused_or_false_row_is_told_and_not_shown() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    home.link(&side).await;
    let as_of = Some(wire::timestamp(home.world.now()));
    let row = |item| Behaviour::Row(Box::new(v1::GetResponse { item, as_of }));
    let notes = v1::Item { resource: "notes".into(), ..wire::item(task(1, 1)) };
    let denied = refusal(Code::PermissionDenied, "OUT_OF_SCOPE", "it does not allow get");
    for (behaviour, outcome, word) in [
        (row(Some(wire::item(task(1, 2)))), Outcome::Error, "another row"),
        (row(Some(notes)), Outcome::Error, "another kind"),
        (row(None), Outcome::Error, "without a row"),
        (Behaviour::Refuse(denied), Outcome::Denied, "does not allow get"),
        (Behaviour::Hang, Outcome::Timeout, "no answer within"),
    ] {
        answered(&home, &side).await;
        side.next(behaviour);
        let one = home
            .hub
            .get(&home.alice, &from(&["work"]), ("tasks".parse().unwrap(), task(1, 1).id), false)
            .await
            .unwrap()
            .part()
            .0;
        assert_eq!((one.row, one.sources[0].outcome), (None, outcome), "{word}");
        assert!(one.sources[0].reason.as_ref().unwrap().contains(word), "{:?}", one.sources);
    }
}

#[tokio::test]
async fn a_source_that_is_silent_is_asked_once_for_a_row_that_is_looked_for_on_many_pages() {
    let home = Home::with(Deadlines { source: Duration::from_millis(300), overall: 60 * PATIENCE }).await;
    let side = Side::with("work", (0..1_700).map(|id| task(id, id)).collect()).await;
    let still = Side::with("still", vec![]).await;
    home.link(&side).await;
    home.link(&still).await;
    still.always(Behaviour::Hang);
    let kind = "tasks".parse().unwrap();
    // The beginning of every id there is: the newest rows do not suffice.
    let sought = home.hub.seek(&home.alice, &Sources::All, &kind, ("0000", false), home.hub.until()).await.unwrap();
    assert_eq!((side.board().asked.len(), still.board().asked.len()), (5, 1), "pages, and deadlines spent");
    assert_eq!((sought.found.len(), sought.whole, sought.is_uncertain()), (1_700, true, true));
    assert_eq!(sought.ended["still"].outcome, Outcome::Timeout);
}

#[tokio::test]
async fn all_questions_for_one_row_have_one_deadline_together() {
    // A source alone would have an hour.
    let home = Home::with(Deadlines { source: 360 * PATIENCE, overall: Duration::from_millis(400) }).await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    let (kind, until): (Resource, _) = ("tasks".parse().unwrap(), home.hub.until());
    side.always(Behaviour::Hang);
    let sought = home.hub.seek(&home.alice, &from(&["work"]), &kind, ("0000", false), until).await.unwrap();
    assert!(sought.found.is_empty() && sought.is_uncertain(), "{:?}", *sought);
    side.board().always = None;
    let asked = side.board().ids.len();
    let (id, fresh) = (task(1, 1).id, false);
    let one = home.hub.get_by(&home.alice, &from(&["work"]), (kind.clone(), id), (fresh, until)).await.unwrap();
    assert_eq!(
        (one.sources[0].outcome, side.board().ids.len()),
        (Outcome::Timeout, asked),
        "nothing was sent any more"
    );
    assert!(one.sources[0].reason.as_ref().unwrap().contains("ask again with the whole id"));
    let records = home.asked().await;
    assert!(records.iter().any(|record| record.note.starts_with("timeout: not asked")), "{records:?}");
}

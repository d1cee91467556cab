//! One row, from whoever has it.

use crate::{
    home::{Home, answered, from},
    service::{Behaviour, refusal},
    side::{Side, task},
};
use domain::{answer::Outcome, id::ItemId, wire};
use hub::Sources;
use proto::v1;
use tonic::Code;
use uuid::Uuid;

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

//! A stranger that asks too often: refused with the time to wait, and answered after it.

use crate::{office::Office, stage::Stage};
use domain::audit::Ending;
use std::time::Instant;

async fn asking_too_often_is_refused_with_a_time_to_wait_after_which_it_is_answered(stage: Stage) {
    let office = Office::start().await;
    let grant = office.linked(&stage, r#"{"resources":["tasks"],"rate":{"per_minute":20,"burst":7}}"#).await;
    let (before, began) = (office.log_end().await, Instant::now());
    let said = stage.ask("link", &["exhaust"]).await;
    let took = began.elapsed();
    assert_eq!((said.events(), said.code), (vec!["answered", "refused", "waited", "answered"], 0));
    let refused = said.one("refused");
    assert_eq!((&refused["code"], &refused["reason"]), (&"RESOURCE_EXHAUSTED".into(), &"GRANT_RATE".into()));
    let told = refused["retry_after_ms"].as_u64().expect("a time to wait");
    // One call is refilled in three seconds.
    assert!((1..=3_000).contains(&told), "{told} ms");
    assert_eq!(said.one("waited")["ms"], told);
    assert!(took.as_millis() >= u128::from(told), "it did not wait");
    let calls: Vec<_> = said.all("answered").iter().map(|line| line["calls"].as_u64().expect("a number")).collect();
    let refilled = took.as_secs() / 3 + 1;
    assert!((7..=7 + refilled).contains(&calls[0]) && calls[1] == 1, "{calls:?} in {took:?}");
    let log = office.log_after(before).await;
    let mine = || log.iter().filter(|entry| entry.grant == Some(grant.id) && entry.about == "capabilities");
    let answered = mine().filter(|entry| entry.ending == Ending::Answered).count();
    assert_eq!(answered as u64, calls[0] + 1, "{log:?}");
    let turned = office.on_record(refused, grant.id).await;
    assert_eq!((turned[0].ending, turned[0].reason.as_deref()), (Ending::Refused, Some("GRANT_RATE")));
}

async fn fewer_calls_than_the_rate_are_all_answered(stage: Stage) {
    let office = Office::start().await;
    office.linked(&stage, r#"{"resources":["tasks"],"rate":{"per_minute":20,"burst":7}}"#).await;
    let said = stage.ask("link", &["exhaust", "--at-most", "4"]).await;
    assert_eq!((said.events(), said.code), (vec!["answered"], 0));
    assert_eq!(said.one("answered")["calls"], 4);
}

crate::for_each_client!(
    asking_too_often_is_refused_with_a_time_to_wait_after_which_it_is_answered,
    fewer_calls_than_the_rate_are_all_answered,
);

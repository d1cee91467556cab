//! Every outcome of the closed list, by a real behaviour of a real server.

use crate::{
    home::{Home, answered, assert_ended, ended, from, tasks},
    service::{After, Behaviour, chunk, refusal},
    side::{Side, task},
};
use domain::{answer::Outcome, id::Name, wire};
use hub::LinkState;
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

async fn linked(name: &str) -> (Home, Side) {
    let home = Home::new().await;
    let side = Side::with(name, vec![task(2, 2), task(1, 1)]).await;
    home.link(&side).await;
    (home, side)
}

async fn state(home: &Home) -> LinkState {
    home.hub.links(&home.alice).await.unwrap()[0].state
}

#[tokio::test]
async fn ok_is_every_row_up_to_the_limit() {
    let (home, _side) = linked("work").await;
    let page = home.ask(1).await;
    assert_eq!((ended(&page, "work").outcome, ended(&page, "work").reason.as_ref()), (Outcome::Ok, None));
    assert_eq!(state(&home).await, LinkState::Up);
}

#[tokio::test]
async fn partial_is_rows_and_then_silence() {
    let (home, side) = linked("work").await;
    side.next(Behaviour::Chunks(vec![chunk(vec![task(2, 2)], None)], After::Silence));
    let page = home.ask(5).await;
    assert_ended(&page, "work", Outcome::Partial, "no answer within");
    assert_eq!(page.rows.len(), 1);
}

#[tokio::test]
async fn denied_is_a_question_outside_the_scope() {
    let (home, side) = linked("work").await;
    let words = "grant home does not allow list on tasks; it shares notes";
    side.always(Behaviour::Refuse(refusal(Code::PermissionDenied, "OUT_OF_SCOPE", words)));
    let page = home.ask(5).await;
    assert_ended(&page, "work", Outcome::Denied, words);
    assert_eq!((state(&home).await, page.next), (LinkState::Up, None));
}

#[tokio::test]
async fn revoked_is_what_the_other_side_says_of_this_link() {
    let (home, side) = linked("work").await;
    side.always(Behaviour::Refuse(refusal(Code::PermissionDenied, "NOT_PERMITTED", "not permitted")));
    let page = home.ask(5).await;
    assert_ended(&page, "work", Outcome::Revoked, "new invite");
    assert_eq!((state(&home).await, page.next), (LinkState::Revoked, None));
}

#[tokio::test]
async fn revoked_is_a_refused_certificate_at_the_next_handshake() {
    let (home, side) = linked("work").await;
    side.deny_all();
    side.registry.cut(side.grant).await;
    let page = home.ask(5).await;
    assert_ended(&page, "work", Outcome::Revoked, "new invite");
    assert_eq!(state(&home).await, LinkState::Revoked);
}

#[tokio::test]
async fn rate_limited_says_when_to_try_again() {
    for (reason, said) in [
        ("GRANT_RATE", "this grant's call rate is used up; try again later"),
        ("PEER_RATE", "this instance's call rate is used up; try again later"),
        ("GRANT_RATE", "renewed just now; not again so soon"),
    ] {
        let (home, side) = linked("work").await;
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, proto::PACKAGE, std::collections::HashMap::new());
        details.set_retry_info(Some(Duration::from_millis(2_500)));
        let status = Status::with_error_details(Code::ResourceExhausted, said, details);
        side.always(Behaviour::Refuse(status));
        let page = home.ask(5).await;
        assert_ended(&page, "work", Outcome::RateLimited, if said.contains("rate") { "are used up" } else { said });
        assert_eq!(ended(&page, "work").retry_after_ms, Some(2_500));
    }
}

#[tokio::test]
async fn a_wait_of_a_thousand_years_is_not_believed() {
    let (home, side) = linked("work").await;
    let details = ErrorDetails::with_retry_info(Some(Duration::from_hours(24 * 365 * 1_000)));
    side.always(Behaviour::Refuse(Status::with_error_details(Code::ResourceExhausted, "later", details)));
    let page = home.ask(5).await;
    assert_eq!(ended(&page, "work").retry_after_ms, Some(24 * 60 * 60 * 1_000));
}

#[tokio::test]
async fn timeout_is_a_link_without_an_answer() {
    let (home, side) = linked("work").await;
    side.always(Behaviour::Hang);
    let page = home.ask(5).await;
    assert_ended(&page, "work", Outcome::Timeout, "try again");
    assert_eq!(state(&home).await, LinkState::Timeout);
}

#[tokio::test]
async fn timeout_is_also_what_the_other_side_gives_up_at_the_deadline() {
    let (home, side) = linked("work").await;
    side.always(Behaviour::Refuse(Status::deadline_exceeded("too slow")));
    assert_ended(&home.ask(5).await, "work", Outcome::Timeout, "try again");
}

#[tokio::test]
async fn offline_is_a_closed_port() {
    let (home, side) = linked("work").await;
    side.die().await;
    let page = home.ask(5).await;
    assert_ended(&page, "work", Outcome::Offline, "is mosaic-fed running there");
    assert_eq!(state(&home).await, LinkState::Offline);
}

#[tokio::test]
async fn offline_is_a_port_that_never_shakes_hands() {
    let home = Home::new().await;
    let side = Side::with("work", vec![]).await;
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut invite = side.invite();
    invite.addresses = vec![mute.local_addr().unwrap().to_string()];
    home.hub.link(&home.alice, &invite.encode(), None).await.unwrap();
    assert_ended(&home.ask(5).await, "work", Outcome::Offline, "said nothing");
}

#[tokio::test]
async fn error_is_another_instance_at_the_address() {
    let home = Home::new().await;
    let (side, impostor) = (Side::with("work", vec![]).await, Side::with("other", vec![]).await);
    let mut invite = side.invite();
    invite.addresses = impostor.invite().addresses;
    let first = home.hub.link(&home.alice, &invite.encode(), None).await.unwrap().first;
    assert_eq!(first.outcome.outcome, Outcome::Error);
    assert_ended(&home.ask(5).await, "work", Outcome::Error, "not the instance of the invite");
}

#[tokio::test]
async fn error_is_whatever_else_the_other_side_says() {
    let (home, side) = linked("work").await;
    for (code, reason) in [
        (Code::Unavailable, "AUDIT_UNAVAILABLE"),
        (Code::Unavailable, "STORE_UNAVAILABLE"),
        (Code::Unavailable, "SNAPSHOT_STALE"),
        (Code::Internal, "SECOND_CHECK"),
        (Code::InvalidArgument, "MALFORMED"),
        (Code::Unimplemented, "UNKNOWN_METHOD"),
        (Code::Unknown, "NO_SUCH_REASON"),
    ] {
        answered(&home, &side).await;
        side.next(Behaviour::Refuse(refusal(code, reason, "it cannot")));
        assert_ended(&home.ask(5).await, "work", Outcome::Error, "it cannot");
    }
}

#[tokio::test]
async fn error_is_a_stream_that_stops_before_its_first_row() {
    let (home, side) = linked("work").await;
    side.next(Behaviour::Chunks(Vec::new(), After::Nothing));
    assert_ended(&home.ask(5).await, "work", Outcome::Error, "stopped before its end");
    side.next(Behaviour::Chunks(Vec::new(), After::Status(Status::unavailable("going down"))));
    assert_ended(&home.ask(5).await, "work", Outcome::Error, "going down");
}

#[tokio::test]
async fn a_reason_of_an_unknown_kind_or_domain_is_judged_by_its_code_alone() {
    let (home, side) = linked("work").await;
    let foreign = ErrorDetails::with_error_info("NOT_PERMITTED", "example.org", std::collections::HashMap::new());
    side.next(Behaviour::Refuse(Status::with_error_details(Code::PermissionDenied, "no", foreign)));
    assert_ended(&home.ask(5).await, "work", Outcome::Denied, "no");
    side.next(Behaviour::Refuse(Status::with_details(Code::PermissionDenied, "no", vec![0xff; 40].into())));
    assert_ended(&home.ask(5).await, "work", Outcome::Denied, "no");
}

#[tokio::test]
async fn log_injection_by_the_other_side_becomes_one_short_line() {
    let (home, side) = linked("work").await;
    let hostile = format!("first\r\nsecond\u{1b}[2J\u{2028}\u{202e}{}", "x".repeat(2_000));
    side.next(Behaviour::Refuse(refusal(Code::Unavailable, "STORE_UNAVAILABLE", &hostile)));
    let page = home.ask(5).await;
    let reason = ended(&page, "work").reason.clone().unwrap();
    assert!(reason.chars().count() < 400 && !reason.chars().any(char::is_control), "{reason}");
    assert!(!reason.contains(['\u{2028}', '\u{202e}']));
    let note = home.asked().await.pop().unwrap().note;
    assert!(!note.chars().any(char::is_control), "{note}");
}

#[tokio::test]
async fn a_connection_that_died_while_idle_is_replaced_without_a_failed_question() {
    let (home, side) = linked("work").await;
    for _ in 0..3 {
        side.registry.cut(side.grant).await;
        let page = home.ask(5).await;
        assert_eq!(ended(&page, "work").outcome, Outcome::Ok, "{page:?}");
    }
}

#[tokio::test]
async fn many_questions_at_once_share_one_connection() {
    let (home, side) = linked("work").await;
    side.registry.cut(side.grant).await;
    let work = || home.hub.page(&home.alice, tasks(from(&["work"]), 5));
    let pages = futures::future::join_all((0..20).map(|_| work())).await;
    assert!(pages.into_iter().all(|page| page.unwrap().rows.len() == 2));
    assert_eq!(side.registry.connections(side.grant), 1);
}

#[tokio::test]
async fn a_lost_connection_in_the_middle_keeps_the_rows_that_came() {
    let (home, side) = linked("work").await;
    side.next(Behaviour::Chunks(vec![chunk(vec![task(2, 2)], None)], After::Silence));
    let (hub, alice) = (std::sync::Arc::clone(&home.hub), home.alice);
    let asking = tokio::spawn(async move { hub.page(&alice, tasks(from(&["work"]), 5)).await.unwrap() });
    while side.board().asked.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    side.registry.cut(side.grant).await;
    let page = asking.await.unwrap();
    assert_ended(&page, "work", Outcome::Partial, "connection broke");
    assert_eq!(page.rows.len(), 1);
}

#[tokio::test]
async fn an_unknown_state_is_told_as_unknown_until_the_first_call() {
    let (home, _side) = linked("work").await;
    let restarted = home.restarted();
    let links = restarted.links(&home.alice).await.unwrap();
    assert_eq!((links[0].state, links[0].last_success), (LinkState::Unknown, None));
    let name: Name = "work".parse().unwrap();
    let ping = restarted.ping(&home.alice, &name).await.unwrap();
    assert_eq!(ping.hello.unwrap().name, name);
    let links = restarted.links(&home.alice).await.unwrap();
    assert!(links[0].state == LinkState::Up && links[0].last_success.is_some());
}

#[tokio::test]
async fn a_ping_that_meets_another_instance_than_the_invites_is_an_error() {
    let (home, side) = linked("work").await;
    side.board().hello = Some(|hello| hello.instance_id = "0f8fad5b-d9cb-469f-a165-70867728950e".into());
    let ping = home.hub.ping(&home.alice, &side.name).await.unwrap();
    assert_eq!((ping.outcome.outcome, ping.hello), (Outcome::Error, None));
    side.board().hello = Some(|hello| hello.time = Some(wire::timestamp(domain::Time::from_micros(i64::MAX))));
    let ping = home.hub.ping(&home.alice, &side.name).await.unwrap();
    assert!(ping.hello.unwrap().clock_offset_ms > 1_000_000_000);
}

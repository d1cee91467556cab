//! Which step of a ping fails, by a real behaviour of a real server; those after it were not tried.

use crate::{
    home::Home,
    service::refusal,
    side::{Side, task},
};
use domain::answer::Outcome;
use hub::{Ping, Step, StepEnd};
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::Code;

async fn linked() -> (Home, Side) {
    let home = Home::new().await;
    let side = Side::with("work", vec![task(1, 1)]).await;
    home.link(&side).await;
    (home, side)
}

async fn ping(home: &Home, side: &Side) -> Ping {
    home.hub.ping(&home.alice, &side.name).await.unwrap()
}

/// That this step failed with these words, that those before it passed and those after it were not tried.
#[track_caller]
fn fails_at(ping: &Ping, step: Step, outcome: Outcome, word: &str) {
    assert_eq!(ping.outcome.outcome, outcome, "{ping:?}");
    assert!(ping.steps.iter().map(|tried| tried.step).eq(Step::ALL), "{ping:?}");
    for tried in &ping.steps {
        match &tried.end {
            StepEnd::Passed => assert!(tried.step < step, "{ping:?}"),
            StepEnd::NotTried => assert!(tried.step > step, "{ping:?}"),
            StepEnd::Failed(why) => assert!(tried.step == step && why.contains(word), "{ping:?}"),
        }
    }
}

#[tokio::test]
async fn every_step_passes_and_what_takes_time_says_how_long() {
    let (home, side) = linked().await;
    let ping = ping(&home, &side).await;
    assert!(ping.steps.iter().all(|tried| tried.end == StepEnd::Passed), "{ping:?}");
    let timed: Vec<_> = ping.steps.iter().filter(|tried| tried.took.is_some()).map(|tried| tried.step).collect();
    assert_eq!(timed, [Step::Reach, Step::Handshake, Step::Standing]);
    let link = home.hub.links(&home.alice).await.unwrap().remove(0);
    assert!(link.clock_offset_ms.is_some() && link.latency.is_some_and(|latency| latency.calls >= 4), "{link:?}");
    assert_eq!(side.registry.connections(side.grant), 1, "the link's own connection stays, the other one is let go");
}

#[tokio::test]
async fn a_closed_port_fails_at_reach() {
    let (home, side) = linked().await;
    side.die().await;
    fails_at(&ping(&home, &side).await, Step::Reach, Outcome::Offline, "is mosaic-fed running there");
}

#[tokio::test]
async fn who_says_nothing_or_is_somebody_else_fails_at_the_handshake() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let impostor = Side::with("other", vec![]).await;
    for (addresses, outcome, word) in [
        (vec![mute.local_addr().unwrap().to_string()], Outcome::Offline, "said nothing"),
        (impostor.invite().addresses, Outcome::Error, "not the instance of the invite"),
    ] {
        let (home, side) = (Home::new().await, Side::with("work", vec![]).await);
        let mut invite = side.invite();
        invite.addresses = addresses;
        let first = home.hub.link(&home.alice, &invite.encode(), None).await.unwrap().first;
        fails_at(&first, Step::Handshake, outcome, word);
    }
}

#[tokio::test]
async fn a_refused_certificate_and_a_refused_call_fail_at_standing() {
    let (home, side) = linked().await;
    side.board().refuses = Some(refusal(Code::PermissionDenied, "NOT_PERMITTED", "not permitted"));
    fails_at(&ping(&home, &side).await, Step::Standing, Outcome::Revoked, "new invite");
    side.board().refuses = None;
    side.deny_all();
    fails_at(&ping(&home, &side).await, Step::Standing, Outcome::Revoked, "new invite");
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_no_failed_step() {
    let (home, side) = linked().await;
    side.board().refuses = Some(refusal(Code::ResourceExhausted, "GRANT_RATE", "used up"));
    let ping = ping(&home, &side).await;
    assert_eq!(ping.outcome.outcome, Outcome::RateLimited);
    let ends: Vec<_> = ping.steps.iter().map(|tried| tried.end.clone()).collect();
    assert_eq!(ends[2..], [StepEnd::Passed, StepEnd::NotTried, StepEnd::NotTried], "whoever is told so was let in");
}

#[tokio::test]
async fn no_version_in_common_fails_at_the_last_step() {
    let (home, side) = linked().await;
    side.board().refuses = Some(refusal(Code::FailedPrecondition, "VERSION", "this side speaks 2"));
    let ping = ping(&home, &side).await;
    let last = ping.steps.last().unwrap();
    assert!(matches!(&last.end, StepEnd::Failed(why) if why.contains("this side speaks 2")), "{ping:?}");
    assert_eq!((last.step, &ping.steps[2].end), (Step::Version, &StepEnd::Passed));
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_fails_its_step_and_nothing_else() {
    let (home, side) = linked().await;
    side.board().hello = Some(|hello| hello.time.as_mut().unwrap().seconds += 3_600);
    let ping = ping(&home, &side).await;
    assert_eq!(ping.outcome.outcome, Outcome::Ok);
    let failed: Vec<_> = ping.steps.iter().filter(|tried| tried.end != StepEnd::Passed).collect();
    assert!(matches!(&failed[..], [clock] if clock.step == Step::Clock), "{failed:?}");
    let offset = home.hub.links(&home.alice).await.unwrap()[0].clock_offset_ms.unwrap();
    assert!(Duration::from_millis(offset.unsigned_abs()) > Duration::from_mins(59), "{offset}");
}

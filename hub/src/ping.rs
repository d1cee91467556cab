//! Trying a link out, step by step: reach, handshake, standing, clock, version. The first one that fails is the one to mend; what comes after
//! it was not tried.
//!
//! Reach and handshake are tried on a connection of their own, so that they are of this moment and not of when the kept one was made.

use crate::{
    Asker, Hub,
    call::Call,
    deadlines::message_bytes,
    hello::{Ping, capabilities, hello},
    outcome::Failure,
    record::{Asking, Sum},
};
use domain::{
    Reason,
    answer::{Outcome, SourceOutcome},
    operation::{Method, PROTOCOL_VERSION},
    wire,
};
use link::{DialError, Dialled, trail::Part};
use proto::v1::{self, connect_service_client::ConnectServiceClient};
use serde::Serialize;
use std::time::Duration;
use store::LinkRecord;
use tokio::time::Instant;

/// Clocks that are further apart fail the step: certificates are judged by them, and so is how old rows are.
const APART: Duration = Duration::from_mins(1);

/// What is tried, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Somebody takes a connection at the link's address.
    Reach,
    /// It is the instance of the invite.
    Handshake,
    /// It lets this link in.
    Standing,
    /// The two clocks agree.
    Clock,
    /// Both speak one version of the protocol.
    Version,
}

impl Step {
    /// In order.
    pub const ALL: [Self; 5] = [Self::Reach, Self::Handshake, Self::Standing, Self::Clock, Self::Version];

    /// The word people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::Handshake => "handshake",
            Self::Standing => "standing",
            Self::Clock => "clock",
            Self::Version => "version",
        }
    }
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEnd {
    /// It went well.
    Passed,
    /// It is this one that is to be mended: cause and next step.
    Failed(String),
    /// An earlier one failed.
    NotTried,
}

/// One step of a ping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// Which one.
    pub step: Step,
    /// How it went.
    pub end: StepEnd,
    /// How long it took, where it took anything.
    pub took: Option<Duration>,
}

/// The steps so far.
struct Steps {
    tried: Vec<Tried>,
    since: Instant,
}

impl Steps {
    fn new() -> Self {
        Self { tried: Vec::new(), since: Instant::now() }
    }

    /// The next step went well, at this instant.
    fn passed(&mut self, step: Step, at: Instant) {
        let took = Some(at.saturating_duration_since(self.since));
        self.since = at;
        self.tried.push(Tried { step, end: StepEnd::Passed, took });
    }

    /// It went so, and took no time of its own.
    fn judged(&mut self, step: Step, end: StepEnd) {
        self.tried.push(Tried { step, end, took: None });
    }

    fn failed(&mut self, step: Step, failure: &Failure) {
        let took = Some(self.since.elapsed());
        self.tried.push(Tried { step, end: StepEnd::Failed(failure.reason.clone()), took });
    }

    /// All of them: what was not tried, says so.
    fn all(mut self) -> Vec<Tried> {
        for step in Step::ALL {
            if self.tried.iter().all(|tried| tried.step != step) {
                self.judged(step, StepEnd::NotTried);
            }
        }
        self.tried.sort_by_key(|tried| tried.step);
        self.tried
    }
}

/// What a failed dial is a failure of. That the other side refuses our certificate it says after it has shown its own.
fn step_of(error: &DialError) -> Step {
    match error {
        DialError::OurCertificate(_) => Step::Standing,
        DialError::TheirCertificate(_)
        | DialError::Intercepted { .. }
        | DialError::HandshakeTimeout
        | DialError::Broken(_)
        | DialError::Lost(_) => Step::Handshake,
        _ => Step::Reach,
    }
}

impl Ping {
    /// Of a link that the other side's owner has yet to let in: nothing is asked.
    pub(crate) fn waiting(link: &LinkRecord, words: &str) -> Self {
        let outcome = Failure::unconfirmed(link, words).ending(link.name.as_str(), 0, Duration::ZERO);
        Self { outcome, hello: None, shares: None, steps: Steps::new().all() }
    }
}

impl Hub {
    /// The steps, the opening exchange and the grant's words, as one recorded question.
    pub(crate) async fn try_out(&self, asker: &Asker, link: &LinkRecord) -> Ping {
        let started = Instant::now();
        let name = link.name.as_str();
        let mut asking = Asking::new(self, asker, link, Method::Connect).calling("ping");
        let mut call = Call::new(self, link, asking.trail(), started + self.deadlines.source);
        let outcome = SourceOutcome::empty(name, Outcome::Ok, "", Duration::ZERO);
        let mut ping = Ping { outcome, hello: None, shares: None, steps: Vec::new() };
        let mut steps = Steps::new();
        let ended = self.step_by_step(&mut call, link, &mut ping, &mut steps).await;
        ping.steps = steps.all();
        call.end(ended.as_ref().err());
        let recorded = match &ended {
            Ok(()) => asking.answered(Sum::default(), false).await,
            Err(failure) => asking.failed(failure).await,
        };
        ping.outcome = match recorded.and(ended) {
            Ok(()) => SourceOutcome::empty(name, Outcome::Ok, "", started.elapsed()),
            Err(failure) => failure.ending(name, 0, started.elapsed()),
        };
        ping
    }

    async fn step_by_step(
        &self,
        call: &mut Call<'_>,
        link: &LinkRecord,
        ping: &mut Ping,
        steps: &mut Steps,
    ) -> Result<(), Failure> {
        // Whoever hears of the end of the grant waits for every question, this one too.
        let over = call.over();
        let dialled = over.unless(async { Ok(self.dial_anew(link).await) });
        match call.trail().time(Part::Wire, dialled).await? {
            Ok(dialled) => {
                steps.passed(Step::Reach, dialled.reached);
                steps.passed(Step::Handshake, Instant::now());
                self.sessions.adopt(link, dialled);
            }
            Err((step, failure)) => {
                for before in Step::ALL.into_iter().filter(|before| *before < step) {
                    steps.judged(before, StepEnd::Passed);
                }
                let failure = call.as_known(failure);
                steps.failed(step, &failure);
                return Err(failure);
            }
        }
        let standing = self.greet(call, link, ping, steps).await;
        if let Err(failure) = &standing {
            match (failure.refusal, failure.outcome) {
                (Some(Reason::Version), _) => {
                    steps.passed(Step::Standing, Instant::now());
                    steps.failed(Step::Version, failure);
                }
                // Whoever is told so was let in.
                (_, Outcome::RateLimited) => steps.passed(Step::Standing, Instant::now()),
                _ => steps.failed(Step::Standing, failure),
            }
        }
        standing
    }

    /// A connection of its own, with whichever certificate the other side takes.
    async fn dial_anew(&self, link: &LinkRecord) -> Result<Dialled, (Step, Failure)> {
        let dial = self.sessions.dialled(link).map_err(|failure| (Step::Reach, failure))?;
        dial.await.map_err(|error| (step_of(&error), Failure::dial(&error)))
    }

    async fn greet(
        &self,
        call: &mut Call<'_>,
        link: &LinkRecord,
        ping: &mut Ping,
        steps: &mut Steps,
    ) -> Result<(), Failure> {
        let (asked, started) = (self.world.now(), Instant::now());
        let wire = v1::ConnectRequest {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            capabilities: vec![v1::Capability::Query.into()],
            time: Some(wire::timestamp(asked)),
        };
        let answer = call.send(&wire, |channel, request| async move {
            ConnectServiceClient::new(channel).max_decoding_message_size(message_bytes()).connect(request).await
        });
        let hello = hello(&answer.await?, link, asked, started.elapsed())?;
        ping.hello = Some(hello.clone());
        self.tracks.clock(link, hello.clock_offset_ms);
        ping.shares = capabilities(call, link).await?;
        steps.passed(Step::Standing, Instant::now());
        steps.judged(Step::Clock, clock(hello.clock_offset_ms));
        steps.judged(Step::Version, StepEnd::Passed);
        Ok(())
    }
}

fn clock(offset_ms: i64) -> StepEnd {
    let apart = Duration::from_millis(offset_ms.unsigned_abs());
    if apart <= APART {
        return StepEnd::Passed;
    }
    let way = if offset_ms < 0 { "behind" } else { "ahead of" };
    StepEnd::Failed(format!(
        "its clock is {} s {way} this one's; set the wrong one of the two, by NTP say: certificates are judged by them",
        apart.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_dial_is_told_by_the_step_that_it_failed_in() {
        let tried = || "office:7443".to_owned();
        for (error, step) in [
            (DialError::Refused { tried: tried() }, Step::Reach),
            (DialError::ConnectTimeout { tried: tried() }, Step::Reach),
            (DialError::NotCalled { at: tried() }, Step::Reach),
            (DialError::HandshakeTimeout, Step::Handshake),
            (DialError::Broken("alert".into()), Step::Handshake),
            (DialError::OurCertificate(link::dial::OurCertificate::Revoked), Step::Standing),
        ] {
            assert_eq!(step_of(&error), step, "{error}");
        }
    }

    #[test]
    fn every_step_is_told_of_once_and_in_order() {
        let mut steps = Steps::new();
        steps.judged(Step::Reach, StepEnd::Passed);
        steps.failed(Step::Handshake, &Failure::silent(Duration::from_secs(5)));
        let all = steps.all();
        assert!(all.iter().map(|tried| tried.step).eq(Step::ALL));
        let ends: Vec<_> = all[2..].iter().map(|tried| tried.end.clone()).collect();
        assert_eq!(ends, [StepEnd::NotTried, StepEnd::NotTried, StepEnd::NotTried]);
    }

    #[test]
    fn clocks_that_are_more_than_a_minute_apart_fail_the_step() {
        assert!([0, 60_000, -60_000].into_iter().all(|offset| clock(offset) == StepEnd::Passed));
        let StepEnd::Failed(why) = clock(-61_400) else { panic!("passed") };
        assert!(why.contains("61 s behind"), "{why}");
    }
}

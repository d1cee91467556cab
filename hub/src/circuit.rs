//! Whether a source is asked at all: one that could not be reached several times in a row is left alone for a while, so that it costs the
//! other sources and its person nothing.
//!
//! A pure state: who asks brings the time and the chance. Three failures in a row open the circuit; then questions end at once, until the
//! pause is over and exactly one of them is sent, the probe. An answer to anything closes it. Questions that were under way at the same time
//! fail for one reason, so they count once.

use crate::outcome::Failure;
use domain::{Reason, Time, answer::Outcome};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row that open it.
const LIMIT: u32 = 3;
/// The first pause, before its chance part.
const FIRST: Duration = Duration::from_secs(5);
/// The longest, before its chance part.
const CAP: Duration = Duration::from_mins(1);
/// The wall clock moved this much more than the machine ran: it slept, or its clock was set. What was known is about another time.
const ASLEEP: Duration = Duration::from_secs(5);

/// Whether questions over a link are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// They are.
    #[default]
    Closed,
    /// They end at once, as the last one did.
    Open,
    /// One is under way as a probe, or the next one will be; the others end at once.
    HalfOpen,
}

impl CircuitState {
    /// The word people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// How a link's circuit stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CircuitStatus {
    /// Whether questions are sent.
    pub state: CircuitState,
    /// Questions in a row that did not reach the other side.
    pub failures: u32,
    /// When the next question is sent, where none is before.
    pub next: Option<Time>,
}

/// An instant by both clocks: the steady one stands still while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) wall: Time,
    pub(crate) steady: Instant,
}

/// One question's leave to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Circuit {
    /// Counts what was learnt: a question that began before the last of it says nothing new by failing.
    turn: u64,
    failures: u32,
    shut: Option<Shut>,
    seen: Option<Moment>,
}

/// Of a circuit that is not closed.
#[derive(Debug)]
struct Shut {
    last: Failure,
    until: Instant,
    /// Whether the question that may be sent is under way.
    probing: bool,
}

impl Circuit {
    /// Whether a question that takes at most `patience` is sent now; if not, how it ends.
    pub(crate) fn ask(&mut self, now: Moment, patience: Duration) -> Result<Ticket, Failure> {
        self.look(now);
        if let Some(shut) = &mut self.shut {
            let wait = shut.until.saturating_duration_since(now.steady);
            if shut.probing || !wait.is_zero() {
                return Err(shut.last.held_back(self.failures, wait.max(Duration::from_millis(1))));
            }
            // The others are told to come back once this one has ended.
            (shut.probing, shut.until) = (true, now.steady + patience);
        }
        Ok(Ticket(self.turn))
    }

    /// The other side answered something.
    pub(crate) fn answered(&mut self) {
        (self.turn, self.failures, self.shut) = (self.turn + 1, 0, None);
    }

    /// A question ended without an answer. `chance` is 0 to 255.
    pub(crate) fn failed(&mut self, ticket: Ticket, now: Moment, failure: &Failure, chance: u8) {
        self.look(now);
        if ticket.0 != self.turn {
            return;
        }
        (self.turn, self.failures) = (self.turn + 1, self.failures.saturating_add(1));
        if let Some(over) = self.failures.checked_sub(LIMIT) {
            let until = now.steady + pause(over, chance);
            self.shut = Some(Shut { last: failure.clone(), until, probing: false });
        }
    }

    /// A question that was given up says nothing; if it was the probe, the next one is.
    pub(crate) fn abandoned(&mut self, ticket: Ticket, now: Moment) {
        if let Some(shut) = self.shut.as_mut().filter(|shut| shut.probing && ticket.0 == self.turn) {
            (shut.probing, shut.until) = (false, now.steady);
        }
    }

    /// How it stands.
    pub(crate) fn status(&mut self, now: Moment) -> CircuitStatus {
        self.look(now);
        let left = |shut: &Shut| shut.until.saturating_duration_since(now.steady);
        let state = match &self.shut {
            None => CircuitState::Closed,
            Some(shut) if shut.probing || left(shut).is_zero() => CircuitState::HalfOpen,
            Some(_) => CircuitState::Open,
        };
        let next = self.shut.as_ref().filter(|_| state == CircuitState::Open).map(|shut| now.wall + left(shut));
        CircuitStatus { state, failures: self.failures, next }
    }

    /// A machine that slept starts anew: it may be somewhere else.
    fn look(&mut self, now: Moment) {
        let slept = self.seen.is_some_and(|seen| {
            let ran = now.steady.saturating_duration_since(seen.steady);
            now.wall.since(seen.wall) > ran + ASLEEP
        });
        self.seen = Some(now);
        if slept {
            self.answered();
        }
    }
}

/// Whether a failure says that the other side could not be reached, or cannot serve. That it refused is an answer, and so is what it says of
/// the one question.
pub(crate) fn is_of_reach(failure: &Failure) -> bool {
    let of_the_question = [Reason::Malformed, Reason::BadPageToken, Reason::NotFound];
    let reach = matches!(failure.outcome, Outcome::Offline | Outcome::Timeout | Outcome::Error);
    reach && !failure.refusal.is_some_and(|reason| of_the_question.contains(&reason))
}

/// 5, 10, 20 … seconds to a minute, and by chance up to a quarter longer.
fn pause(over: u32, chance: u8) -> Duration {
    let doubled = 1_u32.checked_shl(over).and_then(|times| FIRST.checked_mul(times));
    let pause = doubled.map_or(CAP, |pause| pause.min(CAP));
    pause + pause / 4 * u32::from(chance) / 255
}

#[cfg(test)]
mod tests;

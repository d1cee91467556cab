//! What real calls have told about a link. Before the first one its state is unknown, and that is said.

use crate::outcome::Failure;
use domain::{Time, answer::Outcome};
use serde::Serialize;
use store::LinkEnd;

/// The state of a link, from the last call over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Not called since this daemon started.
    #[default]
    Unknown,
    /// The other side's owner has not confirmed the link yet.
    Waiting,
    /// The last call was answered; a refusal of one question or a used-up rate is an answer too.
    Up,
    /// The last call was answered, but the certificate could not be renewed when it was time; its end will end the link.
    Degraded,
    /// No connection could be made.
    Offline,
    /// A connection, but no answer within the deadline.
    Timeout,
    /// Its certificate has ended, and nobody said that its grant has: a fresh invite for the same grant brings it back.
    Expired,
    /// The other side no longer accepts the link. Only it can say so; no network failure does.
    Revoked,
    /// The other side cannot serve, or answered nonsense.
    Error,
}

impl LinkState {
    /// The word people see.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Waiting => "waiting",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
            Self::Timeout => "timeout",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Error => "error",
        }
    }

    const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok | Outcome::Partial | Outcome::Denied | Outcome::RateLimited => Self::Up,
            Outcome::Revoked => Self::Revoked,
            Outcome::Timeout => Self::Timeout,
            Outcome::Offline => Self::Offline,
            Outcome::Error => Self::Error,
        }
    }
}

/// The last call that did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastFailure {
    /// When it ended.
    pub at: Time,
    /// How it ended.
    pub outcome: Outcome,
    /// Cause and next step.
    pub reason: String,
    /// The proxy, where it is one that failed.
    pub proxy: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    pub(crate) state: LinkState,
    pub(crate) last_success: Option<Time>,
    pub(crate) last_failure: Option<LastFailure>,
}

impl Health {
    /// Of a link whose end was heard by an earlier daemon.
    pub(crate) fn ended(end: LinkEnd) -> Self {
        let Failure { outcome, reason, .. } = Failure::ended();
        let last_failure = Some(LastFailure { at: end.at, outcome, reason, proxy: None });
        Self { state: LinkState::Revoked, last_success: end.last_answer, last_failure }
    }

    pub(crate) fn succeeded(&mut self, at: Time) {
        self.state = LinkState::Up;
        self.last_success = Some(at);
    }

    pub(crate) fn failed(&mut self, at: Time, failure: &Failure) {
        let is_silence = matches!(failure.outcome, Outcome::Timeout | Outcome::Offline | Outcome::Error);
        // What has ended stays so while nobody is there to say anything else.
        if self.state == LinkState::Revoked && is_silence {
            return;
        }
        self.state = LinkState::of(failure.outcome);
        let Failure { outcome, reason, proxy, .. } = failure.clone();
        self.last_failure = Some(LastFailure { at, outcome, reason, proxy });
    }
}

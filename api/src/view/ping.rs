//! How a link answered when it was tried out.

use crate::shape;
use domain::{
    Time,
    answer::Outcome,
    id::{Field, Name, Resource},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a link answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PingReport {
    /// The link's name.
    pub link: String,
    /// How the call ended.
    #[schemars(with = "shape::Outcome")]
    pub outcome: Outcome,
    /// Why, where it was not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When trying again can help, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Where the link waits to be let in: the words that the other side's owner has yet to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Milliseconds until it ended.
    pub took_ms: u64,
    /// What the other side calls itself now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub peer_name: Option<Name>,
    /// Milliseconds from question to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<u64>,
    /// How far the other side's clock is ahead of ours, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// What the grant shares, as the other side says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<shape::Kind>")]
    pub resources: Vec<Resource>,
    /// The fields that the grant gives of each kind, besides id, kind and times, as the other side says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Vec<String>>")]
    pub fields: BTreeMap<Resource, Vec<Field>>,
    /// Calls that would be answered at this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_left: Option<u32>,
    /// When the grant ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub not_after: Option<Time>,
    /// What was tried, in order: reach, handshake, standing, clock, version.
    pub steps: Vec<PingStep>,
}

/// One step of a ping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PingStep {
    /// reach: somebody takes a connection at the link's address; handshake: it is the instance of the invite; standing: it lets this link in;
    /// clock: the two clocks agree within a minute; version: both speak one version of the protocol.
    pub step: String,
    /// passed, failed, or `not_tried` because an earlier one failed.
    pub result: String,
    /// Milliseconds that it took, where it took any time of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Of the one that failed: cause and next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<hub::Tried> for PingStep {
    fn from(tried: hub::Tried) -> Self {
        let hub::Tried { step, end, took } = tried;
        let (result, reason) = match end {
            hub::StepEnd::Passed => (PASSED, None),
            hub::StepEnd::Failed(reason) => (FAILED, Some(reason)),
            hub::StepEnd::NotTried => (NOT_TRIED, None),
        };
        let took_ms = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        Self { step: step.word().to_owned(), result: result.to_owned(), took_ms, reason }
    }
}

impl PingStep {
    /// Whether it is the one to be mended.
    pub fn has_failed(&self) -> bool {
        self.result == FAILED
    }
}

const PASSED: &str = "passed";
const FAILED: &str = "failed";
const NOT_TRIED: &str = "not_tried";

impl From<hub::Ping> for PingReport {
    fn from(ping: hub::Ping) -> Self {
        let hub::Ping { outcome, hello, shares, steps } = ping;
        Self {
            steps: steps.into_iter().map(Into::into).collect(),
            link: outcome.source,
            outcome: outcome.outcome,
            reason: outcome.reason,
            retry_after_ms: outcome.retry_after_ms,
            words: outcome.words,
            took_ms: outcome.took_ms,
            peer_name: hello.as_ref().map(|hello| hello.name.clone()),
            round_trip_ms: hello.as_ref().map(|hello| hello.round_trip_ms),
            clock_offset_ms: hello.map(|hello| hello.clock_offset_ms),
            calls_left: shares.as_ref().map(|shares| shares.calls_left),
            not_after: shares.as_ref().map(|shares| shares.not_after),
            resources: shares.as_ref().map(|shares| shares.resources.keys().cloned().collect()).unwrap_or_default(),
            fields: shares.map(|shares| shares.resources).unwrap_or_default(),
        }
    }
}

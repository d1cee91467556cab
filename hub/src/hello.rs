//! The calls that say who is there: what the opening exchange and the grant's words are, and leaving.

use crate::{
    Asker, Hub,
    call::Call,
    deadlines::message_bytes,
    outcome::Failure,
    ping::Tried,
    record::{Asking, Sum},
    terms::{Terms, verbs},
};
use domain::{
    Reason, Time,
    answer::{Outcome, SourceOutcome},
    id::{Field, InstanceId, Name, Resource},
    operation::{Method, PROTOCOL_VERSION},
    scope::{Door, Verb},
    wire,
};
use link::Trail;
use proto::v1::{self, connect_service_client::ConnectServiceClient, query_service_client::QueryServiceClient};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use store::LinkRecord;
use tokio::time::Instant;

/// Who answers at the other end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hello {
    /// The sharing instance.
    pub instance: InstanceId,
    /// What it calls itself now.
    pub name: Name,
    /// The protocol version spoken.
    pub version: u32,
    /// Its clock less ours, in milliseconds, give or take half the round trip.
    pub clock_offset_ms: i64,
    /// Milliseconds from question to answer, with the dial if there was none before.
    pub round_trip_ms: u64,
}

/// What the grant may do, in the sharing side's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shares {
    /// What the sharing side calls the grant.
    pub grant: Name,
    /// The workspace whose rows are shared.
    pub workspace: Name,
    /// What is shared, with the fields that may leave.
    pub resources: BTreeMap<Resource, Vec<Field>>,
    /// What may be done with them.
    pub verbs: BTreeSet<Verb>,
    /// Rows in one answer, at most.
    pub max_rows: u32,
    /// Calls a minute, on average.
    pub calls_per_minute: u32,
    /// Calls that would be answered at this moment.
    pub calls_left: u32,
    /// When the grant ends.
    pub not_after: Time,
    /// Where the owner wants rows shown.
    pub doors: BTreeSet<Door>,
}

impl Shares {
    /// As a session would tell it.
    pub(crate) fn terms(&self) -> Terms {
        Terms { resources: self.resources.clone(), verbs: self.verbs.clone(), doors: self.doors.clone() }
    }
}

/// How trying a link out ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ping {
    /// How it ended, with cause and next step.
    #[serde(flatten)]
    pub outcome: SourceOutcome,
    /// Who answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hello: Option<Hello>,
    /// What the grant may do, where it may be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,
    /// Every step in order, and which one failed.
    pub steps: Vec<Tried>,
}

/// How a link was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The other side confirmed that it ended the grant.
    Told,
    /// The other side had ended it before.
    EndedBefore,
    /// The other side has not let this one in, and does not take its word.
    NeverLetIn,
}

impl Hub {
    /// Ends the grant at the other side, recorded as done by `by`. An error says why that is not certain, and what to do.
    pub(crate) async fn leave(&self, by: &Asker, link: &LinkRecord) -> Result<Left, String> {
        let mut asking = Asking::new(self, by, link, Method::Disconnect).calling("disconnect");
        let ended = self.say_goodbye(asking.trail(), link).await;
        let recorded = match &ended {
            Ok(()) => asking.answered(Sum::default(), false).await,
            Err(failure) => asking.failed(failure).await,
        };
        match recorded.and(ended) {
            Ok(()) => Ok(Left::Told),
            Err(failure) if failure.words.is_some() => Ok(Left::NeverLetIn),
            Err(failure) if failure.outcome == Outcome::Revoked && !self.is_past_its_end(link) => Ok(Left::EndedBefore),
            Err(failure) => Err(format!(
                "it is not certain that the other side was told ({}); if not, its grant stays until it ends by itself or \
                 its owner revokes it",
                failure.reason
            )),
        }
    }

    async fn say_goodbye(&self, trail: Trail, link: &LinkRecord) -> Result<(), Failure> {
        let mut call = Call::new(self, link, trail, Instant::now() + self.deadlines.source);
        let answer = call.send(&v1::DisconnectRequest {}, |channel, request| async move {
            ConnectServiceClient::new(channel).max_decoding_message_size(message_bytes()).disconnect(request).await
        });
        answer.await.map(|_| ())
    }

    /// As [`Hub::leave`], with nobody waiting.
    pub(crate) fn leave_later(self: &Arc<Self>, by: Asker, link: Arc<LinkRecord>) {
        let hub = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(reason) = hub.leave(&by, &link).await {
                tracing::warn!(link = %link.id, reason, "a link was removed here only");
            }
            hub.drop_link(link.owner, link.id);
            hub.forget_calls(link.owner, link.id).await;
        });
    }
}

/// What the grant may do; nothing where it does not allow to ask that.
pub(crate) async fn capabilities(call: &mut Call<'_>, link: &LinkRecord) -> Result<Option<Shares>, Failure> {
    let answer = call.send(&v1::CapabilitiesRequest {}, |channel, request| async move {
        QueryServiceClient::new(channel).max_decoding_message_size(message_bytes()).capabilities(request).await
    });
    match answer.await {
        Ok(answer) => {
            let shares = shares(&answer, link)?;
            call.gives(&shares);
            Ok(Some(shares))
        }
        Err(Failure { refusal: Some(Reason::OutOfScope), .. }) => {
            call.says_nothing();
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

pub(crate) fn hello(
    answer: &v1::ConnectResponse,
    link: &LinkRecord,
    asked: Time,
    round_trip: Duration,
) -> Result<Hello, Failure> {
    let instance = answer.instance_id.parse().map_err(Failure::lie)?;
    if instance != link.peer {
        return Err(Failure::lie("the other side says that it is another instance than the one of the invite"));
    }
    if answer.version != PROTOCOL_VERSION {
        return Err(Failure::lie("the other side chose a protocol version that was not offered"));
    }
    let halfway = asked + round_trip / 2;
    let there = answer.time.map_or(halfway, wire::time);
    Ok(Hello {
        instance,
        name: answer.instance_name.parse().map_err(Failure::lie)?,
        version: answer.version,
        clock_offset_ms: there.micros().saturating_sub(halfway.micros()) / 1_000,
        round_trip_ms: u64::try_from(round_trip.as_millis()).unwrap_or(u64::MAX),
    })
}

fn shares(answer: &v1::CapabilitiesResponse, link: &LinkRecord) -> Result<Shares, Failure> {
    if answer.grant_id != link.id.to_string() {
        return Err(Failure::lie("the other side speaks of another grant than this link's"));
    }
    let rate = answer.rate.unwrap_or_default();
    Ok(Shares {
        grant: answer.grant_name.parse().map_err(Failure::lie)?,
        workspace: answer.workspace.parse().map_err(Failure::lie)?,
        resources: answer.resources.iter().map(resource).collect::<Result<_, _>>()?,
        verbs: verbs(&answer.verbs),
        max_rows: answer.max_rows,
        calls_per_minute: rate.per_minute,
        calls_left: answer.calls_left,
        not_after: answer.not_after.map(wire::time).ok_or_else(|| Failure::lie("the other side's grant has no end"))?,
        doors: wire::named_doors(&answer.doors),
    })
}

fn resource(wire: &v1::ResourceScope) -> Result<(Resource, Vec<Field>), Failure> {
    let fields = wire.fields.iter().map(|field| field.parse()).collect::<Result<_, _>>().map_err(Failure::lie)?;
    Ok((wire.resource.parse().map_err(Failure::lie)?, fields))
}

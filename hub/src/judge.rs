//! What comes over a link is not to be had without a judgement: whether it may be shown through the door that its question came by, by what is
//! known of its grant at the moment when it is taken, and not when it was asked for.
//!
//! [`Unjudged`] and [`Parts`] hold what the other side sent, and a kept answer its messages ([`crate::cache::Answer::message`]); each gives them to
//! a [`Judge`] alone. What lies somewhere for longer after that, as on a page that waits for its slowest source or on a stream's shelf, is judged
//! once more when it leaves.

use crate::{
    call::Call,
    control::Keeper,
    outcome::Failure,
    terms::Known,
    track::{Key, Tracks},
};
use domain::scope::Door;
use link::trail::Part;
use proto::{CALLS_LEFT, v1};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use tonic::{Response, Status, Streaming};

/// Judges what comes over one link for one question.
#[derive(Clone)]
pub(crate) struct Judge {
    tracks: Arc<Tracks>,
    keeper: Arc<Keeper>,
    link: Key,
    /// Where the question came in; none of what is not for rows.
    door: Option<Door>,
}

impl Judge {
    pub(crate) fn new(tracks: &Arc<Tracks>, keeper: &Arc<Keeper>, link: Key, door: Option<Door>) -> Self {
        Self { tracks: Arc::clone(tracks), keeper: Arc::clone(keeper), link, door }
    }

    /// Where the question came in, of one for rows.
    pub(crate) const fn door(&self) -> Option<Door> {
        self.door
    }

    /// Whether the link may be asked, and its rows shown, through that door, as far as is known at this moment: what was asked, or kept,
    /// before the terms changed is not shown after.
    pub(crate) fn judge(&self) -> Result<(), Failure> {
        let Some(door) = self.door else { return Ok(()) };
        match self.tracks.known_of(&self.link) {
            Known::Heard(terms) | Known::Told(terms) if !terms.doors.contains(&door) => {
                Err(Failure::not_through(door, &terms.doors))
            }
            // Its owner may have named others. A person at the command line is who the link was made for.
            Known::NotYet | Known::NotSaid if door != Door::Cli && self.keeper.runs() => {
                Err(Failure::unknown_doors(door))
            }
            _ => Ok(()),
        }
    }
}

/// An answer without a row of anybody's: it is for this program, whatever door the question came by.
pub(crate) trait Words {}

impl Words for v1::CapabilitiesResponse {}
impl Words for v1::ConnectResponse {}
impl Words for v1::DisconnectResponse {}
impl Words for v1::RenewResponse {}

/// What the other side sent, with rows in it.
#[must_use = "it is taken out by a judgement"]
pub(crate) struct Unjudged<T>(T);

impl<T> Unjudged<T> {
    pub(crate) const fn new(came: T) -> Self {
        Self(came)
    }
}

impl Unjudged<v1::GetResponse> {
    /// It, if it may be shown.
    pub(crate) fn taken(self, judge: &Judge) -> Result<v1::GetResponse, Failure> {
        judge.judge().map(|()| self.0)
    }
}

impl<M> Unjudged<Parts<M>> {
    /// It, to be taken part by part.
    pub(crate) fn parts(self) -> Parts<M> {
        self.0
    }
}

/// An answer in many messages, each with rows.
pub(crate) struct Parts<M> {
    /// The first one, waited for with the answer's beginning: before it nothing is known of the answer.
    first: Option<M>,
    rest: Streaming<M>,
}

impl<M> Parts<M> {
    /// An answer of which the first message is there.
    pub(crate) async fn begin(answer: Response<Streaming<M>>) -> Result<Response<Self>, Status> {
        let (told, mut rest, extensions) = answer.into_parts();
        match rest.message().await {
            Ok(first) => Ok(Response::from_parts(told, Self { first, rest }, extensions)),
            Err(mut status) => {
                // What is left of the limit was said before it broke off.
                if !status.metadata().contains_key(CALLS_LEFT) {
                    for left in told.get_all(CALLS_LEFT) {
                        status.metadata_mut().append(CALLS_LEFT, left.clone());
                    }
                }
                Err(status)
            }
        }
    }

    /// The next message, if it may be shown.
    pub(crate) async fn next(&mut self, call: &Call<'_>, deadline: Instant) -> Result<Option<M>, Failure> {
        if let Some(first) = self.first.take() {
            return call.judge().judge().map(|()| Some(first));
        }
        let rest = &mut self.rest;
        let message = async {
            let message = timeout_at(deadline, rest.message()).await.map_err(|_| call.late())?;
            message.map_err(|status| call.failure(&status))
        };
        call.received(Part::Wire, message).await
    }

    /// Waits, after the last rows, for the other side's word that the call is over, until then at most.
    pub(crate) async fn farewell(&mut self, until: Instant) {
        drop(timeout_at(until, self.rest.message()).await);
    }
}

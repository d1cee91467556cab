//! What comes over a link is not to be had without a judgement: whether it may be shown through the door that its question came by, by what is
//! known of its grant at the moment when it is taken, and not when it was asked for.
//!
//! [`Unjudged`] and [`Parts`] hold what the other side sent, and give it to a [`Judge`] alone. A kept answer gives its messages, and a page, a
//! stream's shelf or a row that waits for its record what lies there, only through a [`Hold`]: what a grant's end or change does to rows that
//! wait is decided there, and nowhere else.

use crate::{
    cache::Answer,
    call::Call,
    control::Keeper,
    flight::Over,
    outcome::Failure,
    terms::{Known, Terms},
    track::{Key, Tracks},
};
use domain::scope::Door;
use link::trail::Part;
use proto::{CALLS_LEFT, v1};
use std::{fmt, sync::Arc};
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

    /// Whether the link may be asked through that door, as far as is known at this moment.
    pub(crate) fn may_be_asked(&self) -> Result<(), Failure> {
        self.is_open().map_err(|why| Failure::not_asked(&why))
    }

    /// Whether its rows may be shown there: what was asked, or kept, before the terms changed is not shown after.
    pub(crate) fn may_be_shown(&self) -> Result<(), Failure> {
        self.is_open().map_err(|why| Failure::withheld(&why))
    }

    fn is_open(&self) -> Result<(), Closed> {
        let Some(door) = self.door else { return Ok(()) };
        match self.tracks.known_of(&self.link) {
            Known::Heard(terms) | Known::Told(terms) if !terms.doors.contains(&door) => {
                Err(Closed::Elsewhere(door, terms))
            }
            // Its owner may have named others. A person at the command line is who the link was made for.
            Known::NotYet | Known::NotSaid if door != Door::Cli && self.keeper.runs() => Err(Closed::Unknown(door)),
            _ => Ok(()),
        }
    }
}

/// Why rows of a link may not be shown where they were asked for.
#[derive(Debug)]
pub(crate) enum Closed {
    /// Its owner names other doors.
    Elsewhere(Door, Arc<Terms>),
    /// Nobody knows which ones its owner names.
    Unknown(Door),
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere(door, terms) => {
                let (door, named) = (door.word(), terms.doors.iter().map(|door| door.word()).collect::<Vec<_>>());
                write!(f, "its owner does not let rows be shown through `{door}`; ")?;
                if named.is_empty() {
                    f.write_str("this version has none of the doors that it names")?;
                } else {
                    write!(f, "it names {}: ask there", named.join(", "))?;
                }
                write!(f, ", or ask its owner to add `{door}` to `doors` of the grant's scope")
            }
            Self::Unknown(door) => write!(
                f,
                "whether its owner lets rows be shown through `{}` is not known, since no session tells so; `mosaic-fed links` says why, try again \
                 once one does, or ask on the command line",
                door.word()
            ),
        }
    }
}

/// What lets rows of one link leave that were there before their reader: what they came under, asked about anew.
#[derive(Clone)]
pub(crate) struct Hold {
    over: Over,
    judge: Judge,
    /// The earlier answer that they are of.
    kept: Option<Arc<Answer>>,
}

impl Hold {
    pub(crate) const fn new(over: Over, judge: Judge, kept: Option<Arc<Answer>>) -> Self {
        Self { over, judge, kept }
    }

    /// Whether the rows are of an earlier answer.
    pub(crate) const fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// One message of the earlier answer, if it may leave.
    pub(crate) fn message<M: prost::Message + Default>(&self, at: usize) -> Result<M, Failure> {
        self.kept.as_ref().ok_or_else(Failure::unfinished)?.message(at, self)
    }

    /// What the source came to, as it may be told at this moment. The order matters: of a grant that has ended nothing is said, not even how asking
    /// it failed; and whoever may not see the rows is not sent to ask again, though the answer that they are of was changed as well.
    pub(crate) fn leave<T>(&self, came: Result<T, Failure>) -> Result<T, Failure> {
        if self.over.is_so() {
            return Err(Failure::ended());
        }
        let rows = came?;
        self.judge.may_be_shown()?;
        if self.kept.as_ref().is_some_and(|kept| kept.is_over()) {
            return Err(Failure::changed());
        }
        Ok(rows)
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
        judge.may_be_shown().map(|()| self.0)
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
            return call.judge().may_be_shown().map(|()| Some(first));
        }
        let rest = &mut self.rest;
        let message = async {
            let message = timeout_at(deadline, rest.message()).await.map_err(|_| call.late())?;
            message.map_err(|status| call.failure(&status))
        };
        let came = call.waited_for(Part::Wire, message).await?;
        call.judge().may_be_shown().map(|()| came)
    }

    /// Waits, after the last rows, for the other side's word that the call is over, until then at most.
    pub(crate) async fn farewell(&mut self, until: Instant) {
        drop(timeout_at(until, self.rest.message()).await);
    }
}

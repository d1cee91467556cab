//! What is remembered of each link from call to call, beside its connection: whether it is asked at all, and what its grant gives. In memory
//! only, one entry a link.

use crate::{
    circuit::{Circuit, CircuitState, CircuitStatus, Moment, Ticket, is_of_reach},
    latency::{Latencies, Latency},
    outcome::Failure,
    terms::{Known, Terms},
};
use domain::{
    id::{GrantId, Resource, UserId},
    world::World,
};
use proto::v1;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use store::LinkRecord;
use tokio::time::Instant;

/// Two users of one instance may hold links of the same grant one after the other, and neither learns anything of the other's.
pub(crate) type Key = (UserId, GrantId);

/// With fewer calls left of a grant's limit none is spent on a second try.
const TO_SPARE: u32 = 10;

/// Every link's.
pub(crate) struct Tracks {
    world: World,
    tracks: Mutex<HashMap<Key, Track>>,
}

#[derive(Default)]
struct Track {
    circuit: Circuit,
    /// What the grant allows, as it was told last.
    known: Known,
    /// The grant's generation at the beginning of the last control session, or since.
    generation: Option<u64>,
    latencies: Latencies,
    /// Calls that the grant had left, as an answer said, and when.
    calls_left: Option<u32>,
    /// The other side's clock less ours, at the last ping.
    clock_offset_ms: Option<i64>,
}

/// What is shown of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) circuit: CircuitStatus,
    pub(crate) latency: Option<Latency>,
    pub(crate) clock_offset_ms: Option<i64>,
}

impl Tracks {
    pub(crate) fn new(world: World) -> Self {
        Self { world, tracks: Mutex::default() }
    }

    /// Whether a question over the link is sent; if not, how it ends.
    pub(crate) fn ask(self: &Arc<Self>, link: &LinkRecord, patience: Duration) -> Result<Pass, Failure> {
        let (key, now) = (key(link), self.now());
        let ticket = self.lock().entry(key).or_default().circuit.ask(now, patience)?;
        Ok(Pass { tracks: Arc::clone(self), key, ticket: Some(ticket) })
    }

    /// The other side answered something, whoever asked.
    pub(crate) fn answered(&self, link: &LinkRecord) {
        self.with(key(link), |track| track.circuit.answered());
    }

    /// A call was answered after so long.
    pub(crate) fn took(&self, link: &LinkRecord, took: Duration) {
        self.lock().entry(key(link)).or_default().latencies.note(took);
    }

    /// So many calls were left of the grant's limit, as an answer said.
    pub(crate) fn has_left(&self, link: &LinkRecord, calls: u32) {
        self.lock().entry(key(link)).or_default().calls_left = Some(calls);
    }

    /// Whether two calls may be spent on one question: the link is well, and as far as is known its grant has calls to spare.
    pub(crate) fn bears_two(&self, link: &LinkRecord) -> bool {
        let now = self.now();
        let mut tracks = self.lock();
        let Some(track) = tracks.get_mut(&key(link)) else { return false };
        let has_some = track.calls_left.is_some_and(|left| left >= TO_SPARE);
        has_some && track.circuit.status(now).state == CircuitState::Closed
    }

    /// How far the other side's clock is ahead of ours, as a ping found.
    pub(crate) fn clock(&self, link: &LinkRecord, offset_ms: i64) {
        self.lock().entry(key(link)).or_default().clock_offset_ms = Some(offset_ms);
    }

    /// What calls have told of the link.
    pub(crate) fn summary(&self, link: &LinkRecord) -> Summary {
        let now = self.now();
        let mut tracks = self.lock();
        let Some(track) = tracks.get_mut(&key(link)) else { return Summary::default() };
        let (circuit, latency) = (track.circuit.status(now), track.latencies.summed_up());
        Summary { circuit, latency, clock_offset_ms: track.clock_offset_ms }
    }

    /// The grant's generation, as far as it was told.
    pub(crate) fn generation(&self, link: &LinkRecord) -> Option<u64> {
        self.lock().get(&key(link))?.generation
    }

    /// What the other side answered who asked what the grant gives, at this generation; none where it does not say. What a session tells is newer or as
    /// new, and an answer that was long on its way says nothing of what the grant gives by now.
    pub(crate) fn gives(&self, link: &LinkRecord, asked_at: Option<u64>, terms: Option<Terms>) {
        let mut tracks = self.lock();
        let track = tracks.entry(key(link)).or_default();
        let is_old = track.generation != asked_at;
        match (&track.known, terms) {
            (Known::Told(_), _) => {}
            _ if is_old => {}
            (_, Some(terms)) => track.known = Known::Heard(Arc::new(terms)),
            (Known::NotYet, None) => track.known = Known::NotSaid,
            (Known::NotSaid | Known::Heard(_), None) => {}
        }
    }

    /// Its session is gone: what that told is known still, and nobody tells of a change.
    pub(crate) fn untold(&self, link: &LinkRecord) {
        self.with(key(link), |track| {
            if let Known::Told(terms) = &track.known {
                track.known = Known::Heard(Arc::clone(terms));
            }
        });
    }

    /// The grant stands at this generation, with these terms where they are told; what was told of an earlier one is not true any more.
    pub(crate) fn stands_at(&self, link: &LinkRecord, generation: u64, terms: Option<&v1::Terms>) {
        let mut tracks = self.lock();
        let track = tracks.entry(key(link)).or_default();
        let changed = track.generation.replace(generation).is_some_and(|before| before != generation);
        if changed {
            // Its limit may be another one.
            track.calls_left = None;
        }
        match terms.and_then(Terms::told) {
            Some(terms) => track.known = Known::Told(Arc::new(terms)),
            None if changed => track.known = Known::NotYet,
            None => {}
        }
    }

    /// What is known of the link's terms.
    pub(crate) fn known(&self, link: &LinkRecord) -> Known {
        self.known_of(&key(link))
    }

    /// The same of a link by its key.
    pub(crate) fn known_of(&self, link: &Key) -> Known {
        self.lock().get(link).map(|track| track.known.clone()).unwrap_or_default()
    }

    /// How many fields of this kind the grant keeps back, where that was told.
    pub(crate) fn withheld(&self, link: &LinkRecord, resource: &Resource) -> Option<u32> {
        self.lock().get(&key(link))?.known.terms()?.withheld(resource)
    }

    /// Forgets a link that is gone or has another certificate.
    pub(crate) fn forget(&self, owner: UserId, link: GrantId) {
        self.lock().remove(&(owner, link));
    }

    /// Forgets every link of a user.
    pub(crate) fn forget_user(&self, user: UserId) {
        self.lock().retain(|(owner, _), _| *owner != user);
    }

    fn now(&self) -> Moment {
        Moment { wall: self.world.now(), steady: Instant::now() }
    }

    /// A link that was forgotten meanwhile stays forgotten.
    fn with(&self, key: Key, then: impl FnOnce(&mut Track)) {
        if let Some(track) = self.lock().get_mut(&key) {
            then(track);
        }
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Track>> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(link: &LinkRecord) -> Key {
    (link.owner, link.id)
}

/// A question's leave to be sent. Dropped without an end it was given up, which says nothing of the other side.
pub(crate) struct Pass {
    tracks: Arc<Tracks>,
    key: Key,
    ticket: Option<Ticket>,
}

impl Pass {
    /// The question ended like this. Once something was answered, what follows is no failure of reach.
    pub(crate) fn ended(&mut self, failure: Option<&Failure>) {
        let Some(ticket) = self.ticket.take() else { return };
        let (now, [chance]) = (self.tracks.now(), self.tracks.world.bytes());
        self.tracks.with(self.key, |track| match failure {
            Some(failure) if is_of_reach(failure) => track.circuit.failed(ticket, now, failure, chance),
            _ => track.circuit.answered(),
        });
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let now = self.tracks.now();
            self.tracks.with(self.key, |track| track.circuit.abandoned(ticket, now));
        }
    }
}

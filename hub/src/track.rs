//! What is remembered of each link from call to call, beside its connection: whether it is asked at all, and what its grant gives. In memory
//! only, one entry a link.

use crate::{
    circuit::{Circuit, CircuitStatus, Moment, Ticket, is_of_reach},
    hello::Shares,
    latency::{Latencies, Latency},
    outcome::Failure,
};
use domain::{
    id::{Field, GrantId, Resource, UserId},
    kind::Kinds,
    world::World,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use store::LinkRecord;
use tokio::time::Instant;

/// Two users of one instance may hold links of the same grant one after the other, and neither learns anything of the other's.
type Key = (UserId, GrantId);

/// Every link's.
pub(crate) struct Tracks {
    world: World,
    tracks: Mutex<HashMap<Key, Track>>,
}

#[derive(Default)]
struct Track {
    circuit: Circuit,
    /// How many fields of which kind the grant keeps back, as it was told last; of kinds that exist only, so it is small.
    withheld: BTreeMap<Resource, u32>,
    /// The grant's generation at the beginning of the last control session, or since.
    generation: Option<u64>,
    latencies: Latencies,
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

    /// What the other side said that the grant gives.
    pub(crate) fn gives(&self, link: &LinkRecord, shares: &Shares) {
        let withheld = |(resource, fields): (&Resource, &Vec<Field>)| {
            let kept_back = kept_back(resource, fields)?;
            Some((resource.clone(), u32::try_from(kept_back.len()).unwrap_or(u32::MAX)))
        };
        let withheld = shares.resources.iter().filter_map(withheld).collect();
        self.lock().entry(key(link)).or_default().withheld = withheld;
    }

    /// The grant stands at this generation; what was told of an earlier one is not true any more.
    pub(crate) fn stands_at(&self, link: &LinkRecord, generation: u64) {
        let mut tracks = self.lock();
        let track = tracks.entry(key(link)).or_default();
        if track.generation.replace(generation).is_some_and(|before| before != generation) {
            track.withheld.clear();
        }
    }

    /// How many fields of this kind the grant keeps back, where that was told.
    pub(crate) fn withheld(&self, link: &LinkRecord, resource: &Resource) -> Option<u32> {
        self.lock().get(&key(link))?.withheld.get(resource).copied()
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

/// The fields of a kind that a grant keeps back which gives these; none where there is no such kind here.
pub(crate) fn kept_back(resource: &Resource, given: &[Field]) -> Option<Vec<Field>> {
    let kind = Kinds::builtin().get(resource)?;
    Some(kind.fields.keys().filter(|field| !given.contains(field)).cloned().collect())
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

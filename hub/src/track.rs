//! What is remembered of each link from call to call, beside its connection: whether it is asked at all. In memory only, one entry a link.

use crate::{
    circuit::{Circuit, CircuitStatus, Moment, Ticket, is_of_reach},
    outcome::Failure,
};
use domain::{
    id::{GrantId, UserId},
    world::World,
};
use std::{
    collections::HashMap,
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

    /// Whether questions over the link are sent.
    pub(crate) fn circuit(&self, link: &LinkRecord) -> CircuitStatus {
        let now = self.now();
        self.lock().get_mut(&key(link)).map(|track| track.circuit.status(now)).unwrap_or_default()
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

//! Whose calls are taken at this moment, and the sockets that wait to be used. The listener asks it of every stranger, so it is in memory.

use domain::{
    Time,
    id::{AwaitId, GrantId, UserId},
    world::Clock,
};
use link::call::{Callees, Parked, ParkedKey};
use pki::{CallKey, CallSecret};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio_util::sync::CancellationToken;

/// Somebody who waits to be called.
pub(super) struct Waits {
    pub(super) owner: UserId,
    pub(super) secret: CallSecret,
    pub(super) not_after: Time,
}

/// Whose calls are to be taken, as it was read.
#[derive(Default)]
pub(super) struct Read {
    pub(super) awaits: HashMap<AwaitId, Waits>,
    pub(super) links: HashMap<GrantId, Vec<(UserId, CallKey)>>,
}

#[derive(Default)]
struct Known {
    awaits: HashMap<AwaitId, Waits>,
    links: HashMap<GrantId, Vec<(UserId, CallKey)>>,
    /// Awaits that a call is being used for, one at a time, and what ends that.
    busy: HashMap<AwaitId, CancellationToken>,
}

/// Whose calls are taken.
pub(crate) struct Table {
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    pub(crate) parked: Parked,
}

/// An await that a call is being used for.
pub(super) struct Busy<'a> {
    table: &'a Table,
    id: AwaitId,
    pub(super) owner: UserId,
    pub(super) secret: CallSecret,
    /// Ends it, because its owner waits no longer.
    pub(super) ended: CancellationToken,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.table.lock().busy.remove(&self.id);
    }
}

/// Where the socket of an await's call is parked, until the enrolment goes over it.
pub(super) fn of_await(owner: UserId, id: AwaitId) -> ParkedKey {
    (owner, GrantId(id.0))
}

impl Table {
    pub(super) fn new(clock: Arc<dyn Clock>, parked: Parked) -> Self {
        Self { clock, known: Mutex::default(), parked }
    }

    /// Exactly these from now on, and what there was of those that `stays` names. Sockets of all others are closed.
    pub(super) fn put(&self, read: Read, stays: impl Fn(ParkedKey) -> bool) {
        {
            let mut known = self.lock();
            let Read { mut awaits, mut links } = read;
            for (id, waits) in known.awaits.drain().filter(|(id, waits)| stays(of_await(waits.owner, *id))) {
                awaits.entry(id).or_insert(waits);
            }
            for (link, of) in known.links.drain() {
                let kept = of.into_iter().filter(|(owner, _)| stays((*owner, link)));
                let now: &mut Vec<(UserId, CallKey)> = links.entry(link).or_default();
                let new: Vec<_> = kept.filter(|(owner, _)| now.iter().all(|(other, _)| other != owner)).collect();
                now.extend(new);
            }
            (known.awaits, known.links) = (awaits, links);
        }
        // Asked of each socket at its turn: a call that has begun meanwhile keeps its own.
        self.parked.keep_only(|key| self.is_called(*key) || self.lock().busy.contains_key(&AwaitId(key.1.0)));
    }

    pub(super) fn wait(&self, id: AwaitId, waits: Waits) {
        self.lock().awaits.insert(id, waits);
    }

    /// Also what is being done with a call of it ends.
    pub(super) fn wait_no_more(&self, id: AwaitId) {
        let mut known = self.lock();
        known.awaits.remove(&id);
        if let Some(ended) = known.busy.get(&id) {
            ended.cancel();
        }
    }

    /// Takes the calls of a link.
    pub(super) fn learn(&self, (owner, link): ParkedKey, key: CallKey) {
        let mut known = self.lock();
        let of = known.links.entry(link).or_default();
        of.retain(|(other, _)| *other != owner);
        of.push((owner, key));
    }

    /// Takes them no more, and closes what waits.
    pub(super) fn forget(&self, key: ParkedKey) {
        if let Some(of) = self.lock().links.get_mut(&key.1) {
            of.retain(|(owner, _)| *owner != key.0);
        }
        self.parked.keep_only(|other| *other != key);
    }

    /// Whether the other side of a link calls.
    pub(crate) fn is_called(&self, (owner, link): ParkedKey) -> bool {
        self.lock().links.get(&link).is_some_and(|of| of.iter().any(|(other, _)| *other == owner))
    }

    /// Whether anybody waits by this await.
    pub(super) fn waits(&self, id: AwaitId) -> bool {
        self.lock().awaits.contains_key(&id)
    }

    /// Whether anybody's calls are taken.
    pub(super) fn is_needed(&self) -> bool {
        let (now, known) = (self.clock.now(), self.lock());
        known.links.values().any(|of| !of.is_empty()) || known.awaits.values().any(|waits| waits.not_after > now)
    }

    /// None where the await is over, or a call is being used for it.
    pub(super) fn begin(&self, id: AwaitId) -> Option<Busy<'_>> {
        let mut known = self.lock();
        let Waits { owner, secret, not_after } = known.awaits.get(&id)?;
        let (owner, secret, in_time) = (*owner, secret.clone(), *not_after > self.clock.now());
        if !in_time || known.busy.contains_key(&id) {
            return None;
        }
        let ended = CancellationToken::new();
        known.busy.insert(id, ended.clone());
        Some(Busy { table: self, id, owner, secret, ended })
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Callees for Table {
    fn waiting(&self, id: AwaitId) -> Option<CallSecret> {
        let (now, known) = (self.clock.now(), self.lock());
        let waits = known.awaits.get(&id).filter(|waits| waits.not_after > now);
        waits.filter(|_| !known.busy.contains_key(&id)).map(|waits| waits.secret.clone())
    }

    fn linked(&self, grant: GrantId) -> Vec<(UserId, CallKey)> {
        let known = self.lock();
        known.links.get(&grant).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{secret::Secret, world::World};
    use link::Incidents;
    use std::time::Duration;

    #[test]
    fn a_wait_is_used_by_one_call_at_a_time_and_its_end_ends_that() {
        let world = World::system();
        let table = Table::new(world.clock(), Parked::new(world.clock(), Incidents::channel(1).0));
        let (id, owner) = (AwaitId(world.uuid()), UserId(world.uuid()));
        let secret = CallSecret::new(id, Secret::new([7; 32]));
        let waits = |not_after| Waits { owner, secret: secret.clone(), not_after };
        table.wait(id, waits(world.now() + Duration::from_mins(1)));
        let busy = table.begin(id).unwrap();
        assert!(table.begin(id).is_none() && table.waiting(id).is_none());
        drop(busy);
        assert!(table.waiting(id).is_some());
        let busy = table.begin(id).unwrap();
        assert!(!busy.ended.is_cancelled());
        table.wait_no_more(id);
        assert!(busy.ended.is_cancelled());
        drop(busy);
        assert!(table.begin(id).is_none() && table.waiting(id).is_none());
        table.wait(id, waits(world.now()));
        assert!(table.begin(id).is_none() && !table.is_needed());
    }
}

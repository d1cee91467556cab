//! Whose calls are taken at this moment, and the sockets that wait to be used. The listener asks it of every stranger, so it is in memory.

use domain::{
    Time,
    id::{AwaitId, GrantId, UserId},
    world::Clock,
};
use link::call::{Callees, Parked, ParkedKey};
use pki::{CallKey, CallSecret};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Somebody who waits to be called.
pub(super) struct Waits {
    pub(super) owner: UserId,
    pub(super) secret: CallSecret,
    pub(super) not_after: Time,
}

#[derive(Default)]
struct Known {
    awaits: HashMap<AwaitId, Waits>,
    links: HashMap<GrantId, Vec<(UserId, CallKey)>>,
    /// Links that are being made: the other side calls as soon as it has given the certificate.
    coming: HashMap<ParkedKey, CallKey>,
    /// Awaits that a call is being used for: one at a time.
    busy: HashSet<AwaitId>,
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

    /// Exactly these from now on. Sockets of all others are closed.
    pub(super) fn put(&self, awaits: HashMap<AwaitId, Waits>, links: HashMap<GrantId, Vec<(UserId, CallKey)>>) {
        let mut known = self.lock();
        (known.awaits, known.links) = (awaits, links);
        let (busy, coming) = (known.busy.clone(), known.coming.keys().copied().collect::<HashSet<_>>());
        let linked: HashSet<_> =
            known.links.iter().flat_map(|(link, of)| of.iter().map(|(owner, _)| (*owner, *link))).collect();
        drop(known);
        self.parked.keep_only(|key| linked.contains(key) || coming.contains(key) || busy.contains(&AwaitId(key.1.0)));
    }

    pub(super) fn wait(&self, id: AwaitId, waits: Waits) {
        self.lock().awaits.insert(id, waits);
    }

    pub(super) fn wait_no_more(&self, id: AwaitId) {
        self.lock().awaits.remove(&id);
    }

    /// Takes the calls of a link that is being made, beside those of one that it takes the place of.
    pub(super) fn expect(&self, link: ParkedKey, key: CallKey) {
        self.lock().coming.insert(link, key);
    }

    /// It is made, or it is not.
    pub(super) fn expect_no_more(&self, link: ParkedKey) {
        self.lock().coming.remove(&link);
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
        (in_time && known.busy.insert(id)).then_some(Busy { table: self, id, owner, secret })
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
        waits.filter(|_| !known.busy.contains(&id)).map(|waits| waits.secret.clone())
    }

    fn linked(&self, grant: GrantId) -> Vec<(UserId, CallKey)> {
        let known = self.lock();
        let coming = known.coming.iter().filter(|((_, link), _)| *link == grant);
        let coming = coming.map(|((owner, _), key)| (*owner, key.clone()));
        known.links.get(&grant).cloned().unwrap_or_default().into_iter().chain(coming).collect()
    }
}

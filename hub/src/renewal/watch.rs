//! Looks after every link of this instance: renews what is due, and keeps what came of it for `links` and `status`.

use super::schedule::{Attempts, Life, Look};
use crate::{Hub, LinkState, LinkStatus, outcome::Failure};
use domain::{
    Time,
    id::{GrantId, RequestId, Serial, UserId},
};
use futures::{StreamExt, stream};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{LinkRecord, StoreError};
use tokio::time::Instant;

/// How often every link is looked at. Short, because it is the wall clock that counts and a timer does not see a machine sleep.
const LOOK: Duration = Duration::from_secs(30);
/// How long a link has been seen to be overdue, while this machine was awake, before that is told: on waking it is tried at the next
/// look, and how that ends is what there is to tell.
const TRIED: Duration = Duration::from_secs(3 * LOOK.as_secs());
/// Links that are renewed at once.
const AT_ONCE: usize = 8;

/// How renewing went since this daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Renewals {
    /// Certificates that took the place of another.
    pub done: u64,
    /// Attempts that failed.
    pub failed: u64,
}

/// How it stands with the renewal of one link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RenewalStatus {
    /// When the certificate is to be renewed; none where it cannot be read.
    pub due: Option<Time>,
    /// Whether that is long past, and a try should have been made by now.
    pub overdue: bool,
    /// Why it was not renewed when it should have been.
    pub failure: Option<RenewalFailure>,
}

/// A renewal that was tried in vain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RenewalFailure {
    /// When it was tried last.
    pub at: Time,
    /// Cause and next step.
    pub reason: String,
    /// When it is tried again.
    pub next: Time,
}

type Key = (UserId, GrantId);

/// What is known of renewals.
#[derive(Default)]
pub(crate) struct Watch {
    attempts: Mutex<HashMap<Key, Attempts>>,
    /// When each link was renewed last, by our own clock.
    renewed: Mutex<HashMap<Key, Time>>,
    /// Since when each link is seen to be overdue, by a clock that stands still while the machine sleeps.
    overdue: Mutex<HashMap<Key, (Serial, Instant)>>,
    running: Arc<Mutex<HashSet<Key>>>,
    done: AtomicU64,
    failed: AtomicU64,
}

/// The one renewal of a link that runs.
pub(crate) struct One(Arc<Mutex<HashSet<Key>>>, Key);

impl Drop for One {
    fn drop(&mut self) {
        lock(&self.0).remove(&self.1);
    }
}

impl Watch {
    /// None while the link is being renewed.
    pub(crate) fn begin(&self, link: &LinkRecord) -> Option<One> {
        let key = (link.owner, link.id);
        lock(&self.running).insert(key).then(|| One(Arc::clone(&self.running), key))
    }

    pub(crate) fn note(&self, link: &LinkRecord, ended: &Result<(), Failure>, now: Time) {
        let key = (link.owner, link.id);
        let Err(failure) = ended else {
            self.done.fetch_add(1, Ordering::Relaxed);
            lock(&self.attempts).remove(&key);
            lock(&self.renewed).insert(key, now);
            return;
        };
        self.failed.fetch_add(1, Ordering::Relaxed);
        let Some(life) = Life::of(link) else { return };
        let mut attempts = lock(&self.attempts);
        let before = attempts.get(&key).filter(|before| before.serial == life.serial);
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        attempts.insert(key, Attempts { serial: life.serial, failures, at: now, reason: failure.reason.clone() });
    }

    pub(crate) fn status(&self, link: &LinkRecord, now: Time) -> RenewalStatus {
        let Some(life) = Life::of(link) else { return RenewalStatus { due: None, overdue: false, failure: None } };
        let attempts = lock(&self.attempts);
        let attempts = attempts.get(&(link.owner, link.id)).filter(|attempts| attempts.serial == life.serial);
        let failure = attempts.filter(|_| now >= life.ripe()).map(|attempts| RenewalFailure {
            at: attempts.at,
            reason: attempts.reason.clone(),
            next: life.next_try(attempts),
        });
        let seen = lock(&self.overdue)
            .get(&(link.owner, link.id))
            .filter(|(serial, _)| *serial == life.serial)
            .map(|seen| seen.1);
        let overdue = now >= life.overdue() && seen.is_some_and(|since| since.elapsed() >= TRIED);
        RenewalStatus { due: Some(life.due()), overdue, failure }
    }

    /// Forgets links that are gone.
    fn keep(&self, links: &[LinkRecord]) {
        let there: HashSet<Key> = links.iter().map(|link| (link.owner, link.id)).collect();
        lock(&self.attempts).retain(|key, _| there.contains(key));
        lock(&self.renewed).retain(|key, _| there.contains(key));
        lock(&self.overdue).retain(|key, _| there.contains(key));
    }

    /// Notes since when links are overdue.
    fn note_overdue(&self, links: &[LinkRecord], now: Time) {
        let mut overdue = lock(&self.overdue);
        for link in links {
            let key = (link.owner, link.id);
            match Life::of(link).filter(|life| now >= life.overdue()) {
                Some(life) if overdue.get(&key).is_some_and(|(serial, _)| *serial == life.serial) => {}
                Some(life) => drop(overdue.insert(key, (life.serial, Instant::now()))),
                None => drop(overdue.remove(&key)),
            }
        }
    }

    fn look(&self, link: &LinkRecord, now: Time) -> bool {
        // One that waits to be used is tried at once: after a start, or when the other side is back.
        let key = (link.owner, link.id);
        let renewed = lock(&self.renewed).get(&key).copied();
        let attempts = lock(&self.attempts);
        let attempts = attempts.get(&key);
        Life::of(link).is_some_and(|life| match (life.look(attempts, now), &link.next) {
            (Look::Due, next) => next.is_some() || !life.rests(renewed, now),
            (_, Some(_)) => attempts.is_none_or(|attempts| now < attempts.at || now >= life.next_try(attempts)),
            _ => false,
        })
    }
}

// Held for a few lines, never across an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Renews certificates in the background until the hub is stopped.
    pub fn keep_renewed(self: &Arc<Self>) {
        let hub = Arc::clone(self);
        let until = self.stopping.clone();
        self.tasks.spawn(async move {
            until
                .run_until_cancelled(async {
                    loop {
                        if let Err(error) = hub.renew_what_is_due().await {
                            tracing::warn!(%error, "the links could not be looked at; their certificates stay as they are");
                        }
                        tokio::time::sleep(LOOK).await;
                    }
                })
                .await
        });
    }

    /// Looks once at every link of every user, by the clock as it is now, and renews what is due. How each ended is told by
    /// [`Hub::links`] and [`Hub::renewals`].
    ///
    /// # Errors
    /// The links cannot be read.
    pub async fn renew_what_is_due(&self) -> Result<(), StoreError> {
        let links = self.every_link().await?;
        self.watch.keep(&links);
        let now = self.world.now();
        self.watch.note_overdue(&links, now);
        let due: Vec<_> = links.into_iter().filter(|link| self.watch.look(link, now)).collect();
        let renewed = stream::iter(due).for_each_concurrent(AT_ONCE, |link| async move {
            let ended = self.renew_recorded(&link, RequestId(self.world.uuid())).await;
            if let Err(failure) = ended {
                tracing::warn!(link = %link.name, reason = %failure.reason, "a certificate was not renewed; it is tried again");
            }
        });
        renewed.await;
        Ok(())
    }

    /// The links of every user whose certificate could not be renewed when it was time, should have been long since, or has ended.
    ///
    /// # Errors
    /// The links cannot be read.
    pub async fn degraded(&self) -> Result<Vec<LinkStatus>, StoreError> {
        let all = self.every_link().await?;
        let is_told = |link: &LinkStatus| {
            let expired = link.state == LinkState::Expired;
            // Of one that has ended there is nothing to renew.
            link.state != LinkState::Revoked && (expired || link.renewal.overdue || link.renewal.failure.is_some())
        };
        Ok(all.iter().map(|link| self.status_of(link)).filter(is_told).collect())
    }

    /// The links of every user, for numbers: their names are for nobody else.
    ///
    /// # Errors
    /// The links cannot be read.
    pub async fn all_links(&self) -> Result<Vec<LinkStatus>, StoreError> {
        Ok(self.every_link().await?.iter().map(|link| self.status_of(link)).collect())
    }

    /// How renewing went since this daemon started.
    pub fn renewals(&self) -> Renewals {
        let Watch { done, failed, .. } = &self.watch;
        Renewals { done: done.load(Ordering::Relaxed), failed: failed.load(Ordering::Relaxed) }
    }

    /// Row-level security shows each user's links to that user alone, so they are asked for one by one.
    pub(crate) async fn every_link(&self) -> Result<Vec<LinkRecord>, StoreError> {
        let directory = self.store.link_directory().await?;
        let owners: BTreeSet<_> = directory.into_iter().map(|entry| entry.owner).collect();
        if owners.is_empty() {
            return Ok(Vec::new());
        }
        let users: BTreeMap<_, _> = self.store.users().await?.into_iter().map(|user| (user.name, user.id)).collect();
        let mut all = Vec::new();
        for owner in owners.iter().filter_map(|owner| users.get(owner)) {
            all.extend(self.store.links(*owner).await?);
        }
        Ok(all)
    }
}

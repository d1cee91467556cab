//! What must never happen, counted for `status`, and of which grants it was, for alerts.

use domain::id::{GrantId, Serial};
use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

/// Grants that are remembered by name.
const KEPT: usize = 64;

/// Counts of what must never happen, for `status`.
#[derive(Debug, Default)]
pub struct Faults {
    /// Answers held back because a row failed the second check: the database's policies are broken.
    pub second_check: AtomicU64,
    /// Answers and refusals that were held back because their record could not be written.
    pub unrecorded: AtomicU64,
    /// Calls with a certificate of our CA that no enrolment of ours accounts for: somebody else can sign with its key.
    pub unknown_certificates: Suspects,
    /// Uses of a certificate that was replaced: somebody has a copy, or the holder lost what it was given.
    pub replaced_certificates: Suspects,
}

impl Faults {
    /// Counts and tells that a replaced certificate was used again.
    pub fn replaced_certificate(&self, grant: GrantId, serial: &Serial, address: SocketAddr) {
        self.replaced_certificates.count(grant);
        tracing::error!(%serial, %grant, %address, "a replaced certificate of this grant was used again: it may be stolen");
    }

    /// Counts and tells that a certificate was used that nobody here issued.
    pub fn unknown_certificate(&self, grant: GrantId, serial: &Serial, address: SocketAddr) {
        self.unknown_certificates.count(grant);
        tracing::error!(%serial, %grant, %address, "a certificate of this CA was never issued here: its key may be stolen");
    }
}

/// Uses of certificates that should not be, and of which grants they were.
#[derive(Debug, Default)]
pub struct Suspects(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    all: u64,
    /// The last ones, the latest last, each with what `all` was at its last use: a number that only grows, also for a grant that
    /// was forgotten meanwhile.
    last: Vec<(GrantId, u64)>,
}

impl Suspects {
    fn count(&self, grant: GrantId) {
        let mut counted = self.lock();
        counted.all += 1;
        let all = counted.all;
        counted.last.retain(|(other, _)| *other != grant);
        counted.last.push((grant, all));
        let over = counted.last.len().saturating_sub(KEPT);
        counted.last.drain(..over);
    }

    /// How many there were.
    pub fn all(&self) -> u64 {
        self.lock().all
    }

    /// The grants of the last ones, the latest last, with how many there were of all when it was used last.
    pub fn last(&self) -> Vec<(GrantId, u64)> {
        self.lock().last.clone()
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(number: usize) -> GrantId {
        format!("00000000-0000-4000-8000-{number:012x}").parse().unwrap()
    }

    #[test]
    fn the_last_grants_are_known_by_name_and_their_numbers_only_grow() {
        let suspects = Suspects::default();
        (0..3).for_each(|_| suspects.count(grant(1)));
        suspects.count(grant(2));
        assert_eq!((suspects.all(), suspects.last()), (4, vec![(grant(1), 3), (grant(2), 4)]));
        (10..10 + KEPT).for_each(|number| suspects.count(grant(number)));
        assert_eq!(suspects.last().len(), KEPT);
        assert!(suspects.last().iter().all(|(id, _)| *id != grant(1)), "the eldest is forgotten");
        suspects.count(grant(1));
        assert!(suspects.last().last().is_some_and(|(id, at)| *id == grant(1) && *at > 3), "and not counted anew");
    }
}

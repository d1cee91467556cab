//! What keeps the CA from being kept busy: of each grant one renewal at a time, and a pause after each attempt, whatever came of
//! it.
//!
//! The table alone would not do. It counts certificates that were issued, and learns of them after the CA has signed: many
//! calls at once, or a CA that fails, would pass it.

use domain::{
    Time,
    id::GrantId,
    renewal::{AGAIN, NoRenewal, not_before},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug)]
struct Attempt {
    at: Time,
    runs: bool,
}

/// The last attempt of each grant to renew. Cheap to clone; all clones are one table.
#[derive(Clone, Debug, Default)]
pub struct Renewals(Arc<Mutex<HashMap<GrantId, Attempt>>>);

/// The one attempt of a grant that runs.
#[derive(Debug)]
pub struct Running(Renewals, GrantId);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(attempt) = self.0.lock().get_mut(&self.1) {
            attempt.runs = false;
        }
    }
}

impl Renewals {
    /// Begins an attempt, which runs until what is given is dropped.
    ///
    /// # Errors
    /// Another one runs, or began less than [`AGAIN`] ago.
    pub fn begin(&self, grant: GrantId, now: Time) -> Result<Running, NoRenewal> {
        let mut attempts = self.lock();
        match attempts.get(&grant) {
            Some(last) if last.runs => return Err(NoRenewal::TooSoon(AGAIN)),
            Some(last) => not_before(last.at, AGAIN, now)?,
            None => {}
        }
        attempts.insert(grant, Attempt { at: now, runs: true });
        Ok(Running(self.clone(), grant))
    }

    /// Forgets the attempts of grants that `stands` does not name.
    pub fn keep(&self, stands: impl Fn(GrantId) -> bool) {
        self.lock().retain(|grant, attempt| attempt.runs || stands(*grant));
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<GrantId, Attempt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Time = Time::from_seconds(1_795_253_400);

    fn id(digit: &str) -> GrantId {
        digit.repeat(8).chars().chain("-0000-4000-8000-000000000000".chars()).collect::<String>().parse().unwrap()
    }

    #[test]
    fn one_attempt_of_a_grant_runs_and_the_next_waits_whatever_came_of_it() {
        let (renewals, grant) = (Renewals::default(), id("1"));
        let running = renewals.begin(grant, NOW).unwrap();
        assert_eq!(renewals.begin(grant, NOW + 2 * AGAIN).unwrap_err(), NoRenewal::TooSoon(AGAIN), "while one runs");
        drop(renewals.begin(id("2"), NOW).unwrap());
        drop(running);
        let early = renewals.begin(grant, NOW + Duration::from_secs(4)).unwrap_err();
        assert_eq!(early, NoRenewal::TooSoon(AGAIN.checked_sub(Duration::from_secs(4)).unwrap()));
        drop(renewals.begin(grant, NOW + AGAIN).unwrap());
        drop(renewals.begin(grant, NOW).expect("a clock that went back stands in nobody's way"));
    }

    #[test]
    fn attempts_are_forgotten_with_their_grant() {
        let (renewals, grant) = (Renewals::default(), id("1"));
        let running = renewals.begin(grant, NOW).unwrap();
        renewals.keep(|_| false);
        assert_eq!(renewals.lock().len(), 1, "one that runs is held back still");
        drop(running);
        renewals.keep(|_| true);
        assert_eq!(renewals.lock().len(), 1);
        renewals.keep(|_| false);
        assert!(renewals.lock().is_empty());
    }
}

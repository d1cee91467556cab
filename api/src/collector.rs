//! A collector that spans are sent to, as `status` tells of it: where it is, and when it took some last and when not.

use crate::view;
use domain::Time;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Noted by whoever sends.
#[derive(Debug)]
pub struct Collector {
    at: String,
    standing: Mutex<Standing>,
}

#[derive(Clone, Debug, Default)]
struct Standing {
    taken_at: Option<Time>,
    failed: Option<(Time, String)>,
    is_failing: bool,
}

impl Collector {
    /// One at this place, to which nothing was sent yet.
    pub fn new(at: String) -> Self {
        Self { at, standing: Mutex::default() }
    }

    /// It took spans. Whether it had not taken the last ones.
    pub fn took(&self, now: Time) -> bool {
        let mut standing = self.lock();
        standing.taken_at = Some(now);
        std::mem::take(&mut standing.is_failing)
    }

    /// It took none: why, and what to do, one line. Whether it had not taken the last ones either.
    pub fn failed(&self, now: Time, why: String) -> bool {
        let mut standing = self.lock();
        standing.failed = Some((now, why));
        std::mem::replace(&mut standing.is_failing, true)
    }

    /// What is said of it.
    pub(crate) fn view(&self) -> view::CollectorView {
        let Standing { taken_at, failed, is_failing } = self.lock().clone();
        let (failed_at, failure) = failed.unzip();
        view::CollectorView { at: self.at.clone(), taken_at, failed_at, failure, is_failing }
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_success_and_the_last_failure_stand_beside_each_other() {
        let collector = Collector::new("http://127.0.0.1:4318".to_owned());
        let at = Time::from_seconds;
        assert_eq!((collector.view().taken_at, collector.view().is_failing), (None, false));
        assert!(!collector.failed(at(1), "away".to_owned()) && collector.failed(at(2), "away".to_owned()));
        assert!(collector.view().is_failing);
        assert!(collector.took(at(3)) && !collector.took(at(4)));
        let view = collector.view();
        assert_eq!((view.taken_at, view.failed_at, view.is_failing), (Some(at(4)), Some(at(2)), false));
        assert_eq!(view.failure.as_deref(), Some("away"));
    }
}

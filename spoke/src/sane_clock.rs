//! A clock that went back makes no grants: what ends by time would end later than its owner was told, and a certificate that has
//! ended would be good again. What is granted already goes on as the clock says; somebody is told.

use crate::{AdminError, Parts};
use domain::{Time, world::Clock};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use store::AuditQuery;

/// How far a clock may be set back without a word: what keeps clocks right steps by less.
const TOLERANCE: Duration = Duration::from_mins(1);
/// The last records that are looked at: the daemon's own start, and the one before it.
const RECORDS: u32 = 2;
/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The latest time that this run has seen.
pub struct SaneClock {
    clock: Arc<dyn Clock>,
    /// Microseconds since 1970.
    reached: AtomicI64,
    refused: AtomicU64,
}

impl SaneClock {
    /// Begins with the present time.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { reached: AtomicI64::new(clock.now().micros()), clock, refused: AtomicU64::new(0) }
    }

    /// Watches the clock until the daemon stops this task.
    pub async fn follow(&self) {
        loop {
            self.look();
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The latest time of this run, and the present one.
    fn look(&self) -> (Time, Time) {
        let now = self.clock.now();
        let before = self.reached.fetch_max(now.micros(), Ordering::Relaxed);
        (Time::from_micros(before).max(now), now)
    }

    /// How often something was refused for the clock.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Fails when the clock is behind what it has reached already: in this run, or by the log's last records.
    pub async fn check(&self, parts: &Parts) -> Result<(), AdminError> {
        let query = AuditQuery { limit: RECORDS, last: true, ..AuditQuery::default() };
        let recorded = parts.store.entries(&query).await?.iter().map(|entry| entry.time).max();
        let (seen, now) = self.look();
        let reached = recorded.map_or(seen, |recorded| recorded.max(seen));
        if now + TOLERANCE >= reached {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%now, %reached, "this machine's clock went back: no grant is made until it is right");
        Err(AdminError::Conflict(format!(
            "this machine's clock says {now}, but it was {reached} already; set it right, then start `mosaic-fed serve` again"
        )))
    }
}

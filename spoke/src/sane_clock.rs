//! A clock that went back makes no grants: what ends by time would end later than its owner was told, and a certificate that has
//! ended would be good again. What is granted already goes on as the clock says; somebody is told.

use crate::AdminError;
use domain::{
    Time,
    audit::{Act, Entry},
    world::Clock,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{AuditQuery, Shared, StoreError};

/// How far a clock may be set back without a word: what keeps clocks right steps by less.
const TOLERANCE: Duration = Duration::from_mins(1);
/// How many of the log's last records are looked through at the start: so many cost a fraction of a second, and whoever asks at the
/// rate that one grant may needs more than a day to push a time out of sight.
const RECORDS: u64 = 100_000;
/// How many are read at once where the log is read on.
const PAGE: u32 = 1_000;
/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What the record of a start says where the owner answers for the clock: times before it in the log count no longer.
pub const CLOCK_IS_RIGHT: &str = "the clock is right";

/// The latest time that is known: of this run, and at its start of the log.
pub struct SaneClock {
    clock: Arc<dyn Clock>,
    /// Microseconds since 1970.
    reached: AtomicI64,
    refused: AtomicU64,
}

impl SaneClock {
    /// Begins with the present time, or the latest of the log if that is later.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn start(clock: Arc<dyn Clock>, log: &Shared) -> Result<Self, StoreError> {
        let now = clock.now();
        let reached = later_than(now, log).await?.unwrap_or(now);
        if now + TOLERANCE < reached {
            tracing::error!(%now, %reached, "this machine's clock went back: no grant is made until it is right");
        }
        Ok(Self { clock, reached: AtomicI64::new(reached.micros()), refused: AtomicU64::default() })
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

    /// Fails when the clock is behind what it has reached already.
    pub fn check(&self) -> Result<(), AdminError> {
        let (reached, now) = self.look();
        if now + TOLERANCE >= reached {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%now, %reached, "this machine's clock went back: no grant is made until it is right");
        Err(AdminError::Conflict(format!(
            "this machine's clock says {now}, but it was {reached} already; set it right and try again, or, if it was wrong then \
             and is right now, start the daemon again with `mosaic-fed serve --clock-is-right`"
        )))
    }
}

/// The latest time of the log that is later than `now`, if no owner has answered for the clock since.
async fn later_than(now: Time, log: &Shared) -> Result<Option<Time>, StoreError> {
    let mut after = log.head().await?.sequence.saturating_sub(RECORDS);
    if latest(after, now, log).await?.is_none() {
        return Ok(None);
    }
    after = last_word(after, log).await?.unwrap_or(after);
    let mut reached = None;
    // The last records need not be the latest: a clock may have gone back more than once.
    while let Some(later) =
        latest(after, reached.map_or(now, |reached| reached + Duration::from_micros(1)), log).await?
    {
        reached = Some(later);
    }
    Ok(reached)
}

/// The latest time among the last records behind `after` that are not before `since`.
async fn latest(after: u64, since: Time, log: &Shared) -> Result<Option<Time>, StoreError> {
    let query = AuditQuery { after, since: Some(since), limit: PAGE, last: true, ..AuditQuery::default() };
    Ok(log.entries(&query).await?.iter().map(|entry| entry.time).max())
}

/// The place before the last record in which an owner answers for the clock.
async fn last_word(mut after: u64, log: &Shared) -> Result<Option<u64>, StoreError> {
    let mut word = None;
    loop {
        let page = log.entries(&AuditQuery { after, limit: PAGE, ..AuditQuery::default() }).await?;
        let Some(last) = page.last() else { return Ok(word) };
        word = page.iter().rfind(|entry| is_word(entry)).map(|entry| entry.sequence - 1).or(word);
        after = last.sequence;
    }
}

fn is_word(entry: &Entry) -> bool {
    entry.about == Act::Start.word() && entry.note.ends_with(CLOCK_IS_RIGHT)
}

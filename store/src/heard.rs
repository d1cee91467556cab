//! Counts that something changed and reports each change once, to whoever waits or asks next.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Something changed.
    Change,
    /// Nothing could be heard for a while, and the database may be another one by then: what is known of it need not add up with what
    /// changed since.
    Loss,
}

/// How often there was news of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    all: u64,
    losses: u64,
}

impl Count {
    pub(crate) const fn change(&mut self) {
        self.all += 1;
    }

    pub(crate) const fn loss(&mut self) {
        self.all += 1;
        self.losses += 1;
    }
}

/// The listening end. Callers that wait at the same time all hear; one that asks later hears what nobody was told yet.
#[derive(Debug)]
pub(crate) struct Heard {
    count: watch::Receiver<Count>,
    reported: AtomicU64,
    losses: AtomicU64,
}

impl Heard {
    /// Listens to a counter.
    pub(crate) fn new(count: watch::Receiver<Count>) -> Self {
        Self { count, reported: AtomicU64::new(0), losses: AtomicU64::new(0) }
    }

    /// Resolves once something was counted that no earlier call reported; never after the counter is gone.
    pub(crate) async fn changed(&self) -> News {
        let mut count = self.count.clone();
        let reported = self.reported.load(Ordering::SeqCst);
        let losses = self.losses.load(Ordering::SeqCst);
        match count.wait_for(|count| count.all > reported).await.map(|count| *count) {
            Ok(count) => {
                self.reported.fetch_max(count.all, Ordering::SeqCst);
                self.losses.fetch_max(count.losses, Ordering::SeqCst);
                if count.losses > losses { News::Loss } else { News::Change }
            }
            // A caller that loops must not spin.
            Err(_) => std::future::pending().await,
        }
    }
}

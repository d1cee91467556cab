//! Counts that something changed and reports each change once, to whoever waits or asks next.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// The listening end. Callers that wait at the same time all hear; one that asks later hears what nobody was told yet.
#[derive(Debug)]
pub(crate) struct Heard {
    count: watch::Receiver<u64>,
    reported: AtomicU64,
}

impl Heard {
    /// Listens to a counter.
    pub(crate) fn new(count: watch::Receiver<u64>) -> Self {
        Self { count, reported: AtomicU64::new(0) }
    }

    /// Resolves once something was counted that no earlier call reported; never after the counter is gone.
    pub(crate) async fn changed(&self) {
        let mut count = self.count.clone();
        let reported = self.reported.load(Ordering::SeqCst);
        match count.wait_for(|count| *count > reported).await.map(|count| *count) {
            Ok(count) => drop(self.reported.fetch_max(count, Ordering::SeqCst)),
            // A caller that loops must not spin.
            Err(_) => std::future::pending().await,
        }
    }
}

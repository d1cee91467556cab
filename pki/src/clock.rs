//! The injected clock in the words of rustls, so that TLS and the rest of the daemon never disagree about the time.

use domain::{Time, world::Clock};
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use std::{sync::Arc, time::Duration};

/// A rustls time source that is the domain's clock.
#[derive(Clone, Debug)]
pub struct TlsClock(Arc<dyn Clock>);

impl TlsClock {
    /// Follows `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(clock)
    }

    /// The present instant.
    pub fn now(&self) -> Time {
        self.0.now()
    }
}

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.now()))
    }
}

/// The same instant for rustls, in whole seconds; what lies before 1970 becomes 1970, when no certificate of ours is valid.
pub(crate) fn unix_time(time: Time) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time.seconds()).unwrap_or(0)))
}

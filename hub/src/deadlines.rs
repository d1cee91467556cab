//! How long the asking side waits. Values come from the design; tests shorten them.

use std::time::Duration;

/// Bytes that the rows of one merged page may take while it is put together, over all its sources.
pub const PAGE_BYTES: usize = 64 << 20;

/// The largest message that is read from another instance, in bytes: what our own sharing side sends at most.
pub fn message_bytes() -> usize {
    link::Limits::default().message
}

/// How long the asking side waits for an answer. How long it waits for a connection is in [`link::dial::DialLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For one source to come to its end.
    pub source: Duration,
    /// For a whole answer, with its records.
    pub overall: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { source: Duration::from_secs(5), overall: Duration::from_secs(10) }
    }
}

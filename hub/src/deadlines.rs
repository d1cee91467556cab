//! How long the asking side waits. Values come from the design; tests shorten them.

use std::time::Duration;
use tokio::time::Instant;

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

/// Of an answer's time, so much is left at its end for the records of what came last.
const FOR_RECORDS: Duration = Duration::from_secs(1);

/// When a whole answer is to be there, however many questions it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until(pub(crate) Instant);

impl Until {
    /// The same for what is asked now, and may come too late to be sent: that is recorded all the same.
    pub(crate) fn with_records(self) -> Instant {
        self.0.max(Instant::now() + FOR_RECORDS)
    }
}

impl Deadlines {
    /// For an answer that begins now.
    pub(crate) fn until(self) -> Until {
        Until(Instant::now() + self.overall)
    }

    /// When a source is to have come to its end that is asked now, for an answer that is to be there by then.
    pub(crate) fn of_source(self, Until(end): Until) -> Instant {
        let for_records = self.overall.saturating_sub(self.source).min(FOR_RECORDS);
        let now = Instant::now();
        (now + self.source).min(end.checked_sub(for_records).unwrap_or(now))
    }

    /// Whether a source that is asked now has a fair part of its time: what ends sooner says nothing of it.
    pub(crate) fn are_fair(self, until: Until) -> bool {
        self.of_source(until).saturating_duration_since(Instant::now()) >= self.source.min(self.overall) / 2
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { source: Duration::from_secs(5), overall: Duration::from_secs(10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_has_its_time_and_what_is_asked_late_in_an_answer_only_what_is_left_of_that() {
        let deadlines = Deadlines::default();
        let until = deadlines.until();
        for (passed, left, fair) in
            [(0, 5, true), (3, 5, true), (6, 3, true), (7, 2, false), (9, 0, false), (99, 0, false)]
        {
            let asked = until.0 - deadlines.overall + Duration::from_secs(passed);
            tokio::time::advance(asked.saturating_duration_since(Instant::now())).await;
            let given = deadlines.of_source(until).saturating_duration_since(Instant::now());
            assert_eq!((given, deadlines.are_fair(until)), (Duration::from_secs(left), fair), "after {passed} s");
        }
    }
}

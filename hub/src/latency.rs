//! How long the last answers over a link took, in a memory that does not grow.

use serde::Serialize;
use std::{collections::VecDeque, time::Duration};

/// Answers that are remembered of each link.
const KEPT: usize = 128;

/// How long the last answered calls took, from question to first answer, with the dial where there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Calls that were counted, 128 at most.
    pub calls: u32,
    /// Half of them took this long or less, in milliseconds.
    pub p50_ms: u32,
    /// All but one in a hundred.
    pub p99_ms: u32,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(VecDeque<u32>);

impl Latencies {
    pub(crate) fn note(&mut self, took: Duration) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(u32::try_from(took.as_millis()).unwrap_or(u32::MAX));
    }

    /// None before the first answer.
    pub(crate) fn summed_up(&self) -> Option<Latency> {
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        // The nearest rank: the least one that so many in a hundred do not exceed.
        let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Latency { calls: u32::try_from(sorted.len()).unwrap_or(u32::MAX), p50_ms: at(50)?, p99_ms: at(99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentiles_are_of_the_last_answers_and_memory_is_bounded() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.summed_up(), None);
        latencies.note(Duration::from_millis(7));
        assert_eq!(latencies.summed_up(), Some(Latency { calls: 1, p50_ms: 7, p99_ms: 7 }));
        for took in 1..=1_000 {
            latencies.note(Duration::from_millis(took));
        }
        // The last 128 are 873 to 1,000.
        assert_eq!(latencies.summed_up(), Some(Latency { calls: 128, p50_ms: 936, p99_ms: 999 }));
        assert!(latencies.0.len() == KEPT && latencies.0.capacity() <= 2 * KEPT);
    }
}

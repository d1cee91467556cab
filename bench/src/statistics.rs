//! The few statistics that a bench needs: percentiles, medians, and ratios taken round by round, because absolute figures of
//! different rounds must not be compared.

use std::time::Duration;

/// The lowest, the middle and the highest of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The lowest.
    pub low: f64,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The highest.
    pub high: f64,
}

impl Spread {
    /// Of `values`; none of nothing.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let (below, above) = (sorted.get((sorted.len() - 1) / 2)?, sorted.get(sorted.len() / 2)?);
        Some(Self { low, median: f64::midpoint(*below, *above), high })
    }

    /// Of `over` against `under`, each pair from one round.
    pub fn of_ratios(over: &[f64], under: &[f64]) -> Option<Self> {
        Self::of(over.iter().zip(under).filter(|(_, under)| **under > 0.0).map(|(over, under)| over / under))
    }
}

/// The smallest of `sorted` that at least `thousandths` of all do not exceed; 0 of nothing.
pub fn percentile(sorted: &[u32], thousandths: usize) -> u32 {
    let at = (sorted.len() * thousandths).div_ceil(1_000);
    sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
}

/// Whole microseconds, as many as a `u32` holds (71 minutes).
pub fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// Whole nanoseconds, as many as a `u32` holds (4 s).
pub fn nanos(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos()).unwrap_or(u32::MAX)
}

/// A count as a number to divide by.
pub fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let sorted: Vec<u32> = (1..=200).collect();
        assert_eq!([500, 990, 999, 1_000].map(|at| percentile(&sorted, at)), [100, 198, 200, 200]);
        assert_eq!(percentile(&[7], 10), 7);
        assert_eq!(percentile(&[], 990), 0);
    }

    #[test]
    fn the_middle_of_an_even_number_of_values_is_between_two() {
        let spread = Spread::of([4.0, 1.0, 2.0, 10.0]).unwrap();
        assert_eq!(spread, Spread { low: 1.0, median: 3.0, high: 10.0 });
        assert_eq!(Spread::of([5.0]).unwrap().median, 5.0);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_pair_rounds_so_that_a_slow_round_is_slow_for_both() {
        // The machine was half as fast in the second round; the share is the same.
        let spread = Spread::of_ratios(&[30.0, 15.0], &[100.0, 50.0]).unwrap();
        assert_eq!((spread.low, spread.high), (0.3, 0.3));
        assert_eq!(Spread::of_ratios(&[1.0], &[0.0]), None);
    }

    #[test]
    fn times_beyond_what_fits_are_the_largest_that_do() {
        assert_eq!(micros(Duration::from_hours(2)), u32::MAX);
        assert_eq!((micros(Duration::from_millis(3)), nanos(Duration::from_micros(3))), (3_000, 3_000));
    }
}

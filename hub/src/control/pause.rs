//! How long a link is left alone after its session ended: a pure function of how often it did.

use std::time::Duration;

pub(crate) const FIRST: Duration = Duration::from_secs(1);
/// The longest, before its chance part.
const CAP: Duration = Duration::from_mins(5);
/// A session that lived this long was a good one: the next pause is the first again.
pub(crate) const GOOD: Duration = Duration::from_mins(1);
/// Where trying again helps only once somebody did something at the other side.
pub(crate) const FINAL: Duration = Duration::from_hours(1);

/// 1, 2, 4 … seconds to five minutes, and by chance (0 to 255) up to as long again: instances that lost the same other side do not
/// come back to it at one moment.
pub(crate) fn pause(failures: u32, chance: u8) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).and_then(|times| FIRST.checked_mul(times));
    let pause = doubled.map_or(CAP, |pause| pause.min(CAP));
    pause + pause * u32::from(chance) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_to_its_cap_and_chance_only_lengthens_it() {
        let pauses: Vec<_> = (1..=12).map(|failures| pause(failures, 0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        for failures in [0, 1, 7, 31, 32, 33, u32::MAX] {
            let (least, most) = (pause(failures, 0), pause(failures, 255));
            assert!(least >= FIRST && most == least * 2 && most <= CAP * 2, "{failures}");
        }
    }
}

//! When a link's certificate is renewed: pure functions of the certificate, of how trying ended, and of the wall clock, which is
//! looked at anew each time. A laptop that slept, or a clock that jumped, finds the same answer as if it had not.

use domain::{Time, id::Serial};
use pki::profile;
use std::time::Duration;
use store::LinkRecord;

/// The longest pause between two attempts, before its chance part.
pub(crate) const CAP: Duration = Duration::from_hours(1);
/// The first pause after a failure, before its chance part, of a certificate that lives long enough.
const FIRST: Duration = Duration::from_mins(1);
/// Chance lengthens a pause, and puts off a renewal, by this part (as a divisor) of the pause or the life, at most.
const SPREAD: u32 = 10;
/// The first pause is at most this part of the life, as a divisor: a life of minutes has no minutes to lose.
const HASTE: u32 = 100;

/// Between two renewals lies at least this part of the life, as a divisor.
const REST: u32 = 10;
/// And at least a tenth of the shortest life there is.
const LEAST_REST: Duration = Duration::from_secs(30);

/// A certificate's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) serial: Serial,
    pub(crate) issued_at: Time,
    pub(crate) not_after: Time,
    /// 0 to 999: drawn once, from link and certificate, so that a restart does not draw again.
    chance: u32,
}

/// How trying to renew one certificate went so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    pub(crate) serial: Serial,
    /// In a row, at least one.
    pub(crate) failures: u32,
    pub(crate) at: Time,
    pub(crate) reason: String,
}

/// What the clock says about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing is to be done before this time.
    Until(Time),
    /// It is time.
    Due,
    /// It has ended: no renewal is possible any more.
    Ended,
}

impl Life {
    /// Of the certificate that the link uses; none where it cannot be read.
    pub(crate) fn of(link: &LinkRecord) -> Option<Self> {
        let read = profile::grant_leaf(&link.certificate, link.peer).ok()?;
        let seed = [link.id.0.as_bytes().as_slice(), read.leaf.serial.as_bytes()].concat();
        let (serial, not_after) = (read.leaf.serial, read.leaf.not_after);
        Some(Self { serial, issued_at: read.issued_at, not_after, chance: spread(&seed) % 1_000 })
    }

    fn whole(&self) -> Duration {
        self.not_after.since(self.issued_at)
    }

    /// Two thirds of its life: from then on a failure to renew is worth telling.
    pub(crate) fn ripe(&self) -> Time {
        self.issued_at + self.whole() / 3 * 2
    }

    /// When it is renewed: two thirds of its life and a part of a tenth, so that links made together do not renew together.
    pub(crate) fn due(&self) -> Time {
        self.ripe() + self.whole() / SPREAD * self.chance / 1_000
    }

    /// When it should have been renewed, whatever chance said.
    pub(crate) fn overdue(&self) -> Time {
        self.ripe() + self.whole() / SPREAD
    }

    /// The pause after `failures` failures in a row: 1, 2, 4 … minutes to an hour, lengthened by chance, never shortened.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let first = FIRST.min(self.whole() / HASTE).max(Duration::from_secs(1));
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).and_then(|times| first.checked_mul(times));
        let pause = doubled.map_or(CAP, |pause| pause.min(CAP));
        pause + pause / SPREAD * self.chance / 1_000
    }

    /// When it is tried again.
    pub(crate) fn next_try(&self, attempts: &Attempts) -> Time {
        attempts.at + self.pause(attempts.failures)
    }

    /// Whether it is left alone although it says that it is due: the other side wrote when it begins, and one that began long ago
    /// would be renewed at every look. What counts is our own clock since the last renewal.
    pub(crate) fn rests(&self, renewed: Option<Time>, now: Time) -> bool {
        let rest = (self.whole() / REST).max(LEAST_REST);
        renewed.is_some_and(|renewed| now >= renewed && now < renewed + rest)
    }

    /// What to do at `now`.
    pub(crate) fn look(&self, attempts: Option<&Attempts>, now: Time) -> Look {
        if now >= self.not_after {
            return Look::Ended;
        }
        if now < self.due() {
            return Look::Until(self.due());
        }
        match attempts.filter(|attempts| attempts.serial == self.serial) {
            // An attempt that lies in the future was made before the clock went back: it says nothing about now.
            Some(attempts) if now >= attempts.at && now < self.next_try(attempts) => {
                Look::Until(self.next_try(attempts))
            }
            _ => Look::Due,
        }
    }
}

/// FNV-1a: the same on every machine and in every version.
fn spread(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;

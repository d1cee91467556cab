//! Where time and randomness come from. The only module that may touch the system's own; everything else is handed a [`World`].

use crate::Time;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use uuid::Uuid;

/// Tells the wall-clock time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present instant.
    fn now(&self) -> Time;
}

/// Gives randomness for ids, tokens and jitter.
pub trait Rng: Send + Sync + fmt::Debug {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Clock and randomness, handed to everything that needs either. Cheap to clone.
#[derive(Clone, Debug)]
pub struct World {
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

impl World {
    /// The machine's own clock and randomness.
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), rng: Arc::new(SystemRng) }
    }

    /// A world made of the given parts.
    pub fn new(clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        Self { clock, rng }
    }

    /// The present instant.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The clock alone, for those who need no randomness.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// A random (version 4) UUID.
    pub fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill(&mut bytes);
        bytes
    }
}

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the system clock enters")]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

#[derive(Debug)]
struct SystemRng;

impl Rng for SystemRng {
    #[expect(clippy::expect_used, reason = "without randomness no key or token is safe: stopping is the only answer")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives randomness");
    }
}

/// A clock that moves only when told, for tests and simulation.
#[derive(Debug)]
pub struct FakeClock(AtomicI64);

impl FakeClock {
    /// Starts at `at`.
    pub fn new(at: Time) -> Self {
        Self(AtomicI64::new(at.micros()))
    }

    /// Moves forward by `by`.
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }

    /// Jumps to `at`, backwards too.
    pub fn set(&self, at: Time) {
        self.0.store(at.micros(), Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Time {
        Time::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Repeatable bytes from a seed, for tests and simulation (`SplitMix64`); predictable, never for keys or tokens that guard anything.
#[derive(Debug)]
pub struct SeededRng(AtomicU64);

impl SeededRng {
    /// The same seed gives the same bytes.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Rng for SeededRng {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_world_repeats_itself_and_a_fake_clock_stands_still() {
        let world = || World::new(Arc::new(FakeClock::new(Time::from_seconds(7))), Arc::new(SeededRng::new(42)));
        let (one, two) = (world(), world());
        assert_eq!(one.uuid(), two.uuid());
        assert_ne!(one.uuid(), one.uuid());
        assert_eq!(one.now(), one.now());
    }
}

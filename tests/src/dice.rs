//! How much a proof does, and from which seed.
#![expect(clippy::print_stdout, reason = "a run tells the seed that repeats it")]

use domain::world::{Rng, SeededRng, World};
use std::env;

/// The small setting's number, or the large one's with `MOSAIC_TEST_SCALE=large`.
pub fn scale<T>(small: T, large: T) -> T {
    if env::var("MOSAIC_TEST_SCALE").is_ok_and(|scale| scale == "large") { large } else { small }
}

/// Randomness of one proof. The seed is printed first: `MOSAIC_TEST_SEED` repeats it.
pub struct Dice(SeededRng);

impl Dice {
    /// Of the seed in the environment, or a new one.
    pub fn new(proof: &str) -> Self {
        let given = env::var("MOSAIC_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from_be_bytes(World::system().bytes()));
        println!("{proof}: MOSAIC_TEST_SEED={seed}");
        Self(SeededRng::new(seed))
    }

    /// Others that depend on these, for a part that runs beside others: how often each is thrown changes nothing for the rest.
    #[must_use]
    pub fn split(&self) -> Self {
        let mut seed = [0; 8];
        self.0.fill(&mut seed);
        Self(SeededRng::new(u64::from_be_bytes(seed)))
    }

    /// Random bytes.
    pub fn bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill(&mut bytes);
        bytes
    }

    /// A number below `end`.
    pub fn below(&self, end: usize) -> usize {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        usize::try_from(u32::from_be_bytes(bytes)).expect("32 bits") % end.max(1)
    }

    /// Whether something of this chance happens.
    pub fn one_in(&self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    /// One of these.
    pub fn one<T: Copy>(&self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Each with one chance in two, at least one.
    pub fn some<T: Copy>(&self, of: &[T]) -> Vec<T> {
        let some: Vec<T> = of.iter().copied().filter(|_| self.one_in(2)).collect();
        if some.is_empty() { vec![self.one(of)] } else { some }
    }
}

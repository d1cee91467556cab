//! How much a proof does, from which seed, and what the process looks like meanwhile.

use domain::world::{Rng, SeededRng, World};
use std::{env, fs::read_to_string, time::Duration};
use tokio::sync::{Mutex, MutexGuard};

/// The small setting's number, or the large one's with `MOSAIC_TEST_SCALE=large`.
pub fn scale<T>(small: T, large: T) -> T {
    if env::var("MOSAIC_TEST_SCALE").is_ok_and(|scale| scale == "large") { large } else { small }
}

/// The only proof that runs at this moment.
pub async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// Bytes of memory this process holds (proc(5): `VmRSS` of status).
pub fn memory() -> u64 {
    let status = read_to_string("/proc/self/status").expect("proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of the memory");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024
}

/// How much the memory grew since `before`, in whole mebibytes.
pub fn grown(before: u64) -> u64 {
    memory().saturating_sub(before) >> 20
}

/// The value below which `hundredths` of `times` lie; sorts them.
pub fn percentile(times: &mut [Duration], hundredths: usize) -> Duration {
    times.sort_unstable();
    let at = (times.len() * hundredths).div_ceil(100);
    times.get(at.saturating_sub(1)).copied().unwrap_or_default()
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
}

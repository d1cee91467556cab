//! How much a proof does, from which seed, and what the process looks like meanwhile.

use std::{fs::read_to_string, time::Duration};
use tokio::sync::{Mutex, MutexGuard};

pub use tests::dice::{Dice, scale};

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

//! A machine that slept, or was carried elsewhere meanwhile: its connections are dead, or about to be, and nobody tells it. The clock on the
//! wall goes on through a sleep and the steady one stands still; where the two part, every connection is let go of and every pause ends.

use crate::Hub;
use domain::{Time, world::World};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the clocks are compared.
const LOOK: Duration = Duration::from_secs(5);
/// So far apart they are by nothing but a sleep, or by somebody who set one.
const APART: Duration = Duration::from_secs(30);

/// What both clocks say at one moment.
#[derive(Clone, Copy)]
struct Clocks {
    wall: Time,
    steady: Instant,
}

impl Clocks {
    fn of(world: &World) -> Self {
        Self { wall: world.now(), steady: Instant::now() }
    }

    /// Whether more, or less, has gone by on the wall since `before` than a machine that was awake has seen.
    fn parted_since(self, before: Self) -> bool {
        let steady = self.steady.saturating_duration_since(before.steady);
        let expected = before.wall + steady;
        self.wall > expected + APART || expected > self.wall + APART
    }
}

impl Hub {
    /// Compares the clocks for as long as it is polled.
    pub(crate) async fn heed_sleep(&self) {
        let mut before = Clocks::of(&self.world);
        loop {
            sleep(LOOK).await;
            let clocks = Clocks::of(&self.world);
            if clocks.parted_since(before) {
                tracing::info!(
                    "the clock on the wall and the steady one have parted, as after a sleep: every link is connected anew"
                );
                self.woken();
            }
            before = clocks;
        }
    }

    /// The machine slept: no connection is used any more that was there before, and every link's session is begun at once. Calls in flight go on
    /// until their deadlines.
    pub fn woken(&self) {
        self.sessions.hang_up_all();
        self.keeper.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_part_by_a_sleep_and_by_a_clock_that_was_set_and_by_nothing_less() {
        let before = Clocks { wall: Time::from_seconds(1_800_000_000), steady: Instant::now() };
        let after = |wall: i64, steady: u64| Clocks {
            wall: Time::from_seconds(1_800_000_000 + wall),
            steady: before.steady + Duration::from_secs(steady),
        };
        for (wall, steady) in [(5, 5), (35, 5), (-25, 5), (0, 0), (0, 30), (3_600, 3_600), (3_630, 3_600)] {
            assert!(!after(wall, steady).parted_since(before), "{wall} {steady}");
        }
        for (wall, steady) in [(36, 5), (3_600, 5), (-26, 5), (-86_400, 5), (0, 31), (86_400 * 400, 5)] {
            assert!(after(wall, steady).parted_since(before), "{wall} {steady}");
        }
    }
}

//! Worlds whose time a test makes: one that stands until it is moved, one that runs faster than the machine's.

use domain::{
    Time,
    world::{Clock, FakeClock, SeededRng, World},
};
use std::sync::Arc;

/// A world that stands at the present instant until its clock is moved.
pub fn standing() -> (Arc<FakeClock>, World) {
    let clock = Arc::new(FakeClock::new(World::system().now()));
    (Arc::clone(&clock), with(clock))
}

/// A world in which `times` seconds pass in one.
pub fn running(times: u32) -> World {
    let began = World::system().now();
    with(Arc::new(Quick { began, times }))
}

/// Ids of its own, so that two worlds of one test have none in common.
fn with(clock: Arc<dyn Clock>) -> World {
    World::new(clock, Arc::new(SeededRng::new(u64::from_be_bytes(World::system().bytes()))))
}

#[derive(Debug)]
struct Quick {
    began: Time,
    times: u32,
}

impl Clock for Quick {
    fn now(&self) -> Time {
        self.began + World::system().now().since(self.began) * self.times
    }
}

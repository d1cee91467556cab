//! What the process has.

use std::{fmt, fs, time::Duration};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

const LOOK: Duration = Duration::from_millis(100);

/// Tasks of the runtime that did not end, and open sockets (proc(5): `fd`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    tasks: usize,
    sockets: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tasks and {} sockets", self.tasks, self.sockets)
    }
}

impl Counts {
    fn now() -> Self {
        let descriptors = fs::read_dir("/proc/self/fd").expect("proc").flatten();
        let targets = descriptors.filter_map(|one| fs::read_link(one.path()).ok());
        let sockets = targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count();
        Self { tasks: Handle::current().metrics().num_alive_tasks(), sockets }
    }

    /// The least of each in this time: what is about to go is not counted.
    pub async fn least_within(time: Duration) -> Self {
        let (end, mut least) = (Instant::now() + time, Self::now());
        while Instant::now() < end {
            sleep(LOOK).await;
            let now = Self::now();
            least = Self { tasks: least.tasks.min(now.tasks), sockets: least.sockets.min(now.sockets) };
        }
        least
    }

    /// As soon as there are no more than these, or what there is when the patience is over.
    pub async fn until_at_most(most: Self, patience: Duration) -> Self {
        let (end, mut least) = (Instant::now() + patience, Self::now());
        loop {
            // Each by itself: they need not be few at the same moment, as they need not have been before.
            let now = Self::now();
            least = Self { tasks: least.tasks.min(now.tasks), sockets: least.sockets.min(now.sockets) };
            if least.is_at_most(most) || Instant::now() >= end {
                return least;
            }
            sleep(LOOK).await;
        }
    }

    pub fn is_at_most(self, most: Self) -> bool {
        self.tasks <= most.tasks && self.sockets <= most.sockets
    }
}

//! What a proxy did, in order. Each event has a number, and so has each mark that a test sets: of two the smaller one was first.

use super::{Fault, Way};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The pause for each byte that makes a connection as good as silent.
const STANDSTILL: Duration = Duration::from_millis(50);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The connection began, with this fault lying in wait.
    Opened(Option<Fault>),
    /// The connection is slow from here on.
    Slowed(Fault),
    /// The fault struck.
    Struck(Fault),
    /// A test had it closed, or reset.
    Cut(bool),
    /// A test had it fall silent.
    Silenced,
    /// Nobody listens at the sharing side.
    NobodyThere,
    /// The asking side's end is closed, by whomever.
    Closed,
}

/// One line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub number: u64,
    /// Which connection of the proxy, from 1.
    pub connection: u64,
    /// Bytes that had gone this way, where the event is of one way.
    pub at: Option<(Way, u64)>,
    /// What.
    pub what: What,
}

/// Everything that a proxy did.
#[derive(Debug, Default)]
pub struct Log(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    number: u64,
    connections: u64,
    events: Vec<Event>,
    /// When refusing began, and ended.
    refusals: Vec<(u64, Option<u64>)>,
}

impl Lines {
    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}

impl What {
    /// Whether an answer over the connection may suffer: of slowness alone only if it is such that no handshake ends within a minute.
    fn is_harm(self) -> bool {
        match self {
            Self::Slowed(Fault::Drip(bytes, pause)) => pause >= STANDSTILL * u32::try_from(bytes).unwrap_or(u32::MAX),
            Self::Struck(_) | Self::Cut(_) | Self::Silenced | Self::NobodyThere => true,
            Self::Opened(_) | Self::Slowed(_) | Self::Closed => false,
        }
    }
}

impl Log {
    /// A mark: what is done from here on has a greater number.
    pub fn mark(&self) -> u64 {
        self.lock().next()
    }

    /// Everything so far.
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// Whether something was done since the mark that an answer may suffer from, or earlier to a connection that the asking side still had
    /// then. A connection that was gone by the mark is no excuse.
    pub fn has_harmed_since(&self, mark: u64) -> bool {
        let lines = self.lock();
        let mut harmed = BTreeMap::new();
        for event in &lines.events {
            match event.what {
                What::Closed if event.number < mark => drop(harmed.remove(&event.connection)),
                what if what.is_harm() => drop(harmed.insert(event.connection, event.number)),
                _ => {}
            }
        }
        !harmed.is_empty() || lines.refusals.iter().any(|(_, end)| end.is_none_or(|end| end > mark))
    }

    pub(super) fn connection(&self) -> u64 {
        let mut lines = self.lock();
        lines.connections += 1;
        lines.connections
    }

    pub(super) fn write(&self, connection: u64, at: Option<(Way, u64)>, what: What) {
        let mut lines = self.lock();
        let number = lines.next();
        lines.events.push(Event { number, connection, at, what });
    }

    pub(super) fn refuses(&self, now: bool) {
        let mut lines = self.lock();
        let number = lines.next();
        if now {
            lines.refusals.push((number, None));
        } else if let Some((_, end)) = lines.refusals.last_mut() {
            *end = Some(number);
        }
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

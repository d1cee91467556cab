//! The connections of one link over which rows come: a first one, and others beside it while it is busy. None is kept for long when nobody
//! asks: what came last stays in its buffers.
//!
//! The sharing side works on 64 calls of one connection at once and lets the rest wait. Before that is reached another connection is made, behind
//! the back of whoever asks: nobody waits for it. Connections are filled in their order, so that the last ones fall idle first, and go.

use crate::outcome::Failure;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, ready},
};
use link::Dialled;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Connections of one link, at most.
pub(crate) const MOST: usize = 4;
/// Calls in flight over each of them, before another one is made.
const BUSY: usize = 48;
/// One over which nobody asked for so long is closed: before the life of what it brought is over.
const IDLE: Duration = Duration::from_secs(20);
/// How often that is looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(5);
/// After a further one could not be made, so long none is tried: the others serve.
const AGAIN: Duration = Duration::from_secs(10);

/// A connection that is made, or is there.
pub(crate) type Dial = Shared<BoxFuture<'static, Result<Dialled, Failure>>>;

/// A place in a connection, counted until it is dropped.
#[derive(Clone, Default)]
pub(crate) struct Seat(#[expect(dead_code, reason = "counted by its clones")] Arc<()>);

struct Line {
    ticket: u64,
    dial: Dial,
    seats: Arc<()>,
    used: Instant,
}

impl Line {
    fn new(ticket: u64, dial: Dial, now: Instant) -> Self {
        Self { ticket, dial, seats: Arc::new(()), used: now }
    }

    fn in_flight(&self) -> usize {
        Arc::strong_count(&self.seats) - 1
    }

    /// None while it is being made.
    fn is_open(&self) -> Option<bool> {
        self.dial.peek().map(|dialled| dialled.as_ref().is_ok_and(Dialled::is_open))
    }

    fn chosen(&self) -> Chosen {
        let reused = self.is_open().is_some();
        Chosen { ticket: self.ticket, dial: self.dial.clone(), reused, seat: Seat(Arc::clone(&self.seats)) }
    }
}

/// A connection for one call.
pub(crate) struct Chosen {
    pub(crate) ticket: u64,
    pub(crate) dial: Dial,
    /// Whether it was there already.
    pub(crate) reused: bool,
    pub(crate) seat: Seat,
}

/// The connections of one link.
#[derive(Default)]
pub(crate) struct Lines {
    first: Option<Line>,
    further: Vec<Line>,
    /// Whether a further one is being made, and until when none is tried after one that failed.
    extending: bool,
    resting: Option<Instant>,
}

impl Lines {
    /// The first connection, unless it is to be made.
    fn first(&mut self) -> Option<Chosen> {
        if self.first.as_ref().is_some_and(|first| first.is_open() == Some(false)) {
            self.first = None;
        }
        self.first.as_ref().map(Line::chosen)
    }

    /// The connection for one more call, unless the first one is to be made; the fullest that is not busy is filled first.
    pub(crate) fn any(&mut self, now: Instant) -> Option<Chosen> {
        let first = self.first()?;
        self.further.retain(|line| line.is_open() == Some(true));
        let mut all: Vec<&mut Line> = self.first.iter_mut().chain(&mut self.further).collect();
        // The seat that was taken to look is not one of a call.
        drop(first);
        let free = all.iter().position(|line| line.in_flight() < BUSY);
        let chosen = free.or_else(|| (0..all.len()).min_by_key(|at| all[*at].in_flight()))?;
        let line = all.get_mut(chosen)?;
        line.used = now;
        Some(line.chosen())
    }

    /// Another connection than this one, if one is there; the one with the fewest calls.
    pub(crate) fn beside(&mut self, ticket: u64, now: Instant) -> Option<Chosen> {
        let all = self.first.iter_mut().chain(&mut self.further);
        let others = all.filter(|line| line.ticket != ticket && line.is_open() == Some(true));
        let line = others.min_by_key(|line| line.in_flight())?;
        line.used = now;
        Some(line.chosen())
    }

    /// Whether a further connection is to be made now since all are busy; as [`Lines::add`].
    pub(crate) fn extend(&mut self, now: Instant) -> Option<u64> {
        let mut all = self.first.iter().chain(&self.further);
        let busy = all.all(|line| line.is_open() == Some(true) && line.in_flight() >= BUSY);
        busy.then(|| self.add(now)).flatten()
    }

    /// Whether a further connection may be made now; the first one's ticket, if so, and nobody else is told so until [`Lines::extended`].
    pub(crate) fn add(&mut self, now: Instant) -> Option<u64> {
        let first = self.first.as_ref().filter(|first| first.is_open() == Some(true))?;
        let is_full = self.further.iter().filter(|line| line.is_open() == Some(true)).count() + 1 >= MOST;
        if is_full || self.extending || self.resting.is_some_and(|until| now < until) {
            return None;
        }
        self.extending = true;
        Some(first.ticket)
    }

    /// A further connection came about, or did not. Where the first is another one since, it belongs to what has ended.
    pub(crate) fn extended(&mut self, beside: u64, made: Option<(u64, Dialled)>, now: Instant) {
        self.extending = false;
        if made.is_none() {
            self.resting = Some(now + AGAIN);
        }
        if let Some((ticket, dialled)) = made
            && self.first.as_ref().is_some_and(|first| first.ticket == beside)
        {
            self.further.push(Line::new(ticket, there(dialled), now));
        }
    }

    /// Lets go of connections over which nobody asked lately; whether one is left.
    pub(crate) fn let_idle_go(&mut self, now: Instant) -> bool {
        let is_of_use = |line: &mut Line| {
            if line.in_flight() > 0 {
                line.used = now;
            }
            line.is_open() != Some(false) && now.duration_since(line.used) < IDLE
        };
        self.first.take_if(|line| !is_of_use(line));
        self.further.retain_mut(is_of_use);
        self.first.is_some() || !self.further.is_empty()
    }

    /// A first connection that is being made.
    pub(crate) fn begin(&mut self, ticket: u64, dial: Dial, now: Instant) -> Chosen {
        let line = Line::new(ticket, dial, now);
        let chosen = line.chosen();
        self.first = Some(line);
        chosen
    }

    /// Puts a connection in the place of all of them. Calls in flight end on the old ones, each of which closes after its last.
    pub(crate) fn exchange(&mut self, ticket: u64, dialled: Dialled, now: Instant) {
        self.hang_up();
        self.first = Some(Line::new(ticket, there(dialled), now));
    }

    /// Takes a connection where there is no first one.
    pub(crate) fn adopt(&mut self, ticket: u64, dialled: Dialled, now: Instant) {
        if self.first().is_none() {
            self.exchange(ticket, dialled, now);
        }
    }

    /// Lets go of all of them.
    pub(crate) fn hang_up(&mut self) {
        self.first = None;
        self.further.clear();
        self.resting = None;
    }

    /// Lets go of one.
    pub(crate) fn remove(&mut self, ticket: u64) {
        self.first.take_if(|line| line.ticket == ticket);
        self.further.retain(|line| line.ticket != ticket);
    }
}

/// A dial that is over: polled once, so that it counts as such.
fn there(dialled: Dialled) -> Dial {
    let dial = ready(Ok(dialled)).boxed().shared();
    drop(dial.clone().now_or_never());
    dial
}

#[cfg(test)]
mod tests;

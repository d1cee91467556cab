//! Proved sockets of calling sides, until one is needed. They are few for each link, their deaths are noticed, and one over which a byte
//! came that nobody asked for is closed.

use super::answer::{Answered, is_silent};
use crate::{Class, Incident, Incidents};
use domain::{
    id::{GrantId, UserId},
    world::Clock,
};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    net::TcpStream,
    sync::{oneshot, watch},
    time::{Instant, timeout_at},
};

/// Whose socket it is: this user's link.
pub type ParkedKey = (UserId, GrantId);

/// Sockets that may wait for one link. One more, and the eldest goes: a side that lost its own end of them calls anew.
pub const MOST_PARKED: usize = 4;

/// Sockets that wait, by link. All clones are one place.
#[derive(Clone)]
pub struct Parked(Arc<Inner>);

struct Inner {
    waiting: Mutex<(u64, HashMap<ParkedKey, VecDeque<Spare>>)>,
    arrivals: watch::Sender<u64>,
    incidents: Incidents,
    clock: Arc<dyn Clock>,
}

/// A socket that waits; its task ends when this is dropped.
struct Spare {
    number: u64,
    claim: oneshot::Sender<oneshot::Sender<TcpStream>>,
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.lock().1.iter().map(|(key, spares)| (key, spares.len()))).finish()
    }
}

impl Parked {
    /// Nothing waits. A socket that speaks unasked is reported.
    pub fn new(clock: Arc<dyn Clock>, incidents: Incidents) -> Self {
        let arrivals = watch::Sender::new(0);
        Self(Arc::new(Inner { waiting: Mutex::default(), arrivals, incidents, clock }))
    }

    /// Keeps a socket for this link.
    pub fn park(&self, key: ParkedKey, call: Answered) {
        let Answered { socket, address, .. } = call;
        let (claim, claimed) = oneshot::channel();
        let number = {
            let mut waiting = self.lock();
            waiting.0 += 1;
            let number = waiting.0;
            let spares = waiting.1.entry(key).or_default();
            spares.push_back(Spare { number, claim });
            if spares.len() > MOST_PARKED {
                spares.pop_front();
            }
            number
        };
        let own = self.clone();
        tokio::spawn(async move {
            own.watch(&socket, address, claimed).await.map(|taker| taker.send(socket));
            own.leave(key, number);
        });
        self.0.arrivals.send_modify(|count| *count += 1);
    }

    /// Takes the youngest socket of a link that is alive, or the next that comes until then.
    pub async fn take(&self, key: ParkedKey, until: Instant) -> Option<TcpStream> {
        let mut arrivals = self.0.arrivals.subscribe();
        loop {
            arrivals.mark_unchanged();
            while let Some(spare) = self.youngest(key) {
                let (give, given) = oneshot::channel();
                if spare.claim.send(give).is_ok()
                    && let Ok(socket) = given.await
                {
                    return Some(socket);
                }
            }
            timeout_at(until, arrivals.changed()).await.ok()?.ok()?;
        }
    }

    /// Resolves when a socket waits for the link.
    pub async fn some(&self, key: ParkedKey) {
        let mut arrivals = self.0.arrivals.subscribe();
        while self.waiting(key) == 0 {
            if arrivals.changed().await.is_err() {
                return;
            }
        }
    }

    /// How many wait for a link.
    pub fn waiting(&self, key: ParkedKey) -> usize {
        self.lock().1.get(&key).map_or(0, VecDeque::len)
    }

    /// How many wait in all.
    pub fn all(&self) -> usize {
        self.lock().1.values().map(VecDeque::len).sum()
    }

    /// Closes those of links that `stays` does not name.
    pub fn keep_only(&self, stays: impl Fn(&ParkedKey) -> bool) {
        self.lock().1.retain(|key, _| stays(key));
    }

    /// Resolves when the socket is to be given to somebody; none once it is dead or nobody's any more.
    async fn watch(
        &self,
        socket: &TcpStream,
        address: SocketAddr,
        mut claimed: oneshot::Receiver<oneshot::Sender<TcpStream>>,
    ) -> Option<oneshot::Sender<TcpStream>> {
        loop {
            let taker = tokio::select! {
                taker = &mut claimed => Some(taker.ok()?),
                readable = socket.readable() => readable.map(|()| None).ok()?,
            };
            match is_silent(socket) {
                Ok(true) if taker.is_some() => return taker,
                // It was no word after all.
                Ok(true) => {}
                Ok(false) => {
                    let (class, at) = (Class::CallTooLong, self.0.clock.now());
                    self.0.incidents.report(Incident { address, class, serial: None, grant: None, at });
                    return None;
                }
                Err(_) => return None,
            }
        }
    }

    fn youngest(&self, key: ParkedKey) -> Option<Spare> {
        self.lock().1.get_mut(&key)?.pop_back()
    }

    fn leave(&self, key: ParkedKey, number: u64) {
        let mut waiting = self.lock();
        if let Some(spares) = waiting.1.get_mut(&key) {
            spares.retain(|spare| spare.number != number);
            if spares.is_empty() {
                waiting.1.remove(&key);
            }
        }
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<ParkedKey, VecDeque<Spare>>)> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

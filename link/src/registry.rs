//! The live connections and calls of each grant, so that all of them can be ended at once.
//!
//! Order of a revocation, for the caller: commit it, put the new snapshot and denied set in force, then [`Registry::cut`]. A
//! connection whose handshake ended before the new denied set and which registers after the cut is caught twice: the accept loop
//! asks the denied set again after it registered, and every call is judged against the snapshot.

use domain::id::{GrantId, Serial};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Live connections by grant. Cheap to clone; all clones are one registry.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Groups>>);

#[derive(Default)]
struct Groups {
    live: HashMap<GrantId, Arc<Group>>,
    /// Cut, but not empty yet: a second cut of the same grant waits for these too, whoever made the first.
    ending: HashMap<GrantId, Vec<Arc<Group>>>,
    came: watch::Sender<()>,
}

/// The connections and calls of one grant between two cuts. A cut waits for the group to empty; who connects later, with
/// another certificate perhaps, belongs to a new group and is not waited for.
#[derive(Default)]
pub(crate) struct Group {
    cut: CancellationToken,
    connections: AtomicUsize,
    calls: AtomicUsize,
    /// Connections and calls together, so that "none of either" is one look.
    live: AtomicUsize,
    gone: Notify,
    /// What cuts the connections of one certificate, while it has any.
    leaves: Mutex<HashMap<Serial, Leaf>>,
}

struct Leaf {
    cut: CancellationToken,
    /// What cuts each of its connections, by the connection's number.
    connections: HashMap<u64, CancellationToken>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections, {} calls", self.connections(), self.calls.load(Ordering::Relaxed))
    }
}

impl Registry {
    /// A registry with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends all connections of a grant at once, even if the returned future is never polled; the future is done when they, those
    /// of earlier cuts and their calls are gone. It does not give up by itself: bound it.
    pub fn cut(&self, grant: GrantId) -> impl Future<Output = ()> + Send + 'static + use<> {
        let ending = self.lock().end(grant);
        async move {
            for group in ending {
                group.ended().await;
            }
        }
    }

    /// Ends the grant's connections but the one with this number, at once: what the grant is told last goes over that one. A
    /// [`Registry::cut`] must follow, which ends it too.
    pub fn cut_but(&self, grant: GrantId, connection: u64) {
        let group = self.lock().live.get(&grant).cloned();
        let leaves = group.as_ref().map(|group| group.leaves());
        let all = leaves.iter().flat_map(|leaves| leaves.values()).flat_map(|leaf| &leaf.connections);
        all.filter(|(number, _)| **number != connection).for_each(|(_, cut)| cut.cancel());
    }

    /// Ends the grant's connections with certificates that `good` does not name, at once, and says how many; the others and
    /// whoever comes later stay. Their calls end with them, as with a cut.
    pub fn keep_only(&self, grant: GrantId, good: impl Fn(&Serial) -> bool) -> usize {
        let group = self.lock().live.get(&grant).cloned();
        group.map_or(0, |group| {
            let leaves = group.leaves();
            let over = leaves.iter().filter(|(serial, _)| !good(serial)).map(|(_, leaf)| leaf);
            over.filter(|leaf| !leaf.cut.is_cancelled()).map(|leaf| (leaf.cut.cancel(), leaf.connections.len()).1).sum()
        })
    }

    /// As [`Registry::cut`], for every grant.
    pub fn cut_all(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut groups = self.lock();
        let grants: Vec<_> = groups.live.keys().chain(groups.ending.keys()).copied().collect();
        let ending: Vec<_> = grants.into_iter().flat_map(|grant| groups.end(grant)).collect();
        async move {
            for group in ending {
                group.ended().await;
            }
        }
    }

    /// How many connections a grant has.
    pub fn connections(&self, grant: GrantId) -> usize {
        self.lock().live.get(&grant).map_or(0, |group| group.connections())
    }

    /// How many calls of a grant are in work.
    pub fn calls(&self, grant: GrantId) -> usize {
        self.lock().live.get(&grant).map_or(0, |group| group.calls.load(Ordering::Relaxed))
    }

    /// How many connections each grant has; grants without one are left out.
    pub fn all(&self) -> Vec<(GrantId, usize)> {
        self.lock().live.iter().map(|(grant, group)| (*grant, group.connections())).collect()
    }

    /// How many connections a grant has with each certificate.
    pub fn leaves(&self, grant: GrantId) -> Vec<(Serial, usize)> {
        let group = self.lock().live.get(&grant).cloned();
        let leaves = |group: Arc<Group>| {
            group.leaves().iter().map(|(serial, leaf)| (serial.clone(), leaf.connections.len())).collect()
        };
        group.map(leaves).unwrap_or_default()
    }

    /// Tells of every connection that comes, of any grant.
    pub fn arrivals(&self) -> watch::Receiver<()> {
        self.lock().came.subscribe()
    }

    /// Adds the connection with this number and the certificate `serial`, unless the grant has `most` already.
    pub(crate) fn register(&self, grant: GrantId, serial: &Serial, connection: u64, most: usize) -> Option<Registered> {
        let mut groups = self.lock();
        let group = groups.live.entry(grant).or_default();
        if group.connections() >= most {
            return None;
        }
        group.connections.fetch_add(1, Ordering::Relaxed);
        group.live.fetch_add(1, Ordering::Relaxed);
        let token = group.join(serial, connection);
        let group = Arc::clone(group);
        groups.came.send_replace(());
        Some(Registered { registry: self.clone(), grant, serial: serial.clone(), connection, token, group })
    }

    // A panic elsewhere leaves the table whole: each change is complete before the lock is given back.
    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Groups {
    fn end(&mut self, grant: GrantId) -> Vec<Arc<Group>> {
        self.ending.retain(|_, groups| {
            groups.retain(|group| group.live.load(Ordering::Acquire) > 0);
            !groups.is_empty()
        });
        if let Some(group) = self.live.remove(&grant) {
            group.cut.cancel();
            self.ending.entry(grant).or_default().push(group);
        }
        self.ending.get(&grant).cloned().unwrap_or_default()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.all()).finish()
    }
}

impl Group {
    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn leaves(&self) -> MutexGuard<'_, HashMap<Serial, Leaf>> {
        self.leaves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more connection of a certificate. The token is cancelled by a cut of the grant or of the certificate, or alone.
    fn join(&self, serial: &Serial, connection: u64) -> CancellationToken {
        let mut leaves = self.leaves();
        let begin = || Leaf { cut: self.cut.child_token(), connections: HashMap::new() };
        let leaf = leaves.entry(serial.clone()).or_insert_with(begin);
        let token = leaf.cut.child_token();
        leaf.connections.insert(connection, token.clone());
        token
    }

    fn part(&self, serial: &Serial, connection: u64) {
        let mut leaves = self.leaves();
        if let Some(leaf) = leaves.get_mut(serial) {
            leaf.connections.remove(&connection);
            if leaf.connections.is_empty() {
                leaves.remove(serial);
            }
        }
    }

    pub(crate) fn call(self: &Arc<Self>) -> CallGuard {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.live.fetch_add(1, Ordering::Relaxed);
        CallGuard(Some(Arc::clone(self)))
    }

    fn leave(&self) {
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.gone.notify_waiters();
        }
    }

    async fn ended(&self) {
        loop {
            let gone = self.gone.notified();
            // Listening begins with `notified`, so an end between this look and the wait is not missed.
            if self.live.load(Ordering::Acquire) == 0 {
                return;
            }
            gone.await;
        }
    }
}

/// A connection's place in the registry, given back when dropped.
pub(crate) struct Registered {
    registry: Registry,
    grant: GrantId,
    serial: Serial,
    connection: u64,
    pub(crate) token: CancellationToken,
    pub(crate) group: Arc<Group>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut groups = self.registry.lock();
        self.group.part(&self.serial, self.connection);
        let last = self.group.connections.fetch_sub(1, Ordering::Relaxed) == 1;
        if last && groups.live.get(&self.grant).is_some_and(|group| Arc::ptr_eq(group, &self.group)) {
            groups.live.remove(&self.grant);
        }
        drop(groups);
        self.group.leave();
    }
}

/// A call in work; held by whatever works on it until its last byte left or it was dropped.
#[derive(Debug)]
pub struct CallGuard(Option<Arc<Group>>);

impl CallGuard {
    /// For a connection that belongs to no grant: counts nothing.
    pub(crate) const fn none() -> Self {
        Self(None)
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        if let Some(group) = &self.0 {
            group.calls.fetch_sub(1, Ordering::Relaxed);
            group.leave();
        }
    }
}

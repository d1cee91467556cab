//! What the standing of callers is judged by: a copy of the grant table in memory, never older than two seconds.
//!
//! The grant table is the authority. A change made here is read at once; one made by another process arrives by notification
//! or, should that be lost, within the 500 ms heartbeat. When the database is silent the copy ages, and past two seconds
//! every call is refused: an unheard revocation must not be outlived by a stale permit.

use domain::{
    Caller, Reason, Refusal, Time,
    caller::Presented,
    grant::{Grant, Leaf},
    id::{GrantId, Serial, Spki},
    world::Clock,
};
use link::Registry;
use pki::{Deny, DenyList};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError},
    time::Duration,
};
use store::{Shared, Standing, StoreError};
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};

/// Past this age the copy is not trusted.
pub const MAX_AGE: Duration = Duration::from_secs(2);
/// How often the version is looked at without being told to.
pub const HEARTBEAT: Duration = Duration::from_millis(500);

/// How long after its end a grant's connections are cut.
const LATE: Duration = Duration::from_secs(1);

/// How long a connection that is to be closed stays, so that its last answer arrives.
pub const FAREWELL: Duration = Duration::from_millis(200);

/// The grants at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// None before the first reading.
    version: Option<u64>,
    grants: HashMap<GrantId, Arc<Grant>>,
    refused: Vec<Leaf>,
}

impl Snapshot {
    /// The grants that are not revoked.
    pub fn grants(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants.values()
    }

    /// The grant with this id, if it is not revoked.
    pub fn grant(&self, id: GrantId) -> Option<&Arc<Grant>> {
        self.grants.get(&id)
    }

    /// The copy after what changed.
    fn after(&self, standing: Standing) -> Self {
        let mut grants = if standing.since.is_some() { self.grants.clone() } else { HashMap::new() };
        for (id, grant) in standing.grants {
            match grant {
                Some(grant) => grants.insert(id, Arc::new(grant)),
                None => grants.remove(&id),
            };
        }
        Self { version: Some(standing.version), grants, refused: standing.refused }
    }

    /// Certificates that no door lets in at `now`: those of the table, and former ones whose time is over.
    fn refused(&self, now: Time) -> impl Iterator<Item = &Leaf> {
        let former = self.grants().filter_map(|grant| grant.former.as_ref());
        self.refused.iter().chain(former.filter(move |former| now >= former.until).map(|former| &former.leaf))
    }

    /// Serial numbers of the table's certificates that no door lets in.
    pub fn refused_serials(&self) -> impl Iterator<Item = &Serial> {
        self.refused.iter().map(|leaf| &leaf.serial)
    }

    /// Former certificates whose time is over, with its end.
    pub fn former(&self, now: Time) -> impl Iterator<Item = (&Leaf, Time)> {
        let former = self.grants().filter_map(|grant| grant.former.as_ref());
        former.filter(move |former| now >= former.until).map(|former| (&former.leaf, former.until))
    }

    /// A key that an active certificate uses stays welcome, also where an earlier certificate of the same key is refused.
    fn deny(&self, now: Time) -> Deny {
        let active: HashSet<Spki> = self.grants().flat_map(|grant| grant.accepted(now)).map(|leaf| leaf.spki).collect();
        Deny {
            serials: self.refused(now).map(|leaf| leaf.serial.clone()).collect(),
            keys: self.refused(now).map(|leaf| leaf.spki).filter(|key| !active.contains(key)).collect(),
        }
    }

    /// When the next former certificate stops being good, if one still is.
    fn next_end(&self, now: Time) -> Option<Time> {
        let until = self.grants().filter_map(|grant| Some(grant.former.as_ref()?.until));
        until.filter(|until| *until > now).min()
    }
}

/// Keeps the copy fresh, and lets everything that a change ends be ended.
pub struct Snapshots {
    store: Shared,
    clock: Arc<dyn Clock>,
    deny: Arc<DenyList>,
    registry: Registry,
    current: watch::Sender<Arc<Snapshot>>,
    /// When the copy was last known to be what the table says.
    known_at: std::sync::Mutex<Instant>,
    // One reader at a time, so that an older reading never replaces a newer one.
    reading: Mutex<()>,
    finishing: std::sync::Mutex<HashSet<GrantId>>,
    /// When the doors must be told anew that a former certificate is over.
    next_end: std::sync::Mutex<Option<Time>>,
}

impl Snapshots {
    /// Reads the first copy.
    pub async fn start(
        store: Shared,
        clock: Arc<dyn Clock>,
        deny: Arc<DenyList>,
        registry: Registry,
    ) -> Result<Arc<Self>, StoreError> {
        let current = watch::Sender::new(Arc::new(Snapshot::default()));
        let snapshots = Arc::new(Self {
            store,
            clock,
            deny,
            registry,
            current,
            known_at: std::sync::Mutex::new(Instant::now()),
            reading: Mutex::new(()),
            finishing: std::sync::Mutex::default(),
            next_end: std::sync::Mutex::default(),
        });
        snapshots.refresh().await?;
        Ok(snapshots)
    }

    /// Follows the grant table and the clock until the daemon stops this task. A database that does not answer holds up the
    /// one and not the other.
    pub async fn follow(&self) {
        tokio::join!(self.follow_table(), self.follow_clock());
    }

    async fn follow_clock(&self) {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            self.cut_what_expired();
        }
    }

    async fn follow_table(&self) {
        loop {
            tokio::select! {
                () = self.store.grants_changed() => {}
                () = tokio::time::sleep(HEARTBEAT) => {}
            }
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, age = ?self.age(), "grants could not be read; past 2 s calls are refused");
            }
        }
    }

    /// Reads the table if it changed, and ends what the change ended.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _one = self.reading.lock().await;
        let read_at = Instant::now();
        let before = self.current();
        if Some(self.store.grants_version().await?) != before.version {
            let snapshot = before.after(self.store.standing(before.version).await?);
            // The door is closed before the copy is swapped: no handshake may pass between the two.
            self.deny(&snapshot);
            self.current.send_replace(Arc::new(snapshot));
            self.cut_what_ended(&before);
        }
        *self.known_at.lock().unwrap_or_else(PoisonError::into_inner) = read_at;
        Ok(())
    }

    /// As [`Snapshots::refresh`], after a change that is committed already: should the reading fail, the copy ages and is
    /// refused, and the change stands all the same.
    pub async fn refresh_after_change(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "the grants could not be read anew after a change");
        }
    }

    fn deny(&self, snapshot: &Snapshot) {
        let now = self.clock.now();
        self.deny.swap(snapshot.deny(now));
        *self.next_end.lock().unwrap_or_else(PoisonError::into_inner) = snapshot.next_end(now);
    }

    /// A grant that ended, or whose holder got another certificate by a fresh invite, is cut as a whole. One whose certificate
    /// was renewed loses the connections of those that are no longer good, and no call besides.
    fn cut_what_ended(&self, before: &Snapshot) {
        let (current, now) = (self.current(), self.clock.now());
        for (id, old) in &before.grants {
            match current.grants.get(id) {
                Some(new) if new.leaves().any(|leaf| old.leaf_with(&leaf.serial).is_some()) => {
                    self.registry.keep_only(*id, |serial| new.accepts(serial, now));
                }
                _ => self.cut(*id),
            }
        }
    }

    /// Nothing is told when time ends a grant or its certificate, so it is looked for. A little later than it ends: a call
    /// meanwhile hears that it may not, and not only that it was cut.
    fn cut_what_expired(&self) {
        let (current, now) = (self.current(), self.clock.now());
        let end = *self.next_end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.is_some_and(|end| now >= end) {
            self.deny(&current);
        }
        let now = now.before(LATE);
        for (id, _) in self.registry.all() {
            match current.grants.get(&id) {
                Some(grant) if grant.has_expired(now) => self.cut(id),
                Some(grant) => drop(self.registry.keep_only(id, |serial| grant.accepts(serial, now))),
                None => {}
            }
        }
    }

    fn cut(&self, id: GrantId) {
        let finishing = self.finishing.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let registry = self.registry.clone();
        if finishing {
            tokio::spawn(async move {
                tokio::time::sleep(FAREWELL).await;
                registry.cut(id).await;
            });
        } else {
            drop(registry.cut(id));
        }
    }

    /// When this grant ends, its connections stay for a moment: the asking side ended it and waits for the answer. Its
    /// standing ends at once all the same.
    pub fn let_finish(&self, id: GrantId) {
        self.finishing.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// The copy as it is.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.borrow())
    }

    /// Tells of every swap.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.current.subscribe()
    }

    /// The grant ended otherwise, or not at all.
    pub fn let_finish_no_more(&self, id: GrantId) {
        self.finishing.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// How long ago the copy was last known to be what the table says.
    pub fn age(&self) -> Duration {
        self.known_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Whether a certificate that passed the handshake was issued by nobody here; one that was replaced since was.
    pub fn is_unaccounted_for(&self, presented: &Presented) -> bool {
        let current = self.current();
        let grant = current.grants.get(&presented.grant);
        let replaced = current.refused.iter().any(|leaf| leaf.serial == presented.serial);
        !replaced && grant.is_some_and(|grant| presented.is_unaccounted_for(grant))
    }

    /// Whether this certificate of a grant that stands was replaced by another one and is over: whoever shows it is not the
    /// one that holds the grant now, or has lost what it was given since.
    pub fn is_replaced(&self, grant: GrantId, serial: &Serial) -> bool {
        let (current, now) = (self.current(), self.clock.now());
        let stands = current.grants.get(&grant).is_some_and(|grant| !grant.has_expired(now));
        stands && current.refused(now).any(|leaf| leaf.serial == *serial)
    }

    /// Whether the grant ever had this key, as far as the table says: a renewal makes a new one.
    pub fn knows_key(&self, grant: &Grant, key: Spki) -> bool {
        let held = grant.leaves().any(|leaf| leaf.spki == key);
        held || self.current().refused.iter().any(|leaf| leaf.spki == key)
    }

    /// Judges who presents a certificate, by the clock and the copy as they are now.
    pub fn judge(&self, presented: &Presented) -> Result<Caller<Grant>, Refusal> {
        let current = self.current();
        if self.age() > MAX_AGE {
            return Err(Refusal::new(Reason::SnapshotStale).retry_after(HEARTBEAT));
        }
        Caller::present(presented, current.grants.get(&presented.grant).cloned(), self.clock.now())
    }
}

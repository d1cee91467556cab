//! What the standing of callers is judged by: a copy of the grant table in memory, never older than two seconds.
//!
//! The grant table is the authority. A change made here is read at once; one made by another process arrives by notification
//! or, should that be lost, within the 500 ms heartbeat. When the database is silent the copy ages, and past two seconds
//! every call is refused: an unheard revocation must not be outlived by a stale permit.

use crate::{
    control::{Controls, Listening, Told},
    told::{self, Over},
};
use domain::{
    Caller, Reason, Refusal, Time,
    caller::Presented,
    grant::{Grant, Leaf},
    id::{GrantId, Serial, Spki},
    renewal::OVERLAP,
    seal::Doubt,
    world::Clock,
};
use link::Registry;
use pki::{Deny, DenyList, RefusedLeaves};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    mem,
    ops::{
        Bound::{self, Excluded, Included, Unbounded},
        RangeBounds,
    },
    sync::{Arc, PoisonError},
    time::Duration,
};
use store::{END, Floor, Held, News, Shared, Standing, StoreError, Trust};
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
    /// What the table has and nobody is permitted.
    doubtful: BTreeMap<GrantId, Doubt>,
    refused: RefusedLeaves,
    /// Keys that are refused for ever.
    revoked: BTreeSet<Spki>,
    /// Those of them whose row is gone or is not as it was written.
    unbelieved: BTreeSet<Spki>,
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

    /// Certificates that the table refuses, until they end.
    pub(crate) const fn refused(&self) -> &RefusedLeaves {
        &self.refused
    }

    /// Grants that the table has and that permit nothing, with the reason.
    pub fn doubtful(&self) -> &BTreeMap<GrantId, Doubt> {
        &self.doubtful
    }

    /// Revoked keys whose row is gone or not as it was written. They stay refused.
    pub fn unbelieved(&self) -> &BTreeSet<Spki> {
        &self.unbelieved
    }

    /// Whether this key is refused for ever.
    pub fn is_revoked(&self, key: Spki) -> bool {
        self.revoked.contains(&key)
    }

    /// The copy after what changed. A key that was revoked once stays so, whatever the table says: `remembered` are those of which that is
    /// known from elsewhere.
    pub(crate) fn after(&self, standing: Standing, remembered: &BTreeSet<Spki>, now: Time) -> Self {
        let (mut grants, mut doubtful, refused) = match standing.since {
            Some(_) => (self.grants.clone(), self.doubtful.clone(), self.refused.clone()),
            None => Default::default(),
        };
        for (id, held) in standing.grants {
            grants.remove(&id);
            doubtful.remove(&id);
            match held {
                Held::Stands(grant) => drop(grants.insert(id, Arc::from(grant))),
                Held::Doubtful(doubt) => drop(doubtful.insert(id, doubt)),
                Held::Ended(_) => {}
            }
        }
        let mut revoked = &self.revoked | remembered;
        revoked.extend(standing.keys.keys());
        let believed = |key: &&Spki| standing.keys.get(key).copied().unwrap_or_default();
        let unbelieved = revoked.iter().filter(|key| !believed(key)).copied().collect();
        let refused = refused.with(&standing.refused, now);
        Self { version: Some(standing.version), grants, doubtful, refused, revoked, unbelieved }
    }

    /// Former certificates whose time is over, with its end.
    pub fn former(&self, now: Time) -> impl Iterator<Item = (&Leaf, Time)> {
        let former = self.grants().filter_map(|grant| grant.former.as_ref());
        former.filter(move |former| now >= former.until).map(|former| (&former.leaf, former.until))
    }

    /// No door lets in what the table refuses, nor former certificates whose time it is not. A key that an active certificate uses stays
    /// welcome, also where an earlier certificate of the same key is refused; but not one that was revoked itself.
    fn deny(&self, now: Time) -> Deny {
        let active: HashSet<Spki> = self.grants().flat_map(|grant| grant.accepted(now)).map(|leaf| leaf.spki).collect();
        let former = || self.grants().filter_map(|grant| over(grant, now));
        let keys = former().map(|leaf| leaf.spki).filter(|key| !active.contains(key));
        Deny {
            serials: former().map(|leaf| leaf.serial.clone()).collect(),
            keys: keys.chain(self.revoked.iter().copied()).collect(),
            refused: self.refused.clone(),
            active,
        }
    }

    /// Between which times around `now` every former certificate stays as good, or as bad, as it is.
    fn steady(&self, now: Time) -> Steady {
        let former = self.grants().filter_map(|grant| grant.former.as_ref());
        let turns: Vec<_> = former.flat_map(|former| [former.until.before(OVERLAP), former.until]).collect();
        let before = turns.iter().filter(|turn| **turn <= now).max();
        let after = turns.iter().filter(|turn| **turn > now).min();
        (before.map_or(Unbounded, |turn| Included(*turn)), after.map_or(Unbounded, |turn| Excluded(*turn)))
    }
}

/// The former certificate of a grant, where it is not its time.
fn over(grant: &Grant, now: Time) -> Option<&Leaf> {
    grant.former.as_ref().filter(|former| !former.is_good(now)).map(|former| &former.leaf)
}

/// A span of time.
type Steady = (Bound<Time>, Bound<Time>);

/// Why the table is looked at, and with that what of it is read where it changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// A change was heard of, or is this process's own: what is new.
    Told,
    /// It was time to. A change that nobody told of may be another one than the version says: everything.
    Untold,
    /// Something may have been missed, and the database be another one: everything, changed or not.
    Anew,
}

/// Keeps the copy fresh, and lets everything that a change ends be ended.
pub struct Snapshots {
    store: Shared,
    clock: Arc<dyn Clock>,
    deny: Arc<DenyList>,
    registry: Registry,
    controls: Controls,
    trust: Arc<Trust>,
    current: watch::Sender<Arc<Snapshot>>,
    /// When the copy was last known to be what the table says.
    known_at: std::sync::Mutex<Instant>,
    // One reader at a time, so that an older reading never replaces a newer one. Whether the last one came to its end: what changed since
    // adds up with what is known only then.
    reading: Mutex<bool>,
    over: std::sync::Mutex<Vec<Over>>,
    finishing: std::sync::Mutex<HashSet<GrantId>>,
    /// Held while the doors are told whom to refuse; outside of this time they must be told anew.
    doors: std::sync::Mutex<Steady>,
}

impl Snapshots {
    /// Reads the first copy.
    pub async fn start(
        store: Shared,
        clock: Arc<dyn Clock>,
        deny: Arc<DenyList>,
        registry: Registry,
        controls: Controls,
        trust: Arc<Trust>,
    ) -> Result<Arc<Self>, StoreError> {
        let current = watch::Sender::new(Arc::new(Snapshot::default()));
        let snapshots = Arc::new(Self {
            store,
            clock,
            deny,
            registry,
            controls,
            trust,
            current,
            known_at: std::sync::Mutex::new(Instant::now()),
            reading: Mutex::new(false),
            over: std::sync::Mutex::default(),
            finishing: std::sync::Mutex::default(),
            doors: std::sync::Mutex::new((Unbounded, Unbounded)),
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
            self.look_at_the_clock();
            self.cut_what_expired();
        }
    }

    async fn follow_table(&self) {
        loop {
            let look = tokio::select! {
                news = self.store.grants_changed() => match news {
                    News::Change => Look::Told,
                    News::Loss => Look::Anew,
                },
                () = tokio::time::sleep(HEARTBEAT) => Look::Untold,
            };
            if let Err(error) = self.look(look).await {
                tracing::warn!(%error, age = ?self.age(), "grants could not be read; past 2 s calls are refused");
            }
        }
    }

    /// Reads the table if it changed, and ends what the change ended.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.look(Look::Told).await
    }

    async fn look(&self, look: Look) -> Result<(), StoreError> {
        let mut whole = self.reading.lock().await;
        let adds_up = mem::take(&mut *whole) && look != Look::Anew;
        let read_at = Instant::now();
        let before = self.current();
        let (mut moved, mut keys) = (Vec::new(), Vec::new());
        if Some(self.store.grants_version().await?) != before.version || !adds_up {
            let known = before.version.filter(|_| adds_up && look == Look::Told);
            let standing = self.store.standing(known).await?;
            moved.extend(standing.grants.iter().filter_map(|(id, held)| Some((*id, held.floor()?))));
            keys.extend(standing.keys.iter().filter_map(|(key, believed)| believed.then_some(*key)));
            self.over().extend(told::over(&before, &standing));
            self.publish(before.after(standing, &self.trust.revoked_keys(), self.clock.now()));
            self.cut_what_ended(&before);
            self.warn_of_what_is_new(&before);
        }
        *whole = true;
        self.learn(moved, keys).await;
        *self.known_at.lock().unwrap_or_else(PoisonError::into_inner) = read_at;
        Ok(())
    }

    /// What the table refuses since this was asked last, with what ended it.
    pub(crate) fn take_over(&self) -> Vec<Over> {
        mem::take(&mut *self.over())
    }

    fn over(&self) -> std::sync::MutexGuard<'_, Vec<Over>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Snapshots::refresh`], after a change that is committed already: should the reading fail, the copy ages and is
    /// refused, and the change stands all the same.
    pub async fn refresh_after_change(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "the grants could not be read anew after a change");
        }
    }

    /// Remembers that a grant has ended, whatever its row says of it.
    pub async fn remember_end(&self, id: GrantId) {
        self.learn(vec![(id, END)], Vec::new()).await;
    }

    /// Remembers that a key was revoked, whatever the table says of it.
    pub async fn remember_revoked(&self, key: Spki) {
        self.learn(Vec::new(), vec![key]).await;
    }

    /// Once the change is in force: remembering it may wait for a disk. What an earlier attempt could not write is tried again.
    async fn learn(&self, moved: Vec<(GrantId, Floor)>, keys: Vec<Spki>) {
        let before = self.trust.failure();
        if moved.is_empty() && keys.is_empty() && before.is_none() {
            return;
        }
        let trust = Arc::clone(&self.trust);
        let learnt = tokio::task::spawn_blocking(move || trust.learn_all(moved.into_iter(), keys.into_iter())).await;
        if let Err(error) = learnt.unwrap_or_else(|error| Err(std::io::Error::other(error)))
            && before.is_none()
        {
            tracing::error!(%error, "how far grants have come cannot be written beside the database; tried again until it can");
        }
    }

    fn warn_of_what_is_new(&self, before: &Snapshot) {
        for (grant, doubt) in self.current().doubtful.iter().filter(|(id, _)| !before.doubtful.contains_key(id)) {
            tracing::error!(%grant, "a grant permits nothing: {doubt}");
        }
        for key in self.current().unbelieved.difference(&before.unbelieved) {
            tracing::error!(%key, "a revoked key's row is gone or not as it was written: somebody has changed the database; it stays refused");
        }
    }

    /// Puts a newer copy in force. The door is closed before the copy is swapped: no handshake may pass between the two.
    fn publish(&self, snapshot: Snapshot) {
        let mut doors = self.doors();
        *doors = self.deny(&snapshot);
        self.current.send_replace(Arc::new(snapshot));
    }

    /// Tells the doors what the clock alone has changed.
    fn look_at_the_clock(&self) {
        let mut doors = self.doors();
        if !doors.contains(&self.clock.now()) {
            // The copy is read behind the lock: an older one must not open a door that a newer one closed.
            *doors = self.deny(&self.current());
        }
    }

    /// For how long time alone changes nothing of it.
    fn deny(&self, snapshot: &Snapshot) -> Steady {
        let now = self.clock.now();
        self.deny.swap(snapshot.deny(now));
        snapshot.steady(now)
    }

    fn doors(&self) -> std::sync::MutexGuard<'_, Steady> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
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
                // Whoever holds the new certificate knows of it; who has the old one learns nothing.
                Some(_) => self.cut(*id, None),
                // It has not ended, so nobody is told that it has.
                None if current.doubtful.contains_key(id) => self.cut(*id, None),
                None => self.end(old),
            }
        }
        let moved =
            |grant: &&Arc<Grant>| before.grants.get(&grant.id).is_some_and(|old| old.generation != grant.generation);
        self.controls.tell_changed(current.grants().filter(moved));
    }

    /// Nothing is told when time ends a grant or its certificate, so it is looked for. A little later than it ends: a call
    /// meanwhile hears that it may not, and not only that it was cut.
    fn cut_what_expired(&self) {
        let (current, now) = (self.current(), self.clock.now());
        let late = now.before(LATE);
        for (id, _) in self.registry.all() {
            match current.grants.get(&id) {
                Some(grant) if grant.has_expired(late) => self.end(grant),
                Some(grant) => {
                    let stays = |serial: &Serial| grant.accepts(serial, now) || grant.accepts(serial, late);
                    self.registry.keep_only(id, stays);
                }
                None => {}
            }
        }
    }

    /// Tells the grant's session that the grant has ended, and cuts everything else of it at once.
    fn end(&self, grant: &Grant) {
        let finishing = self.finishing.lock().unwrap_or_else(PoisonError::into_inner).contains(&grant.id);
        match if finishing { Told::Nobody } else { self.controls.tell_ended(grant.id) } {
            Told::Now(listening) => self.cut(grant.id, Some(listening)),
            Told::Nobody => self.cut(grant.id, None),
            Told::Already => {}
        }
    }

    fn cut(&self, id: GrantId, listening: Option<Listening>) {
        let finishing = self.finishing.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let (registry, controls) = (self.registry.clone(), self.controls.clone());
        let at_once = move || {
            controls.end(id);
            registry.cut(id)
        };
        if finishing {
            tokio::spawn(async move {
                tokio::time::sleep(FAREWELL).await;
                at_once().await;
            });
        } else if let Some(listening) = listening {
            self.registry.cut_but(id, listening.connection);
            tokio::spawn(async move {
                listening.acknowledged().await;
                at_once().await;
            });
        } else {
            drop(at_once());
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
        let replaced = current.refused.names(&presented.serial);
        !replaced && grant.is_some_and(|grant| presented.is_unaccounted_for(grant))
    }

    /// Whether this certificate of a grant that stands was replaced by another one and is over: whoever shows it is not the
    /// one that holds the grant now, or has lost what it was given since.
    pub fn is_replaced(&self, grant: GrantId, serial: &Serial) -> bool {
        let (current, now) = (self.current(), self.clock.now());
        let Some(grant) = current.grants.get(&grant).filter(|grant| !grant.has_expired(now)) else { return false };
        current.refused.names(serial) || over(grant, now).is_some_and(|leaf| leaf.serial == *serial)
    }

    /// Whether this key is refused for ever.
    pub fn is_revoked(&self, key: Spki) -> bool {
        self.current().is_revoked(key)
    }

    /// Whether the grant ever had this key, as far as the table says: a renewal makes a new one.
    pub fn knows_key(&self, grant: &Grant, key: Spki) -> bool {
        let held = grant.leaves().any(|leaf| leaf.spki == key);
        held || self.current().refused.has_key(key)
    }

    /// Judges who presents a certificate, by the clock and the copy as they are now.
    pub fn judge(&self, presented: &Presented) -> Result<Caller<Grant>, Refusal> {
        let current = self.current();
        if self.age() > MAX_AGE {
            return Err(Refusal::new(Reason::SnapshotStale).retry_after(HEARTBEAT));
        }
        if current.is_revoked(presented.spki) {
            return Err(Refusal::new(Reason::NotPermitted).because("the key was revoked"));
        }
        Caller::present(presented, current.grants.get(&presented.grant).cloned(), self.clock.now())
    }
}

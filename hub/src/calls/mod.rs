//! Calls of sharing sides that nobody can reach: who waits for one, the listener that takes them, and what they are for.
//!
//! [`table`] is whose calls are taken at this moment, in memory; here is what people do with it, and the listener, which is open while
//! somebody waits or has a link that is called, and at no other time; `taken` is what becomes of a call that was proved.

mod listener;
pub(crate) mod table;
mod taken;

pub use listener::Listen;

use crate::{Asker, Hub, HubError, connect::free_name};
use domain::{
    Time,
    audit::{Act, Record},
    calling::Calling,
    id::{AwaitId, GrantId, Name, Spki, UserId},
    secret::Secret,
    words::Opening,
};
use link::{Incidents, call::ParkedKey, hosts};
use listener::Listener;
use pki::{CallKey, CallSecret, RequestKey};
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{Await, LinkRecord, halt};
use table::{Read, Table, Waits};
use tokio::sync::Notify;

/// How many one user waits for at once.
const MOST: usize = 16;
/// How often it is looked at whether the listener is still needed.
const LOOK: Duration = Duration::from_secs(30);

/// Everything about calls.
pub(crate) struct Calls {
    pub(crate) table: Arc<Table>,
    listener: Listener,
    /// Why the last call of an await came to no link.
    failures: Mutex<HashMap<AwaitId, String>>,
    /// Awaits that a link came of, though that is not written yet.
    unwritten: Mutex<HashSet<(UserId, AwaitId)>>,
    /// Links whose calls are taken though they are gone, until the other side was told.
    held: Mutex<HashSet<ParkedKey>>,
    changed: Notify,
    /// What is kept and what is in the table change together, one at a time.
    turn: tokio::sync::Mutex<()>,
    refused: AtomicU64,
    incidents: Incidents,
}

/// Somebody who begins to wait.
pub struct Awaiting {
    /// Which await.
    pub id: AwaitId,
    /// What the other side's owner is given: a secret, to be shown once.
    pub text: Secret<String>,
    /// Where it says that this instance is called.
    pub addresses: Vec<String>,
    /// When it is waited for no longer.
    pub expires_at: Time,
}

/// How it stands with an await.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwaitState {
    /// Nobody has called.
    Waiting,
    /// Somebody called and no link came of it; they call again.
    Failing,
    /// A link came of it, and it is used up.
    Linked,
    /// Its time is over.
    Expired,
}

impl AwaitState {
    /// One stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Failing => "failing",
            Self::Linked => "linked",
            Self::Expired => "expired",
        }
    }
}

/// An await as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitStatus {
    /// Which await.
    pub id: AwaitId,
    /// What the link is to be called, where that was said.
    pub name: Option<Name>,
    /// Where this instance is called.
    pub addresses: Vec<String>,
    /// When it is waited for no longer.
    pub expires_at: Time,
    /// How it stands.
    pub state: AwaitState,
    /// The link that came of it, while it is there.
    pub link: Option<Name>,
    /// Why the last call came to no link, and what to do.
    pub reason: Option<String>,
}

/// How the taking of calls stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStatus {
    /// Where calls are taken; none while nobody waits for one.
    pub listener: Option<SocketAddr>,
    /// Sockets of other sides that wait to be used.
    pub parked: usize,
    /// Calls that were turned away.
    pub incidents: u64,
}

impl Hub {
    /// Takes calls until the hub is stopped, whenever somebody waits for them.
    pub fn take_calls(self: &Arc<Self>) {
        let (hub, until) = (Arc::clone(self), self.stopping.clone());
        self.tasks.spawn(async move { until.run_until_cancelled(hub.attend_calls()).await });
        let (hub, until) = (Arc::clone(self), self.stopping.clone());
        self.tasks.spawn(async move { until.run_until_cancelled(hub.record_incidents()).await });
    }

    async fn attend_calls(self: &Arc<Self>) {
        loop {
            if let Err(error) = self.look().await {
                tracing::error!(%error, "calls are not taken as they should be; it is tried again");
            }
            tokio::select! {
                () = self.calls.changed.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Reads anew whose calls are taken, which is else done when that changes and every half minute.
    pub async fn read_calls_anew(self: &Arc<Self>) -> Result<(), HubError> {
        self.look().await
    }

    async fn look(self: &Arc<Self>) -> Result<(), HubError> {
        let _turn = self.calls.turn.lock().await;
        let unwritten = lock(&self.calls.unwritten).clone();
        for (owner, id) in unwritten {
            self.store.use_await(owner, id).await?;
            lock(&self.calls.unwritten).remove(&(owner, id));
        }
        self.read_calls().await?;
        self.adjust_listener().await
    }

    /// Waits to be called, under this name, and says what to hand over. `hosts` are what it names in the place of this machine's addresses.
    pub async fn wait_for_call(
        self: &Arc<Self>,
        asker: &Asker,
        name: Option<Name>,
        hosts: &[String],
    ) -> Result<Awaiting, HubError> {
        if let Some(name) = &name {
            free_name(&self.store.links(asker.user).await?, name.clone())?;
        }
        let _turn = self.calls.turn.lock().await;
        let open = self.awaits(asker).await?;
        let open = open.iter().filter(|one| matches!(one.state, AwaitState::Waiting | AwaitState::Failing)).count();
        if open >= MOST {
            return Err(HubError::Waiting(format!(
                "you wait for {MOST} calls already; end one of them with `mosaic-fed link await --end ID`, `--list` has the ids"
            )));
        }
        let bound = self.open_listener().await?;
        let advertise = &self.calls.listener.listen.advertise;
        let addresses = if hosts.is_empty() { hosts::reached_at(advertise, bound) } else { hosts::named(hosts, bound) };
        let key = RequestKey::generate().map_err(unusable)?;
        let calling = Calling::new(&self.world, key.spki, addresses);
        let text = calling.encode();
        Calling::decode(text.expose()).map_err(|_| {
            HubError::Waiting(format!(
                "{} cannot be called: name 1 to 16 hosts, each with a port behind it or without, with --address",
                calling.addresses.join(", ")
            ))
        })?;
        let mut kept = Await {
            id: calling.id,
            owner: asker.user,
            name,
            addresses: calling.addresses.clone(),
            sealed: Vec::new(),
            not_after: calling.expires_at,
            grant: None,
            used: false,
        };
        kept.sealed = self.seal(&await_context(&kept), &[*calling.secret.expose(), key.spki.0].concat())?;
        // Before anybody is told of it, as with every key that an invite is bound to.
        self.keep_key(asker, &key, None, calling.expires_at).await?;
        self.store.keep_await(&kept, self.await_record(asker, kept.id, "begins")).await?;
        let Calling { id, secret, addresses, expires_at, .. } = calling;
        let waits = Waits { owner: asker.user, secret: CallSecret::new(id, secret), not_after: expires_at };
        self.calls.table.wait(id, waits);
        Ok(Awaiting { id, text, addresses, expires_at })
    }

    /// What the asker waits for, and what came of what they waited for.
    pub async fn awaits(&self, asker: &Asker) -> Result<Vec<AwaitStatus>, HubError> {
        let links = self.store.links(asker.user).await?;
        let now = self.world.now();
        let failures = lock(&self.calls.failures).clone();
        let unwritten = lock(&self.calls.unwritten).clone();
        let status = |kept: Await| {
            let kept = Await { used: kept.used || unwritten.contains(&(kept.owner, kept.id)), ..kept };
            // Before it was used a link of that grant is the one that is to get another certificate.
            let link = links.iter().find(|link| kept.used && Some(link.id) == kept.grant).map(|link| link.name.clone());
            let reason = failures.get(&kept.id).cloned().or_else(|| self.open_await(&kept).is_none().then(changed));
            let reason = reason.filter(|_| !kept.used);
            let state = match (kept.used, &reason) {
                (true, _) => AwaitState::Linked,
                _ if kept.not_after <= now => AwaitState::Expired,
                (false, Some(_)) => AwaitState::Failing,
                (false, None) => AwaitState::Waiting,
            };
            let Await { id, name, addresses, not_after: expires_at, .. } = kept;
            AwaitStatus { id, name, addresses, expires_at, state, link, reason }
        };
        Ok(self.store.awaits(asker.user).await?.into_iter().map(status).collect())
    }

    /// Waits no longer. A link that came of it stays.
    pub async fn end_await(&self, asker: &Asker, id: AwaitId) -> Result<(), HubError> {
        let _turn = self.calls.turn.lock().await;
        let kept = self.store.awaits(asker.user).await?.into_iter().find(|kept| kept.id == id);
        if !self.store.forget_await(asker.user, id, self.await_record(asker, id, "ends")).await? {
            let cause = format!("you wait for no call `{id}`; see `mosaic-fed link await --list`");
            return Err(HubError::NoSuchLink(cause));
        }
        self.calls.table.wait_no_more(id);
        if let Some((_, key)) = kept.and_then(|kept| self.open_await(&kept)) {
            self.forget_key(asker, key).await;
        }
        lock(&self.calls.failures).remove(&id);
        self.look_at_calls();
        Ok(())
    }

    /// Whether it is this instance, somebody here, that waits by this await: its text is for another one.
    pub fn is_own_await(&self, id: AwaitId) -> bool {
        self.calls.table.waits(id)
    }

    /// How the taking of calls stands.
    pub fn call_status(&self) -> CallStatus {
        CallStatus {
            listener: self.calls.listener.address(),
            parked: self.calls.table.parked.all(),
            incidents: self.calls.refused.load(Ordering::Relaxed) + self.calls.incidents.dropped(),
        }
    }

    /// Whether the other side of a link opens its connections.
    pub(crate) fn is_called(&self, owner: UserId, link: GrantId) -> bool {
        self.calls.table.is_called((owner, link))
    }

    /// Looks soon at who is to be called, because that changed.
    pub(crate) fn look_at_calls(&self) {
        self.calls.changed.notify_one();
    }

    /// Takes no calls of a link any more, and closes what waits.
    pub(crate) async fn forget_calls(&self, owner: UserId, link: GrantId) {
        let (key, _turn) = ((owner, link), self.calls.turn.lock().await);
        self.calls.table.forget(key);
        lock(&self.calls.held).remove(&key);
        // Also where the table has it no longer: it may have been read since the link was removed.
        if let Err(error) = self.store.forget_link_call(owner, link).await {
            tracing::warn!(%error, "what proved the calls of a link that is gone is kept; it is of no use");
        }
        self.look_at_calls();
    }

    /// Keeps what proves the calls of a link that is about to be there. Without that very link it proves nothing: a kill in between leaves the
    /// other side bringing its invite.
    pub(crate) async fn keep_calls(
        &self,
        link: &LinkRecord,
        secret: &CallSecret,
        opening: &Opening,
    ) -> Result<Learnt<'_>, HubError> {
        let turn = self.calls.turn.lock().await;
        let key = secret.grant(link.id, opening).map_err(unusable)?;
        let sealed = self.seal(&link_context(link), key.expose())?;
        self.store.keep_link_call(link.owner, link.id, &sealed).await?;
        halt::at("link calls kept").await;
        Ok(Learnt { calls: &self.calls, link: (link.owner, link.id), key, _turn: turn })
    }

    /// The link is about to be removed here, and its calls are taken until the other side was told. Said before it is removed, or whoever
    /// looks in between takes them no longer.
    pub(crate) fn leaves(&self, owner: UserId, link: GrantId) {
        if self.is_called(owner, link) {
            lock(&self.calls.held).insert((owner, link));
        }
    }

    /// It stays after all.
    pub(crate) fn stays(&self, owner: UserId, link: GrantId) {
        lock(&self.calls.held).remove(&(owner, link));
    }

    /// Whose calls are taken, as the database has it. What proves the calls of a link that is not there, or is another than it was kept for,
    /// proves nothing.
    async fn read_calls(&self) -> Result<(), HubError> {
        let (mut read, mut unread) = (Read::default(), HashSet::new());
        for user in self.store.users().await? {
            // One whose rows cannot be read takes the calls of nobody else.
            if let Err(error) = self.read_calls_of(user.id, &mut read).await {
                tracing::error!(%error, user = %user.name, "whose calls this user takes cannot be read; it stays as it was");
                unread.insert(user.id);
            }
        }
        let held = lock(&self.calls.held).clone();
        self.calls.table.put(read, |key| unread.contains(&key.0) || held.contains(&key));
        Ok(())
    }

    async fn read_calls_of(&self, user: UserId, read: &mut Read) -> Result<(), HubError> {
        let (keys, waiting) = (self.store.link_calls(user).await?, self.store.awaits(user).await?);
        if keys.is_empty() && waiting.is_empty() {
            return Ok(());
        }
        let links: HashMap<_, _> = self.store.links(user).await?.into_iter().map(|link| (link.id, link)).collect();
        for (id, sealed) in keys {
            let Some(link) = links.get(&id) else { continue };
            let key = self.unsealed(&link_context(link), &sealed);
            if let Some(key) = key.and_then(|key| key.expose().as_slice().try_into().ok()) {
                read.links.entry(id).or_default().push((user, CallKey::from_bytes(key)));
            } else {
                tracing::error!(link = %id, "what proves the calls of this link is of another certificate, or does not open with this key");
            }
        }
        for kept in waiting.into_iter().filter(|kept| !kept.used) {
            let Some((secret, key)) = self.open_await(&kept) else {
                tracing::error!(await_id = %kept.id, "{}", changed());
                continue;
            };
            let link = kept.grant.and_then(|grant| links.get(&grant));
            if link.and_then(|link| link.made_of.as_ref()).is_some_and(|made| made.key == key) {
                // A stop came between the link and the note of it.
                lock(&self.calls.unwritten).insert((user, kept.id));
                self.look_at_calls();
            } else {
                read.awaits.insert(kept.id, Waits { owner: user, secret, not_after: kept.not_after });
            }
        }
        Ok(())
    }

    /// The secret of an await, and the key that its invite is bound to; none where it is not as this instance wrote it.
    fn open_await(&self, kept: &Await) -> Option<(CallSecret, Spki)> {
        let open = self.unsealed(&await_context(kept), &kept.sealed)?;
        let (secret, key) = open.expose().split_first_chunk::<32>()?;
        Some((CallSecret::new(kept.id, Secret::new(*secret)), Spki(key.try_into().ok()?)))
    }

    fn seal(&self, context: &str, bytes: &[u8]) -> Result<Vec<u8>, HubError> {
        self.kek.seal(context, bytes).map_err(unusable)
    }

    fn unsealed(&self, context: &str, sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        self.kek.open(context, sealed).ok()
    }

    fn await_record(&self, asker: &Asker, id: AwaitId, what: &str) -> Record {
        Record::act(self.world.now(), Act::LinkAwait, asker.user, asker.request).noting(&format!("{id} {what}"))
    }
}

/// All of it but what came of it, so that whoever writes to the database can have nobody wait longer, elsewhere or under another name.
fn await_context(kept: &Await) -> String {
    let Await { id, owner, name, addresses, not_after, .. } = kept;
    let name = name.as_ref().map_or("", Name::as_str);
    format!("await {id} of user {owner} as `{name}` at {} until {}", addresses.join(" "), not_after.micros())
}

/// Why an await takes no call, where its row is not as it was written.
fn changed() -> String {
    "what is kept of it is not as this instance wrote it, and no call is taken for it: somebody has changed the database, or the key file is \
     another one; end it with `mosaic-fed link await --end ID` and make a new one"
        .to_owned()
}

fn unusable(error: impl std::fmt::Display) -> HubError {
    HubError::Key(error.to_string())
}

/// A link whose calls are taken as soon as it is there. Until then, nothing of calls changes.
pub(crate) struct Learnt<'a> {
    calls: &'a Calls,
    link: ParkedKey,
    key: CallKey,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Learnt<'_> {
    /// The link is there.
    pub(crate) fn stands(self) {
        self.calls.table.learn(self.link, self.key);
    }
}

/// The link and which invite it was made of: with another certificate it is another link.
fn link_context(link: &LinkRecord) -> String {
    let made_of = link.made_of.as_ref().map(|made| made.key.to_string()).unwrap_or_default();
    format!("calls of link {} of user {} made with {made_of}", link.id, link.owner)
}

// Held for a few lines, never across an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Calls of sharing sides that nobody can reach: who waits for one, the listener that takes them, and what they are for.
//!
//! [`table`] is whose calls are taken at this moment, in memory; here is what people do with it, and the listener, which is open while
//! somebody waits or has a link that is called, and at no other time; `taken` is what becomes of a call that was proved.

mod listener;
pub(crate) mod table;
mod taken;

pub use listener::Listen;

use crate::{Asker, Hub, HubError, connect::free_name, enrol::Over};
use domain::{
    Time,
    audit::{Act, Record},
    calling::Calling,
    id::{AwaitId, GrantId, Name, UserId},
    secret::Secret,
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
use store::Await;
use table::{Table, Waits};
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
    /// Links whose calls are taken though they are not there: not yet, or only until the other side was told that they are gone.
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

    async fn look(self: &Arc<Self>) -> Result<(), HubError> {
        let _turn = self.calls.turn.lock().await;
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
        let key = RequestKey::generate().map_err(|error| HubError::Key(error.to_string()))?;
        let calling = Calling::new(&self.world, key.spki, addresses);
        let text = calling.encode();
        Calling::decode(text.expose()).map_err(|_| {
            HubError::Waiting(format!(
                "{} cannot be called: name 1 to 16 hosts, each with a port behind it or without, with --address",
                calling.addresses.join(", ")
            ))
        })?;
        let sealed = self.kek.seal(&await_context(asker.user, calling.id), calling.secret.expose());
        let kept = Await {
            id: calling.id,
            owner: asker.user,
            name,
            addresses: calling.addresses.clone(),
            sealed: sealed.map_err(|error| HubError::Key(error.to_string()))?,
            not_after: calling.expires_at,
            grant: None,
            used: false,
        };
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
        let status = |kept: Await| {
            // Before it was used a link of that grant is the one that is to get another certificate.
            let link = links.iter().find(|link| kept.used && Some(link.id) == kept.grant).map(|link| link.name.clone());
            let reason = failures.get(&kept.id).cloned().filter(|_| !kept.used);
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
        if !self.store.forget_await(asker.user, id, self.await_record(asker, id, "ends")).await? {
            let cause = format!("you wait for no call `{id}`; see `mosaic-fed link await --list`");
            return Err(HubError::NoSuchLink(cause));
        }
        self.calls.table.wait_no_more(id);
        lock(&self.calls.failures).remove(&id);
        self.look_at_calls();
        Ok(())
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

    /// Takes the calls of a link that is about to be there.
    pub(crate) async fn learn_calls(&self, owner: UserId, link: GrantId, over: &Over) -> Result<(), HubError> {
        let _turn = self.calls.turn.lock().await;
        self.store.keep_link_call(owner, link, &over.sealed).await?;
        self.calls.table.learn((owner, link), over.key.clone());
        Ok(())
    }

    /// The link is about to be removed here, and its calls are taken until the other side was told. Said before it is removed, or whoever
    /// looks in between takes them no longer.
    pub(crate) fn leaves(&self, owner: UserId, link: GrantId) {
        if self.is_called(owner, link) {
            self.hold_calls(owner, link);
        }
    }

    /// It stays after all.
    pub(crate) fn stays(&self, owner: UserId, link: GrantId) {
        lock(&self.calls.held).remove(&(owner, link));
    }

    /// Takes the calls of a link that is not there yet, too.
    fn hold_calls(&self, owner: UserId, link: GrantId) {
        lock(&self.calls.held).insert((owner, link));
    }

    /// Whose calls are taken, as the database has it. What proves the calls of a link that is not there proves nothing.
    async fn read_calls(&self) -> Result<(), HubError> {
        let (mut awaits, mut links) = (HashMap::new(), HashMap::<GrantId, Vec<(UserId, CallKey)>>::new());
        for user in self.store.users().await? {
            let keys = self.store.link_calls(user.id).await?;
            let waiting = self.store.awaits(user.id).await?;
            if keys.is_empty() && waiting.is_empty() {
                continue;
            }
            let there: HashSet<_> = self.store.links(user.id).await?.into_iter().map(|link| link.id).collect();
            let held = lock(&self.calls.held).clone();
            for (link, sealed) in keys {
                if !there.contains(&link) && !held.contains(&(user.id, link)) {
                    continue;
                }
                if let Some(key) = self.unsealed(&link_context(user.id, link), &sealed) {
                    links.entry(link).or_default().push((user.id, CallKey::from_bytes(key)));
                } else {
                    tracing::error!(%link, "what proves the calls of this link does not open with this key");
                }
            }
            for kept in waiting.into_iter().filter(|kept| !kept.used) {
                let secret = self.unsealed(&await_context(user.id, kept.id), &kept.sealed);
                if let Some(secret) = secret {
                    let secret = CallSecret::new(kept.id, Secret::new(secret));
                    awaits.insert(kept.id, Waits { owner: user.id, secret, not_after: kept.not_after });
                }
            }
        }
        self.calls.table.put(awaits, links);
        Ok(())
    }

    fn unsealed(&self, context: &str, sealed: &[u8]) -> Option<[u8; 32]> {
        self.kek.open(context, sealed).ok()?.expose().as_slice().try_into().ok()
    }

    fn await_record(&self, asker: &Asker, id: AwaitId, what: &str) -> Record {
        Record::act(self.world.now(), Act::LinkAwait, asker.user, asker.request).noting(&format!("{id} {what}"))
    }
}

fn await_context(owner: UserId, id: AwaitId) -> String {
    format!("await {id} of user {owner}")
}

fn link_context(owner: UserId, link: GrantId) -> String {
    format!("calls of link {link} of user {owner}")
}

// Held for a few lines, never across an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

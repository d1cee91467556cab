//! One live connection per link: dialled when first needed, by one caller for all, let go when it fails.
//!
//! What is told about a link's state comes from real calls. Everything is kept per user and link: two users of one instance
//! may hold links of the same grant one after the other, and neither may use the other's connection.

use crate::{
    Asker,
    health::Health,
    outcome::{Failure, Kind},
};
use domain::{
    id::{GrantId, UserId},
    world::World,
};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use link::{ClientCredential, Dialled, Dialler, Target};
use pki::Kek;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::LinkRecord;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use tonic::transport::Channel;

/// A connection to ask over.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) channel: Channel,
    /// Whether it was there before this question: then it may turn out to have died meanwhile.
    pub(crate) reused: bool,
    dialled: Dialled,
    ticket: u64,
}

impl Live {
    /// Whether the other side refused our certificate, which a broken call alone does not tell.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        self.dialled.failure.refused_our_certificate().map(|why| Failure::dial(&link::DialError::OurCertificate(why)))
    }
}

type Dial = Shared<BoxFuture<'static, Result<Dialled, Failure>>>;
type Key = (UserId, GrantId);

#[derive(Default)]
struct Slot {
    dial: Option<(u64, Dial)>,
    health: Health,
}

/// Every link's connection and state.
pub(crate) struct Sessions {
    dialler: Arc<Dialler>,
    kek: Arc<Kek>,
    world: World,
    tasks: TaskTracker,
    stopping: CancellationToken,
    slots: Mutex<(u64, HashMap<Key, Slot>)>,
}

impl Sessions {
    /// Dials in `tasks` until `stopping`.
    pub(crate) fn new(
        dialler: Arc<Dialler>,
        kek: Arc<Kek>,
        world: World,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Self {
        Self { dialler, kek, world, tasks, stopping, slots: Mutex::default() }
    }

    /// The link's connection, dialled if there is none. Callers who come during a dial share it and its failure.
    pub(crate) async fn open(&self, asker: &Asker, link: &LinkRecord) -> Result<Live, Failure> {
        let key = (asker.user, link.id);
        let (ticket, dial, reused) = self.current(key, link);
        match dial.await {
            Ok(dialled) => Ok(Live { channel: dialled.channel.clone(), reused, dialled, ticket }),
            Err(failure) => {
                self.remove(key, ticket);
                Err(failure)
            }
        }
    }

    /// The dial of this link with its number, and whether it was over before this call.
    fn current(&self, key: Key, link: &LinkRecord) -> (u64, Dial, bool) {
        let mut guard = self.lock();
        let (count, slots) = &mut *guard;
        let slot = slots.entry(key).or_default();
        if let Some((ticket, dial)) = &slot.dial {
            match dial.peek() {
                None => return (*ticket, dial.clone(), false),
                Some(Ok(dialled)) if dialled.is_open() => return (*ticket, dial.clone(), true),
                Some(_) => {}
            }
        }
        *count += 1;
        let dial = self.dial(link);
        slot.dial = Some((*count, dial.clone()));
        (*count, dial, false)
    }

    /// A dial in a task of its own: the caller who began it may go away while others wait.
    fn dial(&self, link: &LinkRecord) -> Dial {
        let (dialler, target) = (Arc::clone(&self.dialler), self.target(link));
        let (handle, stopping) = (Handle::current(), self.stopping.clone());
        // The compiler cannot prove that a dial may move between threads (rust-lang/rust#102211), so it stays on one.
        let task = self.tasks.spawn_blocking(move || {
            handle.block_on(async {
                let target = target?;
                let dial = stopping.run_until_cancelled(dialler.dial(&target)).await;
                dial.ok_or_else(stopped)?.map_err(|error| Failure::dial(&error))
            })
        });
        async move { task.await.unwrap_or_else(|_| Err(stopped())) }.boxed().shared()
    }

    fn target(&self, link: &LinkRecord) -> Result<Target, Failure> {
        let key = self.kek.open(&key_context(link.owner, link.id), &link.sealed_key).map_err(Failure::own)?;
        Ok(Target {
            addresses: link.addresses.clone(),
            tls_name: link.tls_name.clone(),
            instance: link.peer,
            root: link.root.clone(),
            credential: Some(ClientCredential { certificate: link.certificate.clone(), key }),
        })
    }

    /// Lets go of this connection, unless another one has taken its place. Calls on it end by themselves.
    pub(crate) fn hang_up(&self, asker: &Asker, link: GrantId, live: &Live) {
        self.remove((asker.user, link), live.ticket);
    }

    fn remove(&self, key: Key, ticket: u64) {
        if let Some(slot) = self.lock().1.get_mut(&key)
            && slot.dial.as_ref().is_some_and(|(current, _)| *current == ticket)
        {
            slot.dial = None;
        }
    }

    /// Forgets connection and state of a link that is gone or has another certificate.
    pub(crate) fn forget(&self, owner: UserId, link: GrantId) {
        self.lock().1.remove(&(owner, link));
    }

    /// Lets go of every connection.
    pub(crate) fn clear(&self) {
        self.lock().1.clear();
    }

    /// Notes how a call ended.
    pub(crate) fn note(&self, asker: &Asker, link: GrantId, failure: Option<&Failure>) {
        let now = self.world.now();
        // A link that was forgotten meanwhile stays forgotten.
        if let Some(slot) = self.lock().1.get_mut(&(asker.user, link)) {
            match failure {
                None => slot.health.succeeded(now),
                Some(failure) => slot.health.failed(now, failure),
            }
        }
    }

    /// What calls have told about the link.
    pub(crate) fn health(&self, owner: UserId, link: GrantId) -> Health {
        self.lock().1.get(&(owner, link)).map(|slot| slot.health.clone()).unwrap_or_default()
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<Key, Slot>)> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stopped() -> Failure {
    Failure::own("this instance is stopping")
}

/// Where a link's sealed key belongs; it opens nowhere else.
pub(crate) fn key_context(owner: UserId, link: GrantId) -> String {
    format!("link key {link} of user {owner}")
}

impl Failure {
    /// Why no link came about.
    pub(crate) fn dial(error: &link::DialError) -> Self {
        use domain::answer::Outcome;
        use link::DialError as D;
        let outcome = match error {
            D::OurCertificate(_) => Outcome::Revoked,
            D::Target(_) | D::TheirCertificate(_) => Outcome::Error,
            _ => Outcome::Offline,
        };
        Self::new(outcome, Kind::Broken, domain::audit::one_line(&error.to_string()))
    }
}

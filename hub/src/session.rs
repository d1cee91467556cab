//! One live connection per link: dialled when first needed, by one caller for all, let go when it fails.
//!
//! What is told about a link's state comes from real calls. Everything is kept per user and link: two users of one instance
//! may hold links of the same grant one after the other, and neither may use the other's connection.

use crate::{
    dialling::Dialling,
    flight::{Aboard, Flight},
    health::Health,
    outcome::Failure,
};
use domain::{
    id::{GrantId, UserId},
    world::World,
};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, ready},
};
use link::{ClientCredential, DialError, Dialled, Target};
use pki::Kek;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::LinkRecord;

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
    flight: Flight,
}

/// Every link's connection and state.
pub(crate) struct Sessions {
    dialling: Dialling,
    kek: Arc<Kek>,
    world: World,
    slots: Mutex<(u64, HashMap<Key, Slot>)>,
}

impl Sessions {
    pub(crate) fn new(dialling: Dialling, kek: Arc<Kek>, world: World) -> Self {
        Self { dialling, kek, world, slots: Mutex::default() }
    }

    /// The link's connection, dialled if there is none. Callers who come during a dial share it and its failure.
    pub(crate) async fn open(&self, link: &LinkRecord) -> Result<Live, Failure> {
        let key = (link.owner, link.id);
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

    fn dial(&self, link: &LinkRecord) -> Dial {
        match self.target(link) {
            Ok(target) if link.next.is_some() => self.dial_either(link, target),
            Ok(target) => {
                let dial = self.dialling.dial(target, (link.owner, link.id));
                async move { dial.await.map_err(|error| Failure::dial(&error)) }.boxed().shared()
            }
            Err(failure) => ready(Err(failure)).boxed().shared(),
        }
    }

    /// A link that was left between two certificates: the one that waits is tried first, for once it was used the other one is
    /// good for a moment only.
    fn dial_either(&self, link: &LinkRecord, current: Target) -> Dial {
        let next = link.next.as_ref().and_then(|next| self.target(&link.following(next)).ok());
        let (dialling, key) = (self.dialling.clone(), (link.owner, link.id));
        let dial = async move {
            if let Some(next) = next {
                match dialling.dial(next, key).await {
                    Err(DialError::OurCertificate(_)) => {}
                    dialled => return dialled,
                }
            }
            dialling.dial(current, key).await
        };
        dial.map(|dialled| dialled.map_err(|error| Failure::dial(&error))).boxed().shared()
    }

    /// A connection with a link's next certificate, which nobody else uses yet.
    pub(crate) async fn dial_next(&self, link: &LinkRecord) -> Result<Dialled, Failure> {
        let target = self.target(link)?;
        self.dialling.dial(target, (link.owner, link.id)).await.map_err(|error| Failure::dial(&error))
    }

    /// Puts another connection in the place of the link's. Calls in flight end on the old one, which closes after the last.
    pub(crate) fn exchange(&self, link: &LinkRecord, dialled: Dialled) {
        let dial = ready(Ok(dialled)).boxed().shared();
        // Polled once, so that it counts as one that is there already.
        drop(dial.clone().now_or_never());
        let mut guard = self.lock();
        let (count, slots) = &mut *guard;
        *count += 1;
        slots.entry((link.owner, link.id)).or_default().dial = Some((*count, dial));
    }

    /// Keeps a connection that was made for something else, where the link has none.
    pub(crate) fn adopt(&self, link: &LinkRecord, dialled: Dialled) {
        let is_there = self.lock().1.get(&(link.owner, link.id)).is_some_and(|slot| {
            let dial = slot.dial.as_ref().map(|(_, dial)| dial.peek());
            dial.is_some_and(|dial| dial.is_none_or(|dialled| dialled.as_ref().is_ok_and(Dialled::is_open)))
        });
        if !is_there {
            self.exchange(link, dialled);
        }
    }

    /// Whom to dial for the link, and what to show there.
    pub(crate) fn target(&self, link: &LinkRecord) -> Result<Target, Failure> {
        let key = self.kek.open(&key_context(link.owner, link.id), &link.sealed_key).map_err(Failure::own)?;
        Ok(Target {
            addresses: link.addresses.clone(),
            tls_name: link.tls_name.clone(),
            instance: link.peer,
            root: link.root.clone(),
            credential: Some(ClientCredential { certificate: link.certificate.clone(), key }),
        })
    }

    /// A question over this link that begins.
    pub(crate) fn board(&self, link: &LinkRecord) -> Aboard {
        self.lock().1.entry((link.owner, link.id)).or_default().flight.board()
    }

    /// Ends every question over the link and lets go of its connection; done when the last one is gone. What begins afterwards dials anew.
    pub(crate) async fn let_go(&self, link: &LinkRecord) {
        let flight = {
            let mut guard = self.lock();
            let slot = guard.1.entry((link.owner, link.id)).or_default();
            slot.dial = None;
            std::mem::take(&mut slot.flight)
        };
        flight.end().await;
    }

    /// Lets go of this connection, unless another one has taken its place. Calls on it end by themselves.
    pub(crate) fn hang_up(&self, link: &LinkRecord, live: &Live) {
        self.remove((link.owner, link.id), live.ticket);
    }

    fn remove(&self, key: Key, ticket: u64) {
        if let Some(slot) = self.lock().1.get_mut(&key)
            && slot.dial.as_ref().is_some_and(|(current, _)| *current == ticket)
        {
            slot.dial = None;
        }
    }

    /// Forgets connection and state of a link that is gone or has another certificate, and ends what is under way over it.
    pub(crate) fn forget(&self, owner: UserId, link: GrantId) {
        if let Some(slot) = self.lock().1.remove(&(owner, link)) {
            slot.flight.stop();
        }
    }

    /// Forgets every link of a user.
    pub(crate) fn forget_user(&self, user: UserId) {
        self.lock().1.retain(|(owner, _), slot| {
            let stays = *owner != user;
            if !stays {
                slot.flight.stop();
            }
            stays
        });
    }

    /// Lets go of every connection.
    pub(crate) fn clear(&self) {
        self.lock().1.clear();
    }

    /// Notes how a call ended.
    pub(crate) fn note(&self, link: &LinkRecord, failure: Option<&Failure>) {
        let now = self.world.now();
        // A link that was forgotten meanwhile stays forgotten.
        if let Some(slot) = self.lock().1.get_mut(&(link.owner, link.id)) {
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

/// Where a link's sealed key belongs; it opens nowhere else.
pub(crate) fn key_context(owner: UserId, link: GrantId) -> String {
    format!("link key {link} of user {owner}")
}

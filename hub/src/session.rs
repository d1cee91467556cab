//! The live connections of each link: the first is dialled when it is needed, by one caller for all, others beside it while it is busy
//! ([`crate::lines`]), each let go when it fails or nobody asks. Its control session has one of its own.
//!
//! What is told about a link's state comes from real calls. Everything is kept per user and link: two users of one instance
//! may hold links of the same grant one after the other, and neither may use the other's connection.

use crate::{
    dialling::Dialling,
    flight::{Aboard, Flight},
    health::Health,
    lines::{Chosen, Dial, LOOK, Lines, Seat},
    outcome::Failure,
};
use domain::{
    id::{GrantId, UserId},
    world::World,
};
use futures::{FutureExt, future::ready};
use link::{ClientCredential, DialError, Dialled, Target};
use pki::Kek;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::LinkRecord;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

pub(crate) use tonic::transport::Channel;

/// A connection to ask over.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) channel: Channel,
    /// Whether it was there before this question: then it may turn out to have died meanwhile.
    pub(crate) reused: bool,
    dialled: Dialled,
    ticket: u64,
    /// Counts the call for as long as somebody has this.
    _seat: Seat,
}

impl Live {
    /// Whether the other side refused our certificate, which a broken call alone does not tell.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        self.dialled.failure.refused_our_certificate().map(|why| Failure::dial(&link::DialError::OurCertificate(why)))
    }
}

type Key = (UserId, GrantId);
/// How many connections were begun, and what there is of each link.
type Slots = Arc<Mutex<(u64, HashMap<Key, Slot>)>>;

#[derive(Default)]
struct Slot {
    lines: Lines,
    /// Whether it is looked at [`LOOK`] by [`LOOK`].
    watched: bool,
    health: Health,
    flight: Flight,
}

/// Every link's connections and state.
pub(crate) struct Sessions {
    dialling: Dialling,
    kek: Arc<Kek>,
    world: World,
    slots: Slots,
}

impl Sessions {
    pub(crate) fn new(dialling: Dialling, kek: Arc<Kek>, world: World) -> Self {
        Self { dialling, kek, world, slots: Slots::default() }
    }

    /// A connection for one call: the link's first, dialled if there is none, or one beside it. Callers who come during a dial share it and
    /// its failure.
    pub(crate) async fn open(&self, link: &LinkRecord) -> Result<Live, Failure> {
        let chosen = self.choose(link);
        self.widen(link);
        self.watch((link.owner, link.id));
        self.live(link, chosen).await
    }

    /// A connection that nothing else goes over: the link's control session stays for long, and rows must not stay in the buffers of what stays.
    pub(crate) async fn open_apart(&self, link: &LinkRecord) -> Result<Live, Failure> {
        let dialled = self.dial(link).await?;
        Ok(Live { channel: dialled.channel.clone(), reused: false, dialled, ticket: 0, _seat: Seat::default() })
    }

    async fn live(&self, link: &LinkRecord, chosen: Chosen) -> Result<Live, Failure> {
        let Chosen { ticket, dial, reused, seat } = chosen;
        match dial.await {
            Ok(dialled) => Ok(Live { channel: dialled.channel.clone(), reused, dialled, ticket, _seat: seat }),
            Err(failure) => {
                self.remove((link.owner, link.id), ticket);
                Err(failure)
            }
        }
    }

    fn choose(&self, link: &LinkRecord) -> Chosen {
        let mut guard = lock(&self.slots);
        let (count, slots) = &mut *guard;
        let lines = &mut slots.entry((link.owner, link.id)).or_default().lines;
        lines.any(Instant::now()).unwrap_or_else(|| {
            *count += 1;
            lines.begin(*count, self.dial(link), Instant::now())
        })
    }

    /// Looks, as long as the link has connections, whether they are still of use.
    fn watch(&self, key: Key) {
        let is_new = lock(&self.slots).1.get_mut(&key).is_some_and(|slot| !std::mem::replace(&mut slot.watched, true));
        if !is_new {
            return;
        }
        let slots = Arc::clone(&self.slots);
        self.dialling.spawn(async move {
            loop {
                sleep(LOOK).await;
                let mut guard = lock(&slots);
                let Some(slot) = guard.1.get_mut(&key) else { return };
                slot.watched = slot.lines.let_idle_go(Instant::now());
                if !slot.watched {
                    return;
                }
            }
        });
    }

    /// Makes another connection beside those that are busy, if they all are; nobody waits for it.
    fn widen(&self, link: &LinkRecord) {
        let key = (link.owner, link.id);
        let beside = {
            let mut guard = lock(&self.slots);
            let lines = guard.1.get_mut(&key).map(|slot| &mut slot.lines);
            // A sharing side that calls keeps few sockets here, and the last is for whoever finds the first connection dead.
            lines.filter(|_| self.dialling.has_more(key)).and_then(|lines| lines.extend(Instant::now()))
        };
        if let Some(beside) = beside {
            drop(self.make(link, beside));
        }
    }

    /// Makes a further connection beside the first one, whoever waits for it or goes away. It is over once that came about, or did not.
    fn make(&self, link: &LinkRecord, beside: u64) -> oneshot::Receiver<()> {
        let (key, (made, over)) = ((link.owner, link.id), oneshot::channel());
        let (dial, slots) = (self.dial(link), Arc::clone(&self.slots));
        self.dialling.spawn(async move {
            let dialled = dial.await.ok();
            let mut guard = lock(&slots);
            let (count, slots) = &mut *guard;
            *count += 1;
            if let Some(slot) = slots.get_mut(&key) {
                slot.lines.extended(beside, dialled.map(|dialled| (*count, dialled)), Instant::now());
            }
            // Nobody may wait for it any more.
            let _ = made.send(());
        });
        over
    }

    /// Another connection than this one, for a second try at what is asked over it: one that is there, or one that is made and stays for a while.
    pub(crate) async fn open_beside(&self, link: &LinkRecord, live: &Live) -> Option<Live> {
        let key = (link.owner, link.id);
        let other = || lock(&self.slots).1.get_mut(&key)?.lines.beside(live.ticket, Instant::now());
        let chosen = match other() {
            Some(chosen) => chosen,
            None if self.dialling.has_more(key) => {
                let beside = lock(&self.slots).1.get_mut(&key)?.lines.add(Instant::now())?;
                self.make(link, beside).await.ok()?;
                other()?
            }
            None => return None,
        };
        self.live(link, chosen).await.ok()
    }

    fn dial(&self, link: &LinkRecord) -> Dial {
        match self.dialled(link) {
            Ok(dial) => dial.map(|dialled| dialled.map_err(|error| Failure::dial(&error))).boxed().shared(),
            Err(failure) => ready(Err(failure)).boxed().shared(),
        }
    }

    /// A connection that is kept nowhere. Of a link that was left between two certificates the one that waits is tried first, for once it was
    /// used the other one is good for a moment only.
    pub(crate) fn dialled(
        &self,
        link: &LinkRecord,
    ) -> Result<impl Future<Output = Result<Dialled, DialError>> + Send + use<>, Failure> {
        let current = self.target(link)?;
        let next = link.next.as_ref().and_then(|next| self.target(&link.following(next)).ok());
        let (dialling, key) = (self.dialling.clone(), (link.owner, link.id));
        Ok(async move {
            if let Some(next) = next {
                match dialling.dial(next, key).await {
                    Err(DialError::OurCertificate(_)) => {}
                    dialled => return dialled,
                }
            }
            dialling.dial(current, key).await
        })
    }

    /// A connection with a link's next certificate, which nobody else uses yet.
    pub(crate) async fn dial_next(&self, link: &LinkRecord) -> Result<Dialled, Failure> {
        let target = self.target(link)?;
        self.dialling.dial(target, (link.owner, link.id)).await.map_err(|error| Failure::dial(&error))
    }

    /// Puts another connection in the place of the link's. Calls in flight end on the old ones, each of which closes after its last.
    pub(crate) fn exchange(&self, link: &LinkRecord, dialled: Dialled) {
        let key = (link.owner, link.id);
        {
            let mut guard = lock(&self.slots);
            let (count, slots) = &mut *guard;
            *count += 1;
            slots.entry(key).or_default().lines.exchange(*count, dialled, Instant::now());
        }
        self.watch(key);
    }

    /// Lets go of every connection of every link; what is known of the links stays.
    pub(crate) fn hang_up_all(&self) {
        lock(&self.slots).1.values_mut().for_each(|slot| slot.lines.hang_up());
    }

    /// Keeps a connection that was made for something else, where the link has none.
    pub(crate) fn adopt(&self, link: &LinkRecord, dialled: Dialled) {
        let key = (link.owner, link.id);
        {
            let mut guard = lock(&self.slots);
            let (count, slots) = &mut *guard;
            *count += 1;
            slots.entry(key).or_default().lines.adopt(*count, dialled, Instant::now());
        }
        self.watch(key);
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
        lock(&self.slots).1.entry((link.owner, link.id)).or_default().flight.board()
    }

    /// Ends every question over the link and lets go of its connections; done when the last one is gone. What begins afterwards dials anew.
    pub(crate) async fn let_go(&self, link: &LinkRecord) {
        let flight = {
            let mut guard = lock(&self.slots);
            let slot = guard.1.entry((link.owner, link.id)).or_default();
            slot.lines.hang_up();
            std::mem::take(&mut slot.flight)
        };
        flight.end().await;
    }

    /// Lets go of this connection, unless another one has taken its place. Calls on it end by themselves.
    pub(crate) fn hang_up(&self, link: &LinkRecord, live: &Live) {
        self.remove((link.owner, link.id), live.ticket);
    }

    fn remove(&self, key: Key, ticket: u64) {
        if let Some(slot) = lock(&self.slots).1.get_mut(&key) {
            slot.lines.remove(ticket);
        }
    }

    /// Forgets connection and state of a link that is gone or has another certificate, and ends what is under way over it.
    pub(crate) fn forget(&self, owner: UserId, link: GrantId) {
        if let Some(slot) = lock(&self.slots).1.remove(&(owner, link)) {
            slot.flight.stop();
        }
    }

    /// Forgets every link of a user.
    pub(crate) fn forget_user(&self, user: UserId) {
        lock(&self.slots).1.retain(|(owner, _), slot| {
            let stays = *owner != user;
            if !stays {
                slot.flight.stop();
            }
            stays
        });
    }

    /// Lets go of every connection.
    pub(crate) fn clear(&self) {
        lock(&self.slots).1.clear();
    }

    /// Notes how a call ended.
    pub(crate) fn note(&self, link: &LinkRecord, failure: Option<&Failure>) {
        let now = self.world.now();
        // A link that was forgotten meanwhile stays forgotten.
        if let Some(slot) = lock(&self.slots).1.get_mut(&(link.owner, link.id)) {
            match failure {
                None => slot.health.succeeded(now),
                Some(failure) => slot.health.failed(now, failure),
            }
        }
    }

    /// What calls have told about the link.
    pub(crate) fn health(&self, owner: UserId, link: GrantId) -> Health {
        lock(&self.slots).1.get(&(owner, link)).map(|slot| slot.health.clone()).unwrap_or_default()
    }
}

// Held for a few lines, never across an await.
fn lock(slots: &Slots) -> MutexGuard<'_, (u64, HashMap<Key, Slot>)> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a link's sealed key belongs; it opens nowhere else.
pub(crate) fn key_context(owner: UserId, link: GrantId) -> String {
    format!("link key {link} of user {owner}")
}

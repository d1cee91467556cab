//! Answers of links that may be shown once more: in memory alone, for [`LIFE`] at most, and only while the link's control session lives,
//! over which the other side tells that its grant has changed or ended. Without a session nothing is kept.
//!
//! An answer is kept as the messages it came in, is wiped when it is let go of, and is read and judged anew each time it is shown, like
//! one that comes from the other side. Of equal questions at one time only the first is asked; the others wait for what it brings, and
//! share its failure. What a link's owner asked is found by nobody else: links are theirs, and everything here is kept by owner and link.

use crate::{
    judge::Hold,
    outcome::{Failure, Kind},
};
use domain::{
    Time,
    id::{GrantId, QueryHash, UserId},
    world::World,
};
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use zeroize::Zeroizing;

/// How long an answer may be shown again. Less than the lease after which a sharing side takes it that nothing is shown any more.
pub(crate) const LIFE: Duration = Duration::from_secs(30);
/// An answer of more bytes is not kept.
const MAX_ANSWER: usize = 1 << 20;
/// The bytes of all answers; the eldest go first.
const MAX_ALL: usize = 32 << 20;

/// Whose link.
pub(crate) type Key = (UserId, GrantId);

/// One answer: its messages, each as it came.
pub(crate) struct Answer {
    messages: Vec<Zeroizing<Vec<u8>>>,
    /// When it was kept, by the wall clock: the other one stands still while a machine sleeps.
    came: Time,
    until: Instant,
    /// Set when the link's grant changed or ended: whoever reads it stops.
    over: AtomicBool,
}

/// What it holds is not shown.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

impl Answer {
    /// Whether it holds no more, because the grant that it came under changed or ended.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// One of its messages, if what it is held by lets it leave.
    pub(crate) fn message<M: prost::Message + Default>(&self, at: usize, hold: &Hold) -> Result<M, Failure> {
        let bytes = self.messages.get(at).ok_or_else(Failure::unfinished);
        hold.leave(bytes.and_then(|bytes| M::decode(&bytes[..]).map_err(|_| Failure::unfinished())))
    }

    fn size(&self) -> usize {
        self.messages.iter().map(|message| message.len()).sum()
    }

    fn holds(&self, now: Time) -> bool {
        Instant::now() < self.until && now >= self.came && now.since(self.came) < LIFE
    }
}

/// How a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// What is kept will do; otherwise one asks for all who want to know the same.
    Shared,
    /// What is kept will do; otherwise it asks for itself, since its rows are passed on as fast as its own reader takes them.
    Alone,
    /// What is kept will not do.
    Fresh,
}

impl Manner {
    /// As it is asked by whoever passes its rows on as they come.
    pub(crate) const fn alone(self) -> Self {
        match self {
            Self::Shared => Self::Alone,
            other => other,
        }
    }
}

/// What to do about a question.
pub(crate) enum Turn {
    /// Show this.
    Kept(Arc<Answer>),
    /// Ask. With a ticket, what comes may be kept.
    Ask(Option<Ticket>),
    /// Whoever asked the same at this time failed.
    Failed(Failure),
}

/// The answers of all links.
pub(crate) struct Cache {
    world: World,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    shelves: HashMap<Key, Shelf>,
    /// Everything here is numbered by it, so that what was let go of is never taken for what came after it.
    count: u64,
    bytes: usize,
    /// The eldest first, which is also what ends first. What is gone already is passed over.
    order: VecDeque<(Instant, Key, QueryHash, u64)>,
}

/// Of one link, as long as its session lives.
struct Shelf {
    session: u64,
    /// Moves with each flush: what was asked before one is not kept after it.
    epoch: u64,
    answers: HashMap<QueryHash, (u64, Arc<Answer>)>,
    asked: HashMap<QueryHash, Arc<Asked>>,
}

/// A question that is being asked.
#[derive(Default)]
struct Asked {
    over: CancellationToken,
    failure: OnceLock<Failure>,
}

impl Cache {
    pub(crate) fn new(world: World) -> Arc<Self> {
        Arc::new(Self { world, held: Mutex::default() })
    }

    /// Answers of this link may be kept until the guard is dropped: its session has begun.
    pub(crate) fn open(self: &Arc<Self>, key: Key) -> Session {
        let mut held = self.lock();
        held.clear(&key);
        let number = held.number();
        let of_link = Shelf { session: number, epoch: number, answers: HashMap::new(), asked: HashMap::new() };
        held.shelves.insert(key, of_link);
        Session { cache: Arc::clone(self), key, number }
    }

    /// Forgets every answer of the link: its grant or its certificate has changed.
    pub(crate) fn flush(&self, key: Key) {
        let mut held = self.lock();
        held.clear(&key);
        let number = held.number();
        if let Some(of_link) = held.shelves.get_mut(&key) {
            of_link.epoch = number;
            of_link.asked.clear();
        }
    }

    /// Forgets every answer of the link and keeps none any more: its grant has ended, or the link is gone.
    pub(crate) fn close(&self, key: Key) {
        let mut held = self.lock();
        held.clear(&key);
        held.shelves.remove(&key);
    }

    /// The same for every link of a user.
    pub(crate) fn close_user(&self, user: UserId) {
        let links: Vec<Key> = self.lock().shelves.keys().filter(|(owner, _)| *owner == user).copied().collect();
        for key in links {
            self.close(key);
        }
    }

    /// Lets go of what is too old.
    pub(crate) fn expire(&self) {
        let (now, mut held) = (Instant::now(), self.lock());
        while held.order.front().is_some_and(|(until, ..)| *until <= now) {
            held.drop_eldest();
        }
    }

    /// What to do about a question whose place is taken: whoever ends what is under way over the link waits for that place, so an answer
    /// that is given here is let go of before the end is acknowledged.
    pub(crate) async fn turn(self: &Arc<Self>, key: Key, query: QueryHash, manner: Manner) -> Turn {
        loop {
            let asked = match self.look(key, query, manner) {
                Ok(turn) => return turn,
                Err(asked) => asked,
            };
            asked.over.cancelled().await;
            if let Some(failure) = asked.failure.get() {
                return Turn::Failed(failure.clone());
            }
        }
    }

    fn look(self: &Arc<Self>, key: Key, query: QueryHash, manner: Manner) -> Result<Turn, Arc<Asked>> {
        let now = self.world.now();
        let mut held = self.lock();
        let Some(of_link) = held.shelves.get_mut(&key) else { return Ok(Turn::Ask(None)) };
        let kept = of_link.answers.get(&query).filter(|(_, answer)| manner != Manner::Fresh && answer.holds(now));
        if let Some((_, answer)) = kept {
            return Ok(Turn::Kept(Arc::clone(answer)));
        }
        let asked = Arc::<Asked>::default();
        if manner == Manner::Shared {
            match of_link.asked.entry(query) {
                Entry::Occupied(asked) => return Err(Arc::clone(asked.get())),
                Entry::Vacant(place) => drop(place.insert(Arc::clone(&asked))),
            }
        }
        let over = asked.over.clone().drop_guard();
        let cache = Arc::clone(self);
        Ok(Turn::Ask(Some(Ticket { cache, key, epoch: of_link.epoch, query, asked, _over: over })))
    }

    fn keep(&self, (key, epoch, query): (Key, u64, QueryHash), messages: Vec<Zeroizing<Vec<u8>>>) -> Option<Instant> {
        let answer =
            Answer { messages, came: self.world.now(), until: Instant::now() + LIFE, over: AtomicBool::new(false) };
        let (mut held, size) = (self.lock(), answer.size());
        let is_open = held.shelves.get(&key).is_some_and(|of_link| of_link.epoch == epoch);
        if !is_open || size > MAX_ANSWER {
            return None;
        }
        while held.bytes + size > MAX_ALL && !held.order.is_empty() {
            held.drop_eldest();
        }
        let (number, until) = (held.number(), answer.until);
        held.order.push_back((until, key, query, number));
        held.remove(&key, query, None);
        held.bytes += size;
        if let Some(of_link) = held.shelves.get_mut(&key) {
            of_link.answers.insert(query, (number, Arc::new(answer)));
        }
        Some(until)
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn clear(&mut self, key: &Key) {
        if let Some(of_link) = self.shelves.get_mut(key) {
            for (_, answer) in of_link.answers.drain().map(|(_, kept)| kept) {
                answer.over.store(true, Ordering::SeqCst);
                self.bytes -= answer.size();
            }
        }
    }

    fn drop_eldest(&mut self) {
        if let Some((_, key, query, number)) = self.order.pop_front() {
            self.remove(&key, query, Some(number));
        }
    }

    /// Lets go of an answer, if it still is the one with this number.
    fn remove(&mut self, key: &Key, query: QueryHash, number: Option<u64>) {
        let Some(of_link) = self.shelves.get_mut(key) else { return };
        let is_it = of_link.answers.get(&query).is_some_and(|(kept, _)| number.is_none_or(|number| number == *kept));
        if is_it && let Some((_, answer)) = of_link.answers.remove(&query) {
            self.bytes -= answer.size();
        }
    }
}

/// A control session that lives: while it does, answers of its link may be kept.
pub(crate) struct Session {
    cache: Arc<Cache>,
    key: Key,
    number: u64,
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut held = self.cache.lock();
        if held.shelves.get(&self.key).is_some_and(|of_link| of_link.session == self.number) {
            held.clear(&self.key);
            held.shelves.remove(&self.key);
        }
    }
}

/// The right to keep what a question brings, and the duty to tell those who wait for it. Dropped without a word, one of them asks.
pub(crate) struct Ticket {
    cache: Arc<Cache>,
    key: Key,
    epoch: u64,
    query: QueryHash,
    asked: Arc<Asked>,
    _over: DropGuard,
}

impl Ticket {
    /// Keeps the whole answer, unless the link's grant changed or ended since it was asked for.
    pub(crate) fn keep(self, messages: Vec<Zeroizing<Vec<u8>>>) {
        if let Some(until) = self.cache.keep((self.key, self.epoch, self.query), messages) {
            let cache = Arc::downgrade(&self.cache);
            tokio::spawn(async move {
                tokio::time::sleep_until(until).await;
                if let Some(cache) = cache.upgrade() {
                    cache.expire();
                }
            });
        }
    }

    /// Tells those who wait that there is no answer.
    pub(crate) fn fail(self, failure: &Failure) {
        // Nobody else sets it.
        let _ = self.asked.failure.set(failure.clone());
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(of_link) = self.cache.lock().shelves.get_mut(&self.key)
            && of_link.asked.get(&self.query).is_some_and(|asked| Arc::ptr_eq(asked, &self.asked))
        {
            of_link.asked.remove(&self.query);
        }
    }
}

/// The messages of an answer that is coming in, as long as there is a ticket for it and it is not too large.
pub(crate) struct Keeping {
    ticket: Option<Ticket>,
    messages: Vec<Zeroizing<Vec<u8>>>,
    size: usize,
}

impl Keeping {
    pub(crate) fn new(ticket: Option<Ticket>) -> Self {
        Self { ticket, messages: Vec::new(), size: 0 }
    }

    /// A message that came. Too much of them lets go of the ticket, and whoever waits asks.
    pub(crate) fn add(&mut self, message: &impl prost::Message) {
        if self.ticket.is_none() {
            return;
        }
        self.size += message.encoded_len();
        if self.size > MAX_ANSWER {
            *self = Self::new(None);
        } else {
            // Of its exact size, so that no copy of it is left behind by growing.
            self.messages.push(Zeroizing::new(message.encode_to_vec()));
        }
    }

    /// The answer came to its end.
    pub(crate) fn whole(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            ticket.keep(std::mem::take(&mut self.messages));
        }
    }

    /// It did not. What held this question back, as the door that it came by, need not hold back the one that waits.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        self.messages.clear();
        if let Some(ticket) = self.ticket.take()
            && !matches!(failure.kind, Kind::HeldBack(_) | Kind::Withheld)
        {
            ticket.fail(failure);
        }
    }
}

#[cfg(test)]
mod tests;

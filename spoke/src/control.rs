//! Control sessions: the one stream of each grant over which its asking side hears of the grant's changes, its end above all, and
//! says what it has acted upon.
//!
//! Nothing stands on them: whoever has no session, or lies in one, loses access at the same moment as everybody else. What a
//! session adds is that the other side knows at once, and that this side knows that it knows. Over it the other side is asked, too, whether
//! addresses lead to this one: [`trial`].

use domain::{
    Reason, Refusal, Time,
    grant::Grant,
    id::GrantId,
    session::{ACKNOWLEDGE, AGAIN, HEARTBEAT, LEASE, SILENCE, WORDS},
    wire,
    world::Clock,
};
use futures::{
    StreamExt,
    stream::{BoxStream, Stream},
};
use link::Connection;
use proto::v1::{self, notice::News, session_request::Said, session_response};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

mod trial;

use trial::Trial;

/// News that may wait for a slow reader. One that does not even read these is cut off: it would not hear of its grant's end either.
const WAITING: usize = 16;

/// How a grant's session stands, for its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The session's number.
    pub number: u64,
    /// When it began.
    pub since: Time,
    /// How long ago the asking side was last heard.
    pub heard: Duration,
    /// The asking side's clock less ours when it was last heard, in milliseconds; the way of the message is in it.
    pub clock_offset_ms: i64,
    /// The generation of the grant that the asking side has acted upon.
    pub acknowledged: u64,
}

/// What the asking side was last heard to say.
#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Instant,
    offset_ms: i64,
    acknowledged: u64,
    /// It knows that the grant has ended, and has let go of it.
    let_go: bool,
    /// It tries addresses when it is asked to.
    tries: bool,
}

impl Heard {
    const fn new(at: Instant, acknowledged: u64) -> Self {
        Self { at, offset_ms: 0, acknowledged, let_go: false, tries: false }
    }
}

/// A live session, as whoever tells and whoever listens know it.
struct Session {
    number: u64,
    connection: u64,
    since: Time,
    /// The last generation that was told of.
    told: AtomicU64,
    /// The generation that the end was told as.
    end: OnceLock<u64>,
    news: mpsc::Sender<v1::SessionResponse>,
    trial: Mutex<Trial>,
    heard: watch::Sender<Heard>,
    over: CancellationToken,
}

#[derive(Default)]
struct Table {
    live: HashMap<GrantId, Arc<Session>>,
    /// When each grant's last session began, and its number.
    begun: HashMap<GrantId, (Instant, u64)>,
}

/// The live sessions of all grants. Cheap to clone; all clones are one table.
#[derive(Clone)]
pub struct Controls {
    clock: Arc<dyn Clock>,
    table: Arc<Mutex<Table>>,
}

/// A session that was begun. It ends when this, or its stream, is dropped.
pub struct Begun {
    /// The first thing to say.
    pub welcome: v1::SessionResponse,
    /// What is to be said after it.
    pub news: BoxStream<'static, Result<v1::SessionResponse, Status>>,
    /// Who listens to the other side.
    pub seat: Seat,
}

/// The listening half of a session.
pub struct Seat {
    controls: Controls,
    grant: GrantId,
    session: Arc<Session>,
}

/// Who hears that a grant has ended.
pub enum Told {
    /// Its session, just now.
    Now(Listening),
    /// Its session, before: whoever told it ends it.
    Already,
    /// Nobody: there is no session.
    Nobody,
}

/// The wait for the word that the asking side has let go.
pub struct Listening {
    /// The connection the word will come over.
    pub connection: u64,
    heard: watch::Receiver<Heard>,
}

impl Listening {
    /// Whether the word came within [`ACKNOWLEDGE`] from now.
    pub async fn acknowledged(mut self) -> bool {
        let word = timeout(ACKNOWLEDGE, self.heard.wait_for(|heard| heard.let_go)).await;
        word.is_ok_and(|heard| heard.is_ok())
    }
}

impl Controls {
    /// None live.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, table: Arc::default() }
    }

    /// Begins a session of `grant` over `connection`; an earlier one ends.
    ///
    /// # Errors
    /// The grant's last session began less than a second ago.
    pub fn begin(&self, grant: &Grant, connection: &Connection) -> Result<Begun, Refusal> {
        self.begin_over(grant, connection.id())
    }

    fn begin_over(&self, grant: &Grant, connection: u64) -> Result<Begun, Refusal> {
        let (now, mut table) = (Instant::now(), self.lock());
        let (last, number) = table.begun.get(&grant.id).map_or((None, 0), |(at, number)| (Some(*at), *number));
        if let Some(wait) = last.and_then(|last| (last + AGAIN).checked_duration_since(now)).filter(|w| !w.is_zero()) {
            let said = "another control session of this grant began just now; try again in a second";
            return Err(Refusal::new(Reason::GrantRate).saying(said).retry_after(wait));
        }
        let number = number + 1;
        table.begun.insert(grant.id, (now, number));
        let (news, outbound) = mpsc::channel(WAITING);
        let session = Arc::new(Session {
            number,
            connection,
            since: self.clock.now(),
            told: AtomicU64::new(grant.generation),
            end: OnceLock::new(),
            news,
            trial: Mutex::default(),
            heard: watch::Sender::new(Heard::new(now, grant.generation)),
            over: CancellationToken::new(),
        });
        if let Some(former) = table.live.insert(grant.id, Arc::clone(&session)) {
            former.over.cancel();
        }
        drop(table);
        // The stream is dropped when its connection ends; then nobody is told anything any more.
        let (until, guard) = (session.over.clone().cancelled_owned(), session.over.clone().drop_guard());
        let news = ReceiverStream::new(outbound).take_until(until).map(move |said| (&guard, Ok(said)).1).boxed();
        let seat = Seat { controls: self.clone(), grant: grant.id, session };
        Ok(Begun { welcome: welcome(grant, number), news, seat })
    }

    /// Tells every session whose grant has another generation than it had.
    pub fn tell_changed<'a>(&self, changed: impl Iterator<Item = &'a Arc<Grant>>) {
        let table = self.lock();
        for grant in changed {
            if let Some(live) = table.live.get(&grant.id) {
                live.tell(grant.generation, News::Changed(terms(grant)));
            }
        }
    }

    /// Tells the grant's session, once, that the grant has ended. Who waits on what is given hears whether the asking side has
    /// let go of it.
    pub fn tell_ended(&self, grant: GrantId) -> Told {
        let table = self.lock();
        let Some(live) = table.live.get(&grant) else { return Told::Nobody };
        // Above all that was told before, so that a word about anything else is not taken for the word about the end.
        let end = live.told.load(Ordering::Acquire) + 1;
        if live.end.set(end).is_err() {
            return Told::Already;
        }
        live.tell(end, News::Ended(v1::Ended { at: Some(wire::timestamp(self.clock.now())) }));
        Told::Now(live.listening())
    }

    /// Whether the asking side lets go of an end that somebody else tells it of.
    pub fn listening(&self, grant: GrantId) -> Option<Listening> {
        self.lock().live.get(&grant).map(|live| live.listening())
    }

    /// How the grant's session stands, if it has one.
    pub fn view(&self, grant: GrantId) -> Option<SessionView> {
        let table = self.lock();
        let live = table.live.get(&grant)?;
        let heard = *live.heard.borrow();
        Some(SessionView {
            number: live.number,
            since: live.since,
            heard: heard.at.elapsed(),
            clock_offset_ms: heard.offset_ms,
            acknowledged: heard.acknowledged,
        })
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.lock().live.len()
    }

    /// Forgets when the sessions of grants began that `stands` does not name.
    pub fn keep(&self, stands: impl Fn(GrantId) -> bool) {
        self.lock().begun.retain(|grant, _| stands(*grant));
    }

    /// Ends the grant's session, if it has one: it is known to nobody any more before its connection is cut.
    pub fn end(&self, grant: GrantId) {
        if let Some(live) = self.lock().live.remove(&grant) {
            live.over.cancel();
        }
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn tell(&self, generation: u64, news: News) {
        self.told.fetch_max(generation, Ordering::Release);
        let notice = v1::Notice { generation, news: Some(news) };
        if self.news.try_send(said(session_response::Said::Notice(notice))).is_err() {
            self.over.cancel();
        }
    }

    fn listening(&self) -> Listening {
        Listening { connection: self.connection, heard: self.heard.subscribe() }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.session.over.cancel();
        let mut table = self.controls.lock();
        // A later session of the grant may be there already.
        if table.live.get(&self.grant).is_some_and(|live| Arc::ptr_eq(live, &self.session)) {
            table.live.remove(&self.grant);
        }
    }
}

impl Seat {
    /// Hears what the asking side says until it falls silent, says more than there is to say, or the session is over, and ends the
    /// session.
    pub async fn listen(self, mut inbound: impl Stream<Item = Result<v1::SessionRequest, Status>> + Send + Unpin) {
        let mut words = Words::default();
        loop {
            let silence = Instant::now() + SILENCE;
            let word = tokio::select! {
                word = timeout_at(silence, inbound.next()) => word,
                () = self.session.over.cancelled() => return,
            };
            match word {
                Ok(Some(Ok(v1::SessionRequest { said: Some(word) }))) if words.one_more() && self.hear(&word) => {}
                // Silence, the end, a failure, nonsense, or a flood: nobody is there whose word could be relied upon.
                _ => return,
            }
        }
    }

    /// False where it makes no sense.
    fn hear(&self, word: &Said) -> bool {
        let at = Instant::now();
        match word {
            Said::Heartbeat(heartbeat) => {
                let now = self.controls.clock.now();
                let theirs = heartbeat.time.map_or(now, wire::time);
                let offset_ms = theirs.micros().saturating_sub(now.micros()) / 1_000;
                let tries = heartbeat.tries_addresses;
                self.session
                    .heard
                    .send_modify(|heard| (heard.at, heard.offset_ms, heard.tries) = (at, offset_ms, tries));
                let answer =
                    v1::Heartbeat { time: Some(wire::timestamp(now)), answers: heartbeat.time, tries_addresses: false };
                // Where there is no room for the answer nobody reads, and the next notice ends the session.
                drop(self.session.news.try_send(said(session_response::Said::Heartbeat(answer))));
                true
            }
            Said::Acknowledged(v1::Acknowledged { generation }) => {
                let known = *generation <= self.session.told.load(Ordering::Acquire);
                self.session.heard.send_modify(|heard| {
                    heard.at = at;
                    if known {
                        heard.acknowledged = heard.acknowledged.max(*generation);
                        heard.let_go |= self.session.end.get().is_some_and(|end| generation >= end);
                    }
                });
                known
            }
            Said::Reached(reached) => {
                self.session.heard.send_modify(|heard| heard.at = at);
                self.session.trial().answered(reached)
            }
        }
    }
}

/// How much was said since when.
#[derive(Default)]
struct Words {
    since: Option<Instant>,
    said: u32,
}

impl Words {
    /// False where it is one too many.
    fn one_more(&mut self) -> bool {
        let now = Instant::now();
        if self.since.is_none_or(|since| now >= since + HEARTBEAT) {
            *self = Self { since: Some(now), said: 0 };
        }
        self.said += 1;
        self.said <= WORDS
    }
}

fn said(said: session_response::Said) -> v1::SessionResponse {
    v1::SessionResponse { said: Some(said) }
}

fn welcome(grant: &Grant, session: u64) -> v1::SessionResponse {
    said(session_response::Said::Welcome(v1::Welcome {
        session,
        generation: grant.generation,
        terms: Some(terms(grant)),
        heartbeat_seconds: seconds(HEARTBEAT),
        lease_seconds: seconds(LEASE),
    }))
}

fn terms(grant: &Grant) -> v1::Terms {
    v1::Terms {
        capabilities: vec![v1::Capability::Query.into()],
        rate: Some(wire::rate(grant.scope.rate())),
        max_rows: grant.scope.max_rows(),
        not_after: Some(wire::timestamp(grant.scope.not_after())),
        resources: wire::resources(&grant.scope),
        verbs: wire::verbs(&grant.scope),
        doors: wire::doors(&grant.scope),
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(crate) mod tests;

//! One question on its way over a link: the connection it uses, its deadline, and what its end says about the link.

use crate::{
    Hub,
    cache::{Answer, Manner, Turn},
    flight::{Aboard, Over},
    hello::Shares,
    judge::{Hold, Judge, Unjudged, Words},
    outcome::{Failure, Kind},
    session::{Channel, Live},
    terms::{Known, Said},
    track::Pass,
};
use domain::{
    Reason,
    answer::{Outcome, SourceOutcome},
    id::{QueryHash, RequestId, Resource},
    scope::Door,
    trace::TRACEPARENT,
};
use link::{
    Trail,
    trail::{NotSent, Part},
};
use proto::REQUEST_ID;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use store::LinkRecord;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status};

/// A call that is cut short this close to its deadline was cut short by it.
const SLACK: Duration = Duration::from_millis(100);

pub(crate) struct Call<'a> {
    hub: &'a Hub,
    link: &'a LinkRecord,
    trail: Trail,
    started: Instant,
    deadline: Instant,
    live: Option<Live>,
    aboard: Aboard,
    gate: Gate,
    judge: Judge,
    /// What the grant gives, where that was asked before the rows.
    said: Option<Said>,
    /// Calls that the grant has left, as the last answer said.
    calls_left: Option<u32>,
    /// Calls of the grant's limit that were taken, as far as is known.
    taken: AtomicU32,
}

/// What the other side told beside its rows; nothing of this instance's own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    withheld: Option<u32>,
    calls_left: Option<u32>,
}

impl Facts {
    /// With them.
    pub(crate) fn of(self, ended: SourceOutcome) -> SourceOutcome {
        let Self { withheld, calls_left } = self;
        SourceOutcome { withheld, calls_left, ..ended }
    }
}

/// Whether the link's circuit has a say.
enum Gate {
    /// It has none: whoever tries the link out is never held back.
    Free,
    /// It is asked when the question is sent.
    Ahead,
    /// It let the question pass.
    Passed(Pass),
}

impl<'a> Call<'a> {
    pub(crate) fn new(hub: &'a Hub, link: &'a LinkRecord, trail: Trail, deadline: Instant) -> Self {
        Self::through(hub, link, (None, trail), deadline)
    }

    fn through(hub: &'a Hub, link: &'a LinkRecord, (door, trail): (Option<Door>, Trail), deadline: Instant) -> Self {
        let aboard = hub.sessions.board(link);
        let judge = Judge::new(&hub.tracks, &hub.keeper, (link.owner, link.id), door);
        Self {
            hub,
            link,
            trail,
            started: Instant::now(),
            deadline,
            live: None,
            aboard,
            gate: Gate::Free,
            judge,
            said: None,
            calls_left: None,
            taken: AtomicU32::new(0),
        }
    }

    /// A question for rows, which is not sent while the link's circuit is open, nor where its grant is for other doors.
    pub(crate) fn question(
        hub: &'a Hub,
        link: &'a LinkRecord,
        (door, trail): (Door, Trail),
        deadline: Instant,
    ) -> Self {
        trail.waits();
        Self { gate: Gate::Ahead, ..Self::through(hub, link, (Some(door), trail), deadline) }
    }

    /// Who judges what comes.
    pub(crate) const fn judge(&self) -> &Judge {
        &self.judge
    }

    /// What lets rows leave that it brought, or that are of an earlier answer.
    pub(crate) fn hold(&self, kept: Option<Arc<Answer>>) -> Hold {
        Hold::new(self.over(), self.judge.clone(), kept)
    }

    /// What the grant gives, if that had to be asked before the rows.
    pub(crate) fn take_said(&mut self) -> Option<Said> {
        self.said.take()
    }

    pub(crate) const fn link(&self) -> &'a LinkRecord {
        self.link
    }

    /// Waits for the link's first session since this daemon started, if that is on its way and its terms are not known. Whether they have to be
    /// asked for.
    pub(crate) async fn lacks_terms(&self) -> bool {
        let unknown = || matches!(self.known(), Known::NotYet);
        if !unknown() || !self.hears_of_changes() {
            return false;
        }
        drop(timeout_at(self.deadline, self.hub.keeper.begun(self.link)).await);
        unknown()
    }

    /// Whether sessions are held. Without them nobody tells of a change, and what is known of a link's terms is what a ping found.
    pub(crate) fn hears_of_changes(&self) -> bool {
        self.hub.keeper.runs()
    }

    /// What is known of the link's terms at this moment.
    pub(crate) fn known(&self) -> Known {
        self.hub.tracks.known(self.link)
    }

    /// Its place, for whoever keeps what it brings.
    pub(crate) fn place(&self) -> Aboard {
        self.aboard.clone()
    }

    /// What is told of the question.
    pub(crate) const fn trail(&self) -> &Trail {
        &self.trail
    }

    /// When the answer must be here.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How the question learns that its grant has ended.
    pub(crate) fn over(&self) -> Over {
        self.aboard.over()
    }

    /// Whether there was a connection to wait on: decides between `timeout` and `offline`.
    pub(crate) fn is_established(&self) -> bool {
        self.live.is_some()
    }

    /// Whether an earlier answer to the same question will do, or somebody asks it already; waits no longer than the deadline.
    pub(crate) async fn turn(&mut self, query: QueryHash, manner: Manner, deadline: Instant) -> Result<Turn, Failure> {
        self.said = self.allowed().await?;
        let turn = self.hub.cache.turn((self.link.owner, self.link.id), query, manner);
        // Whoever is waited for has the same deadline, and knows then how it ended.
        let turn = async { timeout_at(deadline + SLACK, turn).await.map_err(|_| self.late()) };
        let turn = self.waited_for(Part::Queue, turn).await;
        let turn = turn.and_then(|turn| self.judge.may_be_asked().map(|()| turn));
        if matches!(turn, Ok(Turn::Failed(_))) {
            self.trail.not_sent(NotSent::Equal);
        }
        turn
    }

    /// What is waited for, as a part of the question: unless the grant ends first.
    pub(crate) async fn waited_for<T>(
        &self,
        part: Part,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let over = self.over();
        self.trail.time(part, over.unless(work)).await
    }

    /// Asks for words, waiting no longer than the deadline. A kept connection that turns out to be dead is replaced once.
    pub(crate) async fn send<M, T, F>(
        &mut self,
        message: &M,
        ask: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<T, Failure>
    where
        M: Clone,
        T: Words,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.send_any(message, ask, None).await
    }

    /// Asks for rows, as [`Call::send`] does for words, and once more over another connection where that is wanted and no answer comes.
    pub(crate) async fn fetch<M, T, F>(
        &mut self,
        message: &M,
        ask: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<Unjudged<T>, Failure>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.send_any(message, ask, self.hub.hedge_after).await.map(Unjudged::new)
    }

    async fn send_any<M, T, F>(
        &mut self,
        message: &M,
        ask: impl Fn(Channel, Request<M>) -> F,
        hedge: Option<Duration>,
    ) -> Result<T, Failure>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let (deadline, over) = (self.deadline, self.over());
        self.pass()?;
        self.trail.sent();
        let asked = Instant::now();
        let trail = self.trail.clone();
        let answer = over.unless(async { Ok(timeout_at(deadline, self.send_anew(message, ask, hedge)).await) });
        let answer = trail.time(Part::Wire, answer).await?;
        let answer = answer.unwrap_or_else(|_| Err(self.late())).map_err(|failure| self.as_known(failure));
        if answer.is_ok() {
            self.hub.tracks.took(self.link, asked.elapsed());
        }
        answer
    }

    /// Asks the circuit, once a question.
    fn pass(&mut self) -> Result<(), Failure> {
        if matches!(self.gate, Gate::Ahead) {
            let patience = self.deadline.saturating_duration_since(Instant::now());
            let pass = self.hub.tracks.ask(self.link, patience);
            self.gate = Gate::Passed(pass.map_err(|held| Failure { kind: held.kind, ..self.as_known(held) })?);
        }
        Ok(())
    }

    /// Calls of the grant's limit that were taken, as far as is known.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    /// One is sent. Whoever gives it up has sent it all the same.
    pub(crate) fn takes_a_call(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// It ended so that it was not counted at the other side.
    pub(crate) fn took_no_call(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    /// Another connection of the link for a second try at the question, where that is of use: the link is well, its grant has calls left, and a
    /// connection is there or comes about.
    pub(crate) async fn beside(&self) -> Option<Live> {
        let first = self.live.as_ref().filter(|_| self.hub.tracks.bears_two(self.link))?;
        let other = self.hub.sessions.open_beside(self.link, first).await?;
        self.trail.second(false);
        Some(other)
    }

    /// What the other side told beside its rows of this kind.
    pub(crate) fn facts(&self, resource: &Resource) -> Facts {
        Facts { withheld: self.hub.tracks.withheld(self.link, resource), calls_left: self.calls_left }
    }

    /// The grant's generation, as far as it was told.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.hub.tracks.generation(self.link)
    }

    /// What the grant gives, as the other side says who was asked at this generation; nothing where it does not say.
    pub(crate) fn gives(&self, asked_at: Option<u64>, shares: Option<&Shares>) {
        self.hub.tracks.gives(self.link, asked_at, shares.map(Shares::terms));
    }

    /// Something of an answer came, and was believed.
    pub(crate) fn answered(&mut self) {
        if let Gate::Passed(pass) = &mut self.gate {
            pass.ended(None);
        }
    }

    async fn send_anew<M, T, F>(
        &mut self,
        message: &M,
        ask: impl Fn(Channel, Request<M>) -> F,
        hedge: Option<Duration>,
    ) -> Result<T, Failure>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let first = self.send_once(message, &ask, hedge).await;
        match &first {
            Err(failure) if failure.kind == Kind::Broken && self.may_have_been_stale() => {
                self.hang_up();
                self.send_once(message, &ask, None).await
            }
            _ => first,
        }
    }

    async fn send_once<M, T, F>(
        &mut self,
        message: &M,
        ask: &impl Fn(Channel, Request<M>) -> F,
        hedge: Option<Duration>,
    ) -> Result<T, Failure>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let live = self.hub.sessions.open(self.link).await?;
        let channel = live.channel.clone();
        self.live = Some(live);
        let tried = match hedge {
            // Two tries in one place would be as large again for those who never make the second.
            Some(after) => Box::pin(self.hedged(message, ask, (channel, after))).await,
            None => self.attempt(message, ask, (channel, None)).await,
        };
        self.calls_left = tried.calls_left;
        if let Some(left) = tried.calls_left {
            self.hub.tracks.has_left(self.link, left);
        }
        if let Some(mut other) = tried.live {
            // Two tries are enough: whatever is wrong with it, nobody asks a third time.
            other.reused = false;
            self.live = Some(other);
        }
        tried.answer
    }

    pub(crate) fn request<M>(&self, message: M) -> Request<M> {
        traced(message, &self.trail, self.deadline.saturating_duration_since(Instant::now()))
    }

    fn may_have_been_stale(&self) -> bool {
        let in_time = self.waited().is_none();
        in_time && self.live.as_ref().is_some_and(|live| live.reused && live.refusal().is_none())
    }

    /// What a bad status means on the question's connection.
    pub(crate) fn failure(&self, status: &Status) -> Failure {
        self.failure_over(status, None)
    }

    /// The same on another connection, if it came over one.
    pub(crate) fn failure_over(&self, status: &Status, other: Option<&Live>) -> Failure {
        let failure = Failure::from_status(status, self.waited());
        match (failure.kind, other.or(self.live.as_ref()).and_then(Live::refusal), &self.link.words) {
            (Kind::Broken, Some(refusal), _) => refusal,
            (_, None, Some(words)) if failure.refusal == Some(Reason::NotPermitted) => {
                Failure::unconfirmed(self.link, words)
            }
            _ => failure,
        }
    }

    /// What it means that the deadline came first.
    pub(crate) fn late(&self) -> Failure {
        let waited = self.started.elapsed();
        if self.is_established() { Failure::silent(waited) } else { Failure::unreachable(waited) }
    }

    /// That nobody is there says nothing new of a link whose grant the other side has ended.
    pub(crate) fn as_known(&self, failure: Failure) -> Failure {
        let away = matches!(failure.outcome, Outcome::Offline | Outcome::Timeout);
        if failure.outcome == Outcome::Revoked && failure.kind == Kind::Broken && self.hub.is_over(self.link) {
            return Failure::expired(self.link, self.hub.is_called(self.link.owner, self.link.id));
        }
        if away && self.hub.is_known_to_have_ended(self.link) { Failure::ended_before() } else { failure }
    }

    fn waited(&self) -> Option<Duration> {
        (Instant::now() + SLACK >= self.deadline).then(|| self.started.elapsed())
    }

    /// Notes how the question ended, and lets go of a connection that is of no more use.
    pub(crate) fn end(&mut self, failure: Option<&Failure>) {
        if failure.is_some_and(|failure| matches!(failure.kind, Kind::HeldBack(_))) {
            return;
        }
        // What may not be shown was answered all the same.
        let failure = failure.filter(|failure| failure.kind != Kind::Withheld);
        if let Gate::Passed(pass) = &mut self.gate {
            pass.ended(failure);
        }
        self.hub.note(self.link, failure);
        if failure.is_none() && self.link.words.is_some() {
            self.hub.confirmed(self.link);
        }
        if failure.is_some_and(|failure| failure.kind == Kind::Broken) {
            self.hang_up();
        }
    }

    /// As [`Call::end`], for a call that nobody asked for: of its failures only a refusal says something about the link.
    pub(crate) fn end_unasked(&mut self, failure: Option<&Failure>) {
        if failure.is_none_or(|failure| failure.outcome == Outcome::Revoked) {
            return self.end(failure);
        }
        if failure.is_some_and(|failure| failure.kind == Kind::Broken) {
            self.hang_up();
        }
    }

    fn hang_up(&mut self) {
        if let Some(live) = self.live.take() {
            self.hub.sessions.hang_up(self.link, &live);
        }
    }
}

/// A message with the question's id, which both sides' logs name, and the time that the answer may take.
pub(crate) fn request<M>(message: M, id: RequestId, patience: Duration) -> Request<M> {
    let mut request = Request::new(message);
    if let Ok(id) = id.to_string().parse() {
        request.metadata_mut().insert(REQUEST_ID, id);
    }
    request.set_timeout(patience);
    request
}

/// The same, going on in the question's trace at the other side.
pub(crate) fn traced<M>(message: M, trail: &Trail, patience: Duration) -> Request<M> {
    let mut request = request(message, trail.request(), patience);
    if let Some(Ok(place)) = trail.traceparent().map(|place| place.to_string().parse()) {
        request.metadata_mut().insert(TRACEPARENT, place);
    }
    request
}

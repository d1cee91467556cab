//! The control session of each link: the stream over which the other side tells that its grant has changed or ended.
//!
//! [`keeper`] holds one session for every link of this instance; here is what one says and hears, [`reach`] but for addresses that the other
//! side has tried. That a grant has ended is said back only when
//! every question over the link has ended and let go of its rows: whoever revokes a grant may rely on that word.

mod keeper;
mod pause;
mod reach;

pub(crate) use keeper::Keeper;
pub use keeper::SessionStatus;
pub(crate) use reach::Trials;

use crate::session::Live;
use crate::{
    Asker, Hub,
    outcome::Failure,
    record::{Asking, Sum},
    track::Tracks,
};
use domain::{
    Reason, Time,
    audit::{Act, Ending, Record, Stage, Subject},
    id::{RequestId, WorkspaceId},
    operation::Method,
    session::{HEARTBEAT, SILENCE},
    wire,
};
use futures::{StreamExt, stream::FuturesUnordered};
use keeper::Shown;
use proto::{
    REQUEST_ID,
    v1::{self, connect_service_client::ConnectServiceClient, notice::News, session_request, session_response::Said},
};
use std::time::Duration;
use store::{LinkRecord, halt};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

/// No message of a session is longer.
const MAX_MESSAGE: usize = 16 * 1024;
/// Words that may wait until the connection takes them.
const WAITING: usize = 4;
/// How long to wait, after the last word, for the other side to end the stream: a word whose stream is dropped at once may never leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The stream ended: another session took its place, the connection went away, or the other side fell silent.
    Lost,
    /// The grant has ended, and that was acknowledged.
    Ended,
    /// The other side has no sessions.
    Unknown,
}

/// An open session.
struct Open {
    words: mpsc::Sender<v1::SessionRequest>,
    news: Streaming<v1::SessionResponse>,
    welcome: v1::Welcome,
    /// Nothing else goes over it.
    _live: Live,
}

/// When this is dropped the link's session is gone.
struct Untold<'a> {
    tracks: &'a Tracks,
    link: &'a LinkRecord,
}

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        self.tracks.untold(self.link);
    }
}

impl Hub {
    /// Holds one session of `link` from its first word to its end.
    async fn converse(&self, link: &LinkRecord, shown: &Shown) -> Result<Over, Failure> {
        let request = RequestId(self.world.uuid());
        let asker = Asker::new(link.owner, WorkspaceId(uuid::Uuid::nil()), request);
        let opened = self.open_session(link, request).await;
        match &opened {
            Ok(None) => return Ok(Over::Unknown),
            Ok(Some(_)) => {
                Asking::new(self, &asker, link, Method::Session)
                    .calling("session")
                    .answered(Sum::default(), false)
                    .await?;
                self.note(link, None);
                if link.words.is_some() {
                    self.confirmed(link);
                }
            }
            Err(failure) => {
                if failure.refusal.is_some() {
                    Asking::new(self, &asker, link, Method::Session).calling("session").failed(failure).await?;
                }
                self.note(link, Some(failure));
            }
        }
        let Some(open) = opened? else { return Ok(Over::Unknown) };
        self.tracks.stands_at(link, open.welcome.generation, open.welcome.terms.as_ref());
        // Answers are kept only while the other side can tell of a change.
        let _kept = self.cache.open((link.owner, link.id));
        // Also where it is let go of from outside, as after a sleep.
        let _told = Untold { tracks: &self.tracks, link };
        // Last, so that whoever sees the session finds all that comes with it.
        shown.begin(&open.welcome, self.world.now());
        Ok(self.follow(link, open, shown, request).await)
    }

    /// None where the other side has no sessions.
    async fn open_session(&self, link: &LinkRecord, id: RequestId) -> Result<Option<Open>, Failure> {
        let live = self.sessions.open_apart(link).await?;
        let (words, spoken) = mpsc::channel(WAITING);
        // There is room for the first word.
        let _ = words.try_send(self.heartbeat(link));
        let mut request = Request::new(ReceiverStream::new(spoken));
        if let Ok(id) = id.to_string().parse() {
            request.metadata_mut().insert(REQUEST_ID, id);
        }
        let mut client = ConnectServiceClient::new(live.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        let opening = async {
            let mut news = client.session(request).await?.into_inner();
            let first = news.message().await?;
            Ok::<_, Status>((news, first))
        };
        let answer = timeout(self.deadlines.source, opening).await;
        let status = match answer {
            Ok(Ok((news, Some(v1::SessionResponse { said: Some(Said::Welcome(welcome)) })))) => {
                return Ok(Some(Open { words, news, welcome, _live: live }));
            }
            Ok(Ok(_)) => return Err(Failure::lie("the other side began a control session without a welcome")),
            Ok(Err(status)) if status.code() == Code::Unimplemented => return Ok(None),
            Ok(Err(status)) => status,
            Err(_) => return Err(Failure::silent(self.deadlines.source)),
        };
        let failure = match (live.refusal(), Failure::from_status(&status, None), &link.words) {
            (Some(refusal), ..) => refusal,
            (None, failure, Some(words)) if failure.refusal == Some(Reason::NotPermitted) => {
                Failure::unconfirmed(link, words)
            }
            (None, failure, _) => failure,
        };
        Err(failure)
    }

    async fn follow(&self, link: &LinkRecord, open: Open, shown: &Shown, request: RequestId) -> Over {
        let Open { words, mut news, welcome, _live } = open;
        let mut beat = interval(Duration::from_secs(welcome.heartbeat_seconds.into()).clamp(HEARTBEAT / 15, HEARTBEAT));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silence = Instant::now() + SILENCE;
        let mut trials = FuturesUnordered::new();
        loop {
            let word = tokio::select! {
                word = timeout_at(silence, news.message()) => word,
                own = async { tokio::select! {
                    _ = beat.tick() => Some(self.heartbeat(link)),
                    Some(reached) = trials.next() => reached,
                } } => {
                    if let Some(own) = own && say(&words, own).await.is_none() {
                        return Over::Lost;
                    }
                    continue;
                }
            };
            let Ok(Ok(Some(v1::SessionResponse { said }))) = word else { return Over::Lost };
            silence = Instant::now() + SILENCE;
            shown.heard(self.world.now());
            match said {
                // What a later version says.
                None => {}
                Some(Said::Welcome(_)) => return Over::Lost,
                Some(Said::Heartbeat(answer)) => shown.clock(offset(&answer, self.world.now())),
                Some(Said::Reach(asked)) => trials.extend(self.trial(link, &asked)),
                Some(Said::Notice(v1::Notice { generation, news: Some(News::Ended(_)) })) => {
                    halt::at("link end heard").await;
                    self.let_go(link, request).await;
                    halt::at("link let go").await;
                    if say(&words, acknowledged(generation)).await.is_some() {
                        drop(timeout(FAREWELL, async { while let Ok(Some(_)) = news.message().await {} }).await);
                    }
                    return Over::Ended;
                }
                // What is under way is judged anew, chunk by chunk.
                Some(Said::Notice(v1::Notice { generation, news })) => {
                    shown.changed(generation);
                    self.tracks.stands_at(link, generation, changed(news.as_ref()));
                    self.cache.flush((link.owner, link.id));
                    if say(&words, acknowledged(generation)).await.is_none() {
                        return Over::Lost;
                    }
                }
            }
        }
    }

    /// Ends what is under way over a link whose grant has ended; done when all of it is gone.
    async fn let_go(&self, link: &LinkRecord, request: RequestId) {
        self.cache.close((link.owner, link.id));
        self.sessions.let_go(link).await;
        self.note(link, Some(&Failure::ended()));
        let record = Record::new(self.world.now(), Stage::Ask, Ending::Done, Subject::Act(Act::LinkEnd), request);
        let record = Record { grant: Some(link.id), peer: Some(link.peer), subject: Some(link.owner), ..record };
        // Not waited for: the word that nothing is held must not wait for a disk.
        self.auditor.enqueue(record.noting(link.name.as_str()));
    }
}

impl Hub {
    /// That it is there, and whether it tries addresses.
    fn heartbeat(&self, link: &LinkRecord) -> v1::SessionRequest {
        let time = Some(wire::timestamp(self.world.now()));
        let beat = v1::Heartbeat { time, answers: None, tries_addresses: self.tries_for(link) };
        v1::SessionRequest { said: Some(session_request::Said::Heartbeat(beat)) }
    }
}

/// None once nobody takes it any more.
async fn say(words: &mpsc::Sender<v1::SessionRequest>, word: v1::SessionRequest) -> Option<()> {
    timeout(SILENCE, words.send(word)).await.ok()?.ok()
}

/// The terms that a grant was given.
fn changed(news: Option<&News>) -> Option<&v1::Terms> {
    match news {
        Some(News::Changed(terms)) => Some(terms),
        Some(News::Ended(_)) | None => None,
    }
}

fn acknowledged(generation: u64) -> v1::SessionRequest {
    v1::SessionRequest { said: Some(session_request::Said::Acknowledged(v1::Acknowledged { generation })) }
}

/// The other side's clock less ours, in milliseconds, give or take half the way there and back.
fn offset(answer: &v1::Heartbeat, now: Time) -> Option<i64> {
    let (there, asked) = (answer.time.map(wire::time)?, answer.answers.map(wire::time)?);
    let halfway = asked + now.since(asked) / 2;
    Some(there.micros().saturating_sub(halfway.micros()) / 1_000)
}

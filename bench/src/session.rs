//! A link as an asking side keeps it, with the protocol's own client: a control session on one connection, an open stream on
//! another, and the rows of the last answer. When it hears that its grant has ended it ends its call, drops the rows, and only then
//! says so, as `docs/protocol.md` asks of everybody. When it heard what is said in wall-clock time, which both ends of the bench share.

use crate::{
    asker::Link,
    hold::{Watch, watch},
    load::{Client, rows},
    words::Seen,
};
use anyhow::{Context, Result, bail};
use domain::{wire, world::World};
use futures::{StreamExt, TryStreamExt, stream};
use link::Dialled;
use proto::v1::{
    self, Item, ListRequest, connect_service_client::ConnectServiceClient, notice::News, session_request,
    session_response::Said,
};
use std::{collections::HashMap, time::Duration};
use tokio::{
    sync::{mpsc, watch as signal},
    task::JoinHandle,
    time::{interval, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Links made ready at once; a listener bears 16 connections that have not proved themselves.
const AT_ONCE: usize = 8;
/// Words that may wait for the connection.
const WAITING: usize = 4;
/// Rows of a question.
const ROWS: u32 = 50;
/// How often a connection whose last stream has ended is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// Longer than any end takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A control session over a connection of its own, and nothing beside it: all of a link that nobody asks over. It ends with the process.
pub struct Touch {
    task: JoinHandle<Result<()>>,
}

impl Touch {
    /// Begins one of each.
    pub async fn begin_all(links: impl IntoIterator<Item = &Link>) -> Result<Vec<Self>> {
        stream::iter(links).map(Self::begin).buffered(AT_ONCE).try_collect().await
    }

    async fn begin(link: &Link) -> Result<Self> {
        let dialled = link.dial().await?;
        let begun = begun(&dialled).await?;
        Ok(Self { task: tokio::spawn(attended(dialled, begun)) })
    }
}

impl Drop for Touch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Holds a session to its end; its connection is there for as long.
async fn attended(_dialled: Dialled, (words, mut news, every): Begun) -> Result<()> {
    let mut beat = interval(every);
    loop {
        tokio::select! {
            word = news.message() => match word?.and_then(|word| word.said) {
                Some(Said::Notice(notice)) => words.send(acknowledged(notice.generation)).await?,
                Some(_) => {}
                None => return Ok(()),
            },
            _ = beat.tick() => words.send(heartbeat()).await?,
        }
    }
}

/// Where words are said and heard, and how often a heartbeat is due.
type Begun = (mpsc::Sender<v1::SessionRequest>, Streaming<v1::SessionResponse>, Duration);

/// Begins a session over a connection.
async fn begun(dialled: &Dialled) -> Result<Begun> {
    let (words, spoken) = mpsc::channel(WAITING);
    words.send(heartbeat()).await?;
    let mut client = ConnectServiceClient::new(dialled.channel.clone());
    let mut news = client.session(ReceiverStream::new(spoken)).await?.into_inner();
    let first = news.message().await?.and_then(|word| word.said);
    let Some(Said::Welcome(welcome)) = first else { bail!("no welcome: {first:?}") };
    Ok((words, news, Duration::from_secs(welcome.heartbeat_seconds.into())))
}

/// Links that are kept.
pub struct Sessions {
    /// How many of them ask, the first ones.
    asking: signal::Sender<usize>,
    kept: HashMap<String, JoinHandle<Result<Seen>>>,
}

impl Sessions {
    /// Keeps every one of `links`; done when each has its session, its stream and its first rows.
    pub async fn keep(links: &[Link]) -> Result<Self> {
        let asking = signal::Sender::new(0);
        let open = stream::iter(links).map(Kept::open).buffered(AT_ONCE).try_collect::<Vec<_>>().await?;
        let keep =
            |(place, kept): (usize, Kept)| (kept.grant.clone(), tokio::spawn(kept.attend(place, asking.subscribe())));
        let kept = open.into_iter().enumerate().map(keep).collect();
        Ok(Self { asking, kept })
    }

    /// Lets the first `count` links ask, each again as soon as it is answered, and no other.
    pub fn ask(&self, count: usize) {
        self.asking.send_replace(count);
    }

    /// How each of these links ended, once they have.
    pub async fn over(&mut self, grants: &[String]) -> Result<Vec<Seen>> {
        let mut seen = Vec::new();
        for grant in grants {
            let kept = self.kept.remove(grant).context("a link that is not kept here")?;
            seen.push(timeout(PATIENCE, kept).await.context("a link did not end")???);
        }
        Ok(seen)
    }
}

struct Kept {
    grant: String,
    dialled: Dialled,
    beside: Dialled,
    stream: Watch,
    words: mpsc::Sender<v1::SessionRequest>,
    news: Streaming<v1::SessionResponse>,
    every: Duration,
    rows: Vec<Item>,
}

impl Kept {
    async fn open(link: &Link) -> Result<Self> {
        let (dialled, beside) = (link.dial().await?, link.dial().await?);
        let (words, news, every) = begun(&dialled).await?;
        let stream = watch(beside.channel.clone()).await?;
        let rows = asked(&dialled).await?;
        Ok(Self { grant: link.invite.grant.to_string(), dialled, beside, stream, words, news, every, rows })
    }

    /// Holds the session to its end. `asking` says how many links ask; this one is at `place` among them.
    async fn attend(self, place: usize, mut asking: signal::Receiver<usize>) -> Result<Seen> {
        let Self { grant, dialled, beside, stream, words, mut news, every, mut rows } = self;
        let stream = tokio::spawn(ended(stream, beside));
        let mut beat = interval(every);
        let end = loop {
            let asks = place < *asking.borrow();
            tokio::select! {
                biased;
                word = news.message() => match word?.and_then(|word| word.said) {
                    Some(Said::Notice(v1::Notice { generation, news: Some(News::Ended(_)) })) => break generation,
                    Some(Said::Notice(notice)) => words.send(acknowledged(notice.generation)).await?,
                    Some(_) => {}
                    None => bail!("the session of {grant} ended without a word"),
                },
                _ = beat.tick() => words.send(heartbeat()).await?,
                more = asking.changed() => more?,
                answer = asked(&dialled), if asks => rows = answer?,
            }
        };
        let told = now();
        // The call that ran ended with the loop.
        drop(rows);
        words.send(acknowledged(end)).await?;
        while let Ok(Some(_)) = news.message().await {}
        gone(&dialled).await;
        let session = now();
        Ok(Seen { grant, told, stream: stream.await?, session })
    }
}

async fn asked(dialled: &Dialled) -> Result<Vec<Item>> {
    let request = ListRequest { resource: "tasks".to_owned(), limit: ROWS, ..ListRequest::default() };
    rows(&mut Client::new(dialled.channel.clone()), request).await.context("a question of a link that is kept")
}

/// When the stream had ended, and its connection with it.
async fn ended(mut stream: Watch, beside: Dialled) -> i64 {
    while let Ok(Some(_)) = stream.message().await {}
    gone(&beside).await;
    now()
}

async fn gone(dialled: &Dialled) {
    while dialled.is_open() {
        sleep(LOOK).await;
    }
}

fn now() -> i64 {
    World::system().now().micros()
}

fn heartbeat() -> v1::SessionRequest {
    let time = Some(wire::timestamp(World::system().now()));
    said(session_request::Said::Heartbeat(v1::Heartbeat { time, answers: None, tries_addresses: false }))
}

fn acknowledged(generation: u64) -> v1::SessionRequest {
    said(session_request::Said::Acknowledged(v1::Acknowledged { generation }))
}

fn said(said: session_request::Said) -> v1::SessionRequest {
    v1::SessionRequest { said: Some(said) }
}

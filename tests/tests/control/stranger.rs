//! A control session as a stranger holds it: the generated client, and every word by hand.

use domain::world::World;
use proto::v1::{
    self, connect_service_client::ConnectServiceClient, notice::News, session_request, session_response::Said,
};
use std::time::Duration;
use tests::asker::Asker;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// An open session.
pub struct Session {
    words: mpsc::Sender<v1::SessionRequest>,
    news: Streaming<v1::SessionResponse>,
    /// How it began.
    pub welcome: v1::Welcome,
}

impl Session {
    /// Begins one on a connection of its own.
    pub async fn begin(asker: &Asker) -> Result<Self, Status> {
        Self::begin_over(&mut asker.connect().await).await
    }

    /// Begins one on a connection that is there.
    pub async fn begin_over(link: &mut ConnectServiceClient<Channel>) -> Result<Self, Status> {
        let (words, spoken) = mpsc::channel(8);
        let answer = link.session(ReceiverStream::new(spoken)).await?;
        let mut news = answer.into_inner();
        let Some(v1::SessionResponse { said: Some(Said::Welcome(welcome)) }) = news.message().await? else {
            panic!("no welcome");
        };
        Ok(Self { words, news, welcome })
    }

    /// Says that this generation was acted upon.
    pub async fn acknowledge(&self, generation: u64) {
        self.say(session_request::Said::Acknowledged(v1::Acknowledged { generation })).await;
    }

    /// Says that it is there, by a clock that is `ahead`.
    pub async fn beat(&self, ahead: Duration) {
        let time = Some(domain::wire::timestamp(World::system().now() + ahead));
        self.say(session_request::Said::Heartbeat(v1::Heartbeat { time, ..v1::Heartbeat::default() })).await;
    }

    /// Says that it tries addresses.
    pub async fn try_addresses(&self) {
        let beat = v1::Heartbeat { tries_addresses: true, ..v1::Heartbeat::default() };
        self.say(session_request::Said::Heartbeat(beat)).await;
    }

    /// Says what came of trying them.
    pub async fn reached(&self, number: u32, reached: Vec<bool>) {
        self.say(session_request::Said::Reached(v1::Reached { number, reached })).await;
    }

    /// The next request to try addresses.
    pub async fn reach(&mut self) -> v1::Reach {
        loop {
            match self.next().await {
                Some(Said::Reach(reach)) => return reach,
                Some(_) => {}
                None => panic!("the session is over"),
            }
        }
    }

    /// Says that it is there again and again, as fast as it is taken; how often, when the session was over.
    pub async fn flood(&self, most: usize) -> usize {
        for said in 0..most {
            let beat = session_request::Said::Heartbeat(v1::Heartbeat::default());
            if self.words.send(v1::SessionRequest { said: Some(beat) }).await.is_err() {
                return said;
            }
        }
        most
    }

    async fn say(&self, said: session_request::Said) {
        self.words.send(v1::SessionRequest { said: Some(said) }).await.expect("a session that listens");
    }

    /// The next thing that is said; none when the session is over, however it ended.
    pub async fn next(&mut self) -> Option<Said> {
        let word = timeout(PATIENCE, self.news.message()).await.expect("a word in time");
        word.ok().flatten().and_then(|word| word.said)
    }

    /// The next notice, however long it takes; none when the session is over.
    pub async fn next_notice(&mut self) -> Result<Option<(u64, News)>, Status> {
        while let Some(word) = self.news.message().await? {
            if let Some(Said::Notice(v1::Notice { generation, news: Some(news) })) = word.said {
                return Ok(Some((generation, news)));
            }
        }
        Ok(None)
    }

    /// The next notice.
    pub async fn notice(&mut self) -> (u64, News) {
        match self.next().await {
            Some(Said::Notice(v1::Notice { generation, news: Some(news) })) => (generation, news),
            other => panic!("no notice: {other:?}"),
        }
    }
}

//! What the other instance answers: the truth, or one of the behaviours that an asking side must live with.

use domain::{id::GrantId, item::Item, wire};
use futures::stream::{self, BoxStream, StreamExt};
use proto::v1::{
    self, connect_service_server::ConnectService, enrol_service_server::EnrolService,
    query_service_server::QueryService, session_request, session_response::Said,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt};

/// How a call of `List` or `Get` is answered.
#[derive(Clone)]
pub enum Behaviour {
    /// With the rows there are, and the end said.
    Honest,
    /// Never.
    Hang,
    /// Honestly, once that is let go.
    Late(Arc<Notify>),
    /// With this refusal.
    Refuse(Status),
    /// With these chunks, then as said.
    Chunks(Vec<v1::ListResponse>, After),
    /// `Get` with this answer.
    Row(Box<v1::GetResponse>),
}

/// What follows the chunks.
#[derive(Clone)]
pub enum After {
    /// The stream ends in good order.
    Nothing,
    /// Silence.
    Silence,
    /// This status.
    Status(Status),
    /// A last one, once that is let go.
    Held(Arc<Notify>, Box<v1::ListResponse>),
}

/// What becomes of being asked for capabilities.
#[derive(Clone, Default)]
pub enum Capabilities {
    #[default]
    Told,
    /// Its grant lacks the verb.
    Refused,
    /// Told, but late.
    Held(Arc<Notify>),
    /// This failure.
    Failed(Status),
}

/// What a test sets and reads.
#[derive(Default)]
pub struct Board {
    /// For the next calls, one each; then honest.
    pub next: VecDeque<Behaviour>,
    /// For every call, over `next`.
    pub always: Option<Behaviour>,
    /// Rows, in any order.
    pub rows: Vec<Item>,
    /// What is said to be left of the limit, once for each.
    pub calls_left: Vec<&'static str>,
    /// Rows in one answer, at most.
    pub cap: Option<u32>,
    /// What was asked, with its metadata.
    pub asked: Vec<(v1::ListRequest, MetadataMap)>,
    /// The question's id in every call, in their order.
    pub ids: Vec<(&'static str, String)>,
    /// Who enrolled, and what they added to the words.
    pub enrolled: Vec<v1::EnrollRequest>,
    /// Calls that were left without an answer and given up by who asked.
    pub gone: usize,
    /// Whether the grant was ended from the asking side.
    pub disconnected: bool,
    /// How the opening call is refused.
    pub refuses: Option<Status>,
    /// Changes the opening answer.
    pub hello: Option<fn(&mut v1::ConnectResponse)>,
    /// Whether there are control sessions.
    pub has_sessions: bool,
    /// What they begin with.
    pub terms: Option<v1::Terms>,
    /// What becomes of being asked for its capabilities.
    pub capabilities: Capabilities,
    /// How often one was asked for.
    pub sessions_asked: u64,
    /// How many were begun.
    pub sessions: u64,
    /// What is told over the last one; dropping it ends the session.
    pub tell: Option<mpsc::UnboundedSender<v1::SessionResponse>>,
    /// Generations that were acknowledged, in their order.
    pub acknowledged: Vec<u64>,
    /// Sessions that the asking side ended.
    pub hung_up: u64,
    /// Whether the asking side says that it tries addresses.
    pub tries: bool,
    /// What came of trying them, and when it was said.
    pub reached: Vec<(v1::Reached, Instant)>,
}

/// The rooms of one sharing side.
#[derive(Clone)]
pub struct Service {
    pub board: Arc<Mutex<Board>>,
    pub grant: GrantId,
    pub hello: v1::ConnectResponse,
    pub enrol: Arc<dyn Fn(v1::EnrollRequest) -> Result<v1::EnrollResponse, Status> + Send + Sync>,
}

#[expect(clippy::disallowed_methods, reason = "these servers stand for any sharing side, not for ours")]
fn response<T>(message: T) -> Response<T> {
    Response::new(message)
}

/// A refusal as our own sharing side would make it.
pub fn refusal(code: tonic::Code, reason: &str, message: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, proto::PACKAGE, std::collections::HashMap::new());
    Status::with_error_details(code, message, details)
}

/// A call that is left without an answer, until who asked gives it up.
struct Hung(Arc<Mutex<Board>>);

impl Drop for Hung {
    fn drop(&mut self) {
        self.0.lock().unwrap().gone += 1;
    }
}

type Chunks = BoxStream<'static, Result<v1::ListResponse, Status>>;

impl Service {
    fn behaviour(&self) -> Behaviour {
        let mut board = self.board.lock().unwrap();
        board.always.clone().or_else(|| board.next.pop_front()).unwrap_or(Behaviour::Honest)
    }

    /// Says what is left of the limit.
    fn telling<T>(&self, answer: Result<Response<T>, Status>) -> Result<Response<T>, Status> {
        let say = |metadata: &mut MetadataMap| {
            for left in &self.board.lock().unwrap().calls_left {
                metadata.append(proto::CALLS_LEFT, left.parse().unwrap());
            }
        };
        match answer {
            Ok(mut response) => {
                say(response.metadata_mut());
                Ok(response)
            }
            Err(mut status) => {
                say(status.metadata_mut());
                Err(status)
            }
        }
    }

    async fn hang<T>(&self) -> T {
        let _hung = Hung(Arc::clone(&self.board));
        std::future::pending().await
    }

    fn called<M>(&self, what: &'static str, request: &Request<M>) {
        let id = request.metadata().get(proto::REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
        self.board.lock().unwrap().ids.push((what, id.to_owned()));
    }

    fn honest(&self, wire: &v1::ListRequest) -> Result<v1::ListResponse, Status> {
        let list = wire::list(wire).map_err(|refused| Status::invalid_argument(refused.public_text()))?;
        let owner = self.grant.to_string();
        let after = list.after(&owner).map_err(|refused| Status::invalid_argument(refused.public_text()))?;
        let board = self.board.lock().unwrap();
        let mut rows: Vec<_> = board.rows.iter().filter(|row| row.resource == list.resource).cloned().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.position()));
        rows.retain(|row| after.is_none_or(|after| row.position() < after));
        let limit = list.limit.unwrap_or(1_000).min(board.cap.unwrap_or(u32::MAX)) as usize;
        let truncated = rows.len() > limit;
        rows.truncate(limit);
        Ok(chunk(rows, Some(v1::ListEnd { truncated, next_page_token: String::new() })))
    }
}

/// One chunk of an answer.
pub fn chunk(rows: Vec<Item>, end: Option<v1::ListEnd>) -> v1::ListResponse {
    let as_of = Some(wire::timestamp(domain::world::World::system().now()));
    v1::ListResponse { items: rows.into_iter().map(wire::item).collect(), as_of, end }
}

#[tonic::async_trait]
impl QueryService for Service {
    type ListStream = Chunks;

    async fn capabilities(
        &self,
        request: Request<v1::CapabilitiesRequest>,
    ) -> Result<Response<v1::CapabilitiesResponse>, Status> {
        self.called("capabilities", &request);
        let told = self.board.lock().unwrap().capabilities.clone();
        match told {
            Capabilities::Told => {}
            Capabilities::Refused => {
                return Err(refusal(tonic::Code::PermissionDenied, "OUT_OF_SCOPE", "its verbs lack it"));
            }
            Capabilities::Held(until) => until.notified().await,
            Capabilities::Failed(status) => return Err(status),
        }
        self.telling(Ok(response(v1::CapabilitiesResponse {
            grant_id: self.grant.to_string(),
            grant_name: "home".into(),
            workspace: "main".into(),
            resources: vec![v1::ResourceScope { resource: "tasks".into(), fields: vec!["title".into()] }],
            verbs: [v1::Verb::List, v1::Verb::Get, v1::Verb::Search].map(i32::from).to_vec(),
            max_rows: 1_000,
            rate: Some(v1::Rate { per_minute: 60, burst: 60 }),
            calls_left: 59,
            not_after: Some(wire::timestamp(domain::Time::from_seconds(2_000_000_000))),
            doors: vec!["cli".into()],
        })))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<Chunks>, Status> {
        self.called("list", &request);
        let (metadata, _, wire) = request.into_parts();
        self.board.lock().unwrap().asked.push((wire.clone(), metadata));
        let chunks = match self.behaviour() {
            Behaviour::Hang => self.hang().await,
            Behaviour::Refuse(status) => return self.telling(Err(status)),
            Behaviour::Chunks(chunks, after) => {
                let chunks = stream::iter(chunks.into_iter().map(Ok));
                match after {
                    After::Nothing => chunks.boxed(),
                    After::Silence => chunks.chain(stream::pending()).boxed(),
                    After::Held(until, last) => {
                        let last = async move {
                            until.notified().await;
                            Ok(*last)
                        };
                        chunks.chain(stream::once(last)).boxed()
                    }
                    After::Status(status) => chunks.chain(stream::iter([Err(status)])).boxed(),
                }
            }
            Behaviour::Late(until) => {
                until.notified().await;
                stream::iter([Ok(self.honest(&wire)?)]).boxed()
            }
            Behaviour::Honest | Behaviour::Row(_) => stream::iter([Ok(self.honest(&wire)?)]).boxed(),
        };
        self.telling(Ok(response(chunks)))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        self.called("get", &request);
        let wire = request.into_inner();
        match self.behaviour() {
            Behaviour::Hang => self.hang().await,
            Behaviour::Refuse(status) => Err(status),
            Behaviour::Row(row) => self.telling(Ok(response(*row))),
            answered => {
                if let Behaviour::Late(until) = answered {
                    until.notified().await;
                }
                let board = self.board.lock().unwrap();
                let row = board.rows.iter().find(|row| row.id.to_string() == wire.id).cloned();
                let row = row.ok_or_else(|| refusal(tonic::Code::NotFound, "NOT_FOUND", "no such row"))?;
                let as_of = Some(wire::timestamp(row.updated_at));
                Ok(response(v1::GetResponse { item: Some(wire::item(row)), as_of }))
            }
        }
    }
}

#[tonic::async_trait]
impl ConnectService for Service {
    async fn connect(&self, request: Request<v1::ConnectRequest>) -> Result<Response<v1::ConnectResponse>, Status> {
        self.called("connect", &request);
        if let Some(status) = self.board.lock().unwrap().refuses.clone() {
            return Err(status);
        }
        let mut hello = self.hello.clone();
        if let Some(change) = self.board.lock().unwrap().hello {
            change(&mut hello);
        }
        Ok(response(hello))
    }

    async fn disconnect(
        &self,
        request: Request<v1::DisconnectRequest>,
    ) -> Result<Response<v1::DisconnectResponse>, Status> {
        self.called("disconnect", &request);
        self.board.lock().unwrap().disconnected = true;
        Ok(response(v1::DisconnectResponse { revoked_at: None }))
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        self.called("renew", &request);
        // As a side that is older than renewal.
        Err(refusal(tonic::Code::Unimplemented, "UNKNOWN_METHOD", "no such method"))
    }

    type SessionStream = BoxStream<'static, Result<v1::SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (tell, told) = mpsc::unbounded_channel();
        {
            let mut board = self.board.lock().unwrap();
            board.sessions_asked += 1;
            if !board.has_sessions {
                return Err(refusal(tonic::Code::Unimplemented, "UNKNOWN_METHOD", "no such method"));
            }
            board.sessions += 1;
            let terms = board.terms.clone();
            let welcome = v1::Welcome { session: board.sessions, generation: 2, terms, ..v1::Welcome::default() };
            drop(tell.send(says(Said::Welcome(welcome))));
            board.tell = Some(tell);
        }
        tokio::spawn(hear(request.into_inner(), Arc::clone(&self.board)));
        Ok(response(UnboundedReceiverStream::new(told).map(Ok).boxed()))
    }
}

/// One thing that a sharing side says during a session.
pub fn says(said: Said) -> v1::SessionResponse {
    v1::SessionResponse { said: Some(said) }
}

async fn hear(mut inbound: Streaming<v1::SessionRequest>, board: Arc<Mutex<Board>>) {
    while let Ok(Some(v1::SessionRequest { said: Some(said) })) = inbound.message().await {
        let mut board = board.lock().unwrap();
        match said {
            session_request::Said::Acknowledged(word) => board.acknowledged.push(word.generation),
            session_request::Said::Reached(reached) => board.reached.push((reached, Instant::now())),
            session_request::Said::Heartbeat(beat) => {
                board.tries = beat.tries_addresses;
                // A clock that is ten seconds ahead.
                let ahead = beat.time.map(|time| prost_types::Timestamp { seconds: time.seconds + 10, ..time });
                let answer =
                    says(Said::Heartbeat(v1::Heartbeat { time: ahead, answers: beat.time, tries_addresses: false }));
                if let Some(tell) = &board.tell {
                    drop(tell.send(answer));
                }
            }
        }
    }
    board.lock().unwrap().hung_up += 1;
}

#[tonic::async_trait]
impl EnrolService for Service {
    async fn enroll(&self, request: Request<v1::EnrollRequest>) -> Result<Response<v1::EnrollResponse>, Status> {
        self.called("enroll", &request);
        self.board.lock().unwrap().enrolled.push(request.get_ref().clone());
        (self.enrol)(request.into_inner()).map(response)
    }
}

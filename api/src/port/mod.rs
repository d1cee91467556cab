//! The same routes at a TCP port, for programs with a token. It is off unless it is set, listens on this machine alone unless a TLS proxy in
//! front is named, and answers nobody without a token.
//!
//! A web page can make its reader's browser ask any port of this machine. So each request is judged before a byte of its body is read
//! (`guard`): its `Host` is ours, or else a name of somebody's was made to lead here; it comes of no other page; it shows a token. What is refused
//! closes its connection. `crowd` says how many connections there may be, `tries` how many wrong tokens.

mod crowd;
mod guard;
mod tries;

use crate::{
    Door, Problem,
    connections::{self, Connections},
    held,
    person::Peer,
    places::{Place, Places, Standing},
    problem::Kind,
    routes,
};
use axum::{
    Extension, Router,
    body::Body,
    http::{
        HeaderValue,
        header::{AUTHORIZATION, CONNECTION, RETRY_AFTER},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use crowd::{Crowd, Unproven};
use domain::{
    audit::{Act, Ending, Record, Stage, Subject},
    id::{RequestId, UserId},
    token::{KeptToken, ProgramToken},
};
use guard::{Guard, Refused};
use hyper::{Request, body::Incoming, service::service_fn};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tries::Tries;

/// Where the port is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Under which name a TLS proxy in front passes requests on, with a port where it is not 443.
    pub tls_name: Option<String>,
}

/// Bytes of a request's head, and of what waits of an answer, at most.
const BUFFER: usize = 16 * 1024;

/// The open port.
pub(crate) struct Port {
    door: Arc<Door>,
    guard: Guard,
    tries: Tries,
    places: Arc<Places<UserId>>,
}

/// Opens it.
pub(crate) async fn bind(http: &Http) -> io::Result<TcpListener> {
    TcpListener::bind(http.listen).await
}

/// Accepts until the door closes.
pub(crate) async fn accept(door: Arc<Door>, listener: TcpListener, at: SocketAddr, tls_name: Option<String>) {
    let port = Arc::new(Port {
        door: Arc::clone(&door),
        guard: Guard::new(at.port(), tls_name),
        tries: Tries::default(),
        places: Arc::default(),
    });
    let (connections, crowd) = (Connections::new(&door, connections::CONNECTIONS), Arc::new(Crowd::default()));
    let talks = TaskTracker::new();
    while let Some(((stream, address), room)) = connections.next(|| listener.accept()).await {
        let (cut, port) = (CancellationToken::new(), Arc::clone(&port));
        let counted = Mutex::new((None, None, Some(crowd.enter(cut.clone()))));
        let line = Line { port, address, cut, counted };
        talks.spawn(async move {
            Arc::new(line).talk(stream).await;
            drop(room);
        });
    }
    talks.close();
    talks.wait().await;
}

/// One connection.
struct Line {
    port: Arc<Port>,
    address: SocketAddr,
    cut: CancellationToken,
    counted: Mutex<Counted>,
}

/// Among whom a connection counts: of whom it showed a token last, if of anybody, and its places among those who have and have not.
type Counted = (Option<UserId>, Option<Place<UserId>>, Option<Unproven>);

impl Line {
    async fn talk(self: Arc<Self>, stream: TcpStream) {
        // A small answer need not wait for a larger one.
        drop(stream.set_nodelay(true));
        let (closing, cut) = (self.port.door.closing.clone(), self.cut.clone());
        let routes = routes::all(Arc::clone(&self.port.door)).layer(Extension(held::Connection(cut.clone())));
        let service = service_fn(move |request| {
            let (line, routes) = (Arc::clone(&self), routes.clone());
            async move { Ok::<_, Infallible>(line.answer(routes, request).await) }
        });
        connections::talk(stream, service, BUFFER, (closing, cut)).await;
    }

    /// Each request of a connection is judged by itself, before its body is read.
    async fn answer(&self, routes: Router, request: Request<Incoming>) -> Response {
        let (mut parts, body) = request.into_parts();
        let token = match self.judged(&parts).await {
            Ok(token) => token,
            Err(turned_away) => return turned_away.closing(),
        };
        // What comes after need not see it.
        parts.headers.remove(AUTHORIZATION);
        parts.extensions.insert(Peer::Token(Arc::new(token)));
        match routes.oneshot(Request::from_parts(parts, Body::new(body))).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// The token that a request shows, if it may be answered at all.
    async fn judged(&self, parts: &Parts) -> Result<KeptToken, TurnedAway> {
        if let Err(refused) = self.port.guard.addressed(parts) {
            return Err(self.refused(refused, None).into());
        }
        let Some(token) = guard::token(parts) else { return Err(self.refused(Refused::NoToken, None).into()) };
        let kept = self.kept(&token).await?;
        self.takes_a_place(kept.owner)?;
        Ok(kept)
    }

    /// What is kept of a token that is good now.
    async fn kept(&self, token: &ProgramToken) -> Result<KeptToken, TurnedAway> {
        let (door, tries) = (&self.port.door, &self.port.tries);
        let id = token.id();
        if !door.knows_token(id)
            && let Err(wait) = tries.may(self.address.ip())
        {
            let problem = Problem::new(Kind::Busy, "too many wrong tokens came from this address");
            let problem = problem.next(format!("try again in {wait} s, with a token that is good here"));
            return Err(TurnedAway { problem, wait: Some(wait) });
        }
        let found = door.store.token(id).await.map_err(|cause| {
            // What the database says is not for somebody who has shown nothing yet.
            tracing::warn!(%cause, "a token could not be looked up");
            Problem::new(Kind::Unavailable, "this instance cannot look up tokens now").next("try again in a moment")
        })?;
        let Some(kept) = found.filter(|kept| token.is(kept)) else {
            door.forget_token(id);
            tries.wrong(self.address.ip());
            return Err(self.refused(Refused::WrongToken, None).into());
        };
        let now = door.world.now();
        if kept.has_expired(now) {
            door.forget_token(id);
            tries.wrong(self.address.ip());
            return Err(self.refused(Refused::ExpiredToken, Some(&kept)).into());
        }
        door.learn_token(id);
        if kept.is_used_anew(now)
            && let Err(cause) = door.store.note_token(&kept, now).await
        {
            tracing::warn!(%cause, "when a token was used last could not be noted");
        }
        Ok(kept)
    }

    /// A connection counts among those of whoever it shows a token of.
    fn takes_a_place(&self, user: UserId) -> Result<(), Problem> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.0 == Some(user) {
            return Ok(());
        }
        *counted = (None, None, None);
        let Some(place) = self.port.places.take(user, Standing::User) else {
            let problem = Problem::new(Kind::Busy, "this user has as many connections here as one may have");
            return Err(problem.next("end one of them, or send requests one after the other over the same"));
        };
        *counted = (Some(user), Some(place), None);
        Ok(())
    }

    /// A refusal, in the log without anything that whoever is refused could have chosen.
    fn refused(&self, refused: Refused, token: Option<&KeptToken>) -> Problem {
        let door = &self.port.door;
        let request = RequestId(door.world.uuid());
        let record = Record::new(door.world.now(), Stage::Admin, Ending::Refused, Subject::Act(Act::TokenUse), request);
        let note = match token {
            Some(token) => format!("{}: {}", refused.note(), token.name),
            None => refused.note().to_owned(),
        };
        let (address, subject) = (self.address.to_string(), token.map(|token| token.owner));
        let record = Record { address, subject, reason: Some(domain::Reason::NotPermitted), ..record };
        door.auditor.enqueue(record.noting(&note));
        refused.problem(&self.port.guard.example())
    }
}

/// A request that is not answered.
struct TurnedAway {
    problem: Problem,
    /// After how many seconds it may come again, where that is known.
    wait: Option<u64>,
}

impl From<Problem> for TurnedAway {
    fn from(problem: Problem) -> Self {
        Self { problem, wait: None }
    }
}

impl TurnedAway {
    /// Nothing more is read of its connection.
    fn closing(self) -> Response {
        let mut response = self.problem.into_response();
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        if let Some(wait) = self.wait {
            response.headers_mut().insert(RETRY_AFTER, wait.into());
        }
        routes::plain(response)
    }
}

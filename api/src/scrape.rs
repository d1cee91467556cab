//! The numbers of this instance at a TCP port, for Prometheus: `GET /metrics`. Off unless it is set; nobody proves who they are, so what it says
//! is of the instance as a whole: no row, no name of a person, link, grant or other instance, and nothing that somebody else chose.

use crate::{
    Door,
    connections::{self, Connections},
    metrics,
};
use axum::{body::Body, http::Response};
use hyper::{
    Method, Request, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    service::service_fn,
};
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// The only path.
const PATH: &str = "/metrics";
/// `OpenMetrics` 1.0, section "Content type"; Prometheus takes it without asking for it.
const TYPE: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// Who is there at once; whoever comes while that many are there waits. Those who say nothing are let go of after a while, and a program that
/// opens some dozens of them and says nothing keeps nobody else waiting.
const CONNECTIONS: usize = 64;
/// For the whole of a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request's head, at most.
const BUFFER: usize = 16 * 1024;

/// Opens it.
pub(crate) async fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(at).await
}

/// Answers until the door closes.
pub(crate) async fn accept(door: Arc<Door>, listener: TcpListener) {
    let connections = Connections::new(&door, CONNECTIONS);
    while let Some(((socket, _), room)) = connections.next(|| listener.accept()).await {
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            // Whoever is too slow has no answer.
            drop(timeout(PATIENCE, talk(door, socket)).await);
            drop(room);
        });
    }
}

async fn talk(door: Arc<Door>, socket: TcpStream) {
    let closing = door.closing.clone();
    let service = service_fn(|request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(only(answer(&door, &request).await)) }
    });
    connections::talk(socket, service, BUFFER, (closing.clone(), closing)).await;
}

/// Nobody keeps a place for a second question.
fn only(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn answer(door: &Door, request: &Request<Incoming>) -> Response<Body> {
    // A page that is made to lead here under another name reads nothing: its browser says the name.
    if !is_addressed(request, door.metrics_at()) {
        return said(
            StatusCode::MISDIRECTED_REQUEST,
            "ask for it by its address, as in http://127.0.0.1:9464/metrics\n",
        );
    }
    if request.uri().path() != PATH {
        return said(StatusCode::NOT_FOUND, "the metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return said(StatusCode::METHOD_NOT_ALLOWED, "they can be read, with GET\n");
    }
    match metrics::of_all(door).await {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            response.headers_mut().insert(header::CONTENT_TYPE, TYPE);
            response
        }
        Err(_) => said(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n"),
    }
}

/// Whether it is asked for by an address, or by a name of this machine's own.
fn is_addressed(request: &Request<Incoming>, at: Option<SocketAddr>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(only), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = only.to_str() else { return false };
    let is_name = host.rsplit_once(':').map_or(host, |(name, _)| name).eq_ignore_ascii_case("localhost");
    let is_address =
        host.parse::<SocketAddr>().is_ok() || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    // Whoever lets other machines ask gives it names of their own.
    is_name || is_address || at.is_some_and(|at| !at.ip().is_loopback())
}

fn said(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

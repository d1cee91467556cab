//! The numbers of this instance at a TCP port, for Prometheus: `GET /metrics`. Off unless it is set; nobody proves who they are, so what it says
//! is of the instance as a whole: no row, no name of a person, link, grant or other instance, and nothing that somebody else chose.

use crate::{Door, metrics};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// The only path.
const PATH: &str = "/metrics";
/// `OpenMetrics` 1.0, section "Content type"; Prometheus takes it without asking for it.
const TYPE: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// Who asks at once; whoever comes while that many are there is turned away.
const CONNECTIONS: usize = 8;
/// For the whole of a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// A request's head, at most.
const BUFFER: usize = 16 * 1024;
/// A pause after a failed accept, so that a lack of file descriptors does not become a busy loop.
const PAUSE: Duration = Duration::from_millis(50);

/// Opens it.
pub(crate) async fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(at).await
}

/// Answers until the door closes.
pub(crate) async fn accept(door: Arc<Door>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let all = async {
        loop {
            let Ok((socket, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let door = Arc::clone(&door);
            tokio::spawn(async move {
                let closing = door.closing.clone();
                // Whoever is too slow, or still there at the end, has no answer.
                let _ = closing.run_until_cancelled(timeout(PATIENCE, talk(door, socket))).await;
                drop(place);
            });
        }
    };
    door.closing.run_until_cancelled(all).await;
}

async fn talk(door: Arc<Door>, socket: TcpStream) {
    let service = service_fn(|request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(answer(&door, &request).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(64).max_buf_size(BUFFER).keep_alive(false);
    // A caller that goes away or speaks no HTTP has its end already.
    drop(server.serve_connection(TokioIo::new(socket), service).await);
}

async fn answer(door: &Door, request: &Request<Incoming>) -> Response<Full<Bytes>> {
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
            let mut response = Response::new(Full::from(text));
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

fn said(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

//! This side's list, for whoever has to know which of its certificates are over: a file over plain HTTP, since it is signed
//! itself. It is made anew when a certificate is refused, and every hour.

use crate::{Parts, snapshot::Snapshots};
use bytes::Bytes;
use domain::grant::Leaf;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use pki::{CrlOrder, CrlSays, Revoked, Why, crl};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

/// Where it lies.
pub const PATH: &str = "/crl.der";
/// Connections at once.
const CONNECTIONS: usize = 64;
/// How long a connection may live, and its request take.
const PATIENCE: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(5);
/// The longest request, head and all.
const REQUEST: usize = 8 * 1024;
/// How long others may keep it: a revocation is to be known soon.
const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=300");
/// How old it becomes while nothing changes.
const REMAKE: Duration = Duration::from_hours(1);
/// From a failure to the next attempt.
const AGAIN: Duration = Duration::from_secs(30);
/// Lists of one place in the log: the log's place times this, and counted on from there, is a number that only grows, whatever
/// becomes of this process and its clock.
const LISTS: u64 = 1 << 16;

/// How the list that is given stands.
#[derive(Clone, Debug)]
pub struct GivenList {
    /// Where it is served.
    pub address: SocketAddr,
    /// What it says of itself; none while there is none.
    pub made: Option<CrlSays>,
    /// Why the last attempt failed; none when it did not.
    pub failure: Option<String>,
}

#[derive(Default)]
struct State {
    list: Bytes,
    made: Option<CrlSays>,
    failure: Option<String>,
}

/// Makes the list and serves it.
pub(crate) struct Publisher {
    parts: Parts,
    snapshots: Arc<Snapshots>,
    /// Changes whenever the CA was told of more: its list lacks what it does not know.
    told: watch::Receiver<u64>,
    address: SocketAddr,
    state: RwLock<State>,
}

impl Publisher {
    pub(crate) fn new(
        parts: &Parts,
        snapshots: &Arc<Snapshots>,
        told: watch::Receiver<u64>,
        address: SocketAddr,
    ) -> Self {
        Self { parts: parts.clone(), snapshots: Arc::clone(snapshots), told, address, state: RwLock::default() }
    }

    pub(crate) fn status(&self) -> GivenList {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        GivenList { address: self.address, made: state.made, failure: state.failure.clone() }
    }

    /// Makes the list anew whenever it must be.
    pub(crate) async fn follow(&self) {
        let mut told = self.told.clone();
        loop {
            told.mark_unchanged();
            let pause = match self.make().await {
                Ok(()) => REMAKE,
                Err(failure) => {
                    tracing::warn!(%failure, "the list of revoked certificates could not be made; the former one stays");
                    self.state.write().unwrap_or_else(PoisonError::into_inner).failure = Some(failure);
                    AGAIN
                }
            };
            drop(timeout(pause, told.changed()).await);
        }
    }

    async fn make(&self) -> Result<(), String> {
        let revoked = self.revoked().await.map_err(|error| error.to_string())?;
        let now = self.parts.world.now();
        let head = self.parts.store.head().await.map_err(|error| error.to_string())?;
        let least = head.sequence.saturating_mul(LISTS);
        // A CA that is another program counts by itself, and its lists say so.
        let before = self.status().made.and_then(|made| made.number);
        let number = before.map_or(least, |before| least.max(before.saturating_add(1)));
        let list = self.parts.authority.crl(&CrlOrder { revoked: &revoked, number, now }).await;
        let list = list.map_err(|error| error.to_string())?;
        let made = Some(crl::says(&list).ok_or_else(|| "the certificate authority gave no list".to_owned())?);
        let made = State { list: list.into(), made, failure: None };
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    }

    async fn revoked(&self) -> Result<Vec<Revoked>, store::StoreError> {
        let refused = self.parts.store.refused_leaves().await?;
        let entry = |serial, at, why, not_after| Revoked { serial, at, why, not_after };
        let current = self.snapshots.current();
        let why = |leaf: &Leaf, otherwise| if current.is_revoked(leaf.spki) { Why::KeyCompromised } else { otherwise };
        let mut revoked: Vec<_> = refused
            .into_iter()
            .map(|(leaf, at)| entry(leaf.serial.clone(), at, why(&leaf, Why::Unsaid), leaf.not_after))
            .collect();
        let former = current.former(self.parts.world.now());
        revoked.extend(
            former.map(|(leaf, until)| entry(leaf.serial.clone(), until, why(leaf, Why::Replaced), leaf.not_after)),
        );
        Ok(revoked)
    }

    /// Answers whoever asks, a bounded number at once and each for a bounded time.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok((socket, _)) = listener.accept().await else {
                sleep(self.parts.limits.pause).await;
                continue;
            };
            // Whoever comes while all places are taken is not waited for.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let publisher = Arc::clone(&self);
            tokio::spawn(async move {
                drop(timeout(PATIENCE, publisher.answer(socket)).await);
                drop(place);
            });
        }
    }

    async fn answer(&self, socket: TcpStream) {
        let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(self.response(&request))));
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(REQUEST).keep_alive(false);
        // A caller that goes away or speaks no HTTP has its end already.
        drop(server.serve_connection(TokioIo::new(socket), service).await);
    }

    fn response(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let said = |status, text: &'static str| {
            let mut response = Response::new(Full::from(text));
            *response.status_mut() = status;
            response
        };
        if request.uri().path() != PATH {
            return said(StatusCode::NOT_FOUND, "the list of revoked certificates is at /crl.der\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return said(StatusCode::METHOD_NOT_ALLOWED, "it can be read, with GET\n");
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.made.is_none() {
            return said(StatusCode::SERVICE_UNAVAILABLE, "there is no list yet; ask again in half a minute\n");
        }
        let mut response = Response::new(Full::from(state.list.clone()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/pkix-crl"));
        headers.insert(header::CACHE_CONTROL, KEEP);
        response
    }
}

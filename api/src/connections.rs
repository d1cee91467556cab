//! What the sockets and the ports have in common: connections are taken while there is room for them, and end with the door.

use crate::Door;
use axum::{body::Body, http::Response};
use hyper::{Request, body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{error::Error, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

/// At once at the door itself, of everybody; whoever opens more waits.
pub(crate) const CONNECTIONS: usize = 256;
/// How long a request's head may take, and how long a connection may be idle.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// How long requests may go on once the door closes.
const GRACE: Duration = Duration::from_secs(3);
/// A pause after a failed accept, so that a lack of file descriptors does not become a busy loop.
const PAUSE: Duration = Duration::from_millis(50);

/// What comes to one listener.
pub(crate) struct Connections {
    closing: CancellationToken,
    room: Arc<Semaphore>,
}

impl Connections {
    /// So many at once.
    pub(crate) fn new(door: &Door, most: usize) -> Self {
        Self { closing: door.closing.clone(), room: Arc::new(Semaphore::new(most)) }
    }

    /// The next one, once there is room for it; none when the door closes.
    pub(crate) async fn next<S, F>(&self, accept: impl Fn() -> F) -> Option<(S, OwnedSemaphorePermit)>
    where
        F: Future<Output = io::Result<S>> + Send,
    {
        loop {
            let accepted = async {
                let room = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
                accept().await.map(|stream| (stream, room))
            };
            let accepted = tokio::select! {
                () = self.closing.cancelled() => return None,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok(accepted) => return Some(accepted),
                Err(cause) => {
                    tracing::warn!(%cause, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Answers the requests of a connection until it ends, is `cut`, with what its reader has not taken, or the door closes. `buffer` is how
/// long a request's head may be, bytes, and what waits of an answer beside what is still held, at most.
pub(crate) async fn talk<S>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    service: S,
    buffer: usize,
    (closing, cut): (CancellationToken, CancellationToken),
) where
    S: Service<Request<Incoming>, Response = Response<Body>> + Send,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_headers(64).max_buf_size(buffer);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let whole = async {
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = closing.cancelled() => None,
        };
        if ended.is_none() {
            connection.as_mut().graceful_shutdown();
            drop(tokio::time::timeout(GRACE, connection).await);
        }
    };
    cut.run_until_cancelled(whole).await;
}

//! From socket to routes: who is at the other end is read from the kernel, once per connection.

use crate::{
    Door, held,
    person::Peer,
    places::{Place, Places},
    routes,
};
use axum::Extension;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections at once of all uids; whoever opens more waits.
const CONNECTIONS: usize = 256;
/// How long a request's head may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// What waits of an answer beside what is still held, at most, and how long a request's head may be.
const BUFFER: usize = 64 * 1024;
/// How long requests may go on once the door closes.
const GRACE: Duration = Duration::from_secs(3);
/// A pause after a failed accept, so that a lack of file descriptors does not become a busy loop.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the door closes.
pub(crate) async fn accept(door: Arc<Door>, listener: UnixListener) {
    let (room, places) = (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Places::default()));
    let connections = TaskTracker::new();
    while let Some((stream, room)) = next(&door, &listener, &room).await {
        // One whose uid has its share is closed at once, and so is one that the kernel names no uid of.
        let Some((peer, place)) = admitted(&door, &stream, &places) else { continue };
        let door = Arc::clone(&door);
        connections.spawn(async move {
            talk(door, stream, peer).await;
            drop((room, place));
        });
    }
    connections.close();
    connections.wait().await;
}

/// Who is at the other end, if there is a place for them.
fn admitted(door: &Door, stream: &UnixStream, places: &Arc<Places<u32>>) -> Option<(Peer, Place<u32>)> {
    let uid = stream.peer_cred().ok()?.uid();
    Some((Peer::Uid(uid), places.take(uid, door.standing(uid))?))
}

/// The next connection, once there is room for it; none when the door closes.
async fn next(
    door: &Door,
    listener: &UnixListener,
    room: &Arc<Semaphore>,
) -> Option<(UnixStream, OwnedSemaphorePermit)> {
    loop {
        let accepted = async {
            let room = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, _)| (stream, room))
        };
        let accepted = tokio::select! {
            () = door.closing.cancelled() => return None,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(cause) => {
                tracing::warn!(%cause, "a local connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn talk(door: Arc<Door>, stream: UnixStream, peer: Peer) {
    let (closing, cut) = (door.closing.clone(), CancellationToken::new());
    let routes = routes::all(door).layer(Extension(peer)).layer(Extension(held::Connection(cut.clone())));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_headers(64).max_buf_size(BUFFER);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
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
    // Cut with what its reader has not taken.
    cut.run_until_cancelled(whole).await;
}

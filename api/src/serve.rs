//! From socket to routes: who is at the other end is read from the kernel, once per connection.

use crate::{
    Door,
    connections::{self, Connections},
    held,
    person::Peer,
    places::{Place, Places},
    routes,
};
use axum::Extension;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bytes of a request's head, and of what waits of an answer, at most.
const BUFFER: usize = 64 * 1024;

/// Accepts until the door closes.
pub(crate) async fn accept(door: Arc<Door>, listener: UnixListener) {
    let (connections, places) = (Connections::new(&door, connections::CONNECTIONS), Arc::new(Places::default()));
    let talks = TaskTracker::new();
    while let Some(((stream, _), room)) = connections.next(|| listener.accept()).await {
        // One whose uid has its share is closed at once, and so is one that the kernel names no uid of.
        let Some((peer, place)) = admitted(&door, &stream, &places) else { continue };
        let door = Arc::clone(&door);
        talks.spawn(async move {
            talk(door, stream, peer).await;
            drop((room, place));
        });
    }
    talks.close();
    talks.wait().await;
}

/// Who is at the other end, if there is a place for them.
fn admitted(door: &Door, stream: &UnixStream, places: &Arc<Places<u32>>) -> Option<(Peer, Place<u32>)> {
    let uid = stream.peer_cred().ok()?.uid();
    Some((Peer::Uid(uid), places.take(uid, door.standing(uid))?))
}

async fn talk(door: Arc<Door>, stream: UnixStream, peer: Peer) {
    let (closing, cut) = (door.closing.clone(), CancellationToken::new());
    let routes = routes::all(door).layer(Extension(peer)).layer(Extension(held::Connection(cut.clone())));
    connections::talk(stream, TowerToHyperService::new(routes), BUFFER, (closing, cut)).await;
}

//! Calls: a sharing side that nobody can reach opens the TCP connection itself, and the asking side goes on over it as if it had
//! dialled. Until TLS begins the one who called is unproven; what it says before that is one short preamble.
//!
//! Map: [`preamble`] is that preamble, byte by byte. Asking side: [`answer::listen`] sets each caller a challenge and gives out those who
//! proved that they may call; [`Parked`] keeps their sockets until one is needed. Sharing side: [`line::call`] calls and answers the
//! challenge; a [`Line`] ends when the other side begins to speak, and its socket then goes through [`crate::serve_called`].

pub mod answer;
pub mod line;
pub mod park;
pub mod preamble;

pub use answer::{Answered, Callees, Who, listen};
pub use line::{CallError, Line, call};
pub use park::{MOST_PARKED, Parked, ParkedKey};
pub use preamble::Saying;

use nix::sys::socket::{setsockopt, sockopt};
use std::time::Duration;
use tokio::net::TcpStream;

/// Silence after which the kernel asks whether the other side is still there.
const IDLE: Duration = Duration::from_secs(25);
/// How long it waits between two such questions; after the third without an answer the socket is dead.
const AGAIN: Duration = Duration::from_secs(10);
const TIMES: u32 = 3;

/// A socket that says nothing for hours stays known to the routers on its way, and to both its ends whether it is alive.
fn keep_alive(socket: &TcpStream) {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let set = setsockopt(socket, sockopt::KeepAlive, &true)
        .and_then(|()| setsockopt(socket, sockopt::TcpKeepIdle, &seconds(IDLE)))
        .and_then(|()| setsockopt(socket, sockopt::TcpKeepInterval, &seconds(AGAIN)))
        .and_then(|()| setsockopt(socket, sockopt::TcpKeepCount, &TIMES));
    if let Err(error) = set {
        tracing::warn!(%error, "a socket is not kept alive; routers on its way may forget it");
    }
    // Latency matters more than packets here; a socket that cannot is no reason to refuse it.
    drop(socket.set_nodelay(true));
}

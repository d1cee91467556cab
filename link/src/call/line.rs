//! The sharing side's end of a call, from the first packet to the first byte of the asking side's TLS.

use super::{
    keep_alive,
    preamble::{self, Saying},
};
use crate::dial::{
    proxy::ProxyError,
    ways::{Miss, Ways},
};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// From the start to a TCP connection, over all addresses.
const CONNECT: Duration = Duration::from_secs(3);
/// From the start to the end of the preamble.
const ANSWERED: Duration = Duration::from_secs(8);

/// A call did not come about. The text is cause and next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It may not be called there: which address and why, and what would allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The proxy gave no connection.
    #[error("{0}")]
    Proxy(ProxyError),
    /// Nobody can be reached there.
    #[error("{tried} cannot be reached: {cause}; check the network, and the address that `link await` was given there")]
    Unreachable {
        /// The addresses.
        tried: String,
        /// The operating system's reason.
        cause: String,
    },
    /// A machine is there, nobody listens.
    #[error("{tried} refused the connection; is mosaic-fed running there, and does it still wait for this call?")]
    Refused {
        /// The addresses.
        tried: String,
    },
    /// No answer in time.
    #[error("{tried} did not answer in time; is the machine on, and does its firewall let this port through?")]
    Timeout {
        /// The addresses.
        tried: String,
    },
    /// A connection, then not what a call begins with.
    #[error("who answers at {tried} does not take calls ({cause}); is the port the one that `link await` named there?")]
    Other {
        /// The addresses.
        tried: String,
        /// What happened instead.
        cause: String,
    },
}

/// A call that was answered: the other side knows who calls, and speaks when it needs the connection.
#[derive(Debug)]
pub struct Line {
    socket: TcpStream,
    address: SocketAddr,
}

impl Line {
    /// Waits until the other side speaks, and gives the socket with all that it said. An error when it has gone.
    pub async fn asked(self) -> io::Result<(TcpStream, SocketAddr)> {
        if self.socket.peek(&mut [0]).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((self.socket, self.address))
    }
}

/// Calls the first of `addresses` that answers, and says who calls.
pub async fn call(ways: &Ways, addresses: &[String], saying: &Saying) -> Result<Line, CallError> {
    let started = Instant::now();
    let tried = || addresses.join(", ");
    let mut socket = match timeout_at(started + CONNECT, ways.search(addresses).first(&ways.sockets())).await {
        Ok(Ok((socket, _))) => socket,
        Ok(Err(misses)) => {
            let forbidden = ways.forbidden(&tried(), &misses).map(CallError::Forbidden);
            return Err(forbidden.unwrap_or_else(|| unreached(tried(), &misses)));
        }
        Err(_) => return Err(CallError::Timeout { tried: tried() }),
    };
    keep_alive(&socket);
    let address = socket.peer_addr().map_err(|error| other(tried(), &error))?;
    match timeout_at(started + ANSWERED, preamble::answer(&mut socket, saying)).await {
        Ok(Ok(())) => Ok(Line { socket, address }),
        Ok(Err(error)) => Err(other(tried(), &error)),
        Err(_) => Err(CallError::Other { tried: tried(), cause: "it says nothing".to_owned() }),
    }
}

fn unreached(tried: String, misses: &[Miss]) -> CallError {
    let at_proxy = misses.iter().find_map(|miss| match miss {
        Miss::Proxy(error) => Some(error.clone()),
        _ => None,
    });
    if let Some(error) = at_proxy {
        return CallError::Proxy(error);
    }
    let failed = misses.iter().find_map(|miss| match miss {
        Miss::Failed(cause) => Some(cause.clone()),
        _ => None,
    });
    match failed {
        Some(cause) => CallError::Unreachable { tried, cause },
        None => CallError::Refused { tried },
    }
}

fn other(tried: String, error: &io::Error) -> CallError {
    CallError::Other { tried, cause: error.to_string() }
}

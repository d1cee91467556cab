//! The accept loop: from a listening socket to a stream of connections that proved who they are.
//!
//! Nothing a stranger does ends it or slows it: what is cheap to refuse is refused first (rate, then number), handshakes run
//! beside each other under a deadline, and an accept that fails is followed by a rest, never by an end.

use crate::{
    Accepted, Class, Identity, Incident, Incidents, Limits, Registry,
    bucket::{Buckets, Source},
    crowd::{Crowd, Place},
    handshake,
};
use domain::world::Clock;
use futures::Stream;
use pki::ClientVerifier;
use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Which door a listener is.
#[derive(Clone, Debug)]
pub enum Door {
    /// For instances with a grant: a certificate that passes `verifier` is a must.
    Federation {
        /// This side's own certificate.
        identity: Arc<Identity>,
        /// Who is let in.
        verifier: ClientVerifier,
        /// Where their connections are kept.
        registry: Registry,
    },
    /// For the holder of an invite, who has no certificate yet. It is opened by binding a socket and listening, and closed by
    /// cancelling [`Options::shutdown`]; connections through it live a minute at most.
    Enrolment {
        /// This side's own certificate.
        identity: Arc<Identity>,
    },
}

impl Door {
    pub(crate) fn identity(&self) -> &Arc<Identity> {
        match self {
            Self::Federation { identity, .. } | Self::Enrolment { identity } => identity,
        }
    }
}

/// What a listener needs besides its door.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it allows.
    pub limits: Limits,
    /// The clock that judges certificates and dates incidents.
    pub clock: Arc<dyn Clock>,
    /// Where refusals before any call go.
    pub incidents: Incidents,
    /// Ends listening when cancelled; connections that are in stay.
    pub shutdown: CancellationToken,
}

/// Accepted connections, for `serve_with_incoming`. It ends with the shutdown and never yields an error; dropping it ends
/// listening as well.
pub struct Incoming(mpsc::Receiver<Accepted>);

impl Stream for Incoming {
    type Item = Result<Accepted, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|accepted| accepted.map(Ok))
    }
}

/// How many connections may wait for the server to take them.
const READY: usize = 64;

/// Listens on `listener` as `door`, in a task of its own.
pub fn listen(listener: TcpListener, door: Door, options: Options) -> Incoming {
    let (ready, incoming) = mpsc::channel(READY);
    let Limits { address_rate, address_burst, unproven, unproven_per_address, .. } = options.limits;
    let loop_ = AcceptLoop {
        buckets: Buckets::new(address_rate, address_burst),
        crowd: Crowd::new(unproven, unproven_per_address),
        listener,
        shared: Arc::new(Shared { door, options, ready }),
        handshakes: JoinSet::new(),
    };
    tokio::spawn(loop_.run());
    Incoming(incoming)
}

struct AcceptLoop {
    listener: TcpListener,
    buckets: Buckets,
    crowd: Crowd,
    shared: Arc<Shared>,
    // Handshakes end with the loop: a connection that has not proved itself has no claim to outlive the listener.
    handshakes: JoinSet<()>,
}

struct Shared {
    door: Door,
    options: Options,
    ready: mpsc::Sender<Accepted>,
}

impl AcceptLoop {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            tokio::select! {
                () = shared.options.shutdown.cancelled() => break,
                () = shared.ready.closed() => break,
                Some(_) = self.handshakes.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((socket, address)) => self.admit(socket, address),
                    Err(error) => self.rest(&error).await,
                }
            }
        }
    }

    fn admit(&mut self, socket: TcpStream, address: SocketAddr) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        match self.enter(address.ip().into()) {
            Ok(place) => {
                let shared = Arc::clone(&self.shared);
                self.handshakes.spawn(async move { shared.shake(socket, address, place).await });
            }
            Err(class) => self.shared.report(address, class.into()),
        }
    }

    fn enter(&mut self, source: Source) -> Result<Place, Class> {
        if self.buckets.take(source) { self.crowd.enter(source) } else { Err(Class::Rate) }
    }

    /// After a failed accept. A connection that was already gone costs nothing; anything else, most of all a lack of
    /// descriptors, would fail again at once and burn a core.
    async fn rest(&self, error: &io::Error) {
        if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted) {
            return;
        }
        tracing::warn!(%error, "no connection could be accepted; raise the limit of open files if this stays so");
        if let Ok(address) = self.listener.local_addr() {
            self.shared.report(address, Class::Exhausted.into());
        }
        sleep(self.shared.options.limits.pause).await;
    }
}

impl Shared {
    async fn shake(&self, socket: TcpStream, address: SocketAddr, place: Place) {
        let gives_way = place.gives_way().clone();
        let shaken = tokio::select! {
            shaken = handshake::shake(socket, address, place, &self.door, &self.options) => shaken,
            () = gives_way.cancelled() => Err(Class::Full.into()),
        };
        match shaken {
            // When the server is gone, so is the connection.
            Ok(accepted) => drop(self.ready.send(accepted).await),
            Err(failure) => self.report(address, failure),
        }
    }

    fn report(&self, address: SocketAddr, failure: handshake::Failure) {
        let (serial, grant) = failure.refused.map_or((None, None), |refused| (refused.serial, refused.grant));
        let at = self.options.clock.now();
        self.options.incidents.report(Incident { address, class: failure.class, serial, grant, at });
    }
}

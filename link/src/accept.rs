//! The accept loop: from a listening socket to a stream of connections that proved who they are.
//!
//! Nothing a stranger does ends it or slows it: what is cheap to refuse is refused first (rate, then number), handshakes run
//! beside each other under a deadline, and an accept that fails is followed by a rest, never by an end.

use crate::{
    Accepted, Class, Identity, Incident, Incidents, Limits, Registry,
    bucket::{Buckets, Source},
    crowd::{Crowd, Place},
    handshake::{self, Failure},
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
    Incoming(admit(Arrivals::Listener(listener), door, options))
}

/// Serves sockets as `door` that this side opened itself, where nobody can dial it: from the first byte of the other side on they go the
/// way of every accepted one.
pub fn serve_called(door: Door, options: Options) -> (Called, Incoming) {
    let (called, arrivals) = mpsc::channel(READY);
    (Called(called), Incoming(admit(Arrivals::Called(arrivals), door, options)))
}

/// Where sockets go that this side opened and over which the other side has begun to speak.
#[derive(Clone, Debug)]
pub struct Called(mpsc::Sender<(TcpStream, SocketAddr)>);

impl Called {
    /// Hands one over, as if it had been accepted from `address`. Where the door is closed it is closed, too.
    pub async fn arrive(&self, socket: TcpStream, address: SocketAddr) {
        drop(self.0.send((socket, address)).await);
    }
}

/// Makes of a socket whatever a listener is there for, or says why not, within the limits' handshake time.
pub(crate) trait Greet: Send + Sync + 'static {
    /// What a listener gives out.
    type Out: Send + 'static;

    fn greet(
        &self,
        socket: TcpStream,
        address: SocketAddr,
        place: Place,
        options: &Options,
    ) -> impl Future<Output = Result<Self::Out, Failure>> + Send;
}

impl Greet for Door {
    type Out = Accepted;

    async fn greet(
        &self,
        socket: TcpStream,
        address: SocketAddr,
        place: Place,
        options: &Options,
    ) -> Result<Accepted, Failure> {
        handshake::shake(socket, address, place, self, options).await
    }
}

/// Where sockets come from.
pub(crate) enum Arrivals {
    Listener(TcpListener),
    Called(mpsc::Receiver<(TcpStream, SocketAddr)>),
}

impl Arrivals {
    /// None when there will be no more.
    async fn next(&mut self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        match self {
            Self::Listener(listener) => Some(listener.accept().await),
            Self::Called(called) => called.recv().await.map(Ok),
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Listener(listener) => listener.local_addr().ok(),
            Self::Called(_) => None,
        }
    }
}

/// Greets what arrives, in a task of its own, and gives out what comes of it.
pub(crate) fn admit<G: Greet>(arrivals: Arrivals, greet: G, options: Options) -> mpsc::Receiver<G::Out> {
    let (ready, incoming) = mpsc::channel(READY);
    let Limits { address_rate, address_burst, unproven, unproven_per_address, .. } = options.limits;
    let loop_ = AcceptLoop {
        buckets: Buckets::new(address_rate, address_burst),
        crowd: Crowd::new(unproven, unproven_per_address),
        arrivals,
        shared: Arc::new(Shared { greet, options, ready }),
        handshakes: JoinSet::new(),
    };
    tokio::spawn(loop_.run());
    incoming
}

struct AcceptLoop<G: Greet> {
    arrivals: Arrivals,
    buckets: Buckets,
    crowd: Crowd,
    shared: Arc<Shared<G>>,
    // Handshakes end with the loop: a connection that has not proved itself has no claim to outlive the listener.
    handshakes: JoinSet<()>,
}

struct Shared<G: Greet> {
    greet: G,
    options: Options,
    ready: mpsc::Sender<G::Out>,
}

impl<G: Greet> AcceptLoop<G> {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            tokio::select! {
                () = shared.options.shutdown.cancelled() => break,
                () = shared.ready.closed() => break,
                Some(_) = self.handshakes.join_next() => {}
                arrived = self.arrivals.next() => match arrived {
                    Some(Ok((socket, address))) => self.admit(socket, address),
                    Some(Err(error)) => self.rest(&error).await,
                    None => break,
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
        if let Some(address) = self.arrivals.address() {
            self.shared.report(address, Class::Exhausted.into());
        }
        sleep(self.shared.options.limits.pause).await;
    }
}

impl<G: Greet> Shared<G> {
    async fn shake(&self, socket: TcpStream, address: SocketAddr, place: Place) {
        let gives_way = place.gives_way().clone();
        let shaken = tokio::select! {
            shaken = self.greet.greet(socket, address, place, &self.options) => shaken,
            () = gives_way.cancelled() => Err(Class::Full.into()),
        };
        match shaken {
            // When the server is gone, so is the connection.
            Ok(accepted) => drop(self.ready.send(accepted).await),
            Err(failure) => self.report(address, failure),
        }
    }

    fn report(&self, address: SocketAddr, failure: Failure) {
        let (serial, grant) = failure.refused.map_or((None, None), |refused| (refused.serial, refused.grant));
        let at = self.options.clock.now();
        self.options.incidents.report(Incident { address, class: failure.class, serial, grant, at });
    }
}

//! The asking side: from an invite's addresses to one channel, or a reason a person can act on.
//!
//! Map: [`policy`] judges addresses, [`ways`] finds them and keeps which one answered, [`connect`] makes sockets to judged ones,
//! [`proxy`] asks a proxy for them.
//!
//! A dial is over when the other side has said its first word after the handshake. In TLS 1.3 the asking side's handshake ends
//! before its certificate was looked at, so only that word, or the alert in its place, tells whether it was let in.

mod cell;
pub(crate) mod connect;
mod error;
pub mod policy;
pub mod proxy;
mod reach;
pub mod ways;

pub use cell::{ErrorCell, Failure, OurCertificate};
pub use connect::{Connect, TcpConnect};
pub use error::DialError;
pub use ipnet::IpNet;
pub use policy::{Checked, DialPolicy};
pub use proxy::Proxy;
pub use ways::{Resolve, SystemResolve, Ways};

use crate::{
    Io, Limits,
    call::{Parked, ParkedKey},
    tls,
};
use cell::Kept;
use domain::{id::InstanceId, secret::Secret, world::Clock};
use hyper_util::rt::TokioIo;
use pki::ServerVerifier;
use rustls::pki_types::ServerName;
use std::{fmt, future::ready, io, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};
use ways::Making;

/// The asking side's certificate of one link.
#[derive(Clone)]
pub struct ClientCredential {
    /// X.509 DER.
    pub certificate: Vec<u8>,
    /// PKCS #8 DER.
    pub key: Secret<Vec<u8>>,
}

/// Whom to dial, and what to believe and show there.
#[derive(Clone)]
pub struct Target {
    /// `host:port`, in the order to try.
    pub addresses: Vec<String>,
    /// The DNS name to verify in the other side's certificate.
    pub tls_name: String,
    /// The instance that must answer.
    pub instance: InstanceId,
    /// The only trust anchor, X.509 DER.
    pub root: Vec<u8>,
    /// What to show; none for enrolment.
    pub credential: Option<ClientCredential>,
}

/// What a handshake is made with, and what judges who is there.
type Prepared = (TlsConnector, Arc<ServerVerifier>);

/// How long a dial may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialLimits {
    /// From the start to a TCP connection, over all addresses.
    pub connect: Duration,
    /// From the start to the other side's first word. Shorter than a source's deadline of 5 s, so that a source that cannot be
    /// reached is known to be offline before it is given up as late.
    pub established: Duration,
}

impl Default for DialLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), established: Duration::from_millis(4_500) }
    }
}

/// Makes connections to other instances.
#[derive(Clone)]
pub struct Dialler {
    clock: Arc<dyn Clock>,
    ways: Ways,
    limits: Limits,
    dial: DialLimits,
}

/// An established connection.
#[derive(Clone, Debug)]
pub struct Dialled {
    /// For the generated clients. It is this one connection: when it ends, every call fails, and somebody has to dial again.
    pub channel: Channel,
    /// What went wrong with the connection, once something did.
    pub failure: ErrorCell,
    /// When its socket was there, before the handshake.
    pub reached: Instant,
}

impl Dialled {
    /// Whether the connection is still there.
    pub fn is_open(&self) -> bool {
        self.failure.is_open()
    }
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialler").field("dial", &self.dial).finish_non_exhaustive()
    }
}

impl Dialler {
    /// Dials what `ways` lets through, with `clock` to judge certificates.
    pub fn new(clock: Arc<dyn Clock>, ways: Ways) -> Self {
        Self::with(clock, ways, Limits::default(), DialLimits::default())
    }

    /// The same within other limits.
    pub fn with(clock: Arc<dyn Clock>, ways: Ways, limits: Limits, dial: DialLimits) -> Self {
        Self { clock, ways, limits, dial }
    }

    /// Dials: TCP, TLS, HTTP/2, and the other side's first word. Where somebody else answers, or nobody speaks, the other addresses are
    /// tried as well: a machine that moved leaves an address behind that may be another's since.
    pub async fn dial(&self, target: &Target) -> Result<Dialled, DialError> {
        let started = Instant::now();
        let (connected, end) = (started + self.dial.connect, started + self.dial.established);
        let ways = self.ways.clone();
        let streams: Making<Box<dyn Io>> = Arc::new(move |to| ways.stream(to));
        let mut search = self.ways.search(&target.addresses);
        let mut failed = None;
        loop {
            // What this side keeps is judged first: a damaged record is no reason to knock anywhere.
            let prepared = self.tls(target)?;
            let (stream, at) = match timeout_at(connected, search.first(&streams)).await {
                Ok(Ok(found)) => found,
                Ok(Err(misses)) => {
                    let of_search = || DialError::of_search(&target.addresses, &misses, &self.ways);
                    return Err(failed.unwrap_or_else(of_search));
                }
                Err(_) => {
                    let late = || DialError::ConnectTimeout { tried: target.addresses.join(", ") };
                    return Err(failed.unwrap_or_else(late));
                }
            };
            search.leave(at.clone());
            let established = self.establish(target, prepared, stream, self.each(search.is_more(), end)).await;
            match established.map_err(|error| error.behind(self.ways.proxy_of(&at))) {
                Err(error) if !error.is_of_the_instance() && search.is_more() => {
                    failed.get_or_insert(error);
                }
                Err(error) => return Err(failed.filter(|_| !error.is_of_the_instance()).unwrap_or(error)),
                Ok(dialled) => {
                    self.ways.remember(&target.addresses, &search, &at);
                    return Ok(dialled);
                }
            }
        }
    }

    /// Until when one socket may take: not all of the time where there are others.
    fn each(&self, is_more: bool, end: Instant) -> Instant {
        if is_more { end.min(Instant::now() + self.dial.established / 3) } else { end }
    }

    /// As [`Dialler::dial`], over a socket that the other side opened: one that waits for `key`, or the next that comes.
    pub async fn dial_called(&self, target: &Target, parked: &Parked, key: ParkedKey) -> Result<Dialled, DialError> {
        let started = Instant::now();
        let (comes, end) = (started + self.dial.connect, started + self.dial.established);
        let mut failed = None;
        loop {
            let prepared = self.tls(target)?;
            let until = if failed.is_none() { comes } else { started };
            let Some(stream) = parked.take(key, until).await else { break };
            // A socket may be dead in a way that shows only when it is used, or be somebody else's: where another one is there, it is not
            // given all of the time.
            let each = self.each(parked.waiting(key) != 0, end);
            match self.establish(target, prepared, Box::new(stream), each).await {
                Err(error) if !error.is_of_the_instance() && Instant::now() < end => failed = Some(error),
                ended => return ended,
            }
        }
        Err(failed.unwrap_or_else(|| DialError::NotCalled { at: target.addresses.join(", ") }))
    }

    async fn establish(
        &self,
        target: &Target,
        prepared: Prepared,
        stream: Box<dyn Io>,
        end: Instant,
    ) -> Result<Dialled, DialError> {
        let reached = Instant::now();
        let stream = shake(target, prepared, stream, end).await?;
        self.channel(target, stream, end).await.map(|(channel, failure)| Dialled { channel, failure, reached })
    }

    fn tls(&self, target: &Target) -> Result<Prepared, DialError> {
        let verifier = ServerVerifier::new(&target.root, target.instance, Arc::clone(&self.clock));
        let verifier = Arc::new(verifier.map_err(|_| DialError::Target("root certificate"))?);
        ServerName::try_from(target.tls_name.as_str()).map_err(|_| DialError::Target("TLS name"))?;
        let credential = target.credential.as_ref().map(|own| (own.certificate.as_slice(), &own.key));
        let config = tls::client(Arc::clone(&verifier) as _, credential, Arc::clone(&self.clock))
            .map_err(|_| DialError::Target("own key"))?;
        Ok((TlsConnector::from(Arc::new(config)), verifier))
    }

    async fn channel(
        &self,
        target: &Target,
        stream: TlsStream<Box<dyn Io>>,
        end: Instant,
    ) -> Result<(Channel, ErrorCell), DialError> {
        let failure = ErrorCell::default();
        let mut once = Some(TokioIo::new(Kept::new(stream, failure.clone())));
        // tonic reconnects by itself and says nothing; a second connection would have no cell and no verdict.
        let connector = tower::service_fn(move |_| {
            ready(once.take().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "this connection has ended")))
        });
        let endpoint = self.endpoint(target)?;
        let channel =
            Channel::connect(connector, endpoint).await.map_err(|error| DialError::Broken(error.to_string()))?;
        match timeout_at(end, failure.first_word()).await {
            Ok(Ok(())) => Ok((channel, failure)),
            Ok(Err(failure)) => Err(failure.into()),
            Err(_) => Err(DialError::HandshakeTimeout),
        }
    }

    /// The HTTP/2 half of the limits, from the asking side.
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DialError> {
        let Limits { stream_window, connection_window, headers, keepalive_interval, keepalive_timeout, .. } =
            self.limits;
        let endpoint =
            Endpoint::from_shared(format!("https://{}", target.tls_name)).map_err(|_| DialError::Target("TLS name"))?;
        Ok(endpoint
            .initial_stream_window_size(stream_window)
            .initial_connection_window_size(connection_window)
            .http2_adaptive_window(false)
            .http2_max_header_list_size(headers)
            .http2_keep_alive_interval(keepalive_interval)
            .keep_alive_timeout(keepalive_timeout)
            .keep_alive_while_idle(true))
    }
}

/// The handshake: who is there is the target's instance.
async fn shake(
    target: &Target,
    (tls, verifier): Prepared,
    stream: Box<dyn Io>,
    end: Instant,
) -> Result<TlsStream<Box<dyn Io>>, DialError> {
    let name = ServerName::try_from(target.tls_name.clone()).map_err(|_| DialError::Target("TLS name"))?;
    let stream = match timeout_at(end, tls.connect(name, stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(error::of_handshake(&error, verifier.flaw())),
        Err(_) => return Err(DialError::HandshakeTimeout),
    };
    if stream.get_ref().1.alpn_protocol() != Some(tls::ALPN) {
        return Err(DialError::Broken("the other side does not speak HTTP/2".to_owned()));
    }
    Ok(stream)
}

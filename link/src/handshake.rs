//! One TLS handshake of an accepted socket: an [`Accepted`] connection, or why not.

use crate::{
    Accepted, Class,
    accept::{Door, Options},
    crowd::Place,
    tls,
};
use pki::{GrantLeaf, Refused, Witness};
use rustls::{Error, HandshakeKind, ServerConnection};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Why a handshake came to nothing, with what its certificate said.
pub(crate) struct Failure {
    pub(crate) class: Class,
    pub(crate) refused: Option<Refused>,
}

impl From<Class> for Failure {
    fn from(class: Class) -> Self {
        Self { class, refused: None }
    }
}

/// Does the handshake, within its deadline, and registers the connection.
pub(crate) async fn shake(
    socket: TcpStream,
    address: SocketAddr,
    place: Place,
    door: &Door,
    options: &Options,
) -> Result<Accepted, Failure> {
    // Latency matters more than packets here; a socket that cannot is no reason to refuse it.
    drop(socket.set_nodelay(true));
    let (verifier, witness) = match door {
        Door::Federation { verifier, .. } => {
            let (verifier, witness) = verifier.for_connection();
            (Some(verifier), Some(witness))
        }
        Door::Enrolment { .. } => (None, None),
    };
    let config = tls::server(Arc::clone(door.identity()), verifier, Arc::clone(&options.clock))
        .map_err(|_| Failure::from(Class::Garbage))?;
    let accept = TlsAcceptor::from(Arc::new(config)).accept(socket).into_fallible();
    let stream = match timeout(options.limits.handshake, accept).await {
        Ok(Ok(stream)) => stream,
        Ok(Err((error, socket))) => {
            let failure = failure(&error, witness.as_deref());
            drain(socket, options).await;
            return Err(failure);
        }
        Err(_) => return Err(Class::HandshakeTimeout.into()),
    };
    check_session(stream.get_ref().1)?;
    admit(stream, address, place, door, options, witness.as_deref())
}

/// What the configuration already excludes or cannot say: no resumption, and HTTP/2 agreed on, not merely left open.
fn check_session(session: &ServerConnection) -> Result<(), Class> {
    if session.handshake_kind() == Some(HandshakeKind::Resumed) {
        return Err(Class::Resumed);
    }
    if session.alpn_protocol() != Some(tls::ALPN) {
        return Err(Class::Protocol);
    }
    Ok(())
}

fn admit(
    stream: TlsStream<TcpStream>,
    address: SocketAddr,
    place: Place,
    door: &Door,
    options: &Options,
    witness: Option<&Witness>,
) -> Result<Accepted, Failure> {
    let limits = &options.limits;
    let Door::Federation { verifier, registry, .. } = door else {
        return Ok(Accepted::unproven(stream, address, place, limits.enrolment_age));
    };
    // The configuration makes a certificate mandatory; without a leaf nobody is let in, whatever happened.
    let Some(Ok(leaf)) = witness.and_then(Witness::saw) else { return Err(Class::NoCertificate.into()) };
    let GrantLeaf { grant, leaf: proved, .. } = leaf;
    let presented = leaf.clone().presented_from(address);
    let accepted = Accepted::granted(stream, presented, registry, limits.connections_per_grant, limits.connection_age)
        .ok_or(Class::GrantFull)?;
    // A revocation may have passed between the verifier and the registration: its cut did not find this connection, so it is
    // this connection that looks for the revocation.
    if verifier.denies(proved) {
        let flaw = pki::Flaw::Denied;
        let refused = Refused { flaw, serial: Some(proved.serial.clone()), grant: Some(*grant) };
        return Err(Failure { class: Class::Certificate(flaw), refused: Some(refused) });
    }
    Ok(accepted)
}

fn failure(error: &io::Error, witness: Option<&Witness>) -> Failure {
    if let Some(Err(refused)) = witness.and_then(Witness::saw) {
        return Failure { class: Class::Certificate(refused.flaw), refused: Some(refused.clone()) };
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::NoCertificatesPresented) => Class::NoCertificate,
        Some(Error::AlertReceived(_)) => Class::Alert,
        Some(_) => Class::Garbage,
        None => Class::Closed,
    }
    .into()
}

/// Closes a refused connection so that its alert arrives: a socket closed with unread bytes is reset, and a reset overtakes
/// what was sent before it.
async fn drain(mut socket: TcpStream, options: &Options) {
    const MOST: usize = 64 * 1024;
    let reading = async {
        socket.shutdown().await?;
        let (mut buffer, mut left) = ([0; 1024], MOST);
        while left > 0 {
            match socket.read(&mut buffer).await? {
                0 => break,
                n => left = left.saturating_sub(n),
            }
        }
        io::Result::Ok(())
    };
    // However it ends, the socket is closed now.
    drop(timeout(options.limits.drain, reading).await);
}

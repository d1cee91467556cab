//! Who calls: fixed once per connection, read by everything above.

use crate::{
    crowd::Place,
    cut::Cut,
    registry::{CallGuard, Group, Registered, Registry},
};
use domain::caller::Presented;
use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

/// A byte stream both ways: a TLS connection, or in a simulation anything else.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A connection as handlers see it, in the extensions of every request.
#[derive(Clone, Debug)]
pub struct Connection {
    id: u64,
    address: SocketAddr,
    presented: Option<Arc<Presented>>,
    group: Option<Arc<Group>>,
    cut: CancellationToken,
}

impl Connection {
    /// A number of its own within this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where it comes from.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the handshake proved; none where no certificate is asked for.
    pub fn presented(&self) -> Option<&Arc<Presented>> {
        self.presented.as_ref()
    }

    /// Counts a call of this connection's grant until the guard is dropped. A cut of the grant waits for it.
    pub fn call(&self) -> CallGuard {
        self.group.as_ref().map_or_else(CallGuard::none, Group::call)
    }

    /// Ends this connection at once.
    pub fn close(&self) {
        self.cut.cancel();
    }

    /// Ends this connection after `delay`, in which an answer that is on its way can leave.
    pub fn close_after(&self, delay: Duration) {
        let cut = self.cut.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(delay) => cut.cancel(),
                () = cut.cancelled() => {}
            }
        });
    }
}

/// An accepted connection, ready for a tonic server. Dropping it closes it and takes it out of the registry.
pub struct Accepted {
    stream: Cut<Box<dyn Io>>,
    connection: Connection,
    // After the stream, in this order: whoever waits for the connection to be gone must find the socket closed.
    _registered: Option<Registered>,
    _place: Option<Place>,
}

impl Accepted {
    /// A connection of `presented`'s grant: the seam where a simulation hands an identity over without TLS. None when the grant
    /// has `most` connections already. It ends by itself after `age`.
    pub fn granted(
        stream: impl Io,
        presented: Presented,
        registry: &Registry,
        most: usize,
        age: Duration,
    ) -> Option<Self> {
        let id = next_id();
        let registered = registry.register(presented.grant, &presented.serial, id, most)?;
        let connection = Connection {
            id,
            address: presented.address,
            presented: Some(Arc::new(presented)),
            group: Some(Arc::clone(&registered.group)),
            cut: registered.token.clone(),
        };
        let stream = Cut::new(Box::new(stream) as Box<dyn Io>, connection.cut.clone(), age);
        Some(Self { stream, connection, _registered: Some(registered), _place: None })
    }

    /// A connection of nobody in particular, for enrolment. It keeps its place among the unproven for its whole life, which ends
    /// when somebody else needs the place.
    pub(crate) fn unproven(stream: impl Io, address: SocketAddr, place: Place, age: Duration) -> Self {
        let cut = place.gives_way().clone();
        let connection = Connection { id: next_id(), address, presented: None, group: None, cut };
        let stream = Cut::new(Box::new(stream) as Box<dyn Io>, connection.cut.clone(), age);
        Self { stream, connection, _registered: None, _place: Some(place) }
    }

    /// Who it is.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl Connected for Accepted {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection.clone()
    }
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

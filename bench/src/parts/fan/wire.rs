//! TCP that notes when bytes came, and that can be slow to one address.

use futures::future::BoxFuture;
use link::{
    Io,
    dial::{Checked, Connect, TcpConnect},
};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex, split};

/// Every connection of one asking side.
#[derive(Clone)]
pub struct Wire {
    since: Instant,
    last: Arc<AtomicU64>,
    slow: Arc<Mutex<Option<(SocketAddr, Duration)>>>,
}

impl Wire {
    pub fn new() -> Self {
        Self { since: Instant::now(), last: Arc::default(), slow: Arc::default() }
    }

    /// Since it was made.
    pub fn now(&self) -> Duration {
        self.since.elapsed()
    }

    /// When bytes were read last, on whichever connection.
    pub fn last(&self) -> Duration {
        Duration::from_nanos(self.last.load(Ordering::Acquire))
    }

    /// From now on bytes of connections from there come so much later.
    pub fn slow(&self, at: SocketAddr, late: Duration) {
        *self.slow.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, late));
    }
}

impl Connect for Wire {
    fn connect(&self, to: Checked) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let wire = self.clone();
        Box::pin(async move {
            let stream = TcpConnect.connect(to).await?;
            let slow = *wire.slow.lock().unwrap_or_else(PoisonError::into_inner);
            let stream = match slow {
                Some((at, late)) if at == to.address() => held_up(stream, late),
                _ => stream,
            };
            Ok(Box::new(Noted { stream, wire }) as Box<dyn Io>)
        })
    }
}

/// The same stream; what comes from the other side comes so much later.
fn held_up(stream: Box<dyn Io>, late: Duration) -> Box<dyn Io> {
    let (near, far) = duplex(64 * 1024);
    let ((mut from, mut to), (mut heard, mut said)) = (split(stream), split(far));
    tokio::spawn(async move { drop(tokio::io::copy(&mut heard, &mut to).await) });
    tokio::spawn(async move {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            tokio::time::sleep(late).await;
            if said.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    });
    Box::new(near)
}

struct Noted {
    stream: Box<dyn Io>,
    wire: Wire,
}

impl AsyncRead for Noted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            let now = u64::try_from(self.wire.now().as_nanos()).unwrap_or(u64::MAX);
            self.wire.last.fetch_max(now, Ordering::AcqRel);
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Noted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
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

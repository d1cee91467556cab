//! What ended a connection, kept where the library above would turn it into "unknown" or "cancelled".

use rustls::{AlertDescription, Error};
use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

/// Why the other side does not accept our certificate, as far as its alert says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OurCertificate {
    /// It has expired, or one of the two clocks is wrong.
    Expired,
    /// It was revoked.
    Revoked,
    /// It was issued by another CA than the one the other side trusts.
    UnknownIssuer,
    /// We showed none where one is needed.
    Missing,
    /// It is not accepted, and no more is said.
    Refused,
}

impl OurCertificate {
    /// The meaning of an alert (RFC 8446 6.2); none when it says nothing about our certificate.
    fn of(alert: AlertDescription) -> Option<Self> {
        use AlertDescription as A;
        match alert {
            A::CertificateExpired => Some(Self::Expired),
            A::CertificateRevoked => Some(Self::Revoked),
            A::UnknownCA => Some(Self::UnknownIssuer),
            A::CertificateRequired | A::NoCertificate => Some(Self::Missing),
            A::AccessDenied | A::BadCertificate | A::UnsupportedCertificate | A::CertificateUnknown => {
                Some(Self::Refused)
            }
            _ => None,
        }
    }
}

/// What ended a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The other side does not accept our certificate.
    OurCertificate(OurCertificate),
    /// TLS failed otherwise, in rustls' words.
    Tls(String),
    /// The connection was lost, with the operating system's reason.
    Lost(io::ErrorKind),
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match tls {
            Some(Error::AlertReceived(alert)) => match OurCertificate::of(*alert) {
                Some(why) => Self::OurCertificate(why),
                None => Self::Tls(format!("the other side sent the alert {alert:?}")),
            },
            Some(other) => Self::Tls(other.to_string()),
            None => Self::Lost(error.kind()),
        }
    }
}

/// Holds the first failure of one connection. All clones are one cell.
#[derive(Clone, Default)]
pub struct ErrorCell(Arc<Inner>);

#[derive(Default)]
struct Inner {
    failure: OnceLock<Failure>,
    spoken: AtomicBool,
    ended: AtomicBool,
    changed: Notify,
}

impl ErrorCell {
    /// The first failure.
    pub fn failure(&self) -> Option<&Failure> {
        self.0.failure.get()
    }

    /// Whether the other side refused our certificate, and how.
    pub fn refused_our_certificate(&self) -> Option<OurCertificate> {
        match self.failure() {
            Some(Failure::OurCertificate(why)) => Some(*why),
            _ => None,
        }
    }

    /// Whether the connection is still there.
    pub fn is_open(&self) -> bool {
        !self.0.ended.load(Ordering::Acquire) && self.failure().is_none()
    }

    /// Waits for the first byte the other side sends, or the failure in its place.
    pub(super) async fn first_word(&self) -> Result<(), Failure> {
        loop {
            let changed = self.0.changed.notified();
            if self.0.spoken.load(Ordering::Acquire) {
                return Ok(());
            }
            if let Some(failure) = self.failure() {
                return Err(failure.clone());
            }
            if self.0.ended.load(Ordering::Acquire) {
                return Err(Failure::Lost(io::ErrorKind::UnexpectedEof));
            }
            changed.await;
        }
    }

    fn keep(&self, failure: Failure) {
        // Only the first one tells the cause; what follows are its consequences.
        drop(self.0.failure.set(failure));
        self.0.changed.notify_waiters();
    }

    fn speak(&self) {
        if !self.0.spoken.swap(true, Ordering::AcqRel) {
            self.0.changed.notify_waiters();
        }
    }

    fn end(&self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
    }
}

impl fmt::Debug for ErrorCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ErrorCell").field(&self.failure()).finish()
    }
}

/// A TLS stream that keeps its first failure in a cell.
pub(super) struct Kept<S> {
    stream: S,
    cell: ErrorCell,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Kept<S> {
    pub(super) fn new(stream: S, cell: ErrorCell) -> Self {
        Self { stream, cell }
    }

    fn kept<T>(&mut self, cx: &mut Context<'_>, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let failure = self.alert(cx).unwrap_or_else(|| Failure::of(error));
            self.cell.keep(failure);
        }
        result
    }

    /// After a failed write: the alert that explains it has often arrived already and would go unread.
    fn alert(&mut self, cx: &mut Context<'_>) -> Option<Failure> {
        let mut byte = [0];
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte));
        match read {
            Poll::Ready(Err(error)) => match Failure::of(&error) {
                Failure::Lost(_) => None,
                failure => Some(failure),
            },
            _ => None,
        }
    }
}

impl<S> Drop for Kept<S> {
    fn drop(&mut self) {
        self.cell.end();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Kept<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        match &read {
            Ok(()) if buf.filled().len() > before => self.cell.speak(),
            Ok(()) => self.cell.keep(Failure::Lost(io::ErrorKind::UnexpectedEof)),
            Err(error) => self.cell.keep(Failure::of(error)),
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Kept<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        Poll::Ready(self.kept(cx, written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        Poll::Ready(self.kept(cx, written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(self.kept(cx, flushed))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! A stream that can be ended from elsewhere: from that instant every operation fails, pending ones included.
//!
//! The failure is what makes an HTTP/2 server drop the connection and with it the futures of its handlers; closing the socket
//! underneath would leave them running until they next looked.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// An I/O stream with a cut. All operations must be polled from one task, as HTTP/2 does: the cut wakes the last one only.
pub(crate) struct Cut<S> {
    stream: S,
    ordered: Pin<Box<WaitForCancellationFutureOwned>>,
    aged: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Cut<S> {
    /// Ends with `token`, or by itself after `age`.
    pub(crate) fn new(stream: S, token: CancellationToken, age: Duration) -> Self {
        Self { stream, ordered: Box::pin(token.cancelled_owned()), aged: Box::pin(sleep(age)) }
    }

    /// The stream, unless it was cut; registers for the cut.
    fn uncut(&mut self, cx: &mut Context<'_>) -> io::Result<Pin<&mut S>> {
        if self.ordered.as_mut().poll(cx).is_ready() || self.aged.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(ErrorKind::ConnectionAborted, "the connection was cut"));
        }
        Ok(Pin::new(&mut self.stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Cut<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.uncut(cx)?.poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Cut<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.uncut(cx)?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.uncut(cx)?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.uncut(cx)?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.uncut(cx)?.poll_shutdown(cx)
    }
}

//! From addresses to a byte stream: each is tried in its order, the next as soon as one fails or hesitates.

use crate::{DialError, Io};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, sleep, timeout_at},
};

/// How long an address may hesitate before the next one is tried beside it (RFC 8305 section 5).
const HESITATION: Duration = Duration::from_millis(250);

/// Makes byte streams to addresses: TCP, or in tests anything else.
pub trait Connect: Send + Sync {
    /// Connects to `host:port`.
    fn connect(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Io>>>;
}

/// TCP over IPv6 and IPv4, in the order the resolver prefers.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnect;

impl Connect for TcpConnect {
    fn connect(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            let socket = socket(address).await?;
            Ok(Box::new(socket) as Box<dyn Io>)
        })
    }
}

/// A socket to `host:port`, over whichever of its addresses answers first.
pub(crate) async fn socket(address: String) -> io::Result<TcpStream> {
    let found = lookup_host(address).await?;
    let sockets = found.map(|address| {
        Box::pin(async move {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            Ok(socket)
        }) as BoxFuture<'static, io::Result<TcpStream>>
    });
    race(sockets.collect()).await.map_err(|errors| {
        let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        errors.into_iter().next().unwrap_or_else(none)
    })
}

/// The first stream to any of `addresses` until `end`.
pub(super) async fn first(
    connector: &Arc<dyn Connect>,
    addresses: &[String],
    end: Instant,
) -> Result<Box<dyn Io>, DialError> {
    let tried = || addresses.join(", ");
    let attempts = addresses.iter().map(|address| connector.connect(address.clone()));
    match timeout_at(end, race(attempts.collect())).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(errors)) => Err(DialError::of_connect(tried(), &errors)),
        Err(_) => Err(DialError::ConnectTimeout { tried: tried() }),
    }
}

/// The first success; the next attempt begins when one fails, or beside it when it hesitates. All errors if there is none.
///
/// Takes a list, not an iterator: a closure held across an await would keep a dial from moving between threads.
pub(crate) async fn race<T>(attempts: Vec<BoxFuture<'static, io::Result<T>>>) -> Result<T, Vec<io::Error>> {
    let (mut waiting, mut running, mut errors) = (attempts.into_iter(), FuturesUnordered::new(), Vec::new());
    running.extend(waiting.next());
    loop {
        tokio::select! {
            ended = running.next() => match ended {
                Some(Ok(value)) => return Ok(value),
                Some(Err(error)) => {
                    errors.push(error);
                    running.extend(waiting.next());
                }
                None => return Err(errors),
            },
            () = sleep(HESITATION) => running.extend(waiting.next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    fn attempt(result: Result<u8, io::ErrorKind>) -> BoxFuture<'static, io::Result<u8>> {
        Box::pin(async move { result.map_err(Into::into) })
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_a_quarter_second_and_a_refusing_one_nothing() {
        let started = Instant::now();
        let refused = attempt(Err(io::ErrorKind::ConnectionRefused));
        let won = race(vec![refused, Box::pin(pending()), attempt(Ok(3))]).await;
        assert_eq!(won.ok(), Some(3));
        assert_eq!(started.elapsed().as_millis(), HESITATION.as_millis());
    }

    #[tokio::test]
    async fn when_all_fail_every_error_is_kept_in_order() {
        let errors = race(vec![attempt(Err(io::ErrorKind::ConnectionRefused)), attempt(Err(io::ErrorKind::NotFound))]);
        let kinds: Vec<_> = errors.await.err().unwrap().iter().map(io::Error::kind).collect();
        assert_eq!(kinds, [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound]);
        assert!(race(Vec::<BoxFuture<'static, io::Result<u8>>>::new()).await.err().unwrap().is_empty());
    }
}

//! From a judged address to a byte stream, and the order in which several are tried.

use super::policy::Checked;
use crate::Io;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{io, time::Duration};
use tokio::{net::TcpStream, time::sleep};

/// How long an address may hesitate before the next one is tried beside it (RFC 8305 section 5).
const HESITATION: Duration = Duration::from_millis(250);

/// Makes byte streams to addresses: TCP, or in tests anything else.
pub trait Connect: Send + Sync {
    /// Connects there, and nowhere else.
    fn connect(&self, to: Checked) -> BoxFuture<'static, io::Result<Box<dyn Io>>>;
}

/// TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnect;

impl Connect for TcpConnect {
    fn connect(&self, to: Checked) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        Box::pin(async move { Ok(Box::new(socket(to).await?) as Box<dyn Io>) })
    }
}

/// A socket to this address.
pub(crate) async fn socket(to: Checked) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(to.address()).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// The first success; the next attempt begins when one fails, or beside it when it hesitates. All errors if there is none.
///
/// Takes a list, not an iterator: a closure held across an await would keep a dial from moving between threads.
pub(crate) async fn race<T, E>(attempts: Vec<BoxFuture<'static, Result<T, E>>>) -> Result<T, Vec<E>> {
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
    use tokio::time::Instant;

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

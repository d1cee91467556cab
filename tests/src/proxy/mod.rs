//! A TCP proxy that does harm to what goes through it, between an asking side and the listener of a sharing side: it delays, drips, swallows,
//! cuts and resets connections at a byte of a test's choosing, or refuses them. What it did stands in its [`Log`], written before it is
//! done: who judges an answer learns of harm from there alone.
//!
//! [`wire`] is one connection, [`log`] what is written of all, [`draw`] makes faults by chance.

mod draw;
mod log;
mod wire;

pub use draw::Kind;
pub use log::{Event, Log, What};

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};
use wire::Wire;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the asking side to the sharing side.
    Asked,
    /// Back.
    Answered,
}

/// What is done to one connection. Bytes are counted from when the fault was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Everything comes so much later, each way.
    Delay(Duration),
    /// So many bytes at a time, each way, with a pause before each.
    Drip(usize, Duration),
    /// Closed, after so many bytes have gone this way.
    Cut(Way, u64),
    /// As [`Fault::Cut`], with a reset (RFC 9293 section 3.10.7): what was not read is lost.
    Reset(Way, u64),
    /// What goes this way is swallowed after so many bytes. Nothing is closed, whoever closes at the other end.
    Deafen(Way, u64),
    /// The same both ways, after so many bytes have gone this way.
    Silence(Way, u64),
}

/// One listener that passes on to another one.
pub struct Proxy {
    address: SocketAddr,
    log: Arc<Log>,
    state: Arc<Mutex<State>>,
    /// Bound and never listening: keeps the port while connections are refused.
    _port: TcpSocket,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    /// Where connections lead; none are carried before that is said.
    to: Option<SocketAddr>,
    planned: VecDeque<Option<Fault>>,
    open: Vec<Arc<Wire>>,
}

impl State {
    fn open(&mut self) -> &mut Vec<Arc<Wire>> {
        self.open.retain(|wire| !wire.is_closed());
        &mut self.open
    }
}

impl Proxy {
    /// Listens on a port of loopback.
    pub fn start() -> io::Result<Self> {
        let port = bound((Ipv4Addr::LOCALHOST, 0).into())?;
        let proxy = Self {
            address: port.local_addr()?,
            log: Arc::default(),
            state: Arc::default(),
            _port: port,
            accepting: Mutex::default(),
        };
        proxy.listen()?;
        Ok(proxy)
    }

    /// Passes everything on to this listener from here on.
    pub fn lead_to(&self, to: SocketAddr) {
        lock(&self.state).to = Some(to);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it did.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The first fault strikes the connection that was opened last, where one is open; the others, or all, strike the next ones that are
    /// opened, one each. None leaves one unharmed. What was planned before is forgotten.
    pub fn arm(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        let mut state = lock(&self.state);
        let mut faults: VecDeque<_> = faults.into_iter().collect();
        if let Some(wire) = state.open().last().cloned()
            && let Some(fault) = faults.pop_front()
        {
            wire.arm(fault);
        }
        state.planned = faults;
    }

    /// Nothing is planned any more; connections that were harmed stay so.
    pub fn disarm(&self) {
        lock(&self.state).planned.clear();
    }

    /// Closes every connection, or resets it.
    pub fn cut(&self, reset: bool) {
        lock(&self.state).open().drain(..).for_each(|wire| wire.cut(reset));
    }

    /// Swallows what goes over any connection that is open, both ways.
    pub fn silence(&self) {
        lock(&self.state).open().iter().for_each(|wire| wire.silence());
    }

    /// Refuses connections, from when this returns; those that are open stay.
    pub async fn refuse(&self) {
        self.log.refuses(true);
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accepting) = accepting {
            accepting.abort();
            drop(accepting.await);
        }
    }

    /// Takes connections again.
    pub fn admit(&self) -> io::Result<()> {
        self.listen()?;
        self.log.refuses(false);
        Ok(())
    }

    fn listen(&self) -> io::Result<()> {
        let mut accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        if accepting.is_none() {
            let listener = bound(self.address)?.listen(1_024)?;
            *accepting = Some(tokio::spawn(accept(listener, Arc::clone(&self.log), Arc::clone(&self.state))));
        }
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            accepting.abort();
        }
        self.cut(false);
    }
}

/// A socket at this address, beside others that share its port.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, log: Arc<Log>, state: Arc<Mutex<State>>) {
    loop {
        let Ok((asking, _)) = listener.accept().await else { continue };
        let (wire, to) = {
            let mut state = lock(&state);
            let fault = state.planned.pop_front().flatten();
            let wire = Arc::new(Wire::new(&log, fault));
            state.open().push(Arc::clone(&wire));
            (wire, state.to)
        };
        tokio::spawn(async move { wire.carry(asking, to).await });
    }
}

// Held for a few lines, never across an await.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

//! One connection through a proxy, from the asking side's first byte to its end.

use super::{Fault, Way, log::Log, log::What};
use std::{
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Bytes that are passed on at once.
const PORTION: usize = 16 * 1024;

pub(super) struct Wire {
    log: Arc<Log>,
    connection: u64,
    state: Mutex<State>,
    cut: CancellationToken,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    /// Bytes since the fault was armed, by way.
    counted: [u64; 2],
    /// Bytes in all, by way.
    passed: [u64; 2],
    silent: [bool; 2],
    reset: bool,
    closed: bool,
}

/// What becomes of some bytes that were read.
enum Then {
    GoOn,
    /// The connection ends, after those that may still pass.
    End,
}

impl Wire {
    pub(super) fn new(log: &Arc<Log>, fault: Option<Fault>) -> Self {
        let wire = Self {
            log: Arc::clone(log),
            connection: log.connection(),
            state: Mutex::default(),
            cut: CancellationToken::new(),
        };
        log.write(wire.connection, None, What::Opened(fault));
        wire.arm(fault);
        wire
    }

    pub(super) fn arm(&self, fault: Option<Fault>) {
        let mut state = self.lock();
        (state.fault, state.counted) = (fault, [0; 2]);
        if let Some(slow @ (Fault::Delay(_) | Fault::Drip(..))) = fault {
            self.log.write(self.connection, None, What::Slowed(slow));
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn cut(&self, reset: bool) {
        let mut state = self.lock();
        if !state.closed {
            state.reset = reset;
            self.log.write(self.connection, None, What::Cut(reset));
            self.over(&mut state);
            self.cut.cancel();
        }
    }

    pub(super) fn silence(&self) {
        let mut state = self.lock();
        if !state.closed {
            self.log.write(self.connection, None, What::Silenced);
            state.silent = [true; 2];
        }
    }

    /// Carries bytes between the two until the asking side goes, or the fault ends it.
    pub(super) async fn carry(&self, mut asking: TcpStream, to: Option<SocketAddr>) {
        let carried = async {
            let sharing = match to {
                Some(to) => TcpStream::connect(to).await.ok(),
                None => None,
            };
            let Some(mut sharing) = sharing else {
                return self.log.write(self.connection, None, What::NobodyThere);
            };
            // What is passed on byte by byte is to leave so.
            let _ = (asking.set_nodelay(true), sharing.set_nodelay(true));
            {
                let ((asked, answers), (answered, questions)) = (asking.split(), sharing.split());
                tokio::select! {
                    () = self.pass(Way::Asked, asked, questions) => {}
                    () = self.pass(Way::Answered, answered, answers) => {}
                    () = self.cut.cancelled() => {}
                }
            }
            if self.lock().reset {
                let _ = (asking.set_zero_linger(), sharing.set_zero_linger());
            }
        };
        carried.await;
        self.over(&mut self.lock());
    }

    fn over(&self, state: &mut State) {
        if !std::mem::replace(&mut state.closed, true) {
            self.log.write(self.connection, None, What::Closed);
        }
    }

    async fn pass(&self, way: Way, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) {
        let mut buffer = vec![0; PORTION];
        loop {
            let (portion, pause) = self.pace();
            let read = from.read(&mut buffer[..portion]).await.unwrap_or(0);
            if read == 0 {
                return self.ended(way, &mut to).await;
            }
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let (passes, then) = self.judge(way, read);
            if to.write_all(&buffer[..passes]).await.is_err() && !self.swallows_from_here(way) {
                return;
            }
            if matches!(then, Then::End) {
                return;
            }
        }
    }

    /// Who sends this way has closed its end. Where that is the sharing side the asking side learns of it, unless the connection is half open,
    /// and goes on until it closes its own: a socket that is closed with unread bytes is reset, and that overtakes what came before.
    async fn ended(&self, sender: Way, to: &mut WriteHalf<'_>) {
        if sender == Way::Answered {
            let is_half_open = self.lock().silent.contains(&true);
            if !is_half_open {
                drop(to.shutdown().await);
            }
            pending::<()>().await;
        }
    }

    /// The receiver of what goes this way is gone; of a connection that is half open the asking side goes on unheard.
    fn swallows_from_here(&self, way: Way) -> bool {
        let mut state = self.lock();
        let is_half_open = way == Way::Asked && state.silent.contains(&true);
        state.silent[Way::Asked as usize] |= is_half_open;
        is_half_open
    }

    fn pace(&self) -> (usize, Duration) {
        match self.lock().fault {
            Some(Fault::Delay(pause)) => (PORTION, pause),
            Some(Fault::Drip(bytes, pause)) => (bytes.clamp(1, PORTION), pause),
            _ => (PORTION, Duration::ZERO),
        }
    }

    /// How many of the bytes that were read are passed on. What is done is written before it is.
    fn judge(&self, way: Way, read: usize) -> (usize, Then) {
        let mut state = self.lock();
        if state.silent[way as usize] {
            return (0, Then::GoOn);
        }
        let left = match state.fault {
            Some(Fault::Cut(of, at) | Fault::Reset(of, at) | Fault::Deafen(of, at) | Fault::Silence(of, at))
                if of == way =>
            {
                usize::try_from(at.saturating_sub(state.counted[way as usize])).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        };
        let passes = read.min(left);
        state.counted[way as usize] += passes as u64;
        state.passed[way as usize] += passes as u64;
        if passes == read {
            return (read, Then::GoOn);
        }
        let Some(fault) = state.fault.take() else { return (passes, Then::GoOn) };
        self.log.write(self.connection, Some((way, state.passed[way as usize])), What::Struck(fault));
        match fault {
            Fault::Deafen(..) => state.silent[way as usize] = true,
            Fault::Silence(..) => state.silent = [true; 2],
            _ => {
                state.reset = matches!(fault, Fault::Reset(..));
                self.over(&mut state);
                return (passes, Then::End);
            }
        }
        (passes, Then::GoOn)
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

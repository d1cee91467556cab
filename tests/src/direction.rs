//! Which of the two sides opens the sockets of a link. The asking side does, unless `MOSAIC_FED_TEST_DIRECTION=called`: then every dial of
//! the suites is turned round. The sharing side whose listener is dialled calls a listener that this dial made for itself, answers its
//! challenge, and serves the socket from the first byte of TLS on; its own listener is never touched. So one suite holds for both.

use domain::{
    id::{AwaitId, GrantId, UserId},
    world::{Clock, World},
};
use futures::future::BoxFuture;
use link::{
    DialPolicy, Dialler, Incidents, Io, Limits, Options, Ways,
    call::{self, Callees, Saying},
    dial::{Checked, Connect, DialLimits, TcpConnect},
};
use pki::{CallKey, CallSecret};
use spoke::Spoke;
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const VARIABLE: &str = "MOSAIC_FED_TEST_DIRECTION";

/// Whether it is the sharing side that opens the sockets.
pub fn is_called() -> bool {
    match std::env::var(VARIABLE).as_deref() {
        Ok("called") => true,
        Ok("dialled") | Err(_) => false,
        Ok(other) => panic!("{VARIABLE} is `dialled` or `called`, not `{other}`"),
    }
}

/// What is dialled and over what, in this run's direction: also what is on this machine.
pub fn ways() -> Ways {
    let connector: Arc<dyn Connect> = if is_called() { Arc::new(CalledConnect) } else { Arc::new(TcpConnect) };
    Ways::new(DialPolicy::this_machine()).over(connector)
}

/// A dialler with this clock, in this run's direction.
pub fn dialler(clock: Arc<dyn Clock>) -> Dialler {
    Dialler::with(clock, ways(), Limits::default(), DialLimits::default())
}

/// A socket to `ip:port`, in this run's direction.
pub async fn socket(address: &str) -> io::Result<TcpStream> {
    match address.parse().ok().filter(|_| is_called()).and_then(listening) {
        Some((spoke, door)) => called(&spoke, door).await,
        None => TcpStream::connect(address).await,
    }
}

#[derive(Clone, Copy)]
enum Listener {
    Links,
    Enrolment,
}

static TURNED: AtomicUsize = AtomicUsize::new(0);

/// How many sockets of this process were opened by the sharing side.
pub fn turned() -> usize {
    TURNED.load(Ordering::SeqCst)
}

static SPOKES: Mutex<Vec<Weak<Spoke>>> = Mutex::new(Vec::new());

/// Sockets to this sharing side are to be turned round.
pub fn register(spoke: &Arc<Spoke>) {
    let mut spokes = SPOKES.lock().unwrap_or_else(PoisonError::into_inner);
    spokes.retain(|spoke| spoke.strong_count() > 0);
    spokes.push(Arc::downgrade(spoke));
}

fn listening(address: SocketAddr) -> Option<(Arc<Spoke>, Listener)> {
    let spokes = SPOKES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    spokes.iter().filter_map(Weak::upgrade).find_map(|spoke| {
        let status = spoke.status();
        let listener = match Some(address) {
            here if here == status.links_listener => Listener::Links,
            here if here == status.enrolment_listener => Listener::Enrolment,
            _ => return None,
        };
        Some((spoke, listener))
    })
}

struct CalledConnect;

impl Connect for CalledConnect {
    fn connect(&self, to: Checked) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        Box::pin(async move { Ok(Box::new(socket(&to.to_string()).await?) as Box<dyn Io>) })
    }
}

/// Whose call one dial waits for.
struct One(GrantId, CallKey);

impl Callees for One {
    fn waiting(&self, _: AwaitId) -> Option<CallSecret> {
        None
    }

    fn linked(&self, grant: GrantId) -> Vec<(UserId, CallKey)> {
        if grant == self.0 { vec![(UserId(grant.0), self.1.clone())] } else { Vec::new() }
    }
}

async fn called(spoke: &Arc<Spoke>, listener: Listener) -> io::Result<TcpStream> {
    let gone = || io::Error::from(ErrorKind::ConnectionRefused);
    let doors = spoke.doors_for_calls().await.map_err(io::Error::other)?;
    let door = match listener {
        Listener::Links => doors.links,
        Listener::Enrolment => doors.enrolment,
    };
    let own = TcpListener::bind("127.0.0.1:0").await?;
    let (world, shutdown, at) = (World::system(), CancellationToken::new(), own.local_addr()?);
    let (grant, key) = (GrantId(world.uuid()), CallKey::from_bytes(world.bytes()));
    let options = Options {
        limits: Limits::default(),
        clock: world.clock(),
        incidents: Incidents::channel(1).0,
        shutdown: shutdown.clone(),
    };
    let mut answered = call::listen(own, Arc::new(One(grant, key.clone())), world, options);
    let line = call::call(&ways(), &[at.to_string()], &Saying::Grant { grant, key }).await.map_err(io::Error::other)?;
    let call = answered.recv().await.ok_or_else(gone)?;
    shutdown.cancel();
    TURNED.fetch_add(1, Ordering::SeqCst);
    tokio::spawn(async move {
        if let Ok((socket, address)) = line.asked().await {
            door.arrive(socket, address).await;
        }
    });
    Ok(call.socket)
}

//! A sharing side with both doors, as the daemon would run it, around a handler that tells who called or hangs.

use domain::{
    Time,
    id::{GrantId, InstanceId, UserId},
    world::{Clock, FakeClock, SeededRng, World},
};
use http::{Request, Response};
use link::{
    CallGuard, Called, ClientCredential, Connection, Door, Identity, Incident, Incidents, Incoming, Limits, Options,
    Registry, Target, listen, serve_called,
};
use pki::{Authority, CheckedCsr, ClientVerifier, DenyList, GrantOrder, InstanceOrder, Issued, LEAF_LIFE, RequestKey};
use std::{
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::mpsc::Receiver,
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{body::Body, transport::Server};
use uuid::Uuid;

pub const NOW: Time = Time::from_seconds(1_795_000_000);
pub const DAY: Duration = Duration::from_hours(24);
pub const ISSUER: InstanceId = InstanceId(Uuid::from_u128(1));
pub const HOLDER: InstanceId = InstanceId(Uuid::from_u128(2));
pub const GRANT: GrantId = GrantId(Uuid::from_u128(3));

/// Calls that were begun, those of them that hang, and calls whose handler is still there.
#[derive(Clone, Default)]
pub struct Calls {
    pub begun: Arc<AtomicUsize>,
    pub hung: Arc<AtomicUsize>,
    pub alive: Arc<AtomicUsize>,
}

struct Alive(Calls, #[expect(dead_code, reason = "held for what its drop does")] CallGuard);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One sharing instance.
pub struct Sharing {
    pub authority: Authority,
    pub clock: Arc<FakeClock>,
    pub deny: Arc<DenyList>,
    pub identity: Arc<Identity>,
    pub registry: Registry,
    pub calls: Calls,
    pub limits: Limits,
}

/// An open door.
pub struct Opened {
    pub address: SocketAddr,
    pub incidents: Receiver<Incident>,
    pub shutdown: CancellationToken,
    _end: DropGuard,
}

impl Opened {
    /// The next incident, which must come soon.
    pub async fn incident(&mut self) -> Incident {
        timeout(Duration::from_secs(10), self.incidents.recv()).await.expect("an incident in time").unwrap()
    }
}

impl Sharing {
    pub fn new(limits: Limits) -> Self {
        let clock = Arc::new(FakeClock::new(NOW.before(DAY)));
        let world = World::new(Arc::clone(&clock) as _, Arc::new(SeededRng::new(11)));
        // The root is a day older than what it issues, so that a leaf's beginning is its own.
        let authority = Authority::create(&world, ISSUER).unwrap();
        clock.set(NOW);
        let order = InstanceOrder { names: vec![], now: NOW.before(DAY), life: 90 * DAY };
        let identity = Arc::new(Identity::new(&authority.issue_instance(&order).unwrap()).unwrap());
        let (deny, registry, calls) = (Arc::default(), Registry::new(), Calls::default());
        Self { authority, clock, deny, identity, registry, calls, limits }
    }

    /// Limits that let a test knock as often as it likes.
    pub fn patient() -> Limits {
        Limits { address_rate: 100_000, address_burst: 100_000, ..Limits::default() }
    }

    pub fn verifier(&self) -> ClientVerifier {
        self.verifier_of(&self.authority, Arc::clone(&self.clock) as _)
    }

    pub fn verifier_of(&self, authority: &Authority, clock: Arc<dyn Clock>) -> ClientVerifier {
        ClientVerifier::new(authority.root_der(), ISSUER, clock, Arc::clone(&self.deny)).unwrap()
    }

    pub async fn federation(&self) -> Opened {
        self.open(self.door(self.verifier()), "127.0.0.1:0").await
    }

    pub fn door(&self, verifier: ClientVerifier) -> Door {
        Door::Federation { identity: Arc::clone(&self.identity), verifier, registry: self.registry.clone() }
    }

    pub async fn enrolment(&self) -> Opened {
        self.open(Door::Enrolment { identity: Arc::clone(&self.identity) }, "127.0.0.1:0").await
    }

    pub async fn open(&self, door: Door, at: &str) -> Opened {
        self.open_on(TcpListener::bind(at).await.unwrap(), door)
    }

    /// Opens a door on a socket that listens already.
    pub fn open_on(&self, listener: TcpListener, door: Door) -> Opened {
        let address = listener.local_addr().unwrap();
        self.serve(address, |options| ((), listen(listener, door, options))).0
    }

    /// Opens a door for sockets that this side opens itself.
    pub fn open_called(&self, door: Door) -> (Opened, Called) {
        self.serve(([127, 0, 0, 1], 0).into(), |options| serve_called(door, options))
    }

    fn serve<T>(&self, address: SocketAddr, open: impl FnOnce(Options) -> (T, Incoming)) -> (Opened, T) {
        let (reporter, incidents) = Incidents::channel(10_000);
        let shutdown = CancellationToken::new();
        let options = Options {
            limits: self.limits,
            clock: Arc::clone(&self.clock) as _,
            incidents: reporter,
            shutdown: shutdown.clone(),
        };
        let (opened, incoming) = open(options);
        let calls = self.calls.clone();
        let service = tower::service_fn(move |request| answer(request, calls.clone()));
        tokio::spawn(self.limits.apply(Server::builder()).serve_with_incoming(service, incoming));
        (Opened { address, incidents, _end: shutdown.clone().drop_guard(), shutdown }, opened)
    }

    /// A certificate of the grant for a new key.
    pub fn issue(&self, grant: GrantId) -> (Issued, ClientCredential) {
        issue(&self.authority, grant)
    }

    /// Cuts a grant, which must not take long.
    pub async fn cut(&self, grant: GrantId) {
        timeout(Duration::from_secs(5), self.registry.cut(grant)).await.expect("the cut is acknowledged");
    }

    /// How an asking side would dial this one.
    pub fn target(&self, opened: &Opened, credential: Option<ClientCredential>) -> Target {
        Target {
            addresses: vec![opened.address.to_string()],
            tls_name: pki::spiffe::tls_name(ISSUER),
            instance: ISSUER,
            root: self.authority.root_der().to_vec(),
            credential,
        }
    }
}

pub fn issue(authority: &Authority, grant: GrantId) -> (Issued, ClientCredential) {
    let key = RequestKey::generate().unwrap();
    let csr = CheckedCsr::parse(&key.csr).unwrap();
    let order = GrantOrder { holder: HOLDER, grant, subject: UserId(Uuid::nil()), csr, now: NOW, life: LEAF_LIFE };
    let issued = authority.issue_grant(&order).unwrap();
    let credential = ClientCredential { certificate: issued.certificate.clone(), key: key.key_pkcs8 };
    (issued, credential)
}

/// `/who` names the caller's grant; `/hang` never answers.
async fn answer(request: Request<Body>, calls: Calls) -> Result<Response<Body>, Infallible> {
    let connection = request.extensions().get::<Connection>().unwrap().clone();
    calls.begun.fetch_add(1, Ordering::SeqCst);
    calls.alive.fetch_add(1, Ordering::SeqCst);
    let alive = Alive(calls, connection.call());
    if request.uri().path() == "/hang" {
        alive.0.hung.fetch_add(1, Ordering::SeqCst);
        pending::<()>().await;
    }
    let who = connection.presented().map_or_else(|| "nobody".to_owned(), |presented| presented.grant.to_string());
    let response = Response::builder().header("who", who).header("from", connection.address().ip().to_string());
    drop(alive);
    Ok(response.body(Body::default()).unwrap())
}

/// Waits until it holds, and fails when it never does.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: still not so after 10 s");
}

//! The two doors to the network. With no grant and no open invite, nothing listens.
//!
//! The federation listener is open while a grant stands, the enrolment listener while an unexpired invite exists; either stays
//! for fifteen minutes after the last one ended, so that a late caller hears that its grant is revoked, or its invite spent,
//! rather than nothing.

use crate::{
    AdminError, Parts,
    calls::Calls,
    connect::Links,
    query::Query,
    road::{self, Road},
};
use domain::{
    Reason,
    audit::{Act, Ending, Record, Stage, Subject},
    id::RequestId,
    invite::OPEN_LIFE,
    session,
};
use link::{Called, Door, Identity, Incident, Incidents, Incoming, Options};
use pki::{ClientVerifier, DenyList, InstanceIdentity, InstanceOrder};
use proto::v1::{
    connect_service_server::ConnectServiceServer, enrol_service_server::EnrolServiceServer,
    query_service_server::QueryServiceServer,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, Notify, mpsc::Receiver},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{service::Routes, transport::Server};
use tonic_health::pb::health_server::HealthServer;

/// Where the doors are, and what invites say about them.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where links are served.
    pub links: SocketAddr,
    /// Where invites are taken.
    pub enrolment: SocketAddr,
    /// Hosts under which other machines reach this one, without port; empty means this machine's own addresses.
    pub advertise: Vec<String>,
    /// DNS names in the server certificate besides the instance's own.
    pub public_names: Vec<String>,
}

/// What mends most failures of this kind.
fn first_step(cause: &std::io::Error) -> &'static str {
    match cause.kind() {
        std::io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose one above",
        std::io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        _ => "stop what uses it",
    }
}

/// A door cannot be opened.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum ListenError {
    #[error("{address} cannot be listened on ({cause}); {}, or set another `{key}` in config.toml", first_step(.cause))]
    Bind { address: SocketAddr, key: &'static str, cause: std::io::Error },
    #[error("the system does not say where it listens ({0}); restart `mosaic-fed serve`")]
    Address(std::io::Error),
    #[error("this instance's certificate could not be issued: {0}")]
    Certificate(String),
    #[error("the invites could not be read: {0}")]
    Store(#[from] store::StoreError),
}

impl From<ListenError> for AdminError {
    fn from(error: ListenError) -> Self {
        Self::Listener(error.to_string())
    }
}

/// The rooms behind the doors.
#[derive(Clone)]
pub struct Rooms {
    /// Enrolment, connect, health.
    pub links: Links,
    /// Questions.
    pub query: Query,
}

/// `host:port` lists for an invite.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The federation listener's.
    pub links: Vec<String>,
    /// The enrolment listener's.
    pub enrolment: Vec<String>,
}

struct Open {
    address: SocketAddr,
    stop: CancellationToken,
    /// When it was last needed.
    needed: Instant,
}

/// Opens and closes the doors.
pub struct Listeners {
    parts: Parts,
    road: Arc<Road>,
    rooms: Rooms,
    calls: Arc<Calls>,
    deny: Arc<DenyList>,
    incidents: Incidents,
    refused: Arc<AtomicU64>,
    stop: CancellationToken,
    tasks: TaskTracker,
    links: Mutex<Option<Open>>,
    enrolment: Mutex<Option<Open>>,
    called: Mutex<(Option<Called>, Option<Called>)>,
    identity: Mutex<Option<Arc<Identity>>>,
    bound: std::sync::Mutex<Bound>,
    invited: Notify,
}

/// The addresses of the federation and the enrolment listener, while they are open.
type Bound = (Option<SocketAddr>, Option<SocketAddr>);

/// Incidents that may wait to be recorded; what comes beyond is counted.
const INCIDENTS: usize = 1_024;
/// How old this instance's own certificate may become before it is issued anew.
const REISSUE: Duration = Duration::from_hours(24);
/// How often that is looked at. By the wall clock: a machine that sleeps does not wait out a long timer.
const LOOK: Duration = Duration::from_mins(5);
/// How long a door stays open after it was last needed.
const LINGER: Duration = OPEN_LIFE;
/// How often closing is considered when nothing is heard.
const CLOSING: Duration = Duration::from_secs(30);

impl Listeners {
    /// Doors for these rooms, closed.
    pub fn new(
        parts: &Parts,
        road: &Arc<Road>,
        (rooms, calls): (Rooms, Arc<Calls>),
        deny: Arc<DenyList>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let (incidents, turned_away) = Incidents::channel(INCIDENTS);
        let incidents = incidents.counted(&parts.trails);
        let refused = Arc::new(AtomicU64::new(0));
        let recorded = record_incidents(turned_away, Arc::clone(road), Arc::clone(&refused));
        tasks.spawn(stop.clone().run_until_cancelled_owned(recorded));
        Arc::new(Self {
            parts: parts.clone(),
            road: Arc::clone(road),
            rooms,
            calls,
            deny,
            incidents,
            refused,
            stop,
            tasks,
            links: Mutex::default(),
            enrolment: Mutex::default(),
            called: Mutex::default(),
            identity: Mutex::default(),
            bound: std::sync::Mutex::default(),
            invited: Notify::new(),
        })
    }

    /// Opens the doors that standing grants and open invites need.
    pub async fn open_what_is_needed(&self) -> Result<(), ListenError> {
        if self.grants_stand() {
            self.open_links().await?;
        }
        if self.invites_stand().await? {
            self.open_enrolment().await?;
        }
        Ok(())
    }

    /// Opens both doors for an invite that is about to be made, and says what it should name.
    pub async fn open_for_invite(&self) -> Result<Addresses, ListenError> {
        let needed = self.links_address().is_some();
        let links = self.open_links().await?;
        let enrolment = match self.open_enrolment().await {
            Ok(enrolment) => enrolment,
            Err(error) => {
                // No invite will be made: what was opened for it alone is not left open.
                if !needed && shut(&self.links, |_| true).await {
                    self.note_addresses(|both| both.0 = None);
                }
                return Err(error);
            }
        };
        Ok(Addresses { links: self.hosts(links), enrolment: self.hosts(enrolment) })
    }

    /// What an invite would name of the doors that are open.
    pub(crate) fn named(&self) -> Addresses {
        let hosts = |bound: Option<_>| bound.map(|bound| self.hosts(bound)).unwrap_or_default();
        Addresses { links: hosts(self.links_address()), enrolment: hosts(self.enrolment_address()) }
    }

    fn hosts(&self, bound: SocketAddr) -> Vec<String> {
        link::hosts::reached_at(&self.parts.listen.advertise, bound)
    }

    /// Opens and closes as grants and invites come and go.
    pub async fn follow(&self) {
        let mut grants = self.road.snapshots.watch();
        loop {
            tokio::select! {
                changed = grants.changed() => if changed.is_err() { return },
                () = self.invited.notified() => {}
                () = tokio::time::sleep(CLOSING) => {}
            }
            if let Err(error) = self.adjust().await {
                tracing::error!(%error, "a listener could not be opened");
                tokio::time::sleep(CLOSING).await;
            }
        }
    }

    /// Looks again, because an invite was made.
    pub fn follow_invites(&self) {
        self.invited.notify_one();
    }

    async fn adjust(&self) -> Result<(), ListenError> {
        if self.grants_stand() {
            self.open_links().await?;
        } else if shut(&self.links, lingered).await {
            self.note_addresses(|both| both.0 = None);
        }
        if !self.invites_stand().await? && shut(&self.enrolment, lingered).await {
            self.note_addresses(|both| both.1 = None);
        }
        Ok(())
    }

    fn grants_stand(&self) -> bool {
        let now = self.parts.world.now();
        // Who is called does not dial.
        let dials = |id| !self.calls.is_called(id);
        self.road.snapshots.current().grants().any(|grant| !grant.has_expired(now) && dials(grant.id))
    }

    async fn invites_stand(&self) -> Result<bool, ListenError> {
        let last = self.parts.store.last_invite_end().await?;
        Ok(last.is_some_and(|end| end + LINGER > self.parts.world.now()))
    }

    async fn open_links(&self) -> Result<SocketAddr, ListenError> {
        let mut open = self.links.lock().await;
        if let Some(open) = &mut *open {
            open.needed = Instant::now();
            return Ok(open.address);
        }
        let listener = bind(self.parts.listen.links, "listen").await?;
        let (door, road) = self.federation().await?;
        let opened = self.open(listener, door, road)?;
        self.note_addresses(|both| both.0 = Some(opened.address));
        Ok(open.insert(opened).address)
    }

    async fn open_enrolment(&self) -> Result<SocketAddr, ListenError> {
        let mut open = self.enrolment.lock().await;
        if let Some(open) = &mut *open {
            open.needed = Instant::now();
            return Ok(open.address);
        }
        let listener = bind(self.parts.listen.enrolment, "listen_enrolment").await?;
        let (door, road) = self.enrolling().await?;
        let opened = self.open(listener, door, road)?;
        self.note_addresses(|both| both.1 = Some(opened.address));
        Ok(open.insert(opened).address)
    }

    /// The door for those with a grant, and what is behind it.
    async fn federation(&self) -> Result<(Door, axum::Router), ListenError> {
        let door = Door::Federation {
            identity: self.identity().await?,
            verifier: self.verifier()?,
            registry: self.road.registry.clone(),
        };
        let limit = self.parts.limits.message;
        let query = QueryServiceServer::new(self.rooms.query.clone()).max_decoding_message_size(limit);
        // What is said over a session is as short as what is asked beside it.
        let connect = ConnectServiceServer::new(self.rooms.links.clone()).max_decoding_message_size(session::MESSAGE);
        let health = HealthServer::new(self.rooms.links.clone()).max_decoding_message_size(limit);
        let rooms = Routes::new(query).add_service(connect).add_service(health);
        Ok((door, road::federation(&self.road, rooms)))
    }

    /// The door for those with an invite, and what is behind it.
    async fn enrolling(&self) -> Result<(Door, axum::Router), ListenError> {
        let door = Door::Enrolment { identity: self.identity().await? };
        let enrol = EnrolServiceServer::new(self.rooms.links.clone());
        let enrol = enrol.max_decoding_message_size(self.parts.limits.message);
        Ok((door, road::enrolment(&self.road, Routes::new(enrol))))
    }

    /// Where sockets go that this side opened to those with a grant: the same door, without a port.
    pub(crate) async fn called_links(&self) -> Result<Called, ListenError> {
        let mut called = self.called.lock().await;
        if let Some(called) = &called.0 {
            return Ok(called.clone());
        }
        let (door, road) = self.federation().await?;
        Ok(called.0.insert(self.serve_called(door, road)).clone())
    }

    /// The same for those with an invite.
    pub(crate) async fn called_enrolment(&self) -> Result<Called, ListenError> {
        let mut called = self.called.lock().await;
        if let Some(called) = &called.1 {
            return Ok(called.clone());
        }
        let (door, road) = self.enrolling().await?;
        Ok(called.1.insert(self.serve_called(door, road)).clone())
    }

    fn serve_called(&self, door: Door, road: axum::Router) -> Called {
        let stop = self.stop.child_token();
        let (called, incoming) = link::serve_called(door, self.options(&stop));
        self.serve(incoming, road, stop, "what is called");
        called
    }

    fn open(&self, listener: TcpListener, door: Door, road: axum::Router) -> Result<Open, ListenError> {
        let (address, stop) = (local(&listener)?, self.stop.child_token());
        let incoming = link::listen(listener, door, self.options(&stop));
        self.serve(incoming, road, stop.clone(), &address.to_string());
        Ok(Open { address, stop, needed: Instant::now() })
    }

    fn options(&self, stop: &CancellationToken) -> Options {
        Options {
            limits: self.parts.limits,
            clock: self.parts.world.clock(),
            incidents: self.incidents.clone(),
            shutdown: stop.clone(),
        }
    }

    fn serve(&self, incoming: Incoming, road: axum::Router, until: CancellationToken, at: &str) {
        let mut server = self.parts.limits.apply(Server::builder());
        let until = until.cancelled_owned();
        let ended = server.add_routes(Routes::from(road)).serve_with_incoming_shutdown(incoming, until);
        let at = at.to_owned();
        self.tasks.spawn(async move {
            if let Err(error) = ended.await {
                tracing::error!(%error, at, "a listener ended");
            }
        });
    }

    /// This instance's certificate, shared by both doors and reissued every day while it is used.
    async fn identity(&self) -> Result<Arc<Identity>, ListenError> {
        let mut shared = self.identity.lock().await;
        if let Some(identity) = &*shared {
            return Ok(Arc::clone(identity));
        }
        let identity =
            Identity::new(&self.issue().await?).map_err(|error| ListenError::Certificate(error.to_string()))?;
        Ok(Arc::clone(shared.insert(Arc::new(identity))))
    }

    async fn issue(&self) -> Result<InstanceIdentity, ListenError> {
        let names = self.parts.listen.public_names.clone();
        let order = InstanceOrder { names, now: self.parts.world.now(), life: pki::LEAF_LIFE };
        let issued = self.parts.authority.issue_instance(&order).await;
        issued.map_err(|error| ListenError::Certificate(error.to_string()))
    }

    /// Reissues the certificate every day; it lives 30 days, so a day that is missed is no harm.
    pub async fn reissue(&self) {
        let mut issued_at = self.parts.world.now();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.parts.world.now();
            if now >= issued_at && now < issued_at + REISSUE {
                continue;
            }
            let current = self.identity.lock().await.clone();
            let Some(identity) = current else { continue };
            issued_at = now;
            let swapped = self
                .issue()
                .await
                .and_then(|issued| identity.swap(&issued).map_err(|error| ListenError::Certificate(error.to_string())));
            if let Err(error) = swapped {
                tracing::error!(%error, "the certificate in use stays; it is tried again tomorrow");
            }
        }
    }

    fn verifier(&self) -> Result<ClientVerifier, ListenError> {
        let (root, instance) = (self.parts.authority.anchor_der(), self.parts.instance);
        let verifier = ClientVerifier::new(root, instance, self.parts.world.clock(), Arc::clone(&self.deny));
        verifier.map_err(|error| ListenError::Certificate(error.to_string()))
    }

    fn note_addresses(&self, change: impl FnOnce(&mut Bound)) {
        change(&mut self.bound.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Where links are served, while they are.
    pub fn links_address(&self) -> Option<SocketAddr> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Where invites are taken, while they are.
    pub fn enrolment_address(&self) -> Option<SocketAddr> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Connections that came to nothing before any call.
    pub fn incidents(&self) -> u64 {
        self.refused.load(Ordering::Relaxed) + self.incidents.dropped()
    }
}

/// Closes a door if `when` says so of it.
async fn shut(door: &Mutex<Option<Open>>, when: impl FnOnce(&Open) -> bool) -> bool {
    let closed = door.lock().await.take_if(|open| when(open));
    closed.is_some_and(|open| {
        open.stop.cancel();
        true
    })
}

/// Nobody has needed it for a while.
fn lingered(open: &Open) -> bool {
    open.needed.elapsed() > LINGER
}

pub(crate) async fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|cause| ListenError::Bind { address, key, cause })
}

pub(crate) fn local(listener: &TcpListener) -> Result<SocketAddr, ListenError> {
    listener.local_addr().map_err(ListenError::Address)
}

/// Writes what was turned away at the doors into the log. Garbage is folded and never awaited.
async fn record_incidents(mut turned_away: Receiver<Incident>, road: Arc<Road>, count: Arc<AtomicU64>) {
    while let Some(incident) = turned_away.recv().await {
        count.fetch_add(1, Ordering::Relaxed);
        if let (Some(grant), Some(serial)) = (incident.grant, &incident.serial)
            && road.snapshots.is_replaced(grant, serial)
        {
            road.faults.replaced_certificate(grant, serial, incident.address);
        }
        let about = Subject::Act(Act::Handshake);
        let id = RequestId(road.world.uuid());
        let record = Record::new(incident.at, Stage::Accept, Ending::Refused, about, id);
        let serial = incident.serial.map(|serial| format!(" serial {serial}")).unwrap_or_default();
        // A judgement about a certificate has a reason of its own, so that it is not folded into a flood of mere garbage.
        let reason = incident.class.is_certificate().then_some(Reason::NotPermitted);
        let record = Record { address: incident.address.to_string(), grant: incident.grant, reason, ..record };
        road.auditor.enqueue(record.noting(&format!("{}{serial}", incident.class)));
    }
}

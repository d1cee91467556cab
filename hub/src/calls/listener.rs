//! The asking side's only door to the network. It is open while somebody waits to be called or has a link that is called.

use super::{Calls, lock, table::Table};
use crate::{Hub, HubError};
use domain::{
    audit::{Act, Ending, Record, Stage, Subject},
    id::RequestId,
    world::World,
};
use link::{
    Incident, Incidents, Limits, Options, Trails,
    call::{self, Answered, Parked},
};
use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc::Receiver},
};
use tokio_util::sync::CancellationToken;

/// Incidents that may wait to be recorded; what comes beyond is counted.
const INCIDENTS: usize = 1_024;

/// Where calls are taken, once somebody waits for one.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where it listens.
    pub address: SocketAddr,
    /// Hosts under which others reach this machine, without port; empty means this machine's own addresses.
    pub advertise: Vec<String>,
    /// What it bears.
    pub limits: Limits,
}

struct Open {
    address: SocketAddr,
    stop: CancellationToken,
}

pub(super) struct Listener {
    pub(super) listen: Listen,
    open: tokio::sync::Mutex<Option<Open>>,
    bound: Mutex<Option<SocketAddr>>,
    turned_away: Mutex<Option<Receiver<Incident>>>,
}

impl Listener {
    pub(super) fn address(&self) -> Option<SocketAddr> {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, address: Option<SocketAddr>) {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

impl Calls {
    /// Nobody's calls are taken, and nothing listens.
    pub(crate) fn new(world: &World, listen: Listen, trails: &Trails) -> Self {
        let (incidents, turned_away) = Incidents::channel(INCIDENTS);
        let incidents = incidents.counted(trails);
        let parked = Parked::new(world.clock(), incidents.clone());
        let listener = Listener {
            listen,
            open: tokio::sync::Mutex::default(),
            bound: Mutex::default(),
            turned_away: Mutex::new(Some(turned_away)),
        };
        Self {
            table: Arc::new(Table::new(world.clock(), parked)),
            listener,
            failures: Mutex::new(HashMap::new()),
            held: Mutex::new(HashSet::new()),
            unwritten: Mutex::new(HashSet::new()),
            changed: Notify::new(),
            turn: tokio::sync::Mutex::default(),
            refused: AtomicU64::new(0),
            incidents,
        }
    }
}

impl Hub {
    /// Opens the listener where it is needed, and closes it where it is not.
    pub(super) async fn adjust_listener(self: &Arc<Self>) -> Result<(), HubError> {
        if self.calls.table.is_needed() {
            return self.open_listener().await.map(drop);
        }
        if let Some(open) = self.calls.listener.open.lock().await.take() {
            open.stop.cancel();
            self.calls.listener.note(None);
        }
        Ok(())
    }

    /// Where it listens, from now on at the latest.
    pub(super) async fn open_listener(self: &Arc<Self>) -> Result<SocketAddr, HubError> {
        let Calls { listener, table, incidents, .. } = &self.calls;
        let mut open = listener.open.lock().await;
        if let Some(open) = &*open {
            return Ok(open.address);
        }
        let at = listener.listen.address;
        let socket = TcpListener::bind(at).await.map_err(|error| unbound(at, &error))?;
        let address = socket.local_addr().map_err(|error| unbound(at, &error))?;
        let stop = self.stopping.child_token();
        let options = Options {
            limits: listener.listen.limits,
            clock: self.world.clock(),
            incidents: incidents.clone(),
            shutdown: stop.clone(),
        };
        let callees = Arc::clone(table);
        let answered = call::listen(socket, callees, self.world.clone(), options);
        self.tasks.spawn(Arc::clone(self).take(answered));
        listener.note(Some(address));
        *open = Some(Open { address, stop });
        Ok(address)
    }

    async fn take(self: Arc<Self>, mut answered: Receiver<Answered>) {
        while let Some(call) = answered.recv().await {
            self.taken(call);
        }
    }

    /// Writes what was turned away into the log. It is folded and never awaited.
    pub(super) async fn record_incidents(&self) {
        let Some(mut turned_away) = lock(&self.calls.listener.turned_away).take() else { return };
        while let Some(Incident { address, class, at, .. }) = turned_away.recv().await {
            self.calls.refused.fetch_add(1, Ordering::Relaxed);
            let (about, id) = (Subject::Act(Act::Handshake), RequestId(self.world.uuid()));
            let record = Record::new(at, Stage::Accept, Ending::Refused, about, id);
            let record = Record { address: address.to_string(), ..record };
            self.auditor.enqueue(record.noting(&format!("call: {class}")));
        }
    }
}

fn unbound(address: SocketAddr, error: &io::Error) -> HubError {
    let step = match error.kind() {
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose one above",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        _ => "stop what uses it",
    };
    HubError::Listener(format!(
        "{address} cannot be listened on ({error}); {step}, or set another `listen_calls` in config.toml"
    ))
}

//! The sharing side as one thing that starts, answers, reports and stops.

use crate::{
    calls::Calls,
    confirming::{Confirming, FirstUses},
    connect::Links,
    control::{Controls, SessionView},
    listeners::{Listen, ListenError, Listeners, Rooms},
    lists::{Lists, ListsOrder, ListsStatus},
    query::Query,
    reach::Reaching,
    renewals::Renewals,
    road::{Faults, Road, gate::Gate, limit::Limits},
    sane_clock::SaneClock,
    snapshot::Snapshots,
    told,
};
use domain::{
    audit::Record,
    grant::State,
    id::{GrantId, InstanceId, Name, Serial, Spki},
    seal::Doubt,
    world::World,
};
use link::Registry;
use pki::{DenyList, Issuer, IssuerStanding, Kek};
use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};
use store::{Auditor, Shared, StoreError, Trust};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a sharing side is made of.
#[derive(Clone)]
pub struct Parts {
    /// Clock and randomness.
    pub world: World,
    /// The database.
    pub store: Shared,
    /// The writer of the log.
    pub auditor: Arc<Auditor>,
    /// Issues certificates.
    pub authority: Arc<dyn Issuer>,
    /// This instance.
    pub instance: InstanceId,
    /// What it calls itself.
    pub name: Name,
    /// Where it listens.
    pub listen: Listen,
    /// What its listeners bear.
    pub limits: link::Limits,
    /// How long a grant's certificate lives: 5 minutes to 90 days.
    pub certificate_life: Duration,
    /// What judges the grants' rows: the store's own.
    pub trust: Arc<Trust>,
    /// Seals whom to call, and with what.
    pub kek: Arc<Kek>,
    /// How those are reached whom this instance calls, and where a list of revoked certificates is fetched.
    pub ways: link::Ways,
    /// What is told of every call.
    pub trails: link::Trails,
}

/// Why a sharing side could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The grants, or the log, could not be read.
    #[error("the grants or the log could not be read: {0}")]
    Store(#[from] StoreError),
    /// A listener that is needed could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// The sharing side.
pub struct Spoke {
    pub(crate) parts: Parts,
    pub(crate) registry: Registry,
    pub(crate) controls: Controls,
    renewals: Renewals,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) reaching: Reaching,
    pub(crate) clock: Arc<SaneClock>,
    pub(crate) deny: Arc<DenyList>,
    pub(crate) lists: OnceLock<Lists>,
    /// Changes whenever the CA was told of more certificates that are over.
    pub(crate) told: watch::Receiver<u64>,
    road: Arc<Road>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// How the sharing side stands, from what happened, not from what is hoped.
#[derive(Clone, Debug, Default)]
pub struct SpokeStatus {
    /// Where links are served; none while there is no grant.
    pub links_listener: Option<SocketAddr>,
    /// Where invites are taken; none while there is no open invite.
    pub enrolment_listener: Option<SocketAddr>,
    /// Grants that are active: held by another instance, neither revoked nor expired.
    pub grants: usize,
    /// Live control sessions.
    pub sessions: usize,
    /// Live connections with their grants.
    pub connections: Vec<(GrantId, usize)>,
    /// Calls in flight, besides the sessions.
    pub calls: usize,
    /// Age of the view of the grants; past 2 s calls are refused.
    pub snapshot_age: Duration,
    /// Answers held back because a row failed the second check: the database's policies are broken.
    pub second_check_failures: u64,
    /// Answers and refusals that were held back because their record could not be written.
    pub unrecorded: u64,
    /// Calls with a certificate of our CA that no enrolment accounts for: somebody else can sign with its key.
    pub unknown_certificates: u64,
    /// The grants that the last of them named, with how many there were of all at that grant's last one.
    pub unknown_of: Vec<(GrantId, u64)>,
    /// Uses of a certificate that was replaced: somebody has a copy, or its holder lost what it was given since.
    pub replaced_certificates: u64,
    /// The grants of the last of them, with how many there were of all at that grant's last one.
    pub replaced_of: Vec<(GrantId, u64)>,
    /// Grants that the table has and that permit nothing: the database was changed behind the daemon's back, or put back.
    pub doubtful: Vec<(GrantId, Doubt)>,
    /// Revoked keys whose row was changed or removed behind the daemon's back. They stay refused.
    pub doubtful_keys: Vec<Spki>,
    /// Why how far grants have come cannot be written beside the database: until it can, one that is put back is not noticed.
    pub floors_failure: Option<String>,
    /// Whether it was forgotten how far grants had come, and nobody has looked after them yet.
    pub floors_lost: bool,
    /// Records that nobody waited for and that could not be written.
    pub lost_records: u64,
    /// Grants and invites that were not made, and ends that were not moved later, because this machine's clock went back.
    pub clock_refusals: u64,
    /// Who issues certificates, and since when it does not answer.
    pub issuer: IssuerStanding,
    /// Lists of revoked certificates that are given and taken.
    pub lists: ListsStatus,
    /// Connections turned away before any call.
    pub incidents: u64,
}

impl Spoke {
    /// Reads standing, opens the listeners that are needed, starts following the grant table.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, StartError> {
        Self::start_within(parts, Limits::default()).await
    }

    /// As [`Spoke::start`], giving and taking lists: the one that was taken in the run before is in force before anybody is let in.
    pub async fn start_with_lists(parts: Parts, lists: ListsOrder) -> Result<Arc<Self>, StartError> {
        Self::open(parts, Limits::default(), lists).await
    }

    /// As [`Spoke::start`], with call rates of the caller's own choosing: a bench asks more often than any peer may.
    pub async fn start_within(parts: Parts, limits: Limits) -> Result<Arc<Self>, StartError> {
        Self::open(parts, limits, ListsOrder::default()).await
    }

    async fn open(parts: Parts, limits: Limits, lists: ListsOrder) -> Result<Arc<Self>, StartError> {
        let registry = Registry::default();
        let deny = Arc::new(DenyList::default());
        let clock = parts.world.clock();
        let (store, denied) = (Arc::clone(&parts.store), Arc::clone(&deny));
        let controls = Controls::new(parts.world.clock());
        let snapshots =
            Snapshots::start(store, clock, denied, registry.clone(), controls.clone(), Arc::clone(&parts.trust))
                .await?;
        let (confirming, first_uses) = Confirming::channel();
        let road = Arc::new(Road {
            world: parts.world.clone(),
            auditor: Arc::clone(&parts.auditor),
            snapshots: Arc::clone(&snapshots),
            registry: registry.clone(),
            limits,
            faults: Faults::default(),
            trails: parts.trails.clone(),
            confirming,
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let renewals = Renewals::default();
        let live = (&controls, &renewals);
        let rooms = Rooms {
            links: links(&parts, &road, live, &stop, &tasks),
            query: Query::new(Gate::new(&road), Arc::clone(&parts.store)),
        };
        let (rounds, told) = watch::channel(0);
        let kept = (Arc::clone(&parts.store), parts.world.clone(), Arc::clone(&parts.kek));
        let calls = Calls::new(kept, &parts.ways, (&snapshots, &registry), &stop, &tasks);
        calls.read().await?;
        let inside = (rooms, Arc::clone(&calls));
        let listeners = Listeners::new(&parts, &road, inside, Arc::clone(&deny), stop.clone(), tasks.clone());
        let clock = Arc::new(SaneClock::start(parts.world.clock(), &parts.store).await?);
        let spoke = Arc::new(Self {
            parts,
            registry,
            controls,
            renewals,
            snapshots,
            listeners,
            calls,
            reaching: Reaching::default(),
            clock,
            deny,
            lists: OnceLock::new(),
            told,
            road,
            stop,
            tasks,
        });
        match spoke.open_doors(lists).await {
            Ok(()) => {
                spoke.follow(first_uses, rounds);
                Ok(spoke)
            }
            Err(error) => {
                spoke.stop().await;
                Err(error.into())
            }
        }
    }

    async fn open_doors(&self, lists: ListsOrder) -> Result<(), ListenError> {
        self.keep_lists(lists).await?;
        self.listeners.open_what_is_needed().await
    }

    fn follow(self: &Arc<Self>, first_uses: FirstUses, rounds: watch::Sender<u64>) {
        let (snapshots, listeners, road) =
            (Arc::clone(&self.snapshots), Arc::clone(&self.listeners), Arc::clone(&self.road));
        let until = self.stop.clone();
        self.tasks.spawn(async move { until.run_until_cancelled(snapshots.follow()).await });
        let until = self.stop.clone();
        self.tasks.spawn(async move { until.run_until_cancelled(listeners.follow()).await });
        let (until, listeners) = (self.stop.clone(), Arc::clone(&self.listeners));
        self.tasks.spawn(async move { until.run_until_cancelled(listeners.reissue()).await });
        let (until, clock) = (self.stop.clone(), Arc::clone(&self.clock));
        self.tasks.spawn(async move { until.run_until_cancelled(clock.follow()).await });
        let until = self.stop.clone();
        let (controls, renewals) = (self.controls.clone(), self.renewals.clone());
        self.tasks.spawn(async move { until.run_until_cancelled(forget_ended(&road, &controls, &renewals)).await });
        let (snapshots, authority) = (Arc::clone(&self.snapshots), Arc::clone(&self.parts.authority));
        let telling = told::follow(snapshots, authority, self.parts.world.clock(), rounds);
        let until = self.stop.clone();
        self.tasks.spawn(async move { until.run_until_cancelled(telling).await });
        let (store, world) = (Arc::clone(&self.parts.store), self.parts.world.clone());
        let confirmed = first_uses.confirm(store, Arc::clone(&self.snapshots), world);
        let until = self.stop.clone();
        self.tasks.spawn(async move { until.run_until_cancelled(confirmed).await });
        self.call_everybody();
    }

    /// Stops listening, lets calls end for at most five seconds, ends every task.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(crate::ending::DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("calls were still in flight after five seconds; their connections are closed");
            self.registry.cut_all().await;
        }
    }

    /// How the sharing side stands.
    pub fn status(&self) -> SpokeStatus {
        let (connections, now) = (self.registry.all(), self.parts.world.now());
        let sessions = self.controls.count();
        let faults = &self.road.faults;
        SpokeStatus {
            links_listener: self.listeners.links_address(),
            enrolment_listener: self.listeners.enrolment_address(),
            grants: self
                .snapshots
                .current()
                .grants()
                .filter(|grant| grant.standing(now) == State::Active.word())
                .count(),
            sessions,
            calls: connections.iter().map(|(id, _)| self.registry.calls(*id)).sum::<usize>().saturating_sub(sessions),
            connections,
            snapshot_age: self.snapshots.age(),
            second_check_failures: faults.second_check.load(Ordering::Relaxed),
            unrecorded: faults.unrecorded.load(Ordering::Relaxed),
            unknown_certificates: faults.unknown_certificates.all(),
            unknown_of: faults.unknown_certificates.last(),
            replaced_certificates: faults.replaced_certificates.all(),
            replaced_of: faults.replaced_certificates.last(),
            doubtful: self.snapshots.current().doubtful().iter().map(|(id, doubt)| (*id, *doubt)).collect(),
            floors_failure: self.parts.trust.failure(),
            doubtful_keys: self.snapshots.current().unbelieved().iter().copied().collect(),
            floors_lost: self.parts.trust.is_lost(),
            lost_records: self.parts.auditor.lost(),
            clock_refusals: self.clock.refused(),
            issuer: self.parts.authority.standing(),
            lists: self.lists.get().map(|lists| lists.status(now)).unwrap_or_default(),
            incidents: self.listeners.incidents(),
        }
    }

    /// How the grant's control session stands; none while it has none.
    pub fn session(&self, grant: GrantId) -> Option<SessionView> {
        self.controls.view(grant)
    }

    /// How many connections a grant has with each of its certificates.
    pub fn leaves(&self, grant: GrantId) -> Vec<(Serial, usize)> {
        self.registry.leaves(grant)
    }

    /// Records an act of the daemon itself.
    pub async fn record(&self, record: Record) -> Result<(), store::ReleaseError> {
        self.parts.auditor.record(record).await
    }
}

fn links(
    parts: &Parts,
    road: &Arc<Road>,
    (controls, renewals): (&Controls, &Renewals),
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Links {
    Links {
        gate: Gate::new(road),
        store: Arc::clone(&parts.store),
        trust: Arc::clone(&parts.trust),
        snapshots: Arc::clone(&road.snapshots),
        controls: controls.clone(),
        renewals: renewals.clone(),
        authority: Arc::clone(&parts.authority),
        world: parts.world.clone(),
        instance: parts.instance,
        name: parts.name.clone(),
        life: parts.certificate_life,
        stop: stop.clone(),
        tasks: tasks.clone(),
    }
}

/// Buckets of grants that ended, and when their sessions and renewals began, would otherwise stay for as long as the daemon runs.
async fn forget_ended(road: &Road, controls: &Controls, renewals: &Renewals) {
    let mut changes = road.snapshots.watch();
    while changes.changed().await.is_ok() {
        let snapshot = changes.borrow_and_update().clone();
        road.limits.keep(
            |id| snapshot.grants().any(|grant| grant.id == id),
            |peer| snapshot.grants().any(|grant| grant.peer == Some(peer)),
        );
        controls.keep(|id| snapshot.grant(id).is_some());
        renewals.keep(|id| snapshot.grant(id).is_some());
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
}

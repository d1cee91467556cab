//! Grants whose asking side is called, because nobody can reach this instance: whom to call, with what, and how that goes.
//!
//! [`plan`] is what is kept of one, sealed. Here every grant that has a plan and stands has its callers (`caller`): first the one that
//! brings its invite, then a few that keep spare sockets waiting at the other side. A grant that ends has none from that moment on. What the
//! other side says over these sockets meets the same door as any connection.

mod caller;
pub mod plan;

pub use caller::Doors;

use crate::{
    AdminError, By, Created, GrantOrder, Spoke, Terms,
    invites::Way,
    listeners::{ListenError, Listeners},
    snapshot::Snapshots,
};
use domain::{
    Time,
    audit::{Act, scope_note},
    calling::{BadCalling, Calling},
    grant::Grant,
    id::GrantId,
    world::World,
};
use link::{Registry, Ways};
use pki::{CallSecret, Kek};
use plan::{Bringing, Meanwhile, Plan};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use store::{Shared, StoreError};
use tokio::{sync::watch, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// How often grants are looked at whose time may be over.
const LOOK: Duration = Duration::from_secs(1);
/// How long whoever makes an invite waits to hear how its first call went.
const FIRST: Duration = Duration::from_secs(15);

/// How calling goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CallState {
    /// It has begun, and nothing is known yet.
    #[default]
    Calling,
    /// The last call failed; cause and next step. It goes on.
    Failing(String),
    /// The invite came, and was not used yet.
    Brought,
    /// The other side took the calls, and has not asked over one of them.
    Parked,
    /// It is linked: its certificate was seen over a call.
    Up,
    /// The invite's time ended before it was used.
    TooLate,
}

impl CallState {
    /// One stable word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Calling => "calling",
            Self::Failing(_) => "failing",
            Self::Brought => "brought",
            Self::Parked => "parked",
            Self::Up => "up",
            Self::TooLate => "too_late",
        }
    }
}

/// How the calls of a grant themselves go, whatever is asked over them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Course {
    #[default]
    Calling,
    Failing(String),
    Brought,
    Parked,
    TooLate,
}

/// How it stands with the calls of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallView {
    /// Whom it calls, `host:port`.
    pub addresses: Vec<String>,
    /// How that goes.
    pub state: CallState,
    /// Until when the invite is brought; none once it was used.
    pub until: Option<Time>,
}

/// Everybody who is called.
pub struct Calls {
    store: Shared,
    world: World,
    kek: Arc<Kek>,
    ways: Ways,
    snapshots: Arc<Snapshots>,
    registry: Registry,
    stop: CancellationToken,
    tasks: TaskTracker,
    plans: Mutex<HashMap<GrantId, Called>>,
    /// Grants that are being made and will be called: no door is opened for them meanwhile.
    coming: Mutex<BTreeSet<GrantId>>,
    /// What is kept and what is in memory change together, one at a time.
    turn: tokio::sync::Mutex<()>,
}

/// One who is called.
struct Called {
    plan: Arc<Plan>,
    course: watch::Sender<Course>,
    /// Its callers, while the grant stands; they end when this is dropped.
    callers: Option<DropGuard>,
    /// Whether the grant was seen to stand.
    stood: bool,
}

impl Calls {
    /// Nobody is called before [`Calls::read`] and [`Spoke::call_everybody`].
    pub(crate) fn new(
        (store, world, kek): (Shared, World, Arc<Kek>),
        ways: &Ways,
        (snapshots, registry): (&Arc<Snapshots>, &Registry),
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Arc<Self> {
        let (stop, tasks) = (stop.clone(), tasks.clone());
        Arc::new(Self {
            store,
            world,
            kek,
            ways: ways.clone(),
            snapshots: Arc::clone(snapshots),
            registry: registry.clone(),
            stop,
            tasks,
            plans: Mutex::default(),
            coming: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Reads who was called before this daemon began.
    pub(crate) async fn read(&self) -> Result<(), StoreError> {
        for (grant, sealed) in self.store.grant_calls().await? {
            if let Some(plan) = plan::open(&self.kek, grant, &sealed) {
                self.put(grant, plan);
                // It was written of a grant that stood.
                if let Some(called) = self.lock().get_mut(&grant) {
                    called.stood = true;
                }
            } else {
                tracing::error!(%grant, "whom to call for this grant does not open with this key; make it a fresh invite");
            }
        }
        Ok(())
    }

    fn put(&self, grant: GrantId, plan: Plan) {
        let called = Called { plan: Arc::new(plan), course: watch::Sender::default(), callers: None, stood: false };
        self.lock().insert(grant, called);
    }

    /// Keeps another plan for a grant, in the place of any before.
    async fn keep(&self, grant: GrantId, plan: Plan) -> Result<(), AdminError> {
        let sealed = plan::seal(&self.kek, grant, &plan).ok_or_else(|| {
            AdminError::Listener("whom to call could not be sealed; check that the machine gives randomness".to_owned())
        })?;
        let _turn = self.turn.lock().await;
        self.store.keep_grant_call(grant, &sealed).await?;
        self.put(grant, plan);
        Ok(())
    }

    /// An invite is about to be made that is brought. Where the daemon stops before it is known whom to call, it is for no door of this instance
    /// either.
    async fn expect(&self, grant: GrantId) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        if self.lock().contains_key(&grant) { Ok(()) } else { self.store.call_nobody(grant).await }
    }

    /// It was not made. Who is called by another one goes on to be called.
    async fn expect_no_more(&self, grant: GrantId) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        if self.lock().contains_key(&grant) { Ok(()) } else { self.store.forget_grant_call(grant).await }
    }

    /// Calls nobody for this grant any more: it is this instance that is dialled from now on. Also one whose plan could not be read.
    pub(crate) async fn forget(&self, grant: GrantId) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        self.store.forget_grant_call(grant).await?;
        self.lock().remove(&grant);
        Ok(())
    }

    /// Who holds a grant that is called already, until another invite was used.
    fn holder(&self, grant: GrantId) -> Option<Meanwhile> {
        self.lock().get(&grant).map(|called| called.plan.holder())
    }

    /// Whether the holder of this grant is called, and does not dial.
    pub(crate) fn is_called(&self, grant: GrantId) -> bool {
        let called = self.lock().get(&grant).is_some_and(|called| !called.plan.is_dialled());
        called || self.coming().contains(&grant)
    }

    /// Whether the certificate in force was seen over a connection that is there.
    fn is_connected(&self, grant: GrantId) -> bool {
        let current = self.snapshots.current();
        let leaf = current.grant(grant).and_then(|grant| grant.leaf.as_ref());
        leaf.is_some_and(|leaf| self.registry.leaves(grant).iter().any(|(serial, _)| *serial == leaf.serial))
    }

    /// Whether somebody waits to be let in, who makes no connection before that.
    fn waits(&self, grant: GrantId) -> bool {
        self.snapshots.current().grant(grant).is_some_and(|grant| grant.waits())
    }

    fn view(&self, grant: GrantId) -> Option<CallView> {
        let (course, mut view) = {
            let plans = self.lock();
            let Called { plan, course, .. } = plans.get(&grant)?;
            let until = plan.bringing.as_ref().map(|bringing| bringing.until);
            let state = CallState::default();
            (course.borrow().clone(), CallView { addresses: plan.addresses.clone(), state, until })
        };
        view.state = self.state(grant, course);
        Some(view)
    }

    /// How it stands, from how its calls go: whether it is up is said here and nowhere else.
    fn state(&self, grant: GrantId, course: Course) -> CallState {
        match course {
            Course::Calling => CallState::Calling,
            Course::Failing(cause) => CallState::Failing(cause),
            Course::Brought => CallState::Brought,
            Course::Parked if self.is_connected(grant) => CallState::Up,
            Course::Parked => CallState::Parked,
            Course::TooLate => CallState::TooLate,
        }
    }

    /// Resolves once `is_so`, or when the grant is called no more: looked at when its calls, any connection or any grant changed.
    async fn until(&self, mut course: watch::Receiver<Course>, is_so: impl Fn(&Course) -> bool) {
        let (mut grants, mut connections) = (self.snapshots.watch(), self.registry.arrivals());
        loop {
            let now = course.borrow_and_update().clone();
            if is_so(&now) {
                return;
            }
            let changed = tokio::select! {
                changed = course.changed() => changed,
                changed = grants.changed() => changed,
                changed = connections.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    fn course(&self, grant: GrantId) -> Option<watch::Receiver<Course>> {
        self.lock().get(&grant).map(|called| called.course.subscribe())
    }

    /// The invite was used: what is left to be kept is the key of later calls.
    async fn used(&self, grant: GrantId, used: &Arc<Plan>) {
        let is_it = |called: &Called| Arc::ptr_eq(&called.plan, used);
        let _turn = self.turn.lock().await;
        // A fresh invite may have come meanwhile, with a plan of its own.
        if !self.lock().get(&grant).is_some_and(is_it) {
            return;
        }
        let plan = used.used();
        let kept = match plan::seal(&self.kek, grant, &plan) {
            Some(sealed) => self.store.keep_grant_call(grant, &sealed).await.map_err(|error| error.to_string()),
            None => Err("it could not be sealed".to_owned()),
        };
        if let Err(error) = kept {
            tracing::warn!(%error, %grant, "a used invite is kept until the next start");
        }
        if let Some(called) = self.lock().get_mut(&grant).filter(|called| is_it(called)) {
            called.plan = Arc::new(plan);
        }
    }

    /// Grants that stand have their callers, and those that have ended have none.
    fn adjust(self: &Arc<Self>, doors: &Doors) -> Vec<GrantId> {
        let (current, now) = (self.snapshots.current(), self.world.now());
        let mut ended = Vec::new();
        for (grant, called) in &mut *self.lock() {
            let found = current.grant(*grant);
            called.stood |= found.is_some();
            if found.is_none_or(|grant| grant.has_expired(now)) {
                called.callers = None;
                // A clock that is ahead for a moment must not cost the link, nor a copy that does not have the grant yet.
                let is_over = called.stood && found.is_none() && !current.doubtful().contains_key(grant);
                ended.extend(is_over.then_some(*grant));
            } else if called.callers.is_none() {
                let until = CancellationToken::new();
                let caller = caller::Caller {
                    calls: Arc::clone(self),
                    grant: *grant,
                    plan: Arc::clone(&called.plan),
                    course: called.course.clone(),
                    doors: doors.clone(),
                };
                let (stop, own) = (self.stop.clone(), until.clone());
                self.tasks.spawn(async move {
                    stop.run_until_cancelled(own.run_until_cancelled(caller.run())).await;
                });
                called.callers = Some(until.drop_guard());
            }
        }
        ended
    }

    /// Looks at every grant whose holder is called. Without any there is no door either.
    async fn look(self: &Arc<Self>, listeners: &Listeners) -> Result<(), ListenError> {
        if self.lock().is_empty() {
            return Ok(());
        }
        let doors = doors(listeners).await?;
        let _turn = self.turn.lock().await;
        for grant in self.adjust(&doors) {
            // Whoever ended cannot come back; what proved their calls is of no more use.
            self.lock().remove(&grant);
            if let Err(error) = self.store.call_nobody(grant).await {
                tracing::warn!(%error, %grant, "whom to call for a grant that ended is kept until the next start");
            }
        }
        Ok(())
    }

    /// Calls whoever is to be called, until the daemon stops this task.
    async fn follow(self: Arc<Self>, listeners: Arc<Listeners>) {
        let mut grants = self.snapshots.watch();
        loop {
            if let Err(error) = self.look(&listeners).await {
                tracing::error!(%error, "nobody can be called");
            }
            tokio::select! {
                changed = grants.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn coming(&self) -> MutexGuard<'_, BTreeSet<GrantId>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<GrantId, Called>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn doors(listeners: &Listeners) -> Result<Doors, ListenError> {
    Ok(Doors { links: listeners.called_links().await?, enrolment: listeners.called_enrolment().await? })
}

impl Spoke {
    /// Calls whoever is to be called, in the background.
    pub(crate) fn call_everybody(&self) {
        let (until, follow) = (self.stop.clone(), Arc::clone(&self.calls).follow(Arc::clone(&self.listeners)));
        self.tasks.spawn(async move { until.run_until_cancelled(follow).await });
    }

    /// Makes a grant, and an invite that this instance brings to whoever waits for it.
    pub async fn create_calling(
        &self,
        by: By,
        order: GrantOrder,
        terms: Terms,
        text: &str,
    ) -> Result<(Created, CallView), AdminError> {
        let calling = self.calling(text)?;
        self.is_no_revoked(Some(calling.key))?;
        self.clock.check()?;
        let (grant, lost) = self.draft(&order).await?;
        self.calls.coming().insert(grant.id);
        let made = self.make_calling(by, &grant, terms, calling).await;
        self.calls.coming().remove(&grant.id);
        let created = made?;
        let call = self.first_call(grant.id).await?;
        Ok((Created { lost, ..created }, call))
    }

    async fn make_calling(&self, by: By, grant: &Grant, terms: Terms, calling: Calling) -> Result<Created, AdminError> {
        let record = self.act(Act::GrantCreate, by, grant.id).noting(&scope_note(&grant.scope));
        self.parts.store.create_grant(grant, record).await?;
        self.snapshots.refresh_after_change().await;
        self.bring(by, grant.id, terms, calling).await
    }

    /// Makes a fresh invite for a grant, which this instance brings to whoever waits for it; earlier ones stop working.
    pub async fn invite_calling(
        &self,
        by: By,
        grant: GrantId,
        terms: Terms,
        text: &str,
    ) -> Result<(Created, CallView), AdminError> {
        let calling = self.calling(text)?;
        let created = self.bring(by, grant, terms, calling).await?;
        Ok((created, self.first_call(grant).await?))
    }

    /// Where sockets go that were opened to an asking side, once that has begun to speak.
    pub async fn doors_for_calls(&self) -> Result<Doors, ListenError> {
        doors(&self.listeners).await
    }

    /// How it stands with the calls of a grant; none for one whose holder dials.
    pub fn call(&self, grant: GrantId) -> Option<CallView> {
        self.calls.view(grant)
    }

    /// Every grant whose holder is called.
    pub fn called(&self) -> BTreeSet<GrantId> {
        self.calls.lock().keys().copied().collect()
    }

    fn calling(&self, text: &str) -> Result<Calling, AdminError> {
        let calling = Calling::decode(text).map_err(|error: BadCalling| AdminError::Invalid(error.to_string()))?;
        if calling.expires_at <= self.parts.world.now() {
            return Err(AdminError::Conflict(format!(
                "the other side waited for this call until {}; ask its owner for a new text, with `mosaic-fed link await` there",
                calling.expires_at
            )));
        }
        Ok(calling)
    }

    async fn bring(&self, by: By, grant: GrantId, terms: Terms, calling: Calling) -> Result<Created, AdminError> {
        let holder = self.calls.holder(grant);
        self.calls.expect(grant).await?;
        // Whoever answers the call in the place of the other side cannot use the invite without that side's key.
        let terms = Terms { key: Some(calling.key), ..terms };
        let created = match self.invite_by(by, grant, terms, Way::Calls(&calling)).await {
            Ok(created) => created,
            Err(error) => {
                self.calls.expect_no_more(grant).await?;
                return Err(error);
            }
        };
        let secret = CallSecret::new(calling.id, calling.secret.clone());
        let opening = self.parts.trust.opening(created.id);
        let key = secret.grant(grant, &opening).map_err(|error| AdminError::Listener(error.to_string()))?;
        let meanwhile = match holder {
            Some(holder @ Meanwhile::Called(_)) => holder,
            _ if created.grant.leaf.is_some() => Meanwhile::Dialled,
            _ => Meanwhile::Nobody,
        };
        let (id, secret, invite) = (calling.id, calling.secret, created.invite.clone());
        let bringing = Bringing { id, secret, invite, until: created.expires_at, meanwhile };
        let plan = Plan { addresses: calling.addresses, key, bringing: Some(bringing) };
        self.calls.keep(grant, plan).await?;
        self.calls.look(&self.listeners).await?;
        Ok(created)
    }

    /// Waits for a moment to hear how the first call went.
    async fn first_call(&self, grant: GrantId) -> Result<CallView, AdminError> {
        if let Some(course) = self.calls.course(grant) {
            let told = |course: &Course| match self.calls.state(grant, course.clone()) {
                CallState::Calling | CallState::Brought => false,
                CallState::Parked => self.calls.waits(grant),
                CallState::Failing(_) | CallState::Up | CallState::TooLate => true,
            };
            drop(timeout(FIRST, self.calls.until(course, told)).await);
        }
        self.calls.view(grant).ok_or_else(|| AdminError::Conflict("the grant has ended meanwhile".to_owned()))
    }
}

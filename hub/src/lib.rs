//! The asking side: a local person's links to other instances, and one answer out of many sources.
//!
//! Map: [`connect`] makes, lists and ends links, [`ping`] tries one out step by step, with [`enrol`] for the exchange that turns an invite into a
//! certificate, [`keys`] for what is kept meanwhile, [`renewal`] for the one after it and [`control`] for the session
//! that tells of the grant's end, which ends what is in [`flight`]; [`calls`] takes the calls of sharing sides that nobody can reach.
//! [`question`] is what a person asks; [`query`] answers it as an ordered page ([`merge`], [`cursor`]),
//! [`stream`] as rows in arrival order, [`get`] for one row, [`seek`] for one of which only the
//! beginning of the id is known; [`explain`] says what one would cost. Below them one source is asked by [`ask`]: it is read by
//! [`reader`], out of the [`cache`] or over a [`call`] on a [`session`], in one [`attempt`] or two, judged by [`judge`], [`peer`] and [`outcome`], [`noted`] of its
//! link, and entered in the log by [`record`]; a
//! source that cannot be reached is left alone for a while ([`circuit`], kept by [`track`]), and [`told`] knows who heard of it; one whose grant names
//! other doors than the one that was asked at is not asked ([`terms`]).
//!
//! Must not: store or log a row of another instance, know anything of the sharing side, or let one user ask through another
//! user's link.

mod ask;
mod attempt;
mod cache;
mod call;
pub mod calls;
mod circuit;
pub mod connect;
mod control;
mod cursor;
pub mod deadlines;
mod dialling;
mod enrol;
mod error;
mod explain;
mod flight;
mod get;
mod health;
mod hello;
mod judge;
mod keys;
mod latency;
mod lines;
mod merge;
mod noted;
mod outcome;
mod peer;
mod ping;
mod query;
mod question;
mod reader;
mod record;
mod renewal;
mod seek;
mod session;
mod stream;
mod terms;
mod told;
mod track;
mod waking;

pub use calls::{AwaitState, AwaitStatus, Awaiting, CallStatus, Listen};
pub use circuit::{CircuitState, CircuitStatus};
pub use connect::{LinkStatus, Linked, Unlinked};
pub use control::SessionStatus;
pub use deadlines::{Deadlines, Until};
pub use error::HubError;
pub use explain::{Asks, Planned};
pub use flight::{Held, Places};
pub use health::{LastFailure, LinkState};
pub use hello::{Hello, Ping, Shares};
pub use keys::{KeyHere, Prepared};
pub use latency::Latency;
pub use ping::{Step, StepEnd, Tried};
pub use question::{Asker, Question, Sources};
pub use renewal::{RenewalFailure, RenewalStatus, Renewals};
pub use seek::{PAGES, Sought};
pub use terms::Terms;
pub use told::is_session;

use dialling::Dialling;
use domain::{
    id::{InstanceId, Name},
    world::World,
};
use session::Sessions;
use std::sync::Arc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use track::Tracks;

/// What the asking side is made of.
pub struct Parts {
    /// Clock and randomness.
    pub world: World,
    /// Where links are kept and this instance's own rows are read.
    pub store: store::Shared,
    /// The log that asking is recorded in.
    pub auditor: Arc<store::Auditor>,
    /// Seals the private keys of links.
    pub kek: Arc<pki::Kek>,
    /// This instance.
    pub instance: InstanceId,
    /// What it calls itself.
    pub name: Name,
    /// Makes connections to other instances.
    pub dialler: Arc<link::Dialler>,
    /// Where calls of instances that cannot be reached are taken.
    pub calls: Listen,
    /// Whether addresses are tried for the other sides of links.
    pub try_addresses: bool,
    /// What is told of every question over a link.
    pub trails: link::Trails,
    /// After how long without an answer a question for rows is asked once more over another connection of its link; never if none.
    pub hedge_after: Option<std::time::Duration>,
}

/// The asking side of this instance, for all its users.
pub struct Hub {
    world: World,
    store: store::Shared,
    auditor: Arc<store::Auditor>,
    kek: Arc<pki::Kek>,
    trails: link::Trails,
    instance: InstanceId,
    name: Name,
    dialling: Dialling,
    sessions: Sessions,
    cache: Arc<cache::Cache>,
    tracks: Arc<Tracks>,
    told: told::Told,
    deadlines: Deadlines,
    watch: renewal::Watch,
    keeper: Arc<control::Keeper>,
    trials: control::Trials,
    try_addresses: bool,
    hedge_after: Option<std::time::Duration>,
    calls: calls::Calls,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Hub {
    /// Ready to ask; nothing is dialled before the first question, or before [`Hub::keep_in_touch`].
    pub fn new(parts: Parts) -> Arc<Self> {
        Self::with_deadlines(parts, Deadlines::default())
    }

    /// The same with other deadlines.
    pub fn with_deadlines(parts: Parts, deadlines: Deadlines) -> Arc<Self> {
        let Parts { world, store, auditor, kek, instance, name, dialler, calls, try_addresses, trails, hedge_after } =
            parts;
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let calls = calls::Calls::new(&world, calls, &trails);
        let dialling = Dialling::new(dialler, Arc::clone(&calls.table), tasks.clone(), stopping.clone());
        let sessions = Sessions::new(dialling.clone(), Arc::clone(&kek), world.clone());
        let cache = cache::Cache::new(world.clone());
        let tracks = Arc::new(Tracks::new(world.clone()));
        let watch = renewal::Watch::default();
        let keeper = Arc::default();
        Arc::new(Self {
            world,
            store,
            auditor,
            kek,
            trails,
            instance,
            name,
            dialling,
            sessions,
            cache,
            tracks,
            told: told::Told::default(),
            deadlines,
            watch,
            keeper,
            trials: control::Trials::default(),
            try_addresses,
            hedge_after,
            calls,
            tasks,
            stopping,
        })
    }

    /// Ends streams and connections, and waits until their tasks are gone.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.sessions.clear();
        self.calls.table.parked.keep_only(|_| false);
    }
}

//! An instance in this process, put together from the daemon's own parts: embedded PostgreSQL, store, authority, sharing side.
//! Two things differ from a daemon, and only these: callers may ask as often as they can, and there is a second sharing side
//! on the same grants whose records are kept by nobody.

use super::{floor::Floor, sink::Sink};
use crate::{
    fill,
    rows::{Rows, TEAMS},
    statistics::micros,
    words::End,
};
use anyhow::{Result, bail};
use domain::{
    audit::{Act, Record},
    id::{GrantId, InstanceId, Name, RequestId, UserId, WorkspaceId},
    rights::Role,
    scope::Rate,
    seal::RowKey,
    world::World,
};
use futures::future::try_join_all;
use pki::{Authority, InstanceOrder, Kek};
use spoke::{By, GrantOrder, Listen, Parts, Receipt, Revoked, Spoke, road::limit::Limits};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    AuditLog, Auditor, Instance as _, InstanceRecord, People as _, Trust,
    embedded::{Config, Lifetime, Server},
    postgres::Postgres,
};
use tempfile::TempDir;

/// More than any caller reaches, and still a bucket to be looked at on every call.
pub const NEVER_FULL: Rate = Rate { per_minute: u32::MAX, burst: u32::MAX };
/// On whose behalf grants read.
const SUBJECT: &str = "alice";
const OWNER: &str = "dana";
const WORKSPACE: &str = "main";

/// Everything that is measured.
pub struct Stage {
    /// Clock and randomness.
    pub world: World,
    /// The database's server.
    pub server: Server,
    /// The store.
    pub store: Arc<Postgres>,
    /// The bare server.
    pub floor: Floor,
    /// Rows that were filled in, and the milliseconds that took.
    pub filled: (u64, u64),
    /// The sharing side as the daemon has it.
    kept: Arc<Spoke>,
    /// The one whose records go nowhere.
    unkept: Arc<Spoke>,
    owner: UserId,
    _directory: TempDir,
}

impl Stage {
    /// Makes an instance with people, teams and `rows` rows.
    pub async fn set(seed: u64, rows: u64) -> Result<Self> {
        let world = World::system();
        let directory = tempfile::tempdir()?;
        let config = Config {
            programs: None,
            data_dir: directory.path().join("data"),
            instance: world.uuid(),
            lifetime: Lifetime::Temporary,
        };
        let server = Server::start(config).await?;
        // In a file, as a daemon has it: a grant's end is on the disk before it is said.
        let trust = Trust::open(&directory.path().join("grants.floor"), key())?;
        let store = Arc::new(Postgres::connect(server.owner(), server.app(), world.clock(), Arc::new(trust)).await?);
        let (id, workspace, owner) = (InstanceId(world.uuid()), WorkspaceId(world.uuid()), UserId(world.uuid()));
        let authority = Arc::new(Authority::create(&world, id)?);
        let people = People { world: &world, store: &store, owner };
        people.move_in(id, workspace, &authority).await?;
        let began = Instant::now();
        let made = Rows::new(seed, rows, world.now());
        fill::fill(&store, (workspace, owner), &made, rows, &mut |_| Ok(())).await?;
        let filled = (rows, u64::try_from(began.elapsed().as_millis())?);
        fill::settle(server.superuser()).await?;
        let order = InstanceOrder { names: Vec::new(), now: world.now(), life: pki::LEAF_LIFE };
        let floor = Floor::open(&authority.issue_instance(&order)?, authority.root_der()).await?;
        let open = |log| open(&world, &store, &authority, id, log);
        let (kept, unkept) = (open(Arc::clone(&store) as _).await?, open(Arc::new(Sink)).await?);
        Ok(Self { world, server, store, floor, filled, kept, unkept, owner, _directory: directory })
    }

    /// Makes a grant of `scope` (JSON without its workspace) and its invite.
    pub async fn invite(&self, scope: &str) -> Result<String> {
        let mut spec: serde_json::Value = serde_json::from_str(scope)?;
        if let Some(spec) = spec.as_object_mut() {
            spec.insert("workspace".to_owned(), WORKSPACE.into());
        }
        let name = format!("link-{}", self.world.uuid()).parse()?;
        let spec = serde_json::from_value(spec)?;
        let order = GrantOrder {
            name,
            subject: SUBJECT.parse()?,
            spec,
            personal_default: true,
            sensitive: false,
            narrow: false,
        };
        Ok(self.kept.create(self.by(), order).await?.invite.expose().clone())
    }

    /// Ends a grant, as its owner does.
    pub async fn revoke(&self, grant: GrantId) -> Result<Revoked> {
        Ok(self.kept.revoke(self.by(), grant).await?)
    }

    /// Ends grants all at once, as owners do who do not wait for each other.
    pub async fn end(&self, grants: &[GrantId]) -> Result<Vec<End>> {
        let ending = grants.iter().map(|grant| {
            let (spoke, clock, by, grant) = (Arc::clone(&self.kept), self.world.clock(), self.by(), *grant);
            tokio::spawn(async move {
                let began = clock.now();
                let revoked = spoke.revoke(by, grant).await?;
                let acknowledged = revoked.drained && matches!(revoked.receipt, Receipt::Acknowledged(_));
                let (committed, took) = (micros(revoked.at.since(began)), micros(revoked.took));
                anyhow::Ok(End { grant: grant.to_string(), began: began.micros(), committed, took, acknowledged })
            })
        });
        try_join_all(ending).await?.into_iter().collect()
    }

    /// Live control sessions.
    pub fn sessions(&self) -> usize {
        self.kept.status().sessions
    }

    /// Where the sharing side listens whose records go nowhere. It opens when it hears of the first grant.
    pub async fn unrecorded(&self) -> Result<SocketAddr> {
        for _ in 0..200 {
            if let Some(address) = self.unkept.status().links_listener {
                return Ok(address);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!("the second sharing side heard of no grant within five seconds")
    }

    /// Process id of the database's server.
    pub fn postmaster(&self) -> u32 {
        self.server.pid()
    }

    /// Version of the database's server.
    pub fn version(&self) -> &str {
        self.server.version()
    }

    /// Ends everything.
    pub async fn strike(self) {
        tokio::join!(self.kept.stop(), self.unkept.stop());
        self.store.close().await;
        // A temporary server ends with this process in any case.
        drop(self.server.stop().await);
    }

    fn by(&self) -> By {
        By { user: self.owner, request: RequestId(self.world.uuid()) }
    }
}

async fn open(
    world: &World,
    store: &Arc<Postgres>,
    authority: &Arc<Authority>,
    instance: InstanceId,
    log: Arc<dyn AuditLog>,
) -> Result<Arc<Spoke>> {
    let (auditor, _writer) = Auditor::start(log, world.clock());
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    let parts = Parts {
        world: world.clone(),
        store: Arc::clone(store) as _,
        auditor: Arc::new(auditor),
        authority: Arc::clone(authority) as _,
        instance,
        name: "office".parse()?,
        listen: Listen { links: any, enrolment: any, advertise: Vec::new(), public_names: Vec::new() },
        limits: link::Limits { address_burst: u32::MAX, address_rate: u32::MAX, ..link::Limits::default() },
        certificate_life: pki::LEAF_LIFE,
        trust: store.trust(),
        kek: Arc::new(Kek::generate(world)),
        ways: link::Ways::new(link::DialPolicy::this_machine()),
        trails: link::Trails::default(),
    };
    Ok(Spoke::start_within(parts, Limits::with_peer_rate(NEVER_FULL).enrolling(NEVER_FULL)).await?)
}

/// What the grants of the bench are sealed with.
pub fn key() -> RowKey {
    RowKey::new([7; 32])
}

/// Who moves into a new instance.
struct People<'a> {
    world: &'a World,
    store: &'a Postgres,
    owner: UserId,
}

impl People<'_> {
    async fn move_in(&self, id: InstanceId, workspace: WorkspaceId, authority: &Authority) -> Result<()> {
        let place: Name = WORKSPACE.parse()?;
        // The keys are this process's alone; nothing of the instance outlives it.
        let sealed = vec![0];
        let root = authority.root_der().to_vec();
        let record = InstanceRecord {
            id,
            name: "office".parse()?,
            root,
            sealed_ca_key: sealed.clone(),
            sealed_audit_key: sealed,
        };
        let owner = (self.owner, OWNER.parse()?, None);
        self.store.create_instance(&record, (workspace, place.clone()), owner, self.act(Act::Start)).await?;
        let (subject, id) = (SUBJECT.parse()?, UserId(self.world.uuid()));
        self.store.add_user(id, &subject, None, &place, Role::Member, self.act(Act::UserAdd)).await?;
        for team in TEAMS {
            let team = team.parse()?;
            self.store.add_team(&place, &team, self.act(Act::TeamEdit)).await?;
            let member = Some(Role::Member);
            self.store.set_member(&place, &team, &subject, member, self.act(Act::TeamEdit)).await?;
        }
        Ok(())
    }

    fn act(&self, act: Act) -> Record {
        Record::act(self.world.now(), act, self.owner, RequestId(self.world.uuid()))
    }
}

//! A sharing instance in this process: a real database, a real CA, real listeners on loopback, and people and rows to share.

use crate::{
    cluster::{self, Database},
    direction,
};
use domain::{
    audit::{Act, Record},
    grant::Grant,
    id::{GrantId, InstanceId, Name, RequestId, TeamId, UserId, WorkspaceId},
    invite::Invite,
    item::NewItem,
    rights::Role,
    scope::{Rate, Spec},
    world::World,
};
use pki::{Authority, Issuer, Kek};
use spoke::{By, GrantOrder, Listen, Parts, Spoke, lists::ListsOrder, road::limit::Limits};
use std::{net::Ipv4Addr, sync::Arc, time::Duration};
use store::{After, AuditQuery, Auditor, InstanceRecord, Put, Shared, Trust, postgres::Postgres};

/// One sharing instance.
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its clock and randomness.
    pub world: World,
    /// Its database's connections, the superuser's among them.
    pub database: Database,
    /// Its store.
    pub store: Shared,
    /// Its log's writer.
    pub auditor: Arc<Auditor>,
    /// What judges its grants' rows.
    pub trust: Arc<Trust>,
    /// What seals whom it calls.
    pub kek: Arc<Kek>,
    /// Its CA.
    pub authority: Arc<Authority>,
    /// What is told of calls to it.
    pub trails: link::Trails,
    /// Its sharing side.
    pub spoke: Arc<Spoke>,
    /// Its one workspace, `main`.
    pub workspace: WorkspaceId,
    /// The workspace's owner, `owner`.
    pub owner: UserId,
}

/// A name from a literal.
pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// What an asking instance calls itself.
pub fn home_name() -> Name {
    name("home")
}

/// A team from a literal.
pub fn team(text: &str) -> TeamId {
    text.parse().expect("a team")
}

/// A task with a title.
pub fn task(title: &str) -> NewItem {
    NewItem {
        resource: "tasks".parse().expect("a resource"),
        title: title.to_owned(),
        body: None,
        team: None,
        project: None,
        tags: std::collections::BTreeSet::new(),
        attributes: serde_json::Map::new(),
        source_key: None,
        created_at: None,
    }
}

impl Instance {
    /// Starts an instance with the machine's clock.
    pub async fn start() -> Self {
        Self::start_in(World::system()).await
    }

    /// Starts an instance in a world of the test's own.
    pub async fn start_in(world: World) -> Self {
        Self::start_on(world, cluster::database().await).await
    }

    /// Starts an instance on a database that the test looks after.
    pub async fn start_on(world: World, database: Database) -> Self {
        Self::open(world, database, loopback(), domain::renewal::LIFE).await
    }

    /// Starts an instance whose certificates live as long as the test says.
    pub async fn start_with_life(world: World, database: Database, certificate_life: Duration) -> Self {
        Self::open(world, database, loopback(), certificate_life).await
    }

    /// Starts an instance on a database that the test looks after, with other call rates for peers.
    pub async fn start_within(world: World, database: Database, certificate_life: Duration, limits: Limits) -> Self {
        Self::open_within(world, database, loopback(), certificate_life, limits).await
    }

    /// Starts an instance that listens where the test says.
    pub async fn start_at(listen: Listen) -> Self {
        Self::open(World::system(), cluster::database().await, listen, domain::renewal::LIFE).await
    }

    /// Starts an instance on a database that the test looks after, which is advertised at these hosts.
    pub async fn start_advertised(database: Database, hosts: &[&str]) -> Self {
        let listen = Listen { advertise: hosts.iter().map(ToString::to_string).collect(), ..loopback() };
        Self::open(World::system(), database, listen, domain::renewal::LIFE).await
    }

    /// Starts an instance that remembers how far its grants have come in `floors`.
    pub async fn start_remembering(database: Database, trust: Arc<Trust>) -> Self {
        let (world, life) = (World::system(), domain::renewal::LIFE);
        Box::pin(Self::open_with(world, database, loopback(), life, (Limits::default(), trust), |authority| authority))
            .await
    }

    /// Starts an instance whose certificates are issued by what `issuer` makes of its own CA.
    pub async fn start_issuing(
        world: World,
        database: Database,
        issuer: impl FnOnce(Arc<Authority>) -> Arc<dyn Issuer> + Send,
    ) -> Self {
        let (life, limits) = (domain::renewal::LIFE, Limits::default());
        Box::pin(Self::open_issuing(world, database, loopback(), life, limits, issuer)).await
    }

    async fn open(world: World, database: Database, listen: Listen, certificate_life: Duration) -> Self {
        // Every asker of a test has the same address.
        let rates = Limits::default().enrolling(Rate { per_minute: 100_000, burst: 100_000 });
        Self::open_within(world, database, listen, certificate_life, rates).await
    }

    async fn open_within(
        world: World,
        database: Database,
        listen: Listen,
        certificate_life: Duration,
        rates: Limits,
    ) -> Self {
        Box::pin(Self::open_issuing(world, database, listen, certificate_life, rates, |authority| authority)).await
    }

    async fn open_issuing(
        world: World,
        database: Database,
        listen: Listen,
        certificate_life: Duration,
        rates: Limits,
        issuer: impl FnOnce(Arc<Authority>) -> Arc<dyn Issuer> + Send,
    ) -> Self {
        let trust = cluster::trust();
        Box::pin(Self::open_with(world, database, listen, certificate_life, (rates, trust), issuer)).await
    }

    async fn open_with(
        world: World,
        database: Database,
        listen: Listen,
        certificate_life: Duration,
        (rates, trust): (Limits, Arc<Trust>),
        issuer: impl FnOnce(Arc<Authority>) -> Arc<dyn Issuer> + Send,
    ) -> Self {
        pki::install_provider();
        let postgres = Postgres::connect(database.owner(), database.app(), world.clock(), Arc::clone(&trust))
            .await
            .expect("a database");
        let store: Shared = Arc::new(postgres);
        let (id, owner) = (InstanceId(world.uuid()), UserId(world.uuid()));
        let workspace = WorkspaceId(world.uuid());
        let authority = Arc::new(Authority::create(&world, id).expect("a CA"));
        let record = InstanceRecord {
            id,
            name: name("office"),
            root: authority.root_der().to_vec(),
            sealed_ca_key: vec![1],
            sealed_audit_key: vec![1],
        };
        let begin = Record::act(world.now(), Act::Start, owner, RequestId(world.uuid()));
        let people = ((workspace, name("main")), (owner, name("owner"), None));
        store.create_instance(&record, people.0, people.1, begin).await.expect("an instance");
        let (auditor, _writer) = Auditor::start(Arc::clone(&store), world.clock());
        let (auditor, kek) = (Arc::new(auditor), Arc::new(Kek::generate(&world)));
        let trails = link::Trails::default();
        let parts = Parts {
            world: world.clone(),
            store: Arc::clone(&store),
            auditor: Arc::clone(&auditor),
            authority: issuer(Arc::clone(&authority)),
            instance: id,
            name: name("office"),
            listen,
            limits: link::Limits { address_burst: 10_000, address_rate: 10_000, ..link::Limits::default() },
            certificate_life,
            trust: Arc::clone(&trust),
            kek: Arc::clone(&kek),
            ways: direction::ways(),
            trails: trails.clone(),
        };
        let spoke = Spoke::start_within(parts, rates).await.expect("a sharing side");
        direction::register(&spoke);
        Self { id, world, database, store, auditor, trust, kek, authority, trails, spoke, workspace, owner }
    }

    /// The sharing side of a daemon that starts after this one stopped, with the same certificate authority and what is remembered
    /// in `trust`.
    pub async fn spoke_after_a_stop(&self, trust: Arc<Trust>) -> Arc<Spoke> {
        self.spoke.stop().await;
        let (owner, app) = (self.database.owner(), self.database.app());
        let store = Postgres::connect(owner, app, self.world.clock(), Arc::clone(&trust)).await.expect("a database");
        registered(Spoke::start(self.parts(Arc::new(store), trust)).await.expect("a sharing side"))
    }

    /// The sharing side of a daemon that starts after this one stopped, on the same store and with these lists.
    pub async fn spoke_again(&self, lists: ListsOrder) -> Arc<Spoke> {
        self.spoke.stop().await;
        let parts = self.parts(Arc::clone(&self.store), Arc::clone(&self.trust));
        registered(Spoke::start_with_lists(parts, lists).await.expect("a sharing side"))
    }

    fn parts(&self, store: Shared, trust: Arc<Trust>) -> Parts {
        Parts {
            world: self.world.clone(),
            store,
            auditor: Arc::clone(&self.auditor),
            authority: Arc::clone(&self.authority) as Arc<dyn Issuer>,
            instance: self.id,
            name: name("office"),
            listen: loopback(),
            limits: link::Limits::default(),
            certificate_life: domain::renewal::LIFE,
            trust,
            kek: Arc::clone(&self.kek),
            ways: direction::ways(),
            trails: self.trails.clone(),
        }
    }

    /// Adds a user to the workspace.
    pub async fn user(&self, user: &str, role: Role) -> UserId {
        let id = UserId(self.world.uuid());
        let added = self.store.add_user(id, &name(user), None, &name("main"), role, self.act(Act::UserAdd)).await;
        added.expect("a user").id
    }

    /// Adds a team with members.
    pub async fn team(&self, id: &str, members: &[&str]) {
        let (workspace, id) = (name("main"), team(id));
        self.store.add_team(&workspace, &id, self.act(Act::TeamEdit)).await.expect("a team");
        for member in members {
            let (member, record) = (name(member), self.act(Act::TeamEdit));
            let set = self.store.set_member(&workspace, &id, &member, Some(Role::Member), record);
            set.await.expect("a member");
        }
    }

    /// Writes rows on behalf of a user.
    pub async fn put(&self, user: UserId, items: Vec<NewItem>) {
        let put = self.store.put(self.workspace, user, items, After::Keep).await.expect("rows");
        assert!(put.iter().all(|one| matches!(one, Put::Added(_))), "{put:?}");
    }

    /// Makes a grant for `subject` with `spec` (JSON without its workspace), and its invite.
    pub async fn grant(&self, subject: &str, spec: &str) -> (Grant, Invite) {
        let mut spec: serde_json::Value = serde_json::from_str(spec).expect("JSON");
        spec["workspace"] = "main".into();
        let spec: Spec = serde_json::from_value(spec).expect("a scope");
        let label = name(&format!("grant-{}", &self.world.uuid().to_string()[..8]));
        let order = GrantOrder {
            name: label,
            subject: name(subject),
            spec,
            personal_default: true,
            sensitive: false,
            narrow: false,
        };
        let created = self.spoke.create(self.by(), order).await.expect("a grant");
        (created.grant, Invite::decode(created.invite.expose()).expect("an invite"))
    }

    /// A grant as it stands.
    pub async fn standing(&self, id: GrantId) -> Grant {
        let views = self.store.grants().await.expect("grants");
        views.into_iter().map(|view| view.grant).find(|grant| grant.id == id).expect("the grant")
    }

    /// The last `limit` entries of the log.
    pub async fn log(&self, limit: u32) -> Vec<domain::audit::Entry> {
        let query = AuditQuery { limit, last: true, ..AuditQuery::default() };
        self.store.entries(&query).await.expect("the log")
    }

    /// The owner, in a request of their own.
    pub fn by(&self) -> By {
        By { user: self.owner, request: RequestId(self.world.uuid()) }
    }

    /// A record of the owner's, for what a test does itself.
    pub fn act(&self, act: Act) -> Record {
        Record::act(self.world.now(), act, self.owner, RequestId(self.world.uuid()))
    }
}

fn registered(spoke: Arc<Spoke>) -> Arc<Spoke> {
    direction::register(&spoke);
    spoke
}

/// Free ports of loopback.
pub fn loopback() -> Listen {
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    Listen { links: any, enrolment: any, advertise: Vec::new(), public_names: Vec::new() }
}

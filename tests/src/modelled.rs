//! Both sides of links with real certificates, listeners and hubs, over the store in memory: no process but this one, so that many come and
//! go in a second, and what a process has can be counted. For what depends on the database there are [`crate::instance`] and
//! [`crate::home`].

use crate::{
    cluster, direction,
    instance::{loopback, name},
    proxy::Proxy,
};
use domain::{
    audit::{Act, Record},
    grant::Grant,
    id::{GrantId, InstanceId, ItemId, RequestId, UserId, WorkspaceId},
    invite::Invite,
    item::NewItem,
    rights::Role,
    scope::{Rate, Spec},
    world::World,
};
use hub::{Asker, Deadlines, Hub};
use link::{DialPolicy, Dialler, Limits, Ways, dial::DialLimits};
use pki::{Authority, Issuer, Kek};
use spoke::{By, Edit, GrantOrder, Spoke, road::limit};
use std::sync::Arc;
use store::{After, Auditor, InstanceRecord, Put, Shared, model::Model};

/// More calls than a test makes.
const ANY: Rate = Rate { per_minute: 100_000, burst: 100_000 };

/// A sharing instance.
pub struct Sharing {
    /// Its clock and randomness.
    pub world: World,
    /// Its store.
    pub store: Shared,
    /// Its sharing side.
    pub spoke: Arc<Spoke>,
    /// Its one workspace, `main`.
    pub workspace: WorkspaceId,
    /// The workspace's owner, `owner`.
    pub owner: UserId,
}

/// An asking instance.
pub struct Asking {
    /// Its clock and randomness.
    pub world: World,
    /// Its store.
    pub store: Shared,
    /// Its owner, who asks.
    pub owner: Asker,
    auditor: Arc<Auditor>,
    kek: Arc<Kek>,
    id: InstanceId,
}

impl Sharing {
    /// Starts an instance that calls itself `called`.
    pub async fn start(called: &str) -> Self {
        pki::install_provider();
        let world = World::system();
        let (id, owner, workspace) = (InstanceId(world.uuid()), UserId(world.uuid()), WorkspaceId(world.uuid()));
        let authority = Arc::new(Authority::create(&world, id).expect("a CA"));
        let store = store(&world, (id, called), authority.root_der(), (workspace, owner)).await;
        let (auditor, _writer) = Auditor::start(Arc::clone(&store), world.clock());
        let parts = spoke::Parts {
            world: world.clone(),
            store: Arc::clone(&store),
            auditor: Arc::new(auditor),
            authority: authority as Arc<dyn Issuer>,
            instance: id,
            name: name(called),
            listen: loopback(),
            limits: Limits { address_burst: 10_000, address_rate: 10_000, ..Limits::default() },
            certificate_life: domain::renewal::LIFE,
            trust: cluster::trust(),
            kek: Arc::new(Kek::generate(&world)),
            ways: direction::ways(),
            trails: link::Trails::default(),
        };
        let rates = limit::Limits::with_peer_rate(ANY).enrolling(ANY);
        let spoke = Spoke::start_within(parts, rates).await.expect("a sharing side");
        Self { world, store, spoke, workspace, owner }
    }

    /// Adds a user to the workspace.
    pub async fn user(&self, user: &str, role: Role) -> UserId {
        let (id, record) = (UserId(self.world.uuid()), self.act(Act::UserAdd));
        self.store.add_user(id, &name(user), None, &name("main"), role, record).await.expect("a user").id
    }

    /// Adds a team without members.
    pub async fn team(&self, id: &str) {
        let team = id.parse().expect("a team");
        self.store.add_team(&name("main"), &team, self.act(Act::TeamEdit)).await.expect("a team");
    }

    /// Writes rows on behalf of a user; their ids in the same order.
    pub async fn put(&self, user: UserId, items: Vec<NewItem>) -> Vec<ItemId> {
        put(&self.store, self.workspace, user, items).await
    }

    /// Makes a grant for the owner, and its invite, which leads to the proxy, and that to this instance's own listener.
    pub async fn grant(&self, spec: Spec, proxy: &Proxy) -> (Grant, Invite) {
        let label = name(&format!("grant-{}", &self.world.uuid().to_string()[..8]));
        let (subject, personal_default) = (name("owner"), true);
        let order = GrantOrder { name: label, subject, spec, personal_default, sensitive: false, narrow: false };
        let created = self.spoke.create(self.by(), order).await.expect("a grant");
        let mut invite = Invite::decode(created.invite.expose()).expect("an invite");
        let own = self.spoke.status().links_listener.expect("a listener, since there is a grant");
        proxy.lead_to(own);
        invite.addresses = vec![proxy.address().to_string()];
        (created.grant, invite)
    }

    /// Gives a grant another scope.
    pub async fn edit(&self, id: GrantId, spec: Spec) {
        let views = self.store.grants().await.expect("grants");
        let grant = views.into_iter().map(|view| view.grant).find(|grant| grant.id == id).expect("the grant");
        self.spoke.edit(self.by(), &grant, Edit::to(spec)).await.expect("an edit");
    }

    /// Ends a grant.
    pub async fn revoke(&self, id: GrantId) {
        self.spoke.revoke(self.by(), id).await.expect("a revocation");
    }

    fn by(&self) -> By {
        By { user: self.owner, request: RequestId(self.world.uuid()) }
    }

    fn act(&self, act: Act) -> Record {
        Record::act(self.world.now(), act, self.owner, RequestId(self.world.uuid()))
    }
}

impl Asking {
    /// Starts an instance; it asks over [`Asking::hub`].
    pub async fn start() -> Self {
        pki::install_provider();
        let world = World::system();
        let (id, user, workspace) = (InstanceId(world.uuid()), UserId(world.uuid()), WorkspaceId(world.uuid()));
        let store = store(&world, (id, "home"), &[1], (workspace, user)).await;
        let (auditor, _writer) = Auditor::start(Arc::clone(&store), world.clock());
        let owner = Asker::new(user, workspace, RequestId(world.uuid()));
        let kek = Arc::new(Kek::generate(&world));
        Self { world, store, owner, auditor: Arc::new(auditor), kek, id }
    }

    /// A hub as a daemon that starts has it: the same links and keys, no memory.
    pub fn hub(&self, deadlines: Deadlines, dial: DialLimits) -> Arc<Hub> {
        let ways = Ways::new(DialPolicy::this_machine());
        let parts = hub::Parts {
            world: self.world.clone(),
            store: Arc::clone(&self.store),
            auditor: Arc::clone(&self.auditor),
            kek: Arc::clone(&self.kek),
            instance: self.id,
            name: name("home"),
            dialler: Arc::new(Dialler::with(self.world.clock(), ways, Limits::default(), dial)),
            calls: hub::Listen {
                address: ([127, 0, 0, 1], 0).into(),
                advertise: Vec::new(),
                limits: Limits::default(),
            },
            try_addresses: false,
            hedge_after: None,
            trails: link::Trails::default(),
        };
        Hub::with_deadlines(parts, deadlines)
    }

    /// The owner with a new question.
    pub fn anew(&self) -> Asker {
        Asker { request: RequestId(self.world.uuid()), ..self.owner }
    }

    /// Writes rows of the owner's; their ids in the same order.
    pub async fn put(&self, items: Vec<NewItem>) -> Vec<ItemId> {
        put(&self.store, self.owner.workspace, self.owner.user, items).await
    }
}

async fn store(
    world: &World,
    (id, called): (InstanceId, &str),
    root: &[u8],
    (workspace, owner): (WorkspaceId, UserId),
) -> Shared {
    let store: Shared = Arc::new(Model::new(world.clock()));
    let key = vec![1];
    let (sealed_ca_key, sealed_audit_key) = (key.clone(), key);
    let instance = InstanceRecord { id, name: name(called), root: root.to_vec(), sealed_ca_key, sealed_audit_key };
    let begin = Record::act(world.now(), Act::Start, owner, RequestId(world.uuid()));
    let (workspace, owner) = ((workspace, name("main")), (owner, name("owner"), None));
    store.create_instance(&instance, workspace, owner, begin).await.expect("an instance");
    store
}

async fn put(store: &Shared, workspace: WorkspaceId, user: UserId, items: Vec<NewItem>) -> Vec<ItemId> {
    let put = store.put(workspace, user, items, After::Keep).await.expect("rows");
    let added = put.into_iter().map(|put| if let Put::Added(Some(id)) = put { id } else { panic!("{put:?}") });
    added.collect()
}

//! An asking instance in this process: a real database of its own, and the hub over it.

use crate::{
    cluster::Database,
    direction,
    instance::{home_name, name},
};
use domain::{
    audit::{Act, Record},
    id::{InstanceId, RequestId, UserId, WorkspaceId},
    item::NewItem,
    rights::Role,
    world::World,
};
use hub::{Asker, Hub, Parts};
use pki::Kek;
use std::sync::Arc;
use store::{After, Auditor, InstanceRecord, Shared};

/// One asking instance.
pub struct Home {
    /// Its id.
    pub id: InstanceId,
    /// Its clock and randomness.
    pub world: World,
    /// Its database, with the superuser's connection among others.
    pub database: Database,
    /// Its store.
    pub store: Shared,
    /// Its asking side.
    pub hub: Arc<Hub>,
    /// Its owner, who asks.
    pub owner: Asker,
    /// What its links' keys are sealed with.
    pub kek: Arc<Kek>,
    parts: Box<dyn Fn() -> Parts + Send + Sync>,
}

impl Home {
    /// Starts an instance on `database`, with the machine's clock.
    pub async fn start_on(database: Database) -> Self {
        Self::start_in(World::system(), database).await
    }

    /// Starts an instance on `database`, in a world of the test's own.
    pub async fn start_in(world: World, database: Database) -> Self {
        pki::install_provider();
        let store: Shared = database.store_at(&world).await;
        let (id, user, workspace) = (InstanceId(world.uuid()), UserId(world.uuid()), WorkspaceId(world.uuid()));
        let instance =
            InstanceRecord { id, name: home_name(), root: vec![1], sealed_ca_key: vec![1], sealed_audit_key: vec![1] };
        let begin = Record::act(world.now(), Act::Start, user, RequestId(world.uuid()));
        let people = ((workspace, name("main")), (user, name("owner"), None));
        store.create_instance(&instance, people.0, people.1, begin).await.expect("an instance");
        let (auditor, _writer) = Auditor::start(Arc::clone(&store), world.clock());
        let (auditor, kek, dialler) =
            (Arc::new(auditor), Arc::new(Kek::generate(&world)), Arc::new(direction::dialler(world.clock())));
        let (of, shared) = (world.clone(), Arc::clone(&store));
        let sealing = Arc::clone(&kek);
        let parts = Box::new(move || Parts {
            world: of.clone(),
            store: Arc::clone(&shared),
            auditor: Arc::clone(&auditor),
            kek: Arc::clone(&kek),
            instance: id,
            name: home_name(),
            dialler: Arc::clone(&dialler),
            calls: hub::Listen {
                address: ([127, 0, 0, 1], 0).into(),
                advertise: Vec::new(),
                limits: link::Limits::default(),
            },
            try_addresses: true,
            hedge_after: None,
            trails: link::Trails::default(),
        });
        let owner = Asker::new(user, workspace, RequestId(world.uuid()));
        Self { id, hub: Hub::new(parts()), parts, kek: sealing, owner, world, database, store }
    }

    /// A hub as it would be after a restart: the same database and key, no memory.
    pub fn restarted(&self) -> Arc<Hub> {
        Hub::new((self.parts)())
    }

    /// The same, taking calls there.
    pub fn restarted_at(&self, calls: std::net::SocketAddr) -> Arc<Hub> {
        let parts = (self.parts)();
        Hub::new(Parts { calls: hub::Listen { address: calls, ..parts.calls.clone() }, ..parts })
    }

    /// The owner with a new question.
    pub fn anew(&self) -> Asker {
        Asker { request: RequestId(self.world.uuid()), ..self.owner }
    }

    /// Adds a second person.
    pub async fn person(&self, person: &str) -> Asker {
        let record = Record::act(self.world.now(), Act::UserAdd, self.owner.user, RequestId(self.world.uuid()));
        let (id, workspace) = (UserId(self.world.uuid()), name("main"));
        let added = self.store.add_user(id, &name(person), None, &workspace, Role::Member, record).await;
        Asker { user: added.expect("a user").id, ..self.anew() }
    }

    /// Writes rows of the owner's.
    pub async fn put(&self, items: Vec<NewItem>) {
        self.store.put(self.owner.workspace, self.owner.user, items, After::Keep).await.expect("rows");
    }
}

//! An asking instance in this process: a real database of its own, and the hub over it.

use crate::{
    cluster::Database,
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
use link::Dialler;
use pki::Kek;
use std::sync::Arc;
use store::{After, Auditor, InstanceRecord, Shared};

/// One asking instance.
pub struct Home {
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
}

impl Home {
    /// Starts an instance on `database`, with the machine's clock.
    pub async fn start_on(database: Database) -> Self {
        pki::install_provider();
        let world = World::system();
        let store: Shared = database.store().await;
        let (id, user, workspace) = (InstanceId(world.uuid()), UserId(world.uuid()), WorkspaceId(world.uuid()));
        let instance =
            InstanceRecord { id, name: home_name(), root: vec![1], sealed_ca_key: vec![1], sealed_audit_key: vec![1] };
        let begin = Record::act(world.now(), Act::Start, user, RequestId(world.uuid()));
        let people = ((workspace, name("main")), (user, name("owner"), None));
        store.create_instance(&instance, people.0, people.1, begin).await.expect("an instance");
        let (auditor, _writer) = Auditor::start(Arc::clone(&store), world.clock());
        let parts = Parts {
            world: world.clone(),
            store: Arc::clone(&store),
            auditor: Arc::new(auditor),
            kek: Arc::new(Kek::generate(&world)),
            instance: id,
            name: home_name(),
            dialler: Arc::new(Dialler::new(world.clock())),
        };
        let owner = Asker { user, workspace, request: RequestId(world.uuid()) };
        Self { hub: Hub::new(parts), owner, world, database, store }
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

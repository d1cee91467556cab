//! What every case begins with: an instance with the workspace `main` and its owner `olga`, under a clock that moves only
//! when told, and short words for what cases do again and again.

use domain::{
    Caller, Permitted, Time,
    audit::{Act, Ending, Record, Stage, Subject},
    caller::Presented,
    decide,
    grant::{Grant, Leaf, State},
    id::{GrantId, InstanceId, InviteId, ItemId, Name, RequestId, Resource, Serial, Spki, UserId, WorkspaceId},
    invite::{Claimant, OPEN_LIFE},
    item::{Item, NewItem},
    kind::Kinds,
    operation::{Get, List, Method, Operation},
    rights::Role,
    scope::{Context, Scope, Spec, spec::FilterSpec},
    words::Nonce,
    world::{Clock, FakeClock, SeededRng, World},
};
use std::{net::SocketAddr, sync::Arc};
use store::{Access, After, Enrolment, InstanceRecord, NewInvite, Put, Shared, StoreError, model::Model};
use tests::cluster::{Database, database};

/// 2026-11-21T09:30:00Z
pub const START: Time = Time::from_seconds(1_795_253_400);

/// A store with an instance in it.
pub struct Bench {
    pub store: Shared,
    pub clock: Arc<FakeClock>,
    pub world: World,
    pub workspace: WorkspaceId,
    pub owner: UserId,
    /// On PostgreSQL: where. Also keeps the database from being dropped.
    pub database: Option<Database>,
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn tasks() -> Resource {
    "tasks".parse().unwrap()
}

/// A task with nothing but a title.
pub fn task(title: &str) -> NewItem {
    NewItem {
        resource: tasks(),
        title: title.to_owned(),
        body: None,
        team: None,
        project: None,
        tags: [].into(),
        attributes: serde_json::Map::new(),
        source_key: None,
        created_at: None,
    }
}

/// A task of a team.
pub fn team_task(title: &str, team: &str) -> NewItem {
    NewItem { team: Some(team.parse().unwrap()), ..task(title) }
}

/// Tasks of `main`, of which rows `filter` says.
pub fn sharing(filter: FilterSpec) -> Spec {
    let mut spec = Spec::sharing(name("main"), vec!["tasks".into()]);
    spec.filters.insert("tasks".into(), filter);
    spec
}

/// Everything the subject may see.
pub fn everything() -> Spec {
    sharing(FilterSpec { include_personal: Some(true), ..FilterSpec::default() })
}

pub fn titles<'a>(items: impl IntoIterator<Item = &'a Item>) -> Vec<String> {
    items.into_iter().map(|item| item.title.clone().unwrap_or_default()).collect()
}

impl Bench {
    pub async fn on_postgres() -> Self {
        let database = database().await;
        let (clock, world) = world();
        let store = database.store_at(&world).await;
        Self::begin(store, clock, world, Some(database)).await
    }

    pub async fn on_model() -> Self {
        let (clock, world) = world();
        Self::begin(Arc::new(Model::new(world.clock())), clock, world, None).await
    }

    async fn begin(store: Shared, clock: Arc<FakeClock>, world: World, database: Option<Database>) -> Self {
        let (workspace, owner) = (WorkspaceId(world.uuid()), UserId(world.uuid()));
        let bench = Self { store, clock, world, workspace, owner, database };
        let record = bench.act(Act::Start);
        let made = (workspace, name("main"));
        bench.store.create_instance(&bench.identity(), made, (owner, name("olga"), None), record).await.unwrap();
        bench
    }

    pub fn identity(&self) -> InstanceRecord {
        InstanceRecord {
            id: InstanceId(self.world.uuid()),
            name: name("office"),
            root: vec![1],
            sealed_ca_key: vec![2],
            sealed_audit_key: vec![3],
        }
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The record of an act of the owner.
    pub fn act(&self, act: Act) -> Record {
        Record::act(self.now(), act, self.owner, RequestId(self.world.uuid()))
    }

    pub async fn user(&self, user: &str, role: Role) -> UserId {
        let id = UserId(self.world.uuid());
        let record = self.act(Act::UserAdd);
        self.store.add_user(id, &name(user), None, &name("main"), role, record).await.unwrap();
        id
    }

    pub async fn team(&self, team: &str, members: &[&str]) {
        let id = team.parse().unwrap();
        self.store.add_team(&name("main"), &id, self.act(Act::TeamEdit)).await.unwrap();
        for member in members {
            let (role, record) = (Some(Role::Member), self.act(Act::TeamEdit));
            self.store.set_member(&name("main"), &id, &name(member), role, record).await.unwrap();
        }
    }

    /// Writes rows a second apart, so that their order is theirs; all must be new.
    pub async fn put(&self, user: UserId, items: impl IntoIterator<Item = NewItem>) -> Vec<ItemId> {
        let mut ids = Vec::new();
        for item in items {
            self.clock.advance(std::time::Duration::from_secs(1));
            match self.store.put(self.workspace, user, vec![item], After::Keep).await.unwrap().pop() {
                Some(Put::Added(Some(id))) => ids.push(id),
                other => panic!("not added: {other:?}"),
            }
        }
        ids
    }

    pub fn scope(&self, spec: &Spec) -> Scope {
        let context = Context { kinds: Kinds::builtin(), now: self.now(), personal: false, sensitive: false };
        spec.close(context).unwrap()
    }

    /// A grant that nobody holds yet.
    pub async fn pending(&self, grant: &str, subject: UserId, spec: &Spec) -> Grant {
        let grant = self.draft(grant, subject, spec);
        self.store.create_grant(&grant, self.about(Act::GrantCreate, grant.id)).await.unwrap();
        grant
    }

    pub fn draft(&self, grant: &str, subject: UserId, spec: &Spec) -> Grant {
        Grant {
            id: GrantId(self.world.uuid()),
            name: name(grant),
            workspace: self.workspace,
            subject,
            peer: None,
            scope: self.scope(spec),
            state: State::Pending,
            generation: 1,
            renewals: 0,
            leaf: None,
            successor: None,
            former: None,
        }
    }

    /// A grant in use.
    pub async fn grant(&self, grant: &str, subject: UserId, spec: &Spec) -> Grant {
        let pending = self.pending(grant, subject, spec).await;
        let peer = InstanceId(self.world.uuid());
        self.activate(pending.id, peer, "home", &self.leaf()).await.unwrap()
    }

    /// Gives a grant to a peer, by an invite that is used at once.
    pub async fn activate(
        &self,
        grant: GrantId,
        peer: InstanceId,
        called: &str,
        leaf: &Leaf,
    ) -> Result<Grant, StoreError> {
        let (invite, now, digest) = (InviteId(self.world.uuid()), self.now(), self.world.bytes());
        let made = NewInvite { id: invite, grant, digest, expires_at: now + OPEN_LIFE, key: None, confirm: false };
        self.store.create_invite(&made, self.about(Act::InviteCreate, grant)).await?;
        let claimed = self.store.claim_invite(invite, by(leaf.spki), now, self.about(Act::InviteClaim, grant)).await?;
        assert!(claimed, "a fresh invite is open to anybody");
        let (peer_name, certificate) = (&name(called), &leaf.spki.0[..]);
        let enrolment = Enrolment { invite, peer, peer_name, leaf, certificate };
        Ok(self.store.enrol_grant(enrolment, self.about(Act::Certificate, grant)).await?.grant)
    }

    /// The grants that stand.
    pub async fn standing(&self) -> Vec<Grant> {
        self.store.standing(None).await.unwrap().live().collect()
    }

    pub fn about(&self, act: Act, grant: GrantId) -> Record {
        Record { grant: Some(grant), ..self.act(act) }
    }

    pub fn leaf(&self) -> Leaf {
        let not_after = self.now() + std::time::Duration::from_hours(24 * 30);
        Leaf { serial: Serial::new(&self.world.bytes::<16>()).unwrap(), spki: Spki(self.world.bytes()), not_after }
    }

    /// The permit that the holder of `grant` gets.
    pub fn permit<O: Operation<Ground = Grant>>(&self, grant: &Grant, operation: O) -> Permitted<O> {
        let leaf = grant.leaf.clone().unwrap();
        let presented = Presented {
            peer: grant.peer.unwrap(),
            grant: grant.id,
            subject: grant.subject,
            serial: leaf.serial,
            spki: leaf.spki,
            issued_at: self.now(),
            not_after: leaf.not_after,
            address: SocketAddr::from(([127, 0, 0, 1], 9)),
        };
        let caller = Caller::present(&presented, Some(Arc::new(grant.clone())), self.now()).unwrap();
        decide(&caller, operation).unwrap()
    }

    /// What the holder of `grant` lists.
    pub async fn listed(&self, grant: &Grant) -> Vec<Item> {
        let permit = self.permit(grant, List::first(tasks()));
        self.store.list(Access::Granted(&permit)).await.unwrap().items
    }

    /// What the holder of `grant` gets for an id.
    pub async fn got(&self, grant: &Grant, id: ItemId) -> Option<Item> {
        let permit = self.permit(grant, Get { resource: tasks(), id });
        self.store.get(Access::Granted(&permit)).await.unwrap().map(|(item, _)| item)
    }

    /// What a local user lists.
    pub async fn native(&self, user: UserId) -> Vec<Item> {
        let operation = List::first(tasks());
        let access = Access::Native { workspace: self.workspace, user, operation: &operation };
        self.store.list(access).await.unwrap().items
    }

    /// What a local user gets for an id.
    pub async fn native_get(&self, user: UserId, id: ItemId) -> Option<Item> {
        let operation = Get { resource: tasks(), id };
        let access = Access::Native { workspace: self.workspace, user, operation: &operation };
        self.store.get(access).await.unwrap().map(|(item, _)| item)
    }

    /// The record of an answer that was decided under `grant` as it is given.
    pub fn answered(&self, grant: &Grant) -> Record {
        let (about, request) = (Subject::Call(Method::List), RequestId(self.world.uuid()));
        let record = Record::new(self.now(), Stage::Release, Ending::Answered, about, request);
        Record { grant: Some(grant.id), peer: grant.peer, generation: Some(grant.generation), rows: 3, ..record }
    }
}

fn world() -> (Arc<FakeClock>, World) {
    let clock = Arc::new(FakeClock::new(START));
    (Arc::clone(&clock), World::new(clock, Arc::new(SeededRng::new(42))))
}

/// Whoever uses an invite with this key.
pub fn by(key: Spki) -> Claimant {
    Claimant { key, nonce: Nonce([6; 32]) }
}

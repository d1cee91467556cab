//! This instance: users alice and bob, the store model, a real audit writer, a hub with short deadlines.

use crate::side::Side;
use async_trait::async_trait;
use domain::{
    Time,
    answer::{Outcome, Page, SourceOutcome},
    audit::{Act, Entry, Head, Record},
    id::{InstanceId, Name, RequestId, UserId, WorkspaceId},
    item::NewItem,
    rights::Role,
    secret::Secret,
    world::World,
};
use hub::{Asker, Deadlines, Hub, Linked, Parts, Question, Sources};
use link::{DialPolicy, Dialler, Limits, Ways, dial::DialLimits};
use pki::Kek;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{
    After, AuditLog, AuditQuery, Auditor, Committed, Instance, InstanceRecord, Items, People, StoreError, model::Model,
};

/// The asking instance.
pub struct Home {
    pub world: World,
    pub model: Arc<Model>,
    pub log: Arc<Log>,
    pub hub: Arc<Hub>,
    pub trails: link::Trails,
    parts: Box<dyn Fn() -> Parts + Send + Sync>,
    pub alice: Asker,
    pub bob: Asker,
}

/// The log, which can be made to fail.
pub struct Log {
    model: Arc<Model>,
    pub broken: AtomicBool,
    pub stuck: AtomicBool,
    /// Batches that came while it was stuck.
    pub waited: AtomicU64,
}

#[async_trait]
impl AuditLog for Log {
    async fn commit(&self, batch: &[Record]) -> Result<Vec<Committed>, StoreError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        self.waited.fetch_add(u64::from(self.stuck.load(Ordering::SeqCst)), Ordering::SeqCst);
        while self.stuck.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.model.commit(batch).await
    }

    async fn entries(&self, query: &AuditQuery) -> Result<Vec<Entry>, StoreError> {
        self.model.entries(query).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.model.head().await
    }
}

/// Deadlines that keep tests short, in the proportions of the real ones.
pub const DEADLINES: Deadlines = Deadlines { source: Duration::from_secs(2), overall: Duration::from_secs(10) };

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl Home {
    pub async fn new() -> Self {
        Self::with(DEADLINES).await
    }

    pub async fn with(deadlines: Deadlines) -> Self {
        let world = World::system();
        let model = Arc::new(Model::new(world.clock()));
        let instance = InstanceId(world.uuid());
        let (alice, bob) = people(&model, &world, instance).await;
        let log = Arc::new(Log {
            model: Arc::clone(&model),
            broken: AtomicBool::default(),
            stuck: AtomicBool::default(),
            waited: AtomicU64::default(),
        });
        let (auditor, _) = Auditor::start(Arc::clone(&log), world.clock());
        let dial = DialLimits { connect: Duration::from_secs(1), established: Duration::from_millis(1_500) };
        let dialler = Dialler::with(world.clock(), Ways::new(DialPolicy::this_machine()), Limits::default(), dial);
        let (auditor, kek, dialler) = (Arc::new(auditor), Arc::new(Kek::generate(&world)), Arc::new(dialler));
        let (shared, of) = (Arc::clone(&model), world.clone());
        let trails = link::Trails::default();
        let told = trails.clone();
        let parts = Box::new(move || Parts {
            world: of.clone(),
            store: Arc::clone(&shared) as store::Shared,
            auditor: Arc::clone(&auditor),
            kek: Arc::clone(&kek),
            instance,
            name: name("laptop"),
            dialler: Arc::clone(&dialler),
            calls: hub::Listen {
                address: ([127, 0, 0, 1], 0).into(),
                advertise: Vec::new(),
                limits: link::Limits::default(),
            },
            try_addresses: true,
            trails: told.clone(),
            hedge_after: None,
        });
        let hub = Hub::with_deadlines(parts(), deadlines);
        Self { world, model, log, hub, trails, parts, alice, bob }
    }

    /// Alice with a new question.
    pub fn anew(&self) -> Asker {
        Asker { request: RequestId(self.world.uuid()), ..self.alice }
    }

    /// A hub as it would be after a restart: the same database and key, no memory.
    pub fn restarted(&self) -> Arc<Hub> {
        self.restarted_with(DEADLINES)
    }

    /// The same with these deadlines.
    pub fn restarted_with(&self, deadlines: Deadlines) -> Arc<Hub> {
        Hub::with_deadlines((self.parts)(), deadlines)
    }

    /// The same, asking once more after so long, with these deadlines.
    pub fn restarted_hedging(&self, after: Duration, deadlines: Deadlines) -> Arc<Hub> {
        Hub::with_deadlines(Parts { hedge_after: Some(after), ..(self.parts)() }, deadlines)
    }

    /// The same with `try_addresses` turned off.
    pub fn restarted_without_trying(&self) -> Arc<Hub> {
        Hub::with_deadlines(Parts { try_addresses: false, ..(self.parts)() }, DEADLINES)
    }

    /// Alice's link to `side`, under the side's name.
    pub async fn link(&self, side: &Side) -> Linked {
        self.hub.link(&self.alice, &side.invite().encode(), None).await.unwrap()
    }

    /// Alice's own tasks; `at` as in [`crate::side::task`].
    pub async fn add_tasks(&self, at: impl IntoIterator<Item = i64>) {
        let items = at.into_iter().map(new_task).collect();
        self.model.put(self.alice.workspace, self.alice.user, items, After::Keep).await.unwrap();
    }

    /// Alice asks all sources.
    pub async fn ask(&self, limit: u32) -> Page {
        self.hub.page(&self.alice, tasks(Sources::All, limit)).await.unwrap().part().0
    }

    /// The whole log, in order.
    pub async fn model_log(&self) -> Vec<Entry> {
        self.model.entries(&AuditQuery::default()).await.unwrap()
    }

    /// Every record of asking, in order.
    pub async fn asked(&self) -> Vec<Entry> {
        let entries = self.model.entries(&AuditQuery::default()).await.unwrap();
        entries.into_iter().filter(|entry| entry.about == "ask").collect()
    }
}

/// The question for tasks.
pub fn tasks(from: Sources, limit: u32) -> Question {
    let resource = "tasks".parse().unwrap();
    Question { from, resource, limit, include_body: false, cursor: None, strict: false, fresh: false }
}

/// Sources by name.
pub fn from(names: &[&str]) -> Sources {
    Sources::Some(names.iter().map(|name| (*name).to_owned()).collect())
}

/// Has `side` answer something, so that what it says is asked for again, however often it failed.
pub async fn answered(home: &Home, side: &Side) {
    assert_eq!(home.hub.ping(&home.alice, &side.name).await.unwrap().outcome.outcome, Outcome::Ok);
}

/// How this source ended.
pub fn ended<'a>(page: &'a Page, source: &str) -> &'a SourceOutcome {
    page.sources.iter().find(|ended| ended.source == source).unwrap()
}

/// Asserts how a source ended, and that the reason has a cause and a next step.
pub fn assert_ended(page: &Page, source: &str, outcome: Outcome, word: &str) {
    let ended = ended(page, source);
    assert_eq!(ended.outcome, outcome, "{ended:?}");
    let reason = ended.reason.as_deref().unwrap_or_default();
    assert!(reason.contains(word) && !reason.chars().any(char::is_control), "{reason}");
}

fn new_task(at: i64) -> NewItem {
    NewItem {
        resource: "tasks".parse().unwrap(),
        title: format!("mine {at}"),
        body: Some("text".into()),
        team: None,
        project: None,
        tags: std::collections::BTreeSet::new(),
        attributes: serde_json::Map::new(),
        source_key: None,
        created_at: Some(Time::from_seconds(1_790_000_000 + at)),
    }
}

async fn people(model: &Model, world: &World, instance: InstanceId) -> (Asker, Asker) {
    let (workspace, alice, bob) = (WorkspaceId(world.uuid()), UserId(world.uuid()), UserId(world.uuid()));
    let record = |act| Record::act(world.now(), act, alice, RequestId(world.uuid()));
    let identity = InstanceRecord {
        id: instance,
        name: name("laptop"),
        root: Vec::new(),
        sealed_ca_key: Vec::new(),
        sealed_audit_key: Vec::new(),
    };
    let owner = (alice, name("alice"), None);
    model.create_instance(&identity, (workspace, name("main")), owner, record(Act::Start)).await.unwrap();
    let (second, main) = (name("bob"), name("main"));
    model.add_user(bob, &second, None, &main, Role::Member, record(Act::UserAdd)).await.unwrap();
    let asker = |user| Asker::new(user, workspace, RequestId(world.uuid()));
    (asker(alice), asker(bob))
}

/// An invite with a token of its own, as the owner of `side` would make a second one.
pub fn fresh_invite(side: &Side, digit: char) -> String {
    let mut invite = side.invite();
    invite.token = Secret::new(digit.to_string().repeat(64));
    invite.encode()
}

//! The asking side: the daemon's hub on a PostgreSQL of its own, in this process, with a log that is durable.

use super::wire::Wire;
use anyhow::{Context, Result};
use domain::{
    answer::{Outcome, Page, Step},
    audit::{Act, Record},
    id::{InstanceId, Name, RequestId, UserId, WorkspaceId},
    world::World,
};
use futures::stream::BoxStream;
use hub::{Asker, Hub, Listen, Parts, Question, Sources};
use link::{DialPolicy, Dialler, Ways};
use pki::{Authority, Kek};
use std::{net::Ipv4Addr, sync::Arc};
use store::{
    Auditor, Instance as _, InstanceRecord, Trust,
    embedded::{Config, Lifetime, Server},
    postgres::Postgres,
};
use tempfile::TempDir;

/// More rows than all sources have together.
const LIMIT: u32 = 10_000;

pub struct Home {
    /// What its connections do.
    pub wire: Wire,
    world: World,
    server: Server,
    store: Arc<Postgres>,
    hub: Arc<Hub>,
    asker: Asker,
    _directory: TempDir,
}

impl Home {
    pub async fn start() -> Result<Self> {
        let (world, directory) = (World::system(), tempfile::tempdir()?);
        let (instance, workspace, user) = (InstanceId(world.uuid()), WorkspaceId(world.uuid()), UserId(world.uuid()));
        let config = Config {
            programs: None,
            data_dir: directory.path().join("data"),
            instance: instance.0,
            lifetime: Lifetime::Temporary,
        };
        let server = Server::start(config).await?;
        let key = domain::seal::RowKey::new([7; 32]);
        let trust = Trust::open(&directory.path().join("grants.floor"), key)?;
        let store = Arc::new(Postgres::connect(server.owner(), server.app(), world.clock(), Arc::new(trust)).await?);
        let record = InstanceRecord {
            id: instance,
            name: "home".parse()?,
            root: Authority::create(&world, instance)?.root_der().to_vec(),
            sealed_ca_key: vec![0],
            sealed_audit_key: vec![0],
        };
        let made = Record::act(world.now(), Act::Start, user, RequestId(world.uuid()));
        store.create_instance(&record, (workspace, "main".parse()?), (user, "alice".parse()?, None), made).await?;
        let (auditor, _writer) = Auditor::start(Arc::clone(&store) as _, world.clock());
        let wire = Wire::new();
        let ways = Ways::new(DialPolicy::this_machine()).over(Arc::new(wire.clone()));
        let hub = Hub::new(Parts {
            world: world.clone(),
            store: Arc::clone(&store) as _,
            auditor: Arc::new(auditor),
            kek: Arc::new(Kek::generate(&world)),
            instance,
            name: "home".parse()?,
            dialler: Arc::new(Dialler::new(world.clock(), ways)),
            calls: Listen {
                address: (Ipv4Addr::LOCALHOST, 0).into(),
                advertise: Vec::new(),
                limits: link::Limits::default(),
            },
            try_addresses: false,
            hedge_after: None,
            trails: link::Trails::default(),
        });
        let asker = Asker::new(user, workspace, RequestId(world.uuid()));
        Ok(Self { wire, world, server, store, hub, asker, _directory: directory })
    }

    fn anew(&self) -> Asker {
        Asker { request: RequestId(self.world.uuid()), ..self.asker }
    }

    /// Makes a link of this name.
    pub async fn link(&self, name: &str, invite: &str) -> Result<()> {
        let linked = self.hub.link(&self.anew(), invite, Some(name.parse()?)).await?;
        let first = linked.first.outcome;
        anyhow::ensure!(first.outcome == Outcome::Ok, "{name} does not answer: {first:?}");
        Ok(())
    }

    /// One merged page of everything that these sources have, kept answers left out.
    pub async fn page(&self, names: &[String]) -> Result<Page> {
        Ok(self.hub.page(&self.anew(), question(names)?).await?.part().0)
    }

    /// The same as rows that arrive.
    pub async fn stream(&self, names: &[String]) -> Result<BoxStream<'static, Step>> {
        Ok(self.hub.stream(&self.anew(), question(names)?).await?)
    }

    /// Has a link connect anew.
    pub async fn try_anew(&self, name: &str) -> Result<()> {
        let name: Name = name.parse()?;
        self.hub.ping(&self.anew(), &name).await.context("no ping")?;
        Ok(())
    }

    pub async fn stop(self) {
        self.hub.stop().await;
        self.store.close().await;
        // A temporary server ends with this process in any case.
        drop(self.server.stop().await);
    }
}

fn question(names: &[String]) -> Result<Question> {
    Ok(Question {
        from: Sources::Some(names.to_vec()),
        resource: "tasks".parse()?,
        limit: LIMIT,
        include_body: false,
        cursor: None,
        strict: false,
        fresh: true,
    })
}

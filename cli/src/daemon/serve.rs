//! `mosaic-fed serve`: everything the daemon is made of, opened in order and closed in the reverse.

use super::{
    alert::{self, Alerts},
    ca,
    database::Database,
    identity, kek, log,
    otlp::Exporting,
};
use crate::{
    config::{Config, HedgeAfter},
    exit::{Exit, Failure, Outcome},
    out::Out,
    place::{Marker, Place},
};
use api::{About, Collector, Door, head, shape};
use clap::Args;
use domain::{
    audit::{Act, Ending, Record, Stage, Subject},
    id::{Name, RequestId},
    world::World,
};
use hub::Hub;
use nix::sys::{prctl, resource};
use schemars::JsonSchema;
use serde::Serialize;
use spoke::{CLOCK_IS_RIGHT, Listen, Spoke};
use std::{path::PathBuf, sync::Arc, time::Duration};
use store::{Auditor, Instance, InstanceRecord, Shared};
use tokio::{signal::unix, task::JoinHandle};

/// How long the last records may take to be written.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// The arguments of `serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// What to log, as in info or warn,spoke=debug; the setting `log` if not given
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Take this machine's clock as right, though the log has later times: it was ahead once. Grants are made again
    #[arg(long)]
    clock_is_right: bool,
    /// Take the audit log as it is, though it had reached further or said something else: a backup of the database was put back.
    /// The log records it
    #[arg(long)]
    audit_put_back: bool,
}

/// What the operator answers for at a start.
#[derive(Clone, Copy)]
struct Answers {
    clock_is_right: bool,
    audit_put_back: bool,
}

/// What runs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Running {
    /// What the instance calls itself.
    #[schemars(with = "shape::Name")]
    name: Name,
    /// The program's version.
    version: &'static str,
    /// The daemon's process id.
    pid: u32,
    /// Where everything of the instance lies.
    directory: PathBuf,
    /// Where commands reach it.
    socket: PathBuf,
    /// What database it uses; never with a password.
    database: String,
    /// Where links are served; null while there is no grant.
    links: Option<String>,
    /// Where invites are taken; null while there is no open invite.
    enrolment: Option<String>,
}

/// Runs the instance until SIGTERM, SIGINT or SIGHUP.
pub async fn run(args: &ServeArgs, place: &Place, out: &Out) -> Outcome {
    let open_to_others = place.guarded()?;
    let marker = place.marker()?;
    let mut config = Config::read(&place.config(), std::env::vars())?;
    config.log = args.log.clone().unwrap_or(config.log);
    alert::checked(&config.alert_command).map_err(|failure| failure.set_by(&place.config().display().to_string()))?;
    let exporting = Exporting::begin(&config, marker.instance)?;
    log::start(&config, exporting.as_ref())?;
    remark(open_to_others, place);
    let _lock = place.lock()?;
    keep_memory_private()?;
    // A start is never broken off half-way: its PostgreSQL would stay behind. A signal meanwhile stops the daemon at once.
    let stop = told_to_stop()?;
    let ServeArgs { clock_is_right, audit_put_back, .. } = *args;
    let answers = Answers { clock_is_right, audit_put_back };
    let collector = exporting.as_ref().map(|exporting| Arc::clone(&exporting.collector));
    let daemon = Daemon::open(&config, place, &marker, (answers, collector)).await?;
    // A daemon is not there to be read.
    let shown = out.value(&daemon.running, shown).or_else(|error| if error.is_unread() { Ok(()) } else { Err(error) });
    out.next("status");
    if shown.is_ok() {
        stop.await;
    }
    tracing::info!("stopping");
    daemon.close().await;
    if let Some(exporting) = exporting {
        exporting.end().await;
    }
    shown.map(|()| Exit::Done)
}

/// Says what is amiss with the data directory and no reason not to serve.
fn remark(open_to_others: Option<String>, place: &Place) {
    if let Some(open) = open_to_others {
        tracing::warn!("{open}");
    }
    let settings = place.config();
    if !settings.exists() {
        let path = settings.display();
        tracing::warn!(
            "{path} is missing, every setting has its default: restore it, or write what differs into a new one"
        );
    }
}

/// Resolves once SIGTERM, SIGINT or SIGHUP (a closed terminal) has come since this call.
pub fn told_to_stop() -> Outcome<impl Future<Output = ()> + Unpin> {
    let on = |kind| unix::signal(kind).map_err(Failure::of);
    let (mut terminate, mut interrupt) = (on(unix::SignalKind::terminate())?, on(unix::SignalKind::interrupt())?);
    let mut closed = on(unix::SignalKind::hangup())?;
    Ok(Box::pin(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = closed.recv() => {}
        }
    }))
}

/// Keys and rows of others are in this process's memory: it leaves no core file and lets nobody look.
fn keep_memory_private() -> Outcome<()> {
    let limited = resource::setrlimit(resource::Resource::RLIMIT_CORE, 0, 0);
    limited
        .and_then(|()| prctl::set_dumpable(false))
        .map_err(|error| Failure::of(format!("core dumps stay on: {error}")))
}

struct Daemon {
    running: Running,
    door: Arc<Door>,
    spoke: Arc<Spoke>,
    hub: Arc<Hub>,
    auditor: Arc<Auditor>,
    writer: JoinHandle<()>,
    database: Database,
}

impl Daemon {
    async fn open(
        config: &Config,
        place: &Place,
        marker: &Marker,
        (answers, collector): (Answers, Option<Arc<Collector>>),
    ) -> Outcome<Self> {
        let world = World::system();
        let kek = Arc::new(kek::read(config, place)?);
        let database =
            Database::open(config, place, marker.instance, &world, &kek, is_ours(config, marker, &kek)).await?;
        let (auditor, writer) = Auditor::start(Arc::clone(&database.store), world.clock());
        let (auditor, trails) = (Arc::new(auditor), link::Trails::new(config.slow_request.0));
        let base = Base { world, kek, config, place, auditor, trails, collector, database: &database, answers };
        match base.sides(marker).await {
            Ok((running, door, spoke, hub)) => {
                Ok(Self { running, door, spoke, hub, auditor: base.auditor, writer, database })
            }
            Err(failure) => {
                database.close().await;
                Err(failure)
            }
        }
    }

    /// Nobody new is let in, those inside may finish, what is to be written is written, then the database stops.
    async fn close(self) {
        self.door.close().await;
        tokio::join!(self.spoke.stop(), self.hub.stop());
        let Self { door, spoke, hub, auditor, writer, database, .. } = self;
        drop((door, spoke, hub, auditor));
        if tokio::time::timeout(LAST_RECORDS, writer).await.is_err() {
            tracing::warn!("the last records may not be written");
        }
        database.close().await;
    }
}

/// The instance that the directory names, from its database.
pub async fn record_of(database: &Database, config: &Config, marker: &Marker) -> Outcome<InstanceRecord> {
    let record = database.store.instance().await.map_err(api::Problem::from)?;
    record.filter(|record| record.id == marker.instance).ok_or_else(|| another(config))
}

/// Whether what a database holds is the instance that the directory names, and the key is its own.
pub fn is_ours(
    config: &Config,
    marker: &Marker,
    kek: &pki::Kek,
) -> impl FnOnce(Option<&InstanceRecord>) -> Outcome<()> + Send {
    move |found| {
        let record = found.filter(|record| record.id == marker.instance).ok_or_else(|| another(config))?;
        identity::fits(kek, record)
    }
}

fn another(config: &Config) -> Failure {
    let next = match config.postgres {
        Some(_) => "check `postgres` in the settings and MOSAIC_FED_POSTGRES, or restore the database",
        None => "restore the database",
    };
    Failure::new(Exit::Conflict, "the database holds another instance, or none").next(next)
}

struct Base<'a> {
    world: World,
    kek: Arc<pki::Kek>,
    config: &'a Config,
    place: &'a Place,
    auditor: Arc<Auditor>,
    trails: link::Trails,
    collector: Option<Arc<Collector>>,
    database: &'a Database,
    answers: Answers,
}

impl Base<'_> {
    fn store(&self) -> Shared {
        Arc::clone(&self.database.store) as Shared
    }

    async fn sides(&self, marker: &Marker) -> Outcome<(Running, Arc<Door>, Arc<Spoke>, Arc<Hub>)> {
        let record = record_of(self.database, self.config, marker).await?;
        let keys = identity::open(&self.world, &self.kek, &record)?;
        let ways = crate::config::dialling::ways(self.config, &self.place.config())?;
        let issuer = ca::issuer(self.config, keys.authority, &self.world).await?;
        self.note_the_start(&record, &keys.audit_key).await?;
        let hub = self.hub(&record, ways.clone());
        let spoke = self.spoke(&record, issuer, ways).await?;
        hub.take_calls();
        hub.keep_renewed();
        // Before anybody can ask: who is not in touch with a link does not learn for which doors its grant is.
        hub.keep_in_touch();
        let door = match self.door(&record, keys.audit_key, &spoke, &hub).await {
            Ok(door) => door,
            Err(failure) => {
                hub.stop().await;
                spoke.stop().await;
                return Err(failure);
            }
        };
        self.alerts(&record, &spoke, &hub);
        Ok((self.running(&record, &spoke), door, spoke, hub))
    }

    /// Ends with the sides that it looks at.
    fn alerts(&self, record: &InstanceRecord, spoke: &Arc<Spoke>, hub: &Arc<Hub>) {
        if self.config.alert_command.is_empty() {
            return;
        }
        let alerts = Alerts {
            command: self.config.alert_command.clone(),
            world: self.world.clone(),
            instance: record.name.clone(),
            hub: Arc::downgrade(hub),
            spoke: Arc::downgrade(spoke),
            data_dir: self.place.dir().to_owned(),
        };
        tokio::spawn(alerts.follow());
    }

    /// What the log had reached is looked at before it grows.
    async fn note_the_start(&self, instance: &InstanceRecord, key: &pki::AuditKey) -> Outcome<()> {
        let (log, data_dir) = (self.store(), self.place.dir());
        head::compare(&log, data_dir, key).await.map_err(uncompared)?;
        let lost = head::lost(data_dir).filter(|_| self.answers.audit_put_back);
        self.record_the_start(lost.as_ref()).await?;
        if lost.is_some() {
            let sign = |end| key.sign(end, instance.id, instance.name.clone());
            head::take_as_it_is(&log, data_dir, sign).await.map_err(uncompared)?;
        }
        Ok(())
    }

    async fn record_the_start(&self, lost: Option<&head::LostHeads>) -> Outcome<()> {
        let request = RequestId(self.world.uuid());
        let about = Subject::Act(Act::Start);
        let record = Record::new(self.world.now(), Stage::Admin, Ending::Done, about, request);
        let mut note = vec![env!("CARGO_PKG_VERSION").to_owned()];
        note.extend(lost.map(head::LostHeads::note));
        // It is looked for at the end.
        note.extend(self.answers.clock_is_right.then(|| CLOCK_IS_RIGHT.to_owned()));
        self.auditor.record(record.noting(&note.join(", "))).await.map_err(|error| api::Problem::from(error).into())
    }

    fn hub(&self, record: &InstanceRecord, ways: link::Ways) -> Arc<Hub> {
        Hub::new(hub::Parts {
            world: self.world.clone(),
            store: self.store(),
            auditor: Arc::clone(&self.auditor),
            kek: Arc::clone(&self.kek),
            instance: record.id,
            name: record.name.clone(),
            dialler: Arc::new(link::Dialler::new(self.world.clock(), ways)),
            calls: hub::Listen {
                address: self.config.listen_calls,
                advertise: self.config.advertise.clone(),
                limits: link::Limits::default(),
            },
            try_addresses: self.config.try_addresses,
            hedge_after: self.config.hedge_after.map(|HedgeAfter(after)| after).filter(|after| !after.is_zero()),
            trails: self.trails.clone(),
        })
    }

    async fn spoke(
        &self,
        record: &InstanceRecord,
        authority: Arc<dyn pki::Issuer>,
        ways: link::Ways,
    ) -> Outcome<Arc<Spoke>> {
        let Config { listen, listen_enrolment, advertise, public_names, .. } = self.config.clone();
        let parts = spoke::Parts {
            world: self.world.clone(),
            store: self.store(),
            auditor: Arc::clone(&self.auditor),
            authority,
            instance: record.id,
            name: record.name.clone(),
            listen: Listen { links: listen, enrolment: listen_enrolment, advertise, public_names },
            limits: link::Limits::default(),
            certificate_life: self.config.certificate_life.0,
            trust: self.database.store.trust(),
            kek: Arc::clone(&self.kek),
            ways,
            trails: self.trails.clone(),
        };
        let failed = |error: spoke::StartError| {
            Failure::new(Exit::Unavailable, error.to_string()).naming_settings(Some(&self.place.config()))
        };
        let lists = crate::config::lists::order(self.config, self.place.kept_list());
        Spoke::start_with_lists(parts, lists).await.map_err(failed)
    }

    async fn door(
        &self,
        record: &InstanceRecord,
        audit_key: pki::AuditKey,
        spoke: &Arc<Spoke>,
        hub: &Arc<Hub>,
    ) -> Outcome<Arc<Door>> {
        let parts = api::Parts {
            world: self.world.clone(),
            store: self.store(),
            auditor: Arc::clone(&self.auditor),
            audit_key: Arc::new(audit_key),
            spoke: Arc::clone(spoke),
            hub: Arc::clone(hub),
            about: self.about(record),
            data_dir: self.place.dir().to_owned(),
            shared_socket: self.config.socket.clone(),
            http: crate::config::http::order(self.config),
            metrics: self.config.metrics_listen,
            trails: self.trails.clone(),
            collector: self.collector.clone(),
        };
        let failed = |error: api::OpenError| {
            Failure::new(Exit::Unavailable, error.to_string()).naming_settings(Some(&self.place.config()))
        };
        Door::open(parts).await.map_err(failed)
    }

    fn about(&self, record: &InstanceRecord) -> About {
        About {
            instance: record.id,
            name: record.name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            since: self.world.now(),
            database: self.config.database(self.database.version(), self.database.files().as_deref()),
            fingerprint: domain::invite::fingerprint(&record.root),
            listen: self.config.listen.to_string(),
            listen_enrolment: self.config.listen_enrolment.to_string(),
            listen_calls: self.config.listen_calls.to_string(),
            advertise: self.config.advertise.clone(),
            proxy: self.config.proxy.as_ref().map(|proxy| proxy.url.clone()),
        }
    }

    fn running(&self, record: &InstanceRecord, spoke: &Spoke) -> Running {
        let status = spoke.status();
        Running {
            name: record.name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            directory: self.place.dir().to_owned(),
            socket: self.place.socket(),
            database: self.config.database(self.database.version(), self.database.files().as_deref()),
            links: status.links_listener.map(|address| address.to_string()),
            enrolment: status.enrolment_listener.map(|address| address.to_string()),
        }
    }
}

fn uncompared(error: head::HeadError) -> Failure {
    match error {
        head::HeadError::Store(error) => api::Problem::from(error).into(),
        file @ head::HeadError::File(_) => {
            Failure::of(file).next("let this account read and write the data directory, and see to the disk")
        }
    }
}

fn shown(running: &Running) -> String {
    let nothing = || "nowhere: nobody is to dial this instance".to_owned();
    format!(
        "{} runs (mosaic-fed {}, process {})\ndirectory    {}\ndatabase     {}\nlinks        {}\nenrolment    {}",
        running.name,
        running.version,
        running.pid,
        running.directory.display(),
        running.database,
        running.links.clone().unwrap_or_else(nothing),
        running.enrolment.clone().unwrap_or_else(|| "closed: no invite is to be dialled with".to_owned()),
    )
}

//! What every route may use, and the opening and closing of the door.

use crate::{
    Collector, head,
    places::Standing,
    port::{self, Http},
    scrape, serve, socket,
    tree::{self, LogTree},
};
use domain::{
    Time,
    audit::note::origin,
    id::{InstanceId, Name, TokenId},
    world::World,
};
use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the door is made of.
pub struct Parts {
    /// Clock and randomness.
    pub world: World,
    /// The database.
    pub store: store::Shared,
    /// The audit writer.
    pub auditor: Arc<store::Auditor>,
    /// What signs the log's heads.
    pub audit_key: Arc<pki::AuditKey>,
    /// The sharing side.
    pub spoke: Arc<spoke::Spoke>,
    /// The asking side.
    pub hub: Arc<hub::Hub>,
    /// What the daemon says of itself.
    pub about: About,
    /// Where the operator's socket and the signed head lie.
    pub data_dir: PathBuf,
    /// Where other users' socket goes, outside the data directory.
    pub shared_socket: Option<PathBuf>,
    /// Where programs with a token are answered, if anywhere.
    pub http: Option<Http>,
    /// Where Prometheus reads numbers, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// What was counted of requests over links.
    pub trails: link::Trails,
    /// The collector that spans of them are sent to, if any.
    pub collector: Option<Arc<Collector>>,
}

/// What the daemon says of itself; no secret is in it.
#[derive(Clone, Debug)]
pub struct About {
    /// Which instance.
    pub instance: InstanceId,
    /// What it calls itself.
    pub name: Name,
    /// The program's version.
    pub version: &'static str,
    /// Since when it runs.
    pub since: Time,
    /// What database it uses.
    pub database: String,
    /// SHA-256 of the root certificate, 64 hex digits.
    pub fingerprint: String,
    /// Where links are served.
    pub listen: String,
    /// Where invites are taken.
    pub listen_enrolment: String,
    /// Where calls are taken.
    pub listen_calls: String,
    /// The hosts that invites name.
    pub advertise: Vec<String>,
    /// The proxy through which others are dialled, if any.
    pub proxy: Option<String>,
}

/// The door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A socket.
    #[error(transparent)]
    Socket(#[from] socket::SocketError),
    /// The HTTP port.
    #[error(
        "cannot listen at {listen}, where programs are to be answered: {source}; stop what listens there, or set another `http` in config.toml"
    )]
    Port {
        /// Where it was to be.
        listen: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The port for numbers.
    #[error(
        "cannot listen at {listen}, where metrics are to be read: {source}; stop what listens there, or set another `metrics_listen` in config.toml"
    )]
    Metrics {
        /// Where it was to be.
        listen: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] store::StoreError),
}

/// The open door.
pub struct Door {
    pub(crate) world: World,
    pub(crate) store: store::Shared,
    pub(crate) auditor: Arc<store::Auditor>,
    pub(crate) audit_key: Arc<pki::AuditKey>,
    pub(crate) tree: LogTree,
    pub(crate) spoke: Arc<spoke::Spoke>,
    pub(crate) hub: Arc<hub::Hub>,
    pub(crate) about: About,
    pub(crate) trails: link::Trails,
    pub(crate) collector: Option<Arc<Collector>>,
    pub(crate) closing: CancellationToken,
    /// Held while somebody changes what they say they have seen, so that between the look and the change nobody else does.
    pub(crate) edits: tokio::sync::Mutex<()>,
    pub(crate) data_dir: PathBuf,
    shared_socket: Option<PathBuf>,
    shared_open: Mutex<bool>,
    mapped: Mutex<BTreeSet<u32>>,
    tokens: Mutex<BTreeSet<TokenId>>,
    http_at: OnceLock<SocketAddr>,
    metrics_at: OnceLock<SocketAddr>,
    tasks: TaskTracker,
}

impl Door {
    /// Opens the socket in the data directory (mode 0600), and the one outside it (0666) if another user's uid is mapped.
    pub async fn open(parts: Parts) -> Result<Arc<Self>, OpenError> {
        let own = socket::bind(&parts.data_dir.join(socket::FILE), 0o600).await?;
        let (http, metrics) = (parts.http.clone(), parts.metrics);
        let door = Arc::new(Self::new(parts));
        door.tasks.spawn(serve::accept(Arc::clone(&door), own));
        door.tasks.spawn(head::keep(Arc::clone(&door), door.data_dir.clone()));
        door.tasks.spawn(tree::keep(Arc::clone(&door)));
        door.open_to_others().await?;
        if let Some(http) = http {
            door.open_to_programs(http).await?;
        }
        if let Some(listen) = metrics {
            door.open_to_prometheus(listen).await?;
        }
        Ok(door)
    }

    /// Opens the HTTP port.
    async fn open_to_programs(self: &Arc<Self>, http: Http) -> Result<(), OpenError> {
        let failed = |source| OpenError::Port { listen: http.listen, source };
        let listener = port::bind(&http).await.map_err(failed)?;
        let at = listener.local_addr().map_err(failed)?;
        *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) = self.store.token_ids().await?;
        self.http_at.get_or_init(|| at);
        tracing::info!(%at, "open to programs with a token");
        self.tasks.spawn(port::accept(Arc::clone(self), listener, at, http.tls_name));
        Ok(())
    }

    /// Opens the port for numbers.
    async fn open_to_prometheus(self: &Arc<Self>, listen: SocketAddr) -> Result<(), OpenError> {
        let failed = |source| OpenError::Metrics { listen, source };
        let listener = scrape::bind(listen).await.map_err(failed)?;
        let at = *self.metrics_at.get_or_init(|| listen);
        tracing::info!(%at, "metrics can be read");
        self.tasks.spawn(scrape::accept(Arc::clone(self), listener));
        Ok(())
    }

    fn new(parts: Parts) -> Self {
        let Parts {
            world,
            store,
            auditor,
            audit_key,
            spoke,
            hub,
            about,
            data_dir,
            shared_socket,
            trails,
            collector,
            ..
        } = parts;
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (shared_open, mapped) = (Mutex::new(false), Mutex::new(BTreeSet::new()));
        let tree = LogTree::new(Arc::clone(&store), Arc::clone(&audit_key), origin(about.instance), &data_dir);
        Self {
            world,
            store,
            auditor,
            audit_key,
            tree,
            spoke,
            hub,
            about,
            trails,
            collector,
            closing,
            edits: tokio::sync::Mutex::default(),
            data_dir,
            shared_socket,
            shared_open,
            mapped,
            tokens: Mutex::default(),
            http_at: OnceLock::new(),
            metrics_at: OnceLock::new(),
            tasks,
        }
    }

    /// Stops accepting, lets requests end (bounded by three seconds), and writes the head a last time.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let sockets = std::iter::once(self.data_dir.join(socket::FILE)).chain(self.shared_path());
        sockets.for_each(|path| drop(std::fs::remove_file(path)));
    }

    /// Opens the second socket once somebody besides the operator has a uid here. Says what is missing, if anything.
    pub(crate) async fn open_to_others(self: &Arc<Self>) -> Result<Option<String>, OpenError> {
        if self.learn_uids().await?.into_iter().all(is_operator) {
            return Ok(None);
        }
        let Some(path) = &self.shared_socket else {
            return Ok(Some(no_shared_socket(&self.data_dir.join("config.toml"))));
        };
        if !self.claim_shared() {
            return Ok(None);
        }
        let listener = socket::bind(path, 0o666).await.inspect_err(|_| self.set_shared(false))?;
        tracing::info!(socket = %path.display(), "open to every mapped uid");
        self.tasks.spawn(serve::accept(Arc::clone(self), listener));
        Ok(None)
    }

    /// Reads again which uids act as users, so that their places at the sockets are known without the database.
    pub(crate) async fn learn_uids(&self) -> Result<BTreeSet<u32>, store::StoreError> {
        let uids: BTreeSet<_> = self.store.users().await?.into_iter().filter_map(|user| user.uid).collect();
        self.mapped.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&uids);
        Ok(uids)
    }

    /// Where programs with a token are answered.
    pub fn http_at(&self) -> Option<SocketAddr> {
        self.http_at.get().copied()
    }

    /// Where metrics can be read.
    pub(crate) fn metrics_at(&self) -> Option<SocketAddr> {
        self.metrics_at.get().copied()
    }

    /// Whether there was such a token a while ago: whether it is good is in the database.
    pub(crate) fn knows_token(&self, token: TokenId) -> bool {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).contains(&token)
    }

    /// Learns that there is such a token.
    pub(crate) fn learn_token(&self, token: TokenId) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token);
    }

    /// Forgets one that was taken away.
    pub(crate) fn forget_token(&self, token: TokenId) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
    }

    /// What a uid is here.
    pub(crate) fn standing(&self, uid: u32) -> Standing {
        let mapped = || self.mapped.lock().unwrap_or_else(PoisonError::into_inner).contains(&uid);
        if is_operator(uid) {
            Standing::Operator
        } else if mapped() {
            Standing::User
        } else {
            Standing::Stranger
        }
    }

    fn claim_shared(&self) -> bool {
        let mut open = self.shared_open.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut open, true)
    }

    fn set_shared(&self, open: bool) {
        *self.shared_open.lock().unwrap_or_else(PoisonError::into_inner) = open;
    }

    /// The second socket, while it is open.
    fn shared_path(&self) -> Option<PathBuf> {
        let open = *self.shared_open.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared_socket.clone().filter(|_| open)
    }
}

/// Whether this uid runs the daemon, or is root.
pub(crate) fn is_operator(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}

fn no_shared_socket(settings: &Path) -> String {
    let new = if settings.exists() { "" } else { "a new " };
    format!(
        "other users cannot reach this daemon yet: set `socket` in {new}{} to a path outside the data directory, for example \
         /run/mosaic-fed.sock, and restart `mosaic-fed serve`",
        settings.display()
    )
}

//! Another instance: its CA, its two listeners on loopback, one grant.

use crate::service::{Behaviour, Board, Service, refusal};
use domain::{
    Time,
    id::{GrantId, InstanceId, ItemId, Name, UserId},
    invite::{Invite, Offer},
    item::Item,
    secret::Secret,
    wire,
    words::Opening,
    world::World,
};
use link::{Door, Identity, Incidents, Limits, Options, Registry};
use pki::{Authority, CheckedCsr, ClientVerifier, Deny, DenyList, GrantOrder, InstanceOrder};
use proto::v1::{
    self, connect_service_server::ConnectServiceServer, enrol_service_server::EnrolServiceServer,
    query_service_server::QueryServiceServer,
};
use std::{
    collections::{BTreeSet, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, transport::Server};
use uuid::Uuid;

/// What it adds to the words of whoever enrols.
const OPENING: Opening = Opening([5; 32]);

/// Changes what an enrolment is answered with.
pub type Forge = fn(&mut GrantOrder);

/// A sharing side of one grant.
pub struct Side {
    pub instance: InstanceId,
    pub name: Name,
    pub grant: GrantId,
    pub board: Arc<Mutex<Board>>,
    pub registry: Registry,
    authority: Arc<Authority>,
    deny: Arc<DenyList>,
    issued: Arc<Mutex<Vec<pki::Issued>>>,
    links: SocketAddr,
    enrolment: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Side {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A row of kind `tasks`; `at` is seconds after a fixed day.
pub fn task(at: i64, id: i64) -> Item {
    let at = Time::from_seconds(1_790_000_000 + at);
    Item {
        id: ItemId(Uuid::from_u128(id.unsigned_abs().into())),
        resource: "tasks".parse().unwrap(),
        created_at: at,
        updated_at: at,
        title: Some(format!("task {id}")),
        body: None,
        team: None,
        project: None,
        owner: None,
        tags: BTreeSet::new(),
        attributes: serde_json::Map::new(),
    }
}

impl Side {
    /// A sharing side with these rows.
    pub async fn with(name: &str, rows: Vec<Item>) -> Self {
        let side = Self::start(name, None).await;
        side.board().rows = rows;
        side
    }

    /// A sharing side whose enrolment may be forged.
    pub async fn start(name: &str, forge: Option<Forge>) -> Self {
        let world = World::system();
        let instance = InstanceId(world.uuid());
        let grant = GrantId(world.uuid());
        let name: Name = name.parse().unwrap();
        let authority = Arc::new(Authority::create(&world, instance).unwrap());
        let order = InstanceOrder { names: Vec::new(), now: world.now(), life: pki::LEAF_LIFE };
        let identity = Arc::new(Identity::new(&authority.issue_instance(&order).unwrap()).unwrap());
        let (deny, issued) = (Arc::new(DenyList::default()), Arc::<Mutex<Vec<pki::Issued>>>::default());
        let registry = Registry::new();
        let verifier = ClientVerifier::new(authority.root_der(), instance, world.clock(), Arc::clone(&deny)).unwrap();
        let board = Arc::new(Mutex::new(Board::default()));
        let service = Service {
            board: Arc::clone(&board),
            grant,
            hello: hello(instance, &name),
            enrol: enrolment(Arc::clone(&authority), grant, Arc::clone(&issued), forge),
        };
        let stop = CancellationToken::new();
        let federation = Door::Federation { identity: Arc::clone(&identity), verifier, registry: registry.clone() };
        let links = serve(federation, service.clone(), &stop).await;
        let enrolment = serve(Door::Enrolment { identity }, service, &stop).await;
        Self { instance, name, grant, board, registry, authority, deny, issued, links, enrolment, stop }
    }

    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap()
    }

    /// Answers every call like this.
    pub fn always(&self, behaviour: Behaviour) {
        self.board().always = Some(behaviour);
    }

    /// Answers the next call like this.
    pub fn next(&self, behaviour: Behaviour) {
        self.board().next.push_back(behaviour);
    }

    /// Its invite, as it would be handed over.
    pub fn invite(&self) -> Invite {
        Invite {
            token: Secret::new("ab".repeat(32)),
            addresses: vec![self.links.to_string()],
            enrol_addresses: vec![self.enrolment.to_string()],
            tls_name: pki::spiffe::tls_name(self.instance),
            root: self.authority.root_der().to_vec(),
            instance: self.instance,
            instance_name: self.name.clone(),
            grant: self.grant,
            offer: Offer {
                grant_name: "home".parse().unwrap(),
                workspace: "main".parse().unwrap(),
                resources: vec!["tasks".into()],
                subject: "carol".parse().unwrap(),
                not_after: Time::from_seconds(2_000_000_000),
            },
            expires_at: Time::from_seconds(2_000_000_000),
            commitment: OPENING.commitment(),
            key: None,
        }
    }

    /// Refuses every certificate it has given, from the next handshake on.
    pub fn deny_all(&self) {
        let issued = self.issued.lock().unwrap();
        let serials: HashSet<_> = issued.iter().map(|issued| issued.leaf.serial.clone()).collect();
        self.deny.swap(Deny { serials, ..Deny::default() });
    }

    /// How many certificates it has given.
    pub fn issued(&self) -> usize {
        self.issued.lock().unwrap().len()
    }

    /// Stops listening and ends every connection.
    pub async fn die(&self) {
        self.stop.cancel();
        self.registry.cut_all().await;
        while tokio::net::TcpStream::connect(self.links).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

fn hello(instance: InstanceId, name: &Name) -> v1::ConnectResponse {
    v1::ConnectResponse {
        instance_id: instance.to_string(),
        instance_name: name.to_string(),
        version: 1,
        capabilities: vec![v1::Capability::Query.into()],
        time: Some(wire::timestamp(World::system().now())),
        rate: None,
        max_rows: 1_000,
        certificate_not_after: None,
    }
}

type Enrol = Arc<dyn Fn(v1::EnrollRequest) -> Result<v1::EnrollResponse, tonic::Status> + Send + Sync>;

/// Each token works once; the test's own invites all have one and the same, so each call after the first is refused unless
/// the test hands out a fresh one.
fn enrolment(
    authority: Arc<Authority>,
    grant: GrantId,
    given: Arc<Mutex<Vec<pki::Issued>>>,
    forge: Option<Forge>,
) -> Enrol {
    let used = Mutex::new(HashSet::new());
    Arc::new(move |request| {
        if !used.lock().unwrap().insert(request.token.clone()) {
            return Err(refusal(Code::FailedPrecondition, "INVITE_SPENT", "spent\u{1b}[2J"));
        }
        let now = World::system().now();
        let mut order = GrantOrder {
            holder: request.instance_id.parse().unwrap(),
            grant,
            subject: UserId(Uuid::from_u128(9)),
            csr: CheckedCsr::parse(&request.csr).unwrap(),
            now,
            life: pki::LEAF_LIFE,
        };
        if let Some(forge) = forge {
            forge(&mut order);
        }
        let issued = authority.issue_grant(&order).unwrap();
        let certificate = issued.certificate.clone();
        given.lock().unwrap().push(issued);
        let (grant_id, words_opening) = (grant.to_string(), OPENING.0.to_vec());
        Ok(v1::EnrollResponse { certificate, grant_id, certificate_not_after: None, confirm: false, words_opening })
    })
}

async fn serve(door: Door, service: Service, stop: &CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = Options {
        limits: Limits::default(),
        clock: World::system().clock(),
        incidents: Incidents::channel(64).0,
        shutdown: stop.clone(),
    };
    let enrolment = matches!(door, Door::Enrolment { .. });
    let incoming = link::listen(listener, door, options);
    let mut server = Server::builder();
    let router = if enrolment {
        server.add_service(EnrolServiceServer::new(service))
    } else {
        server.add_service(QueryServiceServer::new(service.clone())).add_service(ConnectServiceServer::new(service))
    };
    tokio::spawn(router.serve_with_incoming(incoming));
    address
}

//! An instance with both sides and its port open, under a clock that moves only when told, and what is said to it byte by byte.

use api::{About, Door, Http};
use domain::{
    id::{Name, UserId},
    token::{DAYS, KeptToken, Lifetime, ProgramToken},
    world::FakeClock,
};
use hub::Hub;
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tempfile::TempDir;
use tests::{
    cluster::{self, Database},
    direction,
    instance::{Instance, name},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// An instance whose port is open.
pub(crate) struct Stage {
    pub(crate) instance: Instance,
    pub(crate) hub: Arc<Hub>,
    _door: Arc<Door>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) at: SocketAddr,
    _directory: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Refused so, with words for it, without a word of CORS, and with nothing more read of the connection.
    #[track_caller]
    pub(crate) fn is_refused(&self, status: u16, word: &str) {
        assert_eq!((self.status, &self.json()["error"]), (status, &word.into()), "{self:?}");
        assert!(self.head.contains("connection: close"), "{self:?}");
        self.is_plain();
    }

    /// With what every answer of the port has.
    #[track_caller]
    pub(crate) fn is_plain(&self) {
        for header in ["cache-control: no-store", "x-content-type-options: nosniff"] {
            assert!(self.head.contains(header), "{header}: {self:?}");
        }
        assert!(!self.head.contains("access-control"), "{self:?}");
    }
}

impl Stage {
    pub(crate) async fn open() -> Self {
        Self::on(cluster::database().await, None).await
    }

    pub(crate) async fn on(database: Database, tls_name: Option<&str>) -> Self {
        let (clock, world) = tests::clock::standing();
        let instance = Instance::start_on(world, database).await;
        let hub = Hub::new(hub::Parts {
            world: instance.world.clone(),
            store: Arc::clone(&instance.store),
            auditor: Arc::clone(&instance.auditor),
            kek: Arc::clone(&instance.kek),
            instance: instance.id,
            name: name("office"),
            dialler: Arc::new(direction::dialler(instance.world.clock())),
            calls: hub::Listen {
                address: ([127, 0, 0, 1], 0).into(),
                advertise: Vec::new(),
                limits: link::Limits::default(),
            },
            try_addresses: false,
            hedge_after: None,
            trails: link::Trails::default(),
        });
        let directory = tempfile::tempdir().expect("a directory");
        let http = Http { listen: ([127, 0, 0, 1], 0).into(), tls_name: tls_name.map(str::to_owned) };
        let parts = api::Parts {
            collector: None,
            world: instance.world.clone(),
            store: Arc::clone(&instance.store),
            auditor: Arc::clone(&instance.auditor),
            audit_key: Arc::new(pki::AuditKey::generate().expect("a key")),
            spoke: Arc::clone(&instance.spoke),
            hub: Arc::clone(&hub),
            about: about(&instance),
            data_dir: directory.path().to_owned(),
            shared_socket: None,
            metrics: None,
            trails: link::Trails::default(),
            http: Some(http),
        };
        let door = Door::open(parts).await.expect("an open door");
        let at = door.http_at().expect("its port");
        Self { instance, hub, _door: door, clock, at, _directory: directory }
    }

    /// A token of a user, as they would have it.
    pub(crate) async fn token(&self, owner: UserId, called: &str) -> String {
        let token = ProgramToken::generate(&self.instance.world);
        let life = Lifetime::days(self.instance.world.now(), DAYS).expect("a life");
        let kept = KeptToken::of(&token, (owner, self.instance.workspace), name(called), life);
        let record = self.instance.act(domain::audit::Act::TokenAdd);
        self.instance.store.add_token(&kept, record).await.expect("a token");
        token.encode().expose().clone()
    }

    pub(crate) async fn owners_token(&self) -> String {
        self.token(self.instance.owner, "ci").await
    }

    /// A head as a good program sends it, with lines of the test's own.
    pub(crate) fn head(&self, line: &str, token: &str, more: &str) -> String {
        format!("{line} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n{more}\r\n", self.at)
    }

    /// What is answered to such a head.
    pub(crate) async fn asked(&self, line: &str, token: &str, more: &str) -> Said {
        self.sent(&self.head(line, token, more)).await
    }

    /// Status and body of what is answered to whoever knows what has this tag.
    pub(crate) async fn known(&self, line: &str, token: &str, tag: &str) -> (u16, String) {
        let head = self.head(line, token, &format!("if-none-match: {tag}\r\nconnection: close\r\n"));
        let (mut stream, mut said) = (self.connect().await, String::new());
        stream.write_all(head.as_bytes()).await.expect("it listens");
        stream.read_to_string(&mut said).await.expect("text");
        let (head, body) = said.split_once("\r\n\r\n").expect("a head");
        (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), body.to_owned())
    }

    /// What is answered to these bytes, on a connection of their own.
    pub(crate) async fn sent(&self, bytes: &str) -> Said {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.expect("it listens");
        said(&mut stream).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.expect("it listens")
    }

    /// The notes of what the log says was refused at the port.
    pub(crate) async fn refusals(&self) -> Vec<String> {
        let log = self.instance.log(1_000).await;
        log.into_iter().filter(|entry| entry.about == "token_use").map(|entry| entry.note).collect()
    }
}

fn about(instance: &Instance) -> About {
    About {
        proxy: None,
        instance: instance.id,
        name: Name::clone(&name("office")),
        version: "0",
        since: instance.world.now(),
        database: String::new(),
        fingerprint: String::new(),
        listen: String::new(),
        listen_enrolment: String::new(),
        listen_calls: String::new(),
        advertise: Vec::new(),
    }
}

/// One answer, as long as its head says or until the connection ends.
pub(crate) async fn said(stream: &mut TcpStream) -> Said {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if length.is_some_and(|length: usize| body.len() >= length) {
                let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
                return Said { status, head, body: body.to_owned() };
            }
        }
        let mut piece = [0; 4_096];
        let read = timeout(Duration::from_secs(20), stream.read(&mut piece)).await.expect("an answer in time");
        match read.expect("bytes") {
            0 => panic!("it ended after {text:?}"),
            size => bytes.extend_from_slice(&piece[..size]),
        }
    }
}

/// Whether a connection ends without another byte.
pub(crate) async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = timeout(Duration::from_secs(20), stream.read(&mut [0; 64])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

//! Lists of revoked certificates: the one that an instance gives, and the one that it takes from elsewhere, each over a real
//! server and with real links.

use domain::{
    Time,
    audit::Act,
    id::{GrantId, Serial},
    world::World,
};
use pki::{CrlOrder, Revoked, Why, crl};
use spoke::lists::{ListsOrder, Source};
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tests::{
    asker::{Asker, enrol, list, refusal, tasks},
    instance::{Instance, task},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tonic::Code;

const DAY: Duration = Duration::from_hours(24);

/// A server that answers every request with whatever it is given.
struct Server {
    address: std::net::SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (answer, asked) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<AtomicUsize>::default());
        let (said, count) = (Arc::clone(&answer), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut request = [0; 1024];
                drop(socket.read(&mut request).await);
                let body = said.lock().expect("an answer").clone();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                drop(socket.write_all(&[head.as_bytes(), &body].concat()).await);
            }
        });
        Self { address, answer, asked }
    }

    fn says(&self, list: Vec<u8>) {
        *self.answer.lock().expect("an answer") = list;
    }
}

/// An instance with a link that works, and the serial number of its certificate.
struct Stage {
    office: Instance,
    home: Asker,
    grant: GrantId,
    serial: Serial,
    dir: TempDir,
}

async fn stage() -> Stage {
    let office = Instance::start().await;
    office.put(office.owner, vec![task("one")]).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let home = enrol(&invite).await;
    home.list(tasks()).await.expect("an answer");
    let serial = office.standing(grant.id).await.leaf.expect("a certificate").serial;
    Stage { office, home, grant: grant.id, serial, dir: tempfile::tempdir().expect("a directory") }
}

impl Stage {
    fn list(&self, number: u64, now: Time, serials: &[&Serial]) -> Vec<u8> {
        let entry = |serial: &&Serial| Revoked {
            serial: (*serial).clone(),
            at: now,
            why: Why::KeyCompromised,
            not_after: now + DAY,
        };
        let revoked: Vec<_> = serials.iter().map(entry).collect();
        self.office.authority.crl(&CrlOrder { revoked: &revoked, number, now }).expect("a list")
    }

    /// One that ended two days ago and names the link's certificate.
    fn old_list(&self, number: u64) -> Vec<u8> {
        let now = self.now().before(3 * DAY);
        self.list(number, now, &[&self.serial])
    }

    fn now(&self) -> Time {
        self.office.world.now()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("list.crl")
    }

    fn kept(&self) -> PathBuf {
        self.dir.path().join("revoked.crl")
    }

    fn order(&self, source: &str) -> ListsOrder {
        let source: Source = source.parse().expect("a source");
        ListsOrder { listen: None, source: Some((source, self.kept())) }
    }

    /// Done when the source was asked once.
    async fn takes(&self, source: &str) {
        self.office.spoke.keep_lists(self.order(source)).await.expect("lists");
        self.until("the source is asked", |taken| taken.seen.is_some() || taken.failure.is_some()).await;
    }

    /// Done when the next run has started, whatever its source says.
    async fn starts_again(&mut self, source: &str) {
        let spoke = self.office.spoke_again(self.order(source)).await;
        let address = spoke.status().links_listener.expect("a listener");
        self.home.target.addresses = vec![address.to_string()];
        self.office.spoke = spoke;
    }

    fn taken(&self) -> spoke::lists::consume::TakenList {
        self.office.spoke.status().lists.taken.expect("a list is configured")
    }

    async fn until(&self, what: &str, holds: impl Fn(&spoke::lists::consume::TakenList) -> bool) {
        for _ in 0..100 {
            if holds(&self.taken()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what}: still not so after 10 s: {:?}", self.taken());
    }
}

fn number(list: &spoke::lists::consume::TakenList) -> Option<String> {
    list.list.as_ref().map(|list| list.number.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_appears_on_a_list_is_cut_and_turned_away_and_nobody_else() {
    let stage = stage().await;
    let (_, invite) = stage.office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let other = enrol(&invite).await;
    std::fs::write(stage.file(), stage.list(1, stage.now(), &[])).expect("a file");
    stage.takes(stage.file().to_str().expect("a path")).await;
    assert_eq!((number(&stage.taken()).as_deref(), stage.taken().failure), (Some("1"), None));
    let (mut open, mut beside) = (stage.home.query().await, other.query().await);
    list(&mut open, tasks()).await.expect("an answer: the list is empty");
    list(&mut beside, tasks()).await.expect("an answer");
    std::fs::write(stage.file(), stage.list(2, stage.now(), &[&stage.serial])).expect("a file");
    stage.until("the changed file is read", |taken| number(taken).as_deref() == Some("2")).await;
    assert!(list(&mut open, tasks()).await.is_err(), "an open connection was answered");
    assert!(stage.home.dial().await.is_err(), "a new connection was let in");
    list(&mut beside, tasks()).await.expect("who is not on it is not touched");
    assert_eq!(stage.office.standing(stage.grant).await.state, domain::grant::State::Active, "the grant itself stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_list_changes_nothing_but_the_status_and_the_next_good_one_heals_it() {
    let stage = stage().await;
    let stranger = Instance::start().await;
    std::fs::write(stage.file(), stage.list(5, stage.now(), &[&stage.serial])).expect("a file");
    stage.takes(stage.file().to_str().expect("a path")).await;
    let good = stage.list(5, stage.now(), &[]);
    let mut broken = good.clone();
    *broken.last_mut().expect("a byte") ^= 1;
    let foreign = stranger.authority.crl(&CrlOrder { revoked: &[], number: 9, now: stage.now() }).expect("a list");
    for (what, bad, word) in [
        ("an older one without the serial", stage.list(4, stage.now(), &[]), "number is 4"),
        ("the same number without the serial", good, "the same number"),
        ("a broken signature", broken, "not signed by"),
        ("another CA's", foreign, "not signed by"),
        ("one from tomorrow", stage.list(9, stage.now() + DAY, &[]), "future"),
        ("a page of text", b"<html>".to_vec(), "no list"),
        ("more than is read", vec![0; crl::MAX_CRL_BYTES + 1], "larger"),
    ] {
        std::fs::write(stage.file(), bad).expect("a file");
        stage.until(what, |taken| taken.failure.as_ref().is_some_and(|failure| failure.contains(word))).await;
        assert_eq!(number(&stage.taken()).as_deref(), Some("5"), "{what}: the former one stays");
        assert!(stage.home.dial().await.is_err(), "{what}: what was listed came in");
    }
    std::fs::remove_file(stage.file()).expect("a file");
    stage.until("a file that is gone", |taken| taken.failure.as_ref().is_some_and(|why| why.contains("No such"))).await;
    assert!(stage.home.dial().await.is_err());
    std::fs::write(stage.file(), stage.list(6, stage.now(), &[])).expect("a file");
    stage.until("a good one", |taken| taken.failure.is_none() && number(taken).as_deref() == Some("6")).await;
    stage.home.list(tasks()).await.expect("the CA took it off its list, and the grant stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_listed_stays_denied_over_a_restart_and_beyond_the_lists_end() {
    let mut stage = stage().await;
    let server = Server::start().await;
    server.says(stage.old_list(4));
    stage.takes(&format!("http://{}/crl.der", server.address)).await;
    assert!(server.asked.load(Ordering::SeqCst) >= 1, "it is fetched at the start");
    stage.until("an alarm", |taken| taken.failure.as_ref().is_some_and(|why| why.contains("too old"))).await;
    assert!(stage.home.dial().await.is_err(), "what an old list names came in");
    // The next run finds nobody there.
    stage.starts_again("http://127.0.0.1:1/crl.der").await;
    assert!(stage.home.dial().await.is_err(), "the old list is forgotten");
    assert_eq!(number(&stage.taken()).as_deref(), Some("4"));
    stage.until("an alarm", |taken| taken.failure.as_ref().is_some_and(|why| why.contains("not taken"))).await;
    // One that is good still, and was taken before a restart.
    server.says(stage.list(8, stage.now(), &[&stage.serial]));
    stage.starts_again(&format!("http://{}/crl.der", server.address)).await;
    stage.until("a good one", |taken| taken.seen.is_some() && number(taken).as_deref() == Some("8")).await;
    stage.starts_again("http://127.0.0.1:1/crl.der").await;
    assert!(stage.home.dial().await.is_err(), "the list of the run before is forgotten");
    assert_eq!(number(&stage.taken()).as_deref(), Some("8"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_had_ended_when_it_came_denies_whom_it_names_and_makes_no_later_one_older() {
    let mut stage = stage().await;
    let file = stage.file().to_str().expect("a path").to_owned();
    std::fs::write(&file, stage.list(5, stage.now(), &[])).expect("a file");
    stage.takes(&file).await;
    stage.home.list(tasks()).await.expect("an answer: the list is empty");
    std::fs::write(&file, stage.old_list(9)).expect("a file");
    stage.until("the old list", |taken| taken.failure.as_ref().is_some_and(|why| why.contains("too old"))).await;
    assert!(stage.home.dial().await.is_err(), "what an old list names came in");
    // Both are kept: whom the one names, and how far the numbers of the other were.
    stage.until("it is kept", |_| stage.kept().with_extension("old.crl").exists()).await;
    std::fs::write(&file, stage.list(4, stage.now(), &[])).expect("a file");
    stage.starts_again(&file).await;
    assert!(stage.home.dial().await.is_err(), "the old list is forgotten");
    stage.until("an older one", |taken| taken.failure.as_ref().is_some_and(|why| why.contains("number is 4"))).await;
    assert!(stage.home.dial().await.is_err());
    std::fs::write(&file, stage.list(6, stage.now(), &[])).expect("a file");
    stage.until("the CA's next", |taken| taken.seen.is_some() && number(taken).as_deref() == Some("6")).await;
    stage.home.list(tasks()).await.expect("the CA's next list does not name it");
    stage.starts_again("http://127.0.0.1:1/crl.der").await;
    stage.home.list(tasks()).await.expect("what the old list said is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_the_run_before_is_in_force_at_the_start_and_nobody_waits_for_the_next() {
    let mut stage = stage().await;
    // Takes every connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let source = format!("http://{}/crl.der", silent.local_addr().expect("an address"));
    std::fs::write(stage.kept(), stage.list(8, stage.now(), &[&stage.serial])).expect("a file");
    let started = timeout(Duration::from_secs(8), stage.starts_again(&source)).await;
    assert!(started.is_ok(), "the start waits for a server that says nothing");
    assert_eq!(number(&stage.taken()).as_deref(), Some("8"));
    assert!(stage.home.dial().await.is_err(), "whom the list of the run before names came in");
    let revoked = stage.office.spoke.revoke(stage.office.by(), stage.grant).await.expect("a revocation");
    assert_eq!(revoked.grant.state, domain::grant::State::Revoked);
    assert_eq!((stage.taken().seen, stage.taken().failure), (None, None), "the source has not answered yet");
}

/// Where the list's server points to another place, nobody goes there; a name that leads to this machine is not even asked, while an address
/// in the settings is the operator's own word (row 51 of the threat list).
#[tokio::test(flavor = "multi_thread")]
async fn dial_policy_of_a_list() {
    let stage = stage().await;
    let (moved, inside) = (TcpListener::bind("127.0.0.1:0").await.expect("a port"), Server::start().await);
    let (at, other) = (moved.local_addr().expect("an address"), inside.address);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = moved.accept().await {
            drop(socket.read(&mut [0; 1024]).await);
            let answer = format!("HTTP/1.1 302 Found\r\nlocation: http://{other}/crl.der\r\ncontent-length: 0\r\n\r\n");
            drop(socket.write_all(answer.as_bytes()).await);
        }
    });
    let source =
        |host: &str, port: u16| -> Source { format!("http://{host}:{port}/crl.der").parse().expect("a source") };
    let strict = link::Ways::new(link::DialPolicy::default());
    let told = source("127.0.0.1", at.port()).fetch(&strict).await.expect_err("no list");
    assert!(told.contains("302"), "{told}");
    let told = source("localhost", other.port()).fetch(&strict).await.expect_err("no list");
    assert!(told.contains("is this machine itself") && told.contains("dial_allow"), "{told}");
    assert_eq!(inside.asked.load(Ordering::SeqCst), 0, "somebody went where the answer pointed to");
    inside.says(stage.list(3, stage.now(), &[]));
    assert!(source("127.0.0.1", other.port()).fetch(&strict).await.is_ok());
}

/// What a plain HTTP request gets: status line and headers in lower case, and the body.
async fn asked(address: std::net::SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut socket = TcpStream::connect(address).await.expect("a socket");
    socket.write_all(request.as_bytes()).await.expect("a write");
    let mut heard = Vec::new();
    drop(timeout(Duration::from_secs(15), socket.read_to_end(&mut heard)).await.expect("an end"));
    let end = heard.windows(4).position(|window| window == b"\r\n\r\n").map_or(heard.len(), |at| at + 4);
    let body = heard.split_off(end);
    (String::from_utf8_lossy(&heard).to_lowercase(), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_gives_its_own_list_and_a_revoked_certificate_is_on_it_at_once() {
    let stage = stage().await;
    let order = ListsOrder { listen: Some("127.0.0.1:0".parse().expect("an address")), source: None };
    stage.office.spoke.keep_lists(order).await.expect("a listener");
    let given = || stage.office.spoke.status().lists.given.expect("a list is configured");
    let address = given().address;
    let get = "GET /crl.der HTTP/1.1\r\nhost: x\r\n\r\n";
    let whole = async |least: u64| {
        for _ in 0..100 {
            if given().made.and_then(|made| made.number).is_some_and(|number| number > least) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (head, body) = asked(address, get).await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("content-type: application/pkix-crl") && head.contains("max-age=300"), "{head}");
        crl::read(&body, stage.office.authority.root_der(), None, stage.now()).expect("a list")
    };
    let first = whole(0).await;
    assert!(first.serials.is_empty() && first.ends > stage.now());
    let before = given().made.and_then(|made| made.number).expect("a list");
    let says = given().made.expect("a list");
    assert_eq!((says.begins, says.ends), (first.begins, Some(first.ends)), "what is told is what the list says");
    assert_eq!(before.to_string(), first.number.to_string());
    stage.office.spoke.revoke(stage.office.by(), stage.grant).await.expect("a revocation");
    let second = whole(before).await;
    assert!(second.serials.contains(&stage.serial) && second.number > first.number, "{second:?}");
    for (request, status) in [
        ("GET /other HTTP/1.1\r\nhost: x\r\n\r\n", "http/1.1 404"),
        ("POST /crl.der HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", "http/1.1 405"),
        ("HEAD /crl.der HTTP/1.1\r\nhost: x\r\n\r\n", "http/1.1 200"),
        (&format!("GET /crl.der HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(20_000)), "http/1.1 431"),
    ] {
        let (head, body) = asked(address, request).await;
        assert!(head.starts_with(status), "{head}");
        assert!(body.len() < 100, "only a list is long");
    }
    // More than may wait: the others are let go, and who asks afterwards is answered.
    let mut idle = Vec::new();
    for _ in 0..80 {
        idle.push(TcpStream::connect(address).await.expect("a socket"));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut byte = [0];
    let last = timeout(Duration::from_secs(1), idle[79].read(&mut byte)).await;
    assert!(matches!(last, Ok(Ok(0) | Err(_))), "the 80th is let go: {last:?}");
    let first = timeout(Duration::from_secs(8), idle[0].read(&mut byte)).await;
    assert!(first.is_ok(), "who says nothing for five seconds is let go");
    drop(idle);
    assert!(asked(address, get).await.0.starts_with("http/1.1 200"));
}

/// Whatever source says "revoked", or cannot say, nobody comes in by it (row 5 of the threat list).
#[tokio::test(flavor = "multi_thread")]
async fn revoked_verdict_is_enforced() {
    // The CA's list: revoked; not to be had, after it was revoked; and not on it, with a certificate the table does not know.
    let listed = stage().await;
    std::fs::write(listed.file(), listed.list(1, listed.now(), &[&listed.serial])).expect("a file");
    listed.takes(listed.file().to_str().expect("a path")).await;
    assert!(listed.home.dial().await.is_err(), "list: revoked");
    std::fs::write(listed.file(), b"nothing").expect("a file");
    listed.until("it is not taken", |taken| taken.failure.is_some()).await;
    assert!(listed.home.dial().await.is_err(), "list: error");
    let unknown = stage().await;
    std::fs::write(unknown.file(), unknown.list(1, unknown.now(), &[])).expect("a file");
    unknown.takes(unknown.file().to_str().expect("a path")).await;
    let subject = unknown.office.standing(unknown.grant).await.subject;
    let (holder, now) = (unknown.home.instance, unknown.now());
    let forged = tests::forge::Forged::good(unknown.office.id, holder, unknown.grant, subject, now);
    let (certificate, key) = forged.sign(&unknown.office.authority);
    let status = unknown.home.showing(certificate, key).list(tasks()).await.expect_err("list: unknown");
    assert_eq!(refusal(&status), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()));
    // The grants' table: revoked, as by another process. That one which does not answer lets nobody in, is `proof`, `health`.
    let revoked = stage().await;
    let record = revoked.office.act(Act::GrantRevoke);
    revoked.office.store.revoke_grant(revoked.grant, record).await.expect("a revocation");
    let turned_away = timeout(Duration::from_secs(10), async {
        while revoked.home.dial().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(turned_away.await.is_ok(), "door: revoked by the table");
    // The grants' table unknown to this run: an id of nobody.
    let nobody = GrantId(World::system().uuid());
    let forged = tests::forge::Forged::good(unknown.office.id, holder, nobody, subject, now);
    let (certificate, key) = forged.sign(&unknown.office.authority);
    assert!(unknown.home.showing(certificate, key).list(tasks()).await.is_err(), "table: unknown");
}

//! What is dialled of what somebody else names: each address of a name, judged once it is known, and no other afterwards.

use super::sharing::{GRANT, Sharing};
use futures::future::BoxFuture;
use link::{
    DialError, DialPolicy, Dialler, Io, Limits, Target, Ways,
    call::{CallError, Saying, call},
    dial::{Checked, Connect, DialLimits, Resolve, TcpConnect},
};
use pki::CallKey;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;

/// A name server of the test's own: its answers one after the other, the last one for ever.
#[derive(Clone)]
pub struct Names(Arc<Mutex<Vec<Vec<SocketAddr>>>>, Arc<Mutex<usize>>);

impl Names {
    pub fn answering(answers: &[&[SocketAddr]]) -> Self {
        Self(Arc::new(Mutex::new(answers.iter().map(|answer| answer.to_vec()).collect())), Arc::default())
    }

    pub fn asked(&self) -> usize {
        *self.1.lock().unwrap()
    }
}

impl Resolve for Names {
    fn resolve(&self, _: String, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        *self.1.lock().unwrap() += 1;
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(async move { Ok(answer) })
    }
}

/// Notes where it is sent, and goes to where `leads` says from there; nowhere at all without.
#[derive(Clone, Default)]
struct Noted {
    at: Arc<Mutex<Vec<SocketAddr>>>,
    leads: bool,
}

impl Noted {
    fn at(&self) -> Vec<SocketAddr> {
        self.at.lock().unwrap().clone()
    }
}

impl Connect for Noted {
    fn connect(&self, to: Checked) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        self.at.lock().unwrap().push(to.address());
        if self.leads {
            TcpConnect.connect(to)
        } else {
            Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
        }
    }
}

pub fn target(sharing: &Sharing, addresses: &[&str]) -> Target {
    Target {
        addresses: addresses.iter().map(ToString::to_string).collect(),
        tls_name: pki::spiffe::tls_name(sharing.authority.instance()),
        instance: sharing.authority.instance(),
        root: sharing.authority.root_der().to_vec(),
        credential: Some(sharing.issue(GRANT).1),
    }
}

pub fn dialler(sharing: &Sharing, ways: Ways) -> Dialler {
    let dial = DialLimits { connect: Duration::from_secs(2), established: Duration::from_secs(3) };
    Dialler::with(Arc::clone(&sharing.clock) as _, ways, Limits::default(), dial)
}

pub fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_name_that_flips_to_this_machine_after_it_was_judged_is_not_dialled_there() {
    let sharing = Sharing::new(Sharing::patient());
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (far, near) = (at("192.0.2.7:7443"), inside.local_addr().unwrap());
    let (names, noted) = (Names::answering(&[&[far], &[near]]), Noted::default());
    let ways = Ways::new(DialPolicy::default()).resolving(Arc::new(names.clone())).over(Arc::new(noted.clone()));
    let dialler = dialler(&sharing, ways);
    let target = target(&sharing, &["rebinds.example:7443"]);
    let first = dialler.dial(&target).await.unwrap_err();
    assert!(matches!(first, DialError::Refused { .. }), "{first}");
    assert_eq!((names.asked(), noted.at()), (1, vec![far]), "one look, and what it gave is what was dialled");
    let second = dialler.dial(&target).await.unwrap_err();
    assert!(
        matches!(&second, DialError::Forbidden(told) if told.contains("127.0.0.1 is this machine itself")),
        "{second}"
    );
    assert_eq!((names.asked(), noted.at()), (2, vec![far]), "the second answer is judged and left alone");
    assert!(!second.is_offline());
}

#[tokio::test]
async fn a_name_that_flips_while_one_dial_goes_on_has_one_meaning_until_its_end() {
    let sharing = Sharing::new(Sharing::patient());
    let (stranger, right) = (Sharing::new(Sharing::patient()), sharing.federation().await);
    let other = stranger.federation().await;
    // Somebody else answers at the first machine, so that the search goes on: with the second machine of the same answer.
    let answer = [other.address, right.address];
    let names = Names::answering(&[&answer, &[at("127.0.0.1:1")]]);
    let noted = Noted { leads: true, ..Noted::default() };
    let ways = Ways::new(DialPolicy::this_machine()).resolving(Arc::new(names.clone())).over(Arc::new(noted.clone()));
    let dialler = dialler(&sharing, ways);
    assert!(dialler.dial(&target(&sharing, &["rebinds.example:7443"])).await.unwrap().is_open());
    assert_eq!((names.asked(), noted.at()), (1, answer.to_vec()));
}

#[tokio::test]
async fn of_a_name_with_several_addresses_only_those_are_dialled_that_may_be() {
    let sharing = Sharing::new(Sharing::patient());
    let all = [
        "127.0.0.1:5432",
        "169.254.169.254:80",
        "[::1]:22",
        "10.0.0.9:7443",
        "[fd00:ec2::254]:80",
        "[2001:db8::7]:7443",
    ];
    let names = Names::answering(&[&all.map(at)]);
    let noted = Noted::default();
    let ways = Ways::new(DialPolicy::default()).resolving(Arc::new(names)).over(Arc::new(noted.clone()));
    let error =
        dialler(&sharing, ways).dial(&target(&sharing, &["many.example:7443", "127.0.0.1:1"])).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { .. }), "{error}");
    let mut dialled = noted.at();
    dialled.sort();
    assert_eq!(dialled, [at("10.0.0.9:7443"), at("[2001:db8::7]:7443")]);
}

#[tokio::test]
async fn what_is_written_as_an_address_is_judged_like_any_and_the_failure_says_how_it_is_allowed() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let address = opened.address.to_string();
    let named = || Ways::new(DialPolicy { settings: "/x/config.toml".to_owned(), ..DialPolicy::default() });
    for written in [&address, "[::ffff:127.0.0.1]:1", "[64:ff9b::a9fe:a9fe]:80", "localhost:1", "0.0.0.0:1"] {
        let error = dialler(&sharing, named()).dial(&target(&sharing, &[written])).await.unwrap_err();
        assert!(matches!(error, DialError::Forbidden(_)), "{written}: {error}");
    }
    let told = dialler(&sharing, named()).dial(&target(&sharing, &[&address])).await.unwrap_err().to_string();
    assert!(told.contains("dial_allow = [\"127.0.0.1/32\"]") && told.contains("/x/config.toml"), "{told}");
    let line = toml_line(&told);
    let allowed = DialPolicy { allow: vec![line.parse().unwrap()], ..DialPolicy::default() };
    assert!(dialler(&sharing, Ways::new(allowed)).dial(&target(&sharing, &[&address])).await.is_ok());
    assert_eq!(
        dialler(&sharing, named()).dial(&target(&sharing, &[])).await.unwrap_err(),
        DialError::Target("list of addresses")
    );
}

/// The network in the line that is to be written.
fn toml_line(told: &str) -> String {
    told.split("dial_allow = [\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_doors_of_this_very_instance_are_never_dialled() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let port = opened.address.port();
    let own = vec![SocketAddr::from(([0, 0, 0, 0], port))];
    let policy = DialPolicy { own, ..DialPolicy::this_machine() };
    let dialler = dialler(&sharing, Ways::new(policy));
    for host in ["127.0.0.1", "localhost", "127.0.0.2"] {
        let error = dialler.dial(&target(&sharing, &[&format!("{host}:{port}")])).await.unwrap_err();
        assert!(error.to_string().contains("where this very instance listens; no setting allows that"), "{error}");
    }
    assert!(sharing.registry.all().is_empty());
}

#[tokio::test]
async fn a_sharing_side_that_calls_is_held_to_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let saying = Saying::Grant { grant: GRANT, key: CallKey::from_bytes([7; 32]) };
    let error = call(&Ways::new(DialPolicy::default()), &[address], &saying).await.unwrap_err();
    assert!(matches!(&error, CallError::Forbidden(told) if told.contains("dial_allow")), "{error}");
    let knocked = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(knocked.is_err(), "nobody knocked");
}

#[tokio::test]
async fn the_address_that_answered_last_is_tried_first() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let noted = Noted { leads: true, ..Noted::default() };
    let ways = Ways::new(DialPolicy::this_machine()).over(Arc::new(noted.clone()));
    let dialler = dialler(&sharing, ways);
    let target = target(&sharing, &[&closed.to_string(), &opened.address.to_string()]);
    drop(dialler.dial(&target).await.unwrap());
    drop(dialler.dial(&target).await.unwrap());
    assert_eq!(noted.at(), [closed, opened.address, opened.address]);
    // It moved: the others are tried as before.
    opened.shutdown.cancel();
    while tokio::net::TcpStream::connect(opened.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let moved = sharing.open(sharing.door(sharing.verifier()), &closed.to_string()).await;
    drop(dialler.dial(&target).await.unwrap());
    drop(dialler.dial(&target).await.unwrap());
    assert_eq!(noted.at()[3..], [opened.address, moved.address, moved.address]);
}

#[tokio::test]
async fn a_link_goes_over_ipv6_and_a_family_that_leads_nowhere_costs_one_hesitation() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.open(sharing.door(sharing.verifier()), "[::1]:0").await;
    let written = opened.address.to_string();
    assert!(written.starts_with("[::1]:"), "{written}");
    let loopback = || Ways::new(DialPolicy::this_machine());
    assert!(dialler(&sharing, loopback()).dial(&target(&sharing, &[&written])).await.unwrap().is_open());
    // Three addresses of a family that nobody answers at, and then the one that is there.
    let names = Names::answering(&[&[at("192.0.2.1:1"), at("192.0.2.2:1"), at("192.0.2.3:1"), opened.address]]);
    let silent = Silent::default();
    let ways = loopback().resolving(Arc::new(names)).over(Arc::new(silent.clone()));
    let begun = std::time::Instant::now();
    assert!(dialler(&sharing, ways).dial(&target(&sharing, &["both.example:1"])).await.unwrap().is_open());
    assert_eq!(silent.0.lock().unwrap()[..2], [at("192.0.2.1:1"), opened.address]);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// Notes where it is sent; over IPv4 nobody ever answers.
#[derive(Clone, Default)]
struct Silent(Arc<Mutex<Vec<SocketAddr>>>);

impl Connect for Silent {
    fn connect(&self, to: Checked) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        self.0.lock().unwrap().push(to.address());
        if to.address().is_ipv4() { Box::pin(std::future::pending()) } else { TcpConnect.connect(to) }
    }
}

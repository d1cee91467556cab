//! Addresses that are tried for the other side of a link: what counts as reached, and where nobody knocks.

use super::sharing::{GRANT, Sharing};
use domain::{reach::Address, world::Clock};
use futures::future::BoxFuture;
use link::{
    DialPolicy, Dialler, Io, Limits, Target, Ways,
    dial::{Checked, Connect, DialLimits, IpNet},
    tls,
};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

const SOON: Duration = Duration::from_secs(1);

/// A link that was made with these addresses.
fn made_with(sharing: &Sharing, addresses: &[&str]) -> Target {
    Target {
        addresses: addresses.iter().map(ToString::to_string).collect(),
        tls_name: pki::spiffe::tls_name(sharing.authority.instance()),
        instance: sharing.authority.instance(),
        root: sharing.authority.root_der().to_vec(),
        credential: Some(sharing.issue(GRANT).1),
    }
}

async fn reached(dialler: &Dialler, target: &Target, addresses: &[&str]) -> Vec<bool> {
    let addresses: Vec<Address> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    dialler.reached(target, &addresses, Instant::now() + SOON).await.unwrap()
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test]
async fn both_doors_of_the_instance_are_reached_and_nobody_elses_nor_what_says_nothing() {
    let (sharing, stranger) = (Sharing::new(Sharing::patient()), Sharing::new(Sharing::patient()));
    let (mut links, enrolment, other) =
        (sharing.federation().await, sharing.enrolment().await, stranger.federation().await);
    let (_mute, mute) = listener().await;
    let closed = listener().await.1;
    let addresses = [&links.address, &enrolment.address, &other.address].map(SocketAddr::to_string);
    let addresses = [&addresses[0], &addresses[1], &addresses[2], &mute, &closed].map(String::as_str);
    let (began, target) = (Instant::now(), made_with(&sharing, &["127.0.0.1:1"]));
    assert_eq!(reached(&sharing.dialler(), &target, &addresses).await, [true, true, false, false, false]);
    assert!(began.elapsed() < SOON + Duration::from_millis(500), "{:?}", began.elapsed());
    sleep(Duration::from_millis(200)).await;
    assert_eq!(sharing.calls.begun.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert!(links.incidents.try_recv().is_err(), "it is no incident to be tried by the holder of a grant");
    assert!(sharing.registry.all().is_empty(), "the connection stays");
}

#[tokio::test]
async fn nothing_is_said_after_the_handshake() {
    let sharing = Sharing::new(Sharing::patient());
    let (listener, address) = listener().await;
    let clock = Arc::clone(&sharing.clock) as Arc<dyn Clock>;
    let config = tls::server(Arc::clone(&sharing.identity), None, clock).unwrap();
    let heard = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(socket).await.unwrap();
        let mut said = Vec::new();
        // However the connection ends.
        drop(timeout(SOON, stream.read_to_end(&mut said)).await.expect("it is closed"));
        said
    });
    let target = made_with(&sharing, &["127.0.0.1:1"]);
    assert_eq!(reached(&sharing.dialler(), &target, &[&address]).await, [true]);
    assert_eq!(heard.await.unwrap(), [0; 0]);
}

/// Where somebody would have knocked.
#[derive(Clone, Default)]
struct Knocked(Arc<Mutex<Vec<String>>>);

impl Connect for Knocked {
    fn connect(&self, to: Checked) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        self.0.lock().unwrap().push(to.to_string());
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }
}

#[tokio::test]
async fn nobody_knocks_nearer_than_the_link_itself_goes() {
    let sharing = Sharing::new(Sharing::patient());
    let all = [
        "192.0.2.7:1",
        "10.0.0.1:1",
        "127.0.0.1:1",
        "169.254.169.252:80",
        "169.254.169.254:80",
        "0.0.0.0:1",
        "224.0.0.1:1",
        "localhost:1",
    ];
    for (allowed, made, knocked) in [
        (true, &["office.invalid:7443"][..], &["192.0.2.7:1"][..]),
        (true, &["203.0.113.9:7443"], &["192.0.2.7:1"]),
        (true, &["192.168.9.9:7443"], &["10.0.0.1:1", "192.0.2.7:1"]),
        // What a name leads to is for its owner to say: it brings nobody to this machine.
        (true, &["localhost:7443"], &["192.0.2.7:1"]),
        (true, &["169.254.169.253:7443"], &["169.254.169.252:80", "192.0.2.7:1"]),
        // Nor where the link itself would not be dialled any more.
        (false, &["169.254.169.253:7443"], &["192.0.2.7:1"]),
    ] {
        let knocks = Knocked::default();
        let mut policy = DialPolicy::this_machine();
        policy.allow.extend(allowed.then(|| "169.254.0.0/16".parse::<IpNet>().unwrap()));
        let ways = Ways::new(policy).over(Arc::new(knocks.clone()));
        let dialler = Dialler::with(Arc::clone(&sharing.clock) as _, ways, Limits::default(), DialLimits::default());
        let tried = reached(&dialler, &made_with(&sharing, made), &all).await;
        assert_eq!(tried, [false; 8]);
        let mut at = knocks.0.lock().unwrap().clone();
        at.sort();
        assert_eq!(at, knocked, "{allowed} {made:?}");
    }
}

#[tokio::test]
async fn a_name_of_this_machine_is_tried_where_the_link_was_made_with_its_address() {
    let sharing = Sharing::new(Sharing::patient());
    let links = sharing.federation().await;
    let named = format!("localhost:{}", links.address.port());
    let target = made_with(&sharing, &["127.0.0.1:7443"]);
    assert_eq!(reached(&sharing.dialler(), &target, &[&named]).await, [true]);
}

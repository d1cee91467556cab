//! Ending a grant's connections: at once, all of them, and nobody else's.

use super::{
    caller::{get, who},
    sharing::{GRANT, NOW, Sharing, eventually},
};
use domain::{
    Time,
    id::GrantId,
    world::{Clock, FakeClock},
};
use link::Class;
use pki::{Deny, Flaw};
use rustls::{ClientConnection, pki_types::ServerName};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;

#[tokio::test]
async fn a_cut_ends_hanging_calls_and_connections_within_milliseconds() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let (_, credential) = sharing.issue(GRANT);
    let target = sharing.target(&opened, Some(credential));
    let mut hanging = Vec::new();
    for _ in 0..3 {
        let dialled = sharing.dialler().dial(&target).await.unwrap();
        hanging.push(tokio::spawn(async move { get(&dialled, "/hang").await.map(drop) }));
    }
    eventually("three calls hang", || sharing.registry.calls(GRANT) == 3).await;

    let started = Instant::now();
    sharing.cut(GRANT).await;
    let took = started.elapsed();
    assert!(took < Duration::from_millis(100), "{took:?}");
    assert_eq!(sharing.calls.alive.load(Ordering::SeqCst), 0, "the handlers are gone when the cut is acknowledged");
    assert_eq!(sharing.registry.connections(GRANT), 0);
    for call in hanging {
        assert!(call.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_cut_leaves_other_grants_and_later_connections_alone() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let other = GrantId(Uuid::from_u128(77));
    let (_, one) = sharing.issue(GRANT);
    let (_, two) = sharing.issue(other);
    let one = sharing.target(&opened, Some(one));
    let cut = sharing.dialler().dial(&one).await.unwrap();
    let kept = sharing.dialler().dial(&sharing.target(&opened, Some(two))).await.unwrap();
    sharing.cut(GRANT).await;
    assert!(who(&cut).await.is_err());
    assert!(!cut.is_open());
    assert_eq!(cut.failure.refused_our_certificate(), None, "a lost connection is no refusal");
    assert_eq!(who(&kept).await.unwrap()["who"], other.to_string());
    // The same certificate again: no denied set forbids it here, so it belongs to a new group.
    let again = sharing.dialler().dial(&one).await.unwrap();
    assert_eq!(who(&again).await.unwrap()["who"], GRANT.to_string());
    assert_eq!(sharing.registry.connections(GRANT), 1);
}

#[tokio::test]
async fn each_connection_that_comes_is_told_and_none_that_goes() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let (_, credential) = sharing.issue(GRANT);
    let mut arrivals = sharing.registry.arrivals();
    let target = sharing.target(&opened, Some(credential));
    let mut dialled = Vec::new();
    for number in 1..=2 {
        dialled.push(sharing.dialler().dial(&target).await.unwrap());
        let told = tokio::time::timeout(Duration::from_secs(5), arrivals.changed()).await;
        assert!(told.is_ok_and(|told| told.is_ok()), "connection {number}");
        assert_eq!(sharing.registry.connections(GRANT), number, "it is counted when it is told");
    }
    sharing.cut(GRANT).await;
    drop(dialled);
    assert!(!arrivals.has_changed().unwrap());
}

#[tokio::test]
async fn only_connections_of_certificates_that_are_over_are_cut() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let (old, credential) = sharing.issue(GRANT);
    let over = sharing.dialler().dial(&sharing.target(&opened, Some(credential))).await.unwrap();
    let (new, credential) = sharing.issue(GRANT);
    let good = sharing.dialler().dial(&sharing.target(&opened, Some(credential))).await.unwrap();
    assert_eq!(sharing.registry.connections(GRANT), 2);
    assert_eq!(sharing.registry.keep_only(GRANT, |serial| *serial == new.leaf.serial), 1);
    eventually("one connection is left", || sharing.registry.connections(GRANT) == 1).await;
    assert_eq!(sharing.registry.leaves(GRANT), [(new.leaf.serial.clone(), 1)]);
    assert!(who(&over).await.is_err());
    assert_eq!(who(&good).await.unwrap()["who"], GRANT.to_string());
    assert_eq!(sharing.registry.keep_only(GRANT, |serial| *serial != old.leaf.serial), 0, "nothing is left of it");
    sharing.cut(GRANT).await;
    assert!(who(&good).await.is_err(), "a cut of the grant ends every certificate's connections");
}

#[tokio::test]
async fn a_cut_works_even_if_nobody_waits_for_it_and_waits_for_calls_that_outlive_their_connection() {
    let sharing = Sharing::new(Sharing::patient());
    let presented = domain::caller::Presented {
        peer: super::sharing::HOLDER,
        grant: GRANT,
        subject: domain::id::UserId(Uuid::nil()),
        serial: domain::id::Serial::new(&[1; 16]).unwrap(),
        spki: domain::id::Spki([0; 32]),
        issued_at: NOW,
        not_after: NOW,
        address: "127.0.0.1:1".parse().unwrap(),
    };
    let (near, _far) = tokio::io::duplex(64);
    let accepted = link::Accepted::granted(near, presented, &sharing.registry, 1, Duration::from_mins(1)).unwrap();
    let call = accepted.connection().call();
    let cut = sharing.registry.cut(GRANT);
    drop(accepted);
    let waiting = tokio::spawn(cut);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished(), "a call is still in work");
    drop(call);
    tokio::time::timeout(Duration::from_secs(1), waiting).await.unwrap().unwrap();
}

/// A clock that counts how often it was asked: the verifier asks it once for each certificate.
#[derive(Debug)]
struct Counting(Arc<FakeClock>, AtomicUsize);

impl Clock for Counting {
    fn now(&self) -> Time {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.now()
    }
}

/// The client's half of a handshake up to its last flight, which is returned unsent.
fn almost(
    sharing: &Sharing,
    stream: &mut TcpStream,
    credential: &link::ClientCredential,
) -> (ClientConnection, Vec<u8>) {
    let mut config = sharing.config(Some(credential));
    // Small records: the certificate can be complete on the other side while the end of the flight is not.
    config.max_fragment_size = Some(64);
    let name = ServerName::try_from(pki::spiffe::tls_name(sharing.authority.instance())).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut flight = Vec::new();
    while client.is_handshaking() {
        client.write_tls(&mut flight).unwrap();
        stream.write_all(&flight).unwrap();
        flight.clear();
        client.read_tls(stream).unwrap();
        client.process_new_packets().unwrap();
    }
    while client.wants_write() {
        client.write_tls(&mut flight).unwrap();
    }
    (client, flight)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_verified_before_the_revocation_and_registers_after_it_is_caught() {
    let sharing = Sharing::new(Sharing::patient());
    let counting = Arc::new(Counting(Arc::clone(&sharing.clock), AtomicUsize::new(0)));
    let verifier = sharing.verifier_of(&sharing.authority, Arc::clone(&counting) as _);
    let mut opened = sharing.open(sharing.door(verifier), "127.0.0.1:0").await;
    let (issued, credential) = sharing.issue(GRANT);

    let mut stream = tokio::task::block_in_place(|| TcpStream::connect(opened.address).unwrap());
    let (_client, flight) = tokio::task::block_in_place(|| almost(&sharing, &mut stream, &credential));
    let (most, last) = flight.split_at(flight.len() - 10);
    stream.write_all(most).unwrap();
    eventually("the certificate was judged", || counting.1.load(Ordering::SeqCst) == 1).await;

    sharing.deny.swap(Deny { serials: [issued.leaf.serial.clone()].into(), ..Deny::default() });
    sharing.cut(GRANT).await;
    stream.write_all(last).unwrap();
    let incident = opened.incident().await;
    assert_eq!((incident.class, incident.grant), (Class::Certificate(Flaw::Denied), Some(GRANT)));
    assert_eq!(incident.serial, Some(issued.leaf.serial));
    eventually("it is not registered", || sharing.registry.all().is_empty()).await;
    let mut rest = Vec::new();
    drop(tokio::task::block_in_place(|| stream.read_to_end(&mut rest)));
    assert_eq!(sharing.calls.begun.load(Ordering::SeqCst), 0);
}

//! The pre-authentication limits: what strangers can take, and that the others still get in meanwhile.

use super::{
    caller::who,
    frames::scale,
    sharing::{GRANT, Opened, Sharing},
};
use link::{Class, Limits};
use rustls::{ClientConnection, pki_types::ServerName};
use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// Connects from one of the loopback's many addresses and says nothing.
async fn silent(opened: &Opened, from: u8) -> TcpStream {
    silent_at(opened.address, from).await
}

async fn silent_at(address: SocketAddr, from: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
    socket.connect(address).await.unwrap()
}

/// Whether the other side closed it.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut [0])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

async fn honest_gets_in(sharing: &Sharing, opened: &Opened) {
    let (_, credential) = sharing.issue(GRANT);
    let dialled = sharing.dialler().dial(&sharing.target(opened, Some(credential))).await.unwrap();
    assert_eq!(who(&dialled).await.unwrap()["who"], GRANT.to_string());
}

#[tokio::test]
async fn the_cap_per_address_holds_at_n_and_at_n_plus_1() {
    let sharing = Sharing::new(Sharing::patient());
    let mut opened = sharing.federation().await;
    let mut here = Vec::new();
    for _ in 0..sharing.limits.unproven_per_address {
        here.push(silent(&opened, 2).await);
    }
    let mut one_more = silent(&opened, 2).await;
    assert!(is_closed(&mut one_more).await);
    assert_eq!(opened.incident().await.class, Class::AddressFull);
    assert!(!is_closed(here.last_mut().unwrap()).await);
    honest_gets_in(&sharing, &opened).await;
    drop(here.pop());
    assert_eq!(opened.incident().await.class, Class::Closed);
    assert!(!is_closed(&mut silent(&opened, 2).await).await, "the place was given back");
}

#[tokio::test]
async fn the_cap_over_all_addresses_holds_at_n_and_at_n_plus_1() {
    let sharing = Sharing::new(Limits { unproven: 20, unproven_per_address: 5, ..Sharing::patient() });
    let mut opened = sharing.federation().await;
    let mut here = Vec::new();
    for n in 0..20 {
        here.push(silent(&opened, 2 + n / 5).await);
    }
    assert!(!is_closed(&mut here[0]).await, "20 are let in");
    // One more, and the eldest gives way to it; who can prove itself gets in although all places are taken.
    here.push(silent(&opened, 9).await);
    assert_eq!(opened.incident().await.class, Class::Full);
    assert!(is_closed(&mut here[0]).await && !is_closed(&mut here[20]).await);
    honest_gets_in(&sharing, &opened).await;
    assert_eq!(opened.incident().await.class, Class::Full);
    drop(here);
    for _ in 0..19 {
        assert_eq!(opened.incident().await.class, Class::Closed);
    }
}

#[tokio::test]
async fn the_rate_per_address_holds_and_leaves_other_addresses_alone() {
    let limits = Limits { address_rate: 1, address_burst: 3, ..Limits::default() };
    let sharing = Sharing::new(limits);
    let mut opened = sharing.federation().await;
    let mut closed = 0;
    for _ in 0..5 {
        closed += usize::from(is_closed(&mut silent(&opened, 3).await).await);
    }
    // 1.5 s of looking may have refilled one.
    assert!((1..=2).contains(&closed), "{closed}");
    let mut classes = HashMap::new();
    for _ in 0..5 {
        *classes.entry(opened.incident().await.class).or_insert(0) += 1;
    }
    assert_eq!(classes[&Class::Rate], closed);
    honest_gets_in(&sharing, &opened).await;
}

#[tokio::test]
async fn a_slow_handshake_is_closed_by_its_deadline_however_busy_it_looks() {
    let sharing = Sharing::new(Limits { handshake: Duration::from_millis(500), ..Sharing::patient() });
    let mut opened = sharing.federation().await;
    let started = Instant::now();
    let mut slow = silent(&opened, 1).await;
    let hello = hello(&sharing);
    for byte in &hello {
        if slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        if started.elapsed() > Duration::from_secs(5) {
            break;
        }
    }
    let incident = opened.incident().await;
    assert_eq!(incident.class, Class::HandshakeTimeout);
    assert!((500..2_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

fn hello(sharing: &Sharing) -> Vec<u8> {
    let name = ServerName::try_from(pki::spiffe::tls_name(sharing.authority.instance())).unwrap();
    let mut client = ClientConnection::new(Arc::new(sharing.config(None)), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn clienthello_in_1_byte_fragments() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    // One TLS record for each byte of the message, not only one packet.
    let hello = hello(&sharing);
    let mut stream = silent(&opened, 1).await;
    for byte in &hello[5..] {
        stream.write_all(&[0x16, 0x03, 0x01, 0, 1, *byte]).await.unwrap();
    }
    let mut head = [0; 6];
    // A ServerHello or an alert: either is an answer, and the listener lives.
    stream.read_exact(&mut head).await.unwrap();
    assert!(head[0] == 0x16 || head[0] == 0x15, "{head:?}");
    honest_gets_in(&sharing, &opened).await;
}

/// Garbage instead of a handshake, 10,000 times in the large setting; then the door opens within a second.
#[tokio::test]
async fn accept_survives_garbage() {
    let sharing = Sharing::new(Sharing::patient());
    let mut opened = sharing.federation().await;
    let hello = hello(&sharing);
    let mut classes = HashMap::new();
    let rounds = scale(400, 10_000);
    for n in 0..rounds {
        let mut stream = silent(&opened, 4 + u8::try_from(n % 50).unwrap()).await;
        let garbage: &[u8] = match n % 6 {
            0 => b"GET / HTTP/1.1\r\n\r\n",
            1 => &[0xff; 300],
            2 => &hello[..hello.len() / 2],
            3 => &[0x16, 0x03, 0x01, 0xff, 0xff],
            // A close_notify where a handshake should go on.
            4 => &[hello.as_slice(), &[0x15, 0x03, 0x03, 0, 2, 1, 0]].concat(),
            _ => b"",
        };
        // It may have been refused already; that is the other side's business.
        drop(stream.write_all(garbage).await);
        drop(stream);
        let class = opened.incident().await.class;
        *classes.entry(class.word()).or_insert(0) += 1;
    }
    assert_eq!(classes.values().sum::<usize>(), rounds);
    assert!(classes.keys().all(|class| ["garbage", "closed", "alert"].contains(class)), "{classes:?}");
    within_a_second(honest_gets_in(&sharing, &opened)).await;
}

async fn within_a_second<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(1), future).await.expect("within a second")
}

/// Connections that end in a reset, at every moment there is: while nobody accepts yet, after the accept, and within the
/// handshake.
#[tokio::test]
async fn connections_that_were_reset_before_they_were_accepted_change_nothing() {
    let sharing = Sharing::new(Sharing::patient());
    let rounds = u8::try_from(scale(50, 100)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for from in 0..rounds {
        resetting(&silent_at(address, 2 + from).await);
    }
    let mut opened = sharing.open_on(listener, sharing.door(sharing.verifier()));
    let hello = hello(&sharing);
    for from in 0..rounds {
        let mut stream = silent(&opened, 2 + from).await;
        if from % 2 == 0 {
            stream.write_all(&hello).await.unwrap();
        }
        resetting(&stream);
    }
    within_a_second(honest_gets_in(&sharing, &opened)).await;
    for _ in 0..2 * usize::from(rounds) {
        assert_eq!(opened.incident().await.class, Class::Closed);
    }
}

/// Its close will be a reset.
fn resetting(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}

#[tokio::test]
async fn one_grant_has_its_number_of_connections_and_no_more() {
    let sharing = Sharing::new(Limits { connections_per_grant: 3, ..Sharing::patient() });
    let mut opened = sharing.federation().await;
    let (_, credential) = sharing.issue(GRANT);
    let target = sharing.target(&opened, Some(credential));
    let mut dialled = Vec::new();
    for _ in 0..3 {
        dialled.push(sharing.dialler().dial(&target).await.unwrap());
    }
    assert!(sharing.dialler().dial(&target).await.is_err());
    assert_eq!(opened.incident().await.class, Class::GrantFull);
    drop(dialled.pop());
    super::sharing::eventually("a place is free", || sharing.registry.connections(GRANT) == 2).await;
    sharing.dialler().dial(&target).await.unwrap();
}

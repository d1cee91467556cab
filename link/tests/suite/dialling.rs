//! Every way a dial can fail, each with its own word.

use super::{
    caller::who,
    sharing::{DAY, GRANT, HOLDER, NOW, Sharing},
};
use futures::future::BoxFuture;
use link::{
    DialError, DialPolicy, Dialler, Io, Limits, Target, Ways,
    dial::{Checked, Connect, DialLimits, TcpConnect},
};
use pki::{Deny, Flaw};
use std::{
    future::pending,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::TcpListener};

fn hurried(sharing: &Sharing, connector: Arc<dyn Connect>) -> Dialler {
    let dial = DialLimits { connect: Duration::from_millis(200), established: Duration::from_millis(500) };
    let ways = Ways::new(DialPolicy::this_machine()).over(connector);
    Dialler::with(Arc::clone(&sharing.clock) as _, ways, Limits::default(), dial)
}

/// A target at these addresses.
fn at(sharing: &Sharing, addresses: &[&str]) -> Target {
    Target {
        addresses: addresses.iter().map(ToString::to_string).collect(),
        tls_name: pki::spiffe::tls_name(sharing.authority.instance()),
        instance: sharing.authority.instance(),
        root: sharing.authority.root_der().to_vec(),
        credential: Some(sharing.issue(GRANT).1),
    }
}

async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn refused_unreachable_and_unanswered_are_told_apart_and_all_are_offline() {
    let sharing = Sharing::new(Sharing::patient());
    let closed = closed_port().await;
    let refused = sharing.dialler().dial(&at(&sharing, &[&closed])).await.unwrap_err();
    assert_eq!(refused, DialError::Refused { tried: closed.clone() });
    let nowhere = sharing.dialler().dial(&at(&sharing, &["no port at all"])).await.unwrap_err();
    assert!(matches!(nowhere, DialError::Unreachable { .. }), "{nowhere}");
    let started = Instant::now();
    let silent =
        hurried(&sharing, Arc::new(Nobody)).dial(&at(&sharing, &["192.0.2.1:1", "192.0.2.2:1"])).await.unwrap_err();
    assert_eq!(silent, DialError::ConnectTimeout { tried: "192.0.2.1:1, 192.0.2.2:1".to_owned() });
    assert!((200..400).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    for error in [refused, nowhere, silent] {
        assert!(error.is_offline() && error.to_string().contains(';'), "cause and next step: {error}");
    }
}

struct Nobody;

impl Connect for Nobody {
    fn connect(&self, _: Checked) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        Box::pin(pending())
    }
}

#[tokio::test]
async fn the_next_address_is_tried_when_the_first_is_dead() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let target = at(&sharing, &[&closed_port().await, &opened.address.to_string()]);
    let dialled = sharing.dialler().dial(&target).await.unwrap();
    assert_eq!(who(&dialled).await.unwrap()["who"], GRANT.to_string());
}

#[tokio::test]
async fn a_listener_that_says_nothing_is_a_handshake_timeout() {
    let sharing = Sharing::new(Sharing::patient());
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = at(&sharing, &[&mute.local_addr().unwrap().to_string()]);
    let error = hurried(&sharing, Arc::new(TcpConnect)).dial(&target).await.unwrap_err();
    assert_eq!(error, DialError::HandshakeTimeout);
    assert!(error.is_offline());
}

#[tokio::test]
async fn a_listener_that_speaks_something_else_is_named_as_that() {
    let sharing = Sharing::new(Sharing::patient());
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = at(&sharing, &[&web.local_addr().unwrap().to_string()]);
    tokio::spawn(async move {
        let (mut socket, _) = web.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let error = sharing.dialler().dial(&target).await.unwrap_err();
    assert!(matches!(&error, DialError::Broken(why) if why.contains("TLS")), "{error:?}");
}

#[tokio::test]
async fn another_instance_at_the_address_is_not_believed_and_not_called_offline() {
    let sharing = Sharing::new(Sharing::patient());
    let mut opened = sharing.federation().await;
    let stranger = Sharing::new(Sharing::patient());
    let cases = [
        (Target { root: stranger.authority.root_der().to_vec(), ..at(&sharing, &[]) }, Flaw::Chain),
        (Target { instance: HOLDER, ..at(&sharing, &[]) }, Flaw::Instance),
        (Target { tls_name: "fed.example.org".to_owned(), ..at(&sharing, &[]) }, Flaw::Names),
    ];
    for (target, flaw) in cases {
        let target = Target { addresses: vec![opened.address.to_string()], ..target };
        let error = sharing.dialler().dial(&target).await.unwrap_err();
        assert_eq!(error, DialError::TheirCertificate(flaw));
        assert!(!error.is_offline());
        assert_eq!(opened.incident().await.class, link::Class::Alert);
    }
}

#[tokio::test]
async fn an_expired_server_is_named_as_that() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    sharing.clock.set(NOW + 100 * DAY);
    let target = at(&sharing, &[&opened.address.to_string()]);
    let error = sharing.dialler().dial(&target).await.unwrap_err();
    assert_eq!(error, DialError::TheirCertificate(Flaw::Expired));
}

#[tokio::test]
async fn a_damaged_record_of_the_link_is_named_as_that() {
    let sharing = Sharing::new(Sharing::patient());
    let right = || at(&sharing, &["127.0.0.1:1"]);
    let mut other_key = right();
    let (_, other) = sharing.issue(GRANT);
    other_key.credential.as_mut().unwrap().key = other.key;
    let cases = [
        (Target { root: vec![1, 2, 3], ..right() }, "root certificate"),
        (Target { tls_name: "a b".to_owned(), ..right() }, "TLS name"),
        (Target { addresses: vec![], ..right() }, "list of addresses"),
        (other_key, "own key"),
    ];
    for (target, what) in cases {
        assert_eq!(sharing.dialler().dial(&target).await.unwrap_err(), DialError::Target(what));
    }
}

#[tokio::test]
async fn a_channel_is_one_connection_and_does_not_come_back_by_itself() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let (issued, credential) = sharing.issue(GRANT);
    let target = sharing.target(&opened, Some(credential));
    let dialled = sharing.dialler().dial(&target).await.unwrap();
    who(&dialled).await.unwrap();
    sharing.deny.swap(Deny { serials: [issued.leaf.serial].into(), ..Deny::default() });
    sharing.cut(GRANT).await;
    for _ in 0..3 {
        assert!(who(&dialled).await.is_err());
    }
    assert!(!dialled.is_open());
    let again = sharing.dialler().dial(&target).await.unwrap_err();
    assert_eq!(again, DialError::OurCertificate(link::dial::OurCertificate::Revoked));
}

#[tokio::test]
async fn every_refused_dial_reads_the_alert_and_never_a_reset_in_its_place() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let (issued, credential) = sharing.issue(GRANT);
    sharing.deny.swap(Deny { serials: [issued.leaf.serial].into(), ..Deny::default() });
    let target = sharing.target(&opened, Some(credential));
    for round in 0..100 {
        let error = sharing.dialler().dial(&target).await.unwrap_err();
        assert_eq!(error, DialError::OurCertificate(link::dial::OurCertificate::Revoked), "round {round}");
    }
}

//! Who is let in, through which door, and what is recorded of the others.

use super::{
    caller::who,
    sharing::{DAY, GRANT, ISSUER, NOW, Sharing, issue},
};
use domain::world::{SeededRng, World};
use link::{Class, DialError, dial::OurCertificate};
use pki::{Authority, Deny, Flaw};
use std::{sync::Arc, sync::atomic::Ordering, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn the_holder_of_a_grant_is_known_to_the_handler_by_its_certificate_alone() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let (_, credential) = sharing.issue(GRANT);
    let dialled = sharing.dialler().dial(&sharing.target(&opened, Some(credential))).await.unwrap();
    let heard = who(&dialled).await.unwrap();
    assert_eq!(heard["who"], GRANT.to_string());
    assert_eq!(heard["from"], "127.0.0.1");
    assert_eq!((sharing.registry.connections(GRANT), sharing.registry.calls(GRANT)), (1, 0));
    assert!(dialled.is_open());
}

#[tokio::test]
async fn the_enrolment_door_asks_for_no_certificate_and_knows_nobody() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.enrolment().await;
    let dialled = sharing.dialler().dial(&sharing.target(&opened, None)).await.unwrap();
    assert_eq!(who(&dialled).await.unwrap()["who"], "nobody");
    assert!(sharing.registry.all().is_empty());
}

#[tokio::test]
async fn a_door_closes_at_run_time_and_opens_again() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.enrolment().await;
    let target = sharing.target(&opened, None);
    sharing.dialler().dial(&target).await.unwrap();
    opened.shutdown.cancel();
    let address = opened.address;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(sharing.dialler().dial(&target).await, Err(DialError::Refused { .. })));
    let again = super::sharing::Sharing::open(&sharing, sharing.door(sharing.verifier()), &address.to_string()).await;
    let (_, credential) = sharing.issue(GRANT);
    sharing.dialler().dial(&sharing.target(&again, Some(credential))).await.unwrap();
}

#[tokio::test]
async fn it_listens_on_ipv6_too_and_names_mapped_callers_by_their_ipv4_address() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.open(sharing.door(sharing.verifier()), "[::]:0").await;
    let (_, credential) = sharing.issue(GRANT);
    for (address, from) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let mut target = sharing.target(&opened, Some(credential.clone()));
        target.addresses = vec![format!("{address}:{}", opened.address.port())];
        let dialled = sharing.dialler().dial(&target).await.unwrap();
        assert_eq!(who(&dialled).await.unwrap()["from"], from);
    }
}

#[tokio::test]
async fn each_wrong_certificate_ends_before_any_handler_and_is_recorded_with_its_reason() {
    let sharing = Sharing::new(Sharing::patient());
    let mut opened = sharing.federation().await;
    let (issued, own) = sharing.issue(GRANT);
    let world = World::new(Arc::clone(&sharing.clock) as _, Arc::new(SeededRng::new(99)));
    let (_, foreign) = issue(&Authority::create(&world, ISSUER).unwrap(), GRANT);
    let early = NOW.before(Duration::from_secs(301));
    let late = NOW + 31 * DAY;
    let cases = [
        (None, NOW, Class::NoCertificate, OurCertificate::Missing),
        (Some(foreign), NOW, Class::Certificate(Flaw::Chain), OurCertificate::UnknownIssuer),
        (Some(own.clone()), early, Class::Certificate(Flaw::NotYetValid), OurCertificate::Expired),
        (Some(own.clone()), late, Class::Certificate(Flaw::Expired), OurCertificate::Expired),
        (Some(own), NOW, Class::Certificate(Flaw::Denied), OurCertificate::Revoked),
    ];
    for (shown, at, class, told) in cases {
        sharing.clock.set(at);
        if class == Class::Certificate(Flaw::Denied) {
            sharing.deny.swap(Deny { serials: [issued.leaf.serial.clone()].into(), ..Deny::default() });
        }
        let known = shown.is_some();
        let error = sharing.dialler().dial(&sharing.target(&opened, shown)).await.unwrap_err();
        assert_eq!(error, DialError::OurCertificate(told), "{class}");
        assert!(!error.is_offline());
        let incident = opened.incident().await;
        assert_eq!((incident.class, incident.at, incident.serial.is_some()), (class, at, known));
        assert_eq!(incident.grant, (class == Class::Certificate(Flaw::Denied)).then_some(GRANT));
    }
    assert_eq!(sharing.calls.begun.load(Ordering::SeqCst), 0, "no handler was reached");
    assert!(sharing.registry.all().is_empty());
}

#[tokio::test]
async fn no_bytes_before_auth() {
    let sharing = Sharing::new(Sharing::patient());
    let mut opened = sharing.federation().await;
    // A call right behind the handshake, in the same breath as the missing certificate.
    let config = Arc::new(sharing.config(None));
    let socket = tokio::net::TcpStream::connect(opened.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(pki::spiffe::tls_name(ISSUER)).unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(config).connect(name, socket).await.unwrap();
    let headers = b"\0\0\x03\x01\x05\0\0\0\x01\x82\x87\x84";
    stream.write_all(&[super::caller::PREFACE, headers].concat()).await.unwrap();
    stream.flush().await.unwrap();
    let mut heard = Vec::new();
    assert!(stream.read_to_end(&mut heard).await.is_err(), "an alert, not an end");
    assert!(heard.is_empty(), "not a byte of HTTP/2: {heard:?}");
    assert_eq!(opened.incident().await.class, Class::NoCertificate);
    assert_eq!(sharing.calls.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_refused_connection_is_closed_and_not_reset_so_that_its_alert_arrives_everywhere() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let config = Arc::new(sharing.config(None));
    let socket = tokio::net::TcpStream::connect(opened.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(pki::spiffe::tls_name(ISSUER)).unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(config).connect(name, socket).await.unwrap();
    // What the other side leaves unread when it closes turns its close into a reset.
    stream.write_all(&vec![0; 32 * 1024]).await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (mut socket, _) = stream.into_inner();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() > 20, "an alert is among the last {} bytes", rest.len());
}

#[tokio::test]
async fn a_client_that_does_not_agree_on_http2_is_turned_away() {
    let sharing = Sharing::new(Sharing::patient());
    let mut opened = sharing.federation().await;
    let (_, credential) = sharing.issue(GRANT);
    for (protocols, class) in [(vec![], Class::Protocol), (vec![b"http/1.1".to_vec()], Class::Garbage)] {
        let mut config = sharing.config(Some(&credential));
        config.alpn_protocols = protocols;
        config.check_selected_alpn = false;
        assert!(sharing.connect(&opened, &Arc::new(config)).await.is_err());
        assert_eq!(opened.incident().await.class, class);
    }
}

#[tokio::test]
async fn a_new_certificate_of_this_side_is_shown_from_the_next_handshake_on() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let (_, credential) = sharing.issue(GRANT);
    let config = Arc::new(sharing.config(Some(&credential)));
    let shown = async || {
        let stream = sharing.connect(&opened, &config).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let first = shown().await;
    assert_eq!(shown().await, first);
    let order = pki::InstanceOrder { names: vec![], now: NOW, life: DAY };
    let next = sharing.authority.issue_instance(&order).unwrap();
    sharing.identity.swap(&next).unwrap();
    assert_eq!(shown().await, next.certificate);
}

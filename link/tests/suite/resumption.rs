//! A resumed session skips the certificate check. Each test offers what an earlier connection left behind.

use super::sharing::{DAY, GRANT, ISSUER, NOW, Opened, Sharing};
use domain::world::{SeededRng, World};
use link::{Class, ClientCredential, tls};
use pki::{Authority, Deny, Flaw, InstanceOrder, provider};
use rustls::{
    ClientConfig, HandshakeKind, ServerConfig,
    client::Resumption,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
};
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// An asking side that keeps every ticket and offers it again, early data included.
fn hoarder(sharing: &Sharing, credential: Option<&ClientCredential>) -> Arc<ClientConfig> {
    let mut config = sharing.config(credential);
    config.resumption = Resumption::in_memory_sessions(32);
    config.enable_early_data = true;
    Arc::new(config)
}

async fn kind(sharing: &Sharing, opened: &Opened, config: &Arc<ClientConfig>) -> io::Result<HandshakeKind> {
    let stream = sharing.connect(opened, config).await?;
    let session = stream.get_ref().1;
    assert_eq!(session.tls13_tickets_received(), 0, "a ticket was given");
    assert!(!session.is_early_data_accepted());
    Ok(session.handshake_kind().unwrap())
}

#[tokio::test]
async fn every_accepted_handshake_is_a_full_one() {
    let sharing = Sharing::new(Sharing::patient());
    let (_, credential) = sharing.issue(GRANT);
    let config = hoarder(&sharing, Some(&credential));
    for opened in [sharing.federation().await, sharing.enrolment().await] {
        for _ in 0..5 {
            assert_eq!(kind(&sharing, &opened, &config).await.unwrap(), HandshakeKind::Full);
        }
    }
}

#[tokio::test]
async fn resume_after_grant_revoked() {
    let sharing = Sharing::new(Sharing::patient());
    let mut opened = sharing.federation().await;
    let (issued, credential) = sharing.issue(GRANT);
    let config = hoarder(&sharing, Some(&credential));
    assert_eq!(kind(&sharing, &opened, &config).await.unwrap(), HandshakeKind::Full);
    sharing.deny.swap(Deny { keys: [issued.leaf.spki].into(), ..Deny::default() });
    assert!(kind(&sharing, &opened, &config).await.is_err());
    assert_eq!(opened.incident().await.class, Class::Certificate(Flaw::Denied));
}

#[tokio::test]
async fn resume_after_ca_removed() {
    let sharing = Sharing::new(Sharing::patient());
    let (_, credential) = sharing.issue(GRANT);
    let config = hoarder(&sharing, Some(&credential));
    let opened = sharing.federation().await;
    assert_eq!(kind(&sharing, &opened, &config).await.unwrap(), HandshakeKind::Full);
    // The same instance with the same certificate of its own, which now trusts another root.
    let world = World::new(Arc::clone(&sharing.clock) as _, Arc::new(SeededRng::new(5)));
    let other = Authority::create(&world, ISSUER).unwrap();
    let verifier = sharing.verifier_of(&other, Arc::clone(&sharing.clock) as _);
    let mut opened = sharing.open(sharing.door(verifier), "127.0.0.1:0").await;
    assert!(kind(&sharing, &opened, &config).await.is_err());
    assert_eq!(opened.incident().await.class, Class::Certificate(Flaw::Chain));
}

#[tokio::test]
async fn resume_across_listeners() {
    let sharing = Sharing::new(Sharing::patient());
    let (enrolment, mut federation) = (sharing.enrolment().await, sharing.federation().await);
    let config = hoarder(&sharing, None);
    assert_eq!(kind(&sharing, &enrolment, &config).await.unwrap(), HandshakeKind::Full);
    assert!(kind(&sharing, &federation, &config).await.is_err());
    assert_eq!(federation.incident().await.class, Class::NoCertificate);
}

/// A server as a library makes it: tickets and a session store.
async fn forgetful_of_nothing(sharing: &Sharing) -> Opened_ {
    let order = InstanceOrder { names: vec![], now: NOW, life: DAY };
    let own = sharing.authority.issue_instance(&order).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.key.expose().clone());
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(own.certificate)], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let serving = tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(socket).await.unwrap();
            stream.write_all(b"x").await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    Opened_ { address, serving }
}

struct Opened_ {
    address: std::net::SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

impl Opened_ {
    async fn kind(&self, config: &Arc<ClientConfig>) -> (HandshakeKind, u32) {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(pki::spiffe::tls_name(ISSUER)).unwrap();
        let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, socket).await.unwrap();
        stream.read_u8().await.unwrap();
        let session = stream.get_ref().1;
        (session.handshake_kind().unwrap(), session.tls13_tickets_received())
    }
}

#[tokio::test]
async fn the_hoarder_would_resume_where_it_may_and_our_own_client_never_does() {
    let sharing = Sharing::new(Sharing::patient());
    let server = forgetful_of_nothing(&sharing).await;
    let hoarder = hoarder(&sharing, None);
    assert_eq!(server.kind(&hoarder).await.0, HandshakeKind::Full);
    assert_eq!(server.kind(&hoarder).await.0, HandshakeKind::Resumed, "or the tests above prove nothing");
    let ours = Arc::new(sharing.config(None));
    for _ in 0..3 {
        let (kind, tickets) = server.kind(&ours).await;
        assert!(tickets > 0, "tickets were offered");
        assert_eq!(kind, HandshakeKind::Full);
    }
    server.serving.abort();
}

#[test]
fn neither_configuration_remembers_anything_or_speaks_anything_else() {
    let sharing = Sharing::new(Sharing::patient());
    let clock = Arc::clone(&sharing.clock);
    for verifier in [None, Some(sharing.verifier().for_connection().0)] {
        let server = tls::server(Arc::clone(&sharing.identity), verifier, Arc::clone(&clock) as _).unwrap();
        assert!(!server.session_storage.can_cache());
        assert!(!server.ticketer.enabled());
        assert_eq!((server.send_tls13_tickets, server.max_early_data_size), (0, 0));
        assert_eq!(server.alpn_protocols, [b"h2"]);
        assert!(!server.send_half_rtt_data && !server.enable_secret_extraction);
        assert!(server.cert_decompressors.is_empty(), "a certificate cannot unpack to more than it is");
    }
    let client = sharing.config(None);
    assert!(!client.enable_early_data && !client.enable_secret_extraction);
    assert_eq!(client.alpn_protocols, [b"h2"]);
    assert!(client.cert_decompressors.is_empty());
    assert!(client.enable_sni && client.check_selected_alpn);
}

//! A session of yesterday never opens today's door: nothing is ever resumed, whatever the client keeps and offers.

use rustls::{
    ClientConfig, HandshakeKind, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
};
use std::sync::Arc;
use tests::{
    asker::{Asker, enrol},
    instance::Instance,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

/// A client that wants to resume: default ticket store, early data on.
fn eager(home: &Asker) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(home.target.root.clone())).expect("a root");
    let own = home.target.credential.as_ref().expect("a credential");
    let builder = ClientConfig::builder_with_provider(pki::provider());
    let builder =
        builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("TLS 1.3").with_root_certificates(roots);
    let chain = vec![CertificateDer::from(own.certificate.clone())];
    let key = PrivatePkcs8KeyDer::from(own.key.expose().clone()).into();
    let mut config = builder.with_client_auth_cert(chain, key).expect("a configuration");
    config.resumption = Resumption::in_memory_sessions(64);
    config.enable_early_data = true;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Shakes hands, reads whatever the server sends first (tickets would be there), says how it went.
async fn shake(
    config: &Arc<ClientConfig>,
    home: &Asker,
    address: &str,
) -> Result<Option<HandshakeKind>, std::io::Error> {
    let name = ServerName::try_from(home.target.tls_name.clone()).expect("a name");
    let socket = tests::direction::socket(address).await?;
    let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, socket).await?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    stream.flush().await?;
    let mut first = [0; 64];
    let read = stream.read(&mut first).await?;
    if read == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let kind = stream.get_ref().1.handshake_kind();
    assert!(!stream.get_ref().1.is_early_data_accepted(), "early data was accepted");
    Ok(kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_after_grant_revoked() {
    let office = Instance::start().await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    // A second grant keeps the listener open.
    let _other = office.grant("owner", r#"{"resources":["notes"]}"#).await;
    let home = enrol(&invite).await;
    let (config, address) = (eager(&home), home.target.addresses[0].clone());
    for _ in 0..3 {
        assert_eq!(shake(&config, &home, &address).await.expect("let in"), Some(HandshakeKind::Full));
    }
    office.spoke.revoke(office.by(), grant.id).await.expect("a revocation");
    for _ in 0..3 {
        assert!(shake(&config, &home, &address).await.is_err(), "let in again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_across_listeners() {
    let office = Instance::start().await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let home = enrol(&invite).await;
    let config = eager(&home);
    for address in [&invite.enrol_addresses[0], &invite.addresses[0], &invite.enrol_addresses[0], &invite.addresses[0]]
    {
        assert_eq!(shake(&config, &home, address).await.expect("let in"), Some(HandshakeKind::Full), "{address}");
    }
}

//! Real handshakes over memory: what each side thinks at the end.

use super::forge::Forge;
use domain::world::Clock;
use pki::{Refused, ServerVerifier, clock::TlsClock, provider};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, ConnectionCommon, Error, ServerConfig, ServerConnection,
    client::{Resumption, danger::ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    server::danger::ClientCertVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};
use std::sync::Arc;

/// A certificate chain with its key, PKCS #8.
pub struct Shown<'a> {
    pub chain: Vec<Vec<u8>>,
    pub key: &'a [u8],
}

impl Shown<'_> {
    // Unchecked on purpose: a hostile side shows whatever it likes beside its key.
    fn resolver(&self) -> Arc<SingleCertAndKey> {
        let key: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(self.key.to_vec()).into();
        let key = provider().key_provider.load_private_key(key).unwrap();
        let chain = self.chain.iter().cloned().map(CertificateDer::from).collect();
        Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
    }
}

/// What the sharing side of a real handshake says to this certificate, and the alert that the asking side got.
pub fn knock(
    forge: &Forge,
    shown: Option<&Shown<'_>>,
) -> (Result<(), Error>, Option<Refused>, Option<AlertDescription>) {
    let (verifier, witness) = forge.verifier.for_connection();
    let (server, client) = meet(forge, verifier, None, shown);
    let refused = witness.saw().and_then(|saw| saw.as_ref().err().cloned());
    let alert = match client {
        Err(Error::AlertReceived(alert)) => Some(alert),
        _ => None,
    };
    (server, refused, alert)
}

/// Lets a server of `forge` and a client meet. Without `believes` the client trusts the forge's own instance.
pub fn meet(
    forge: &Forge,
    verifier: Arc<dyn ClientCertVerifier>,
    believes: Option<(Arc<dyn ServerCertVerifier>, &str, &Shown<'_>)>,
    shown: Option<&Shown<'_>>,
) -> (Result<(), Error>, Result<(), Error>) {
    let instance = forge.authority.instance();
    let own = super::servers::identity_at(forge, forge.clock.now());
    let own = Shown { chain: vec![own.certificate.clone()], key: own.key.expose() };
    let trusted = ServerVerifier::new(forge.authority.root_der(), instance, Arc::clone(&forge.clock) as _).unwrap();
    let name = pki::spiffe::tls_name(instance);
    let (believes, name, own) = believes.unwrap_or((Arc::new(trusted), &name, &own));
    let clock = Arc::new(TlsClock::new(Arc::clone(&forge.clock) as _));

    let server = ServerConfig::builder_with_details(provider(), Arc::clone(&clock) as _);
    let server = server.with_protocol_versions(&[&TLS13]).unwrap().with_client_cert_verifier(verifier);
    let server = ServerConnection::new(Arc::new(server.with_cert_resolver(own.resolver()))).unwrap();

    let client = ClientConfig::builder_with_details(provider(), clock).with_protocol_versions(&[&TLS13]).unwrap();
    let client = client.dangerous().with_custom_certificate_verifier(believes);
    let mut client = match shown {
        Some(shown) => client.with_client_cert_resolver(shown.resolver()),
        None => client.with_no_client_auth(),
    };
    client.resumption = Resumption::disabled();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    drive(server, ClientConnection::new(Arc::new(client), name).unwrap())
}

fn drive(mut server: ServerConnection, mut client: ClientConnection) -> (Result<(), Error>, Result<(), Error>) {
    let (mut there, mut back) = (Ok(()), Ok(()));
    while client.wants_write() || server.wants_write() {
        there = there.and(carry(&mut client, &mut server));
        back = back.and(carry(&mut server, &mut client));
    }
    if there.is_ok() && back.is_ok() {
        assert!(!server.is_handshaking() && !client.is_handshaking(), "neither failed nor finished");
    }
    (there, back)
}

fn carry<A, B>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) -> Result<(), Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut bytes = bytes.as_slice();
    while !bytes.is_empty() {
        if to.read_tls(&mut bytes).unwrap() == 0 {
            break;
        }
        to.process_new_packets()?;
    }
    Ok(())
}

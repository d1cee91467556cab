//! The TLS configurations of both sides: TLS 1.3 only, HTTP/2 only, and no memory.
//!
//! A resumed session skips the certificate check: with a library's defaults a client that was revoked comes back with its old
//! ticket and is let in. So there are no tickets, no session store, no early data, on either side, for ever.

use arc_swap::ArcSwap;
use domain::{secret::Secret, world::Clock};
use pki::{InstanceIdentity, clock::TlsClock, provider};
use rustls::{
    ClientConfig, ConfigBuilder, ConfigSide, Error, ServerConfig, WantsVerifier,
    client::{Resumption, danger::ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, danger::ClientCertVerifier},
    sign::CertifiedKey,
    version::TLS13,
};
use std::{fmt, sync::Arc};

/// The only application protocol: HTTP/2 (RFC 9113 3.2).
pub(crate) const ALPN: &[u8] = b"h2";

/// A sharing side's own certificate and key, swapped whole when it is issued anew.
pub struct Identity(ArcSwap<CertifiedKey>);

impl Identity {
    /// Begins with `identity`.
    ///
    /// # Errors
    /// The key does not parse or does not belong to the certificate.
    pub fn new(identity: &InstanceIdentity) -> Result<Self, Error> {
        Ok(Self(ArcSwap::from_pointee(certified(&identity.certificate, &identity.key)?)))
    }

    /// Shows `identity` from the next handshake on.
    ///
    /// # Errors
    /// As [`Identity::new`]; the former one stays.
    pub fn swap(&self, identity: &InstanceIdentity) -> Result<(), Error> {
        self.0.store(Arc::new(certified(&identity.certificate, &identity.key)?));
        Ok(())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified(certificate: &[u8], key: &Secret<Vec<u8>>) -> Result<CertifiedKey, Error> {
    let chain = vec![CertificateDer::from(certificate.to_vec())];
    CertifiedKey::from_der(chain, private_key(key), &provider())
}

fn private_key(key: &Secret<Vec<u8>>) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.expose().clone()).into()
}

/// The configuration of a listener. Without `verifier` it asks for no client certificate: for enrolment only.
///
/// # Errors
/// The provider has no cipher suite of TLS 1.3, which a test excludes.
pub fn server(
    identity: Arc<Identity>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    clock: Arc<dyn Clock>,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_details(provider(), Arc::new(TlsClock::new(clock)));
    let builder = only_tls13(builder)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(identity);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// The configuration of a dialler. Without `credential` it shows no certificate: for enrolment only.
///
/// # Errors
/// The key does not parse or does not belong to the certificate.
pub fn client(
    verifier: Arc<dyn ServerCertVerifier>,
    credential: Option<(&[u8], &Secret<Vec<u8>>)>,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(TlsClock::new(clock)));
    let builder = only_tls13(builder)?.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match credential {
        Some((certificate, key)) => {
            builder.with_client_auth_cert(vec![CertificateDer::from(certificate.to_vec())], private_key(key))?
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn only_tls13<S: ConfigSide>(
    builder: ConfigBuilder<S, rustls::WantsVersions>,
) -> Result<ConfigBuilder<S, WantsVerifier>, Error> {
    builder.with_protocol_versions(&[&TLS13])
}

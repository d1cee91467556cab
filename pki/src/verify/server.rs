//! The asking side's verifier of the sharing side it was invited by.

use crate::{BadRoot, Flaw, anchor::Anchor, clock::TlsClock, profile};
use domain::{id::InstanceId, world::Clock};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::sync::{Arc, OnceLock};

/// Believes one instance, by the root and id of its invite. Made for one connection: it keeps what it refused.
#[derive(Debug)]
pub struct ServerVerifier {
    anchor: Anchor,
    instance: InstanceId,
    clock: TlsClock,
    flaw: OnceLock<Flaw>,
}

impl ServerVerifier {
    /// Trusts `root_der` (X.509 DER) alone, and only a certificate of `instance` under it.
    pub fn new(root_der: &[u8], instance: InstanceId, clock: Arc<dyn Clock>) -> Result<Self, BadRoot> {
        Ok(Self { anchor: Anchor::new(root_der)?, instance, clock: TlsClock::new(clock), flaw: OnceLock::new() })
    }

    /// Why the other side's certificate was refused, if it was.
    pub fn flaw(&self) -> Option<Flaw> {
        self.flaw.get().copied()
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), Flaw> {
        if leaf.len() > profile::MAX_BYTES {
            return Err(Flaw::Size);
        }
        if !intermediates.is_empty() {
            return Err(Flaw::Chain);
        }
        self.anchor.issued_server(leaf, name, self.clock.now())?;
        profile::instance_leaf(leaf, self.instance).map(drop)
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        // Not used: the verifier asks the injected clock itself, whatever the configuration around it says.
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.judge(end_entity, intermediates, server_name) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(flaw) => {
                let first = *self.flaw.get_or_init(|| flaw);
                Err(CertificateError::from(first).into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.anchor.signatures().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.anchor.signatures().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.anchor.signatures().supported_verify_schemes()
    }
}

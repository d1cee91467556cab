//! The sharing side's verifier of asking sides.
//!
//! rustls shares one verifier among all connections of a configuration, so what one connection presented has nowhere to be
//! kept. Each connection therefore gets its own thin verifier with a [`Witness`], which the accept loop reads afterwards:
//! either the leaf, parsed once, or why it was refused.

use super::DenyList;
use crate::{BadRoot, Flaw, GrantLeaf, anchor::Anchor, clock::TlsClock, profile};
use domain::{
    grant::Leaf,
    id::{GrantId, InstanceId, Serial},
    world::Clock,
};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use std::sync::{Arc, OnceLock};

/// A leaf that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub flaw: Flaw,
    /// Its serial number, where it could be read. Not to be believed unless `grant` is there.
    pub serial: Option<Serial>,
    /// Its grant, only where our own CA had issued the leaf: nobody else can put a refusal into a grant's record.
    pub grant: Option<GrantId>,
}

/// What one connection's verifier saw.
#[derive(Debug, Default)]
pub struct Witness(OnceLock<Result<GrantLeaf, Refused>>);

impl Witness {
    /// The leaf that was presented, or why it was refused; none when no certificate came. A leaf proves something only after
    /// the handshake has ended well, with the proof that the caller has its key.
    pub fn saw(&self) -> Option<&Result<GrantLeaf, Refused>> {
        self.0.get()
    }
}

/// Judges the certificates of asking sides against one root, the clock, the profile and the denied set.
#[derive(Clone, Debug)]
pub struct ClientVerifier {
    anchor: Anchor,
    issuer: InstanceId,
    clock: TlsClock,
    deny: Arc<DenyList>,
}

impl ClientVerifier {
    /// Trusts `root_der` (X.509 DER), the CA of `issuer`, alone. `deny` may be swapped at any time.
    pub fn new(
        root_der: &[u8],
        issuer: InstanceId,
        clock: Arc<dyn Clock>,
        deny: Arc<DenyList>,
    ) -> Result<Self, BadRoot> {
        Ok(Self { anchor: Anchor::new(root_der)?, issuer, clock: TlsClock::new(clock), deny })
    }

    /// A verifier for one connection, and what will tell what it saw.
    pub fn for_connection(&self) -> (Arc<dyn ClientCertVerifier>, Arc<Witness>) {
        let witness = Arc::new(Witness::default());
        let verifier = OneConnection { verifier: self.clone(), witness: Arc::clone(&witness) };
        (Arc::new(verifier), witness)
    }

    /// Whether the denied set in force has this leaf: for a second look after a connection was registered.
    pub fn denies(&self, leaf: &Leaf) -> bool {
        self.deny.covers(leaf)
    }

    /// Judges a leaf and whatever came with it.
    pub fn judge(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Result<GrantLeaf, Refused> {
        let refused = |flaw| Refused { flaw, serial: profile::serial_of(leaf), grant: None };
        if leaf.len() > profile::MAX_BYTES {
            return Err(refused(Flaw::Size));
        }
        if !self.anchor.may_follow(intermediates) {
            return Err(refused(Flaw::Chain));
        }
        self.anchor.issued_client(leaf, self.clock.now()).map_err(refused)?;
        let read = profile::grant_leaf(leaf, self.issuer).map_err(refused)?;
        if self.denies(&read.leaf) {
            return Err(Refused { grant: Some(read.grant), ..refused(Flaw::Denied) });
        }
        Ok(read)
    }
}

#[derive(Debug)]
struct OneConnection {
    verifier: ClientVerifier,
    witness: Arc<Witness>,
}

impl ClientCertVerifier for OneConnection {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.anchor.signatures().root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        // Not used: the verifier asks the injected clock itself, whatever the configuration around it says.
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verdict = self.verifier.judge(end_entity, intermediates);
        match self.witness.0.get_or_init(|| verdict) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(refused) => Err(CertificateError::from(refused.flaw).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.anchor.signatures().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.anchor.signatures().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.anchor.signatures().supported_verify_schemes()
    }
}

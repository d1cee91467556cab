//! The one root a link trusts. Never a set of roots: a union would let one side's CA speak for another.

use crate::{Flaw, clock::unix_time, key, profile::WholeCertificate, provider, spiffe};
use domain::{Time, id::InstanceId};
use rustls::{
    RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    pki_types::{CertificateDer, ServerName},
    server::{ParsedCertificate, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use std::sync::Arc;
use x509_parser::extensions::{GeneralName, ParsedExtension};

/// The bytes cannot be a trust anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this root certificate cannot be used: {0}; ask the other side for a new invite")]
pub struct BadRoot(&'static str);

/// A root certificate, checked, with what verifies against it.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    der: Arc<[u8]>,
    roots: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
    not_before: Time,
    not_after: Time,
}

impl Anchor {
    /// Reads a root certificate, X.509 DER.
    pub(crate) fn new(root_der: &[u8]) -> Result<Self, BadRoot> {
        let whole = WholeCertificate::parse(root_der).map_err(|_| BadRoot("it is no X.509 certificate"))?;
        let (not_before, not_after) = whole.validity();
        let der = CertificateDer::from(root_der);
        let mut roots = RootCertStore::empty();
        roots.add(der).map_err(|_| BadRoot("it is no trust anchor"))?;
        let roots = Arc::new(roots);
        // Hints would name this instance to anyone who knocks, and a caller has one certificate per link: nothing to choose.
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .clear_root_hint_subjects()
            .build()
            .map_err(|_| BadRoot("it is no trust anchor"))?;
        Ok(Self { der: root_der.into(), roots, clients, not_before, not_after })
    }

    /// The certificate, X.509 DER.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether what came behind a leaf is nothing, or this root. OpenSSL sends it along unasked when it trusts it, and it proves
    /// nothing: what is trusted is the copy here.
    pub(crate) fn may_follow(&self, behind: &[CertificateDer<'_>]) -> bool {
        match behind {
            [] => true,
            [one] => one.as_ref() == &*self.der,
            _ => false,
        }
    }

    /// Whether `leaf` was issued directly by this root for a client and both are valid at `now`.
    pub(crate) fn issued_client(&self, leaf: &CertificateDer<'_>, now: Time) -> Result<(), Flaw> {
        self.is_valid_at(now)?;
        self.clients.verify_client_cert(leaf, &[], unix_time(now))?;
        Ok(())
    }

    /// Whether `leaf` was issued directly by this root for the server `name` and both are valid at `now`.
    pub(crate) fn issued_server(
        &self,
        leaf: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: Time,
    ) -> Result<(), Flaw> {
        self.is_valid_at(now)?;
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, &[], unix_time(now), algorithms)?;
        verify_server_name(&parsed, name)?;
        Ok(())
    }

    /// The TLS half: signatures of the handshake, which do not depend on the root.
    pub(crate) fn signatures(&self) -> &dyn ClientCertVerifier {
        &*self.clients
    }

    // webpki takes a trust anchor's dates for granted; a root that has ended must not let anybody in.
    fn is_valid_at(&self, now: Time) -> Result<(), Flaw> {
        if now < self.not_before {
            Err(Flaw::NotYetValid)
        } else if now > self.not_after {
            Err(Flaw::Expired)
        } else {
            Ok(())
        }
    }
}

/// The instance whose CA this root is, from the root's only URI name.
pub(crate) fn issuer_of(root_der: &[u8]) -> Result<InstanceId, BadRoot> {
    let whole = WholeCertificate::parse(root_der).map_err(|_| BadRoot("it is no X.509 certificate"))?;
    let names = whole.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    match names.map(Vec::as_slice) {
        Some([GeneralName::URI(id)]) => {
            spiffe::parse_trust_domain_id(id).ok_or(BadRoot("its trust domain is not one of mosaic-fed"))
        }
        _ => Err(BadRoot("it does not name its trust domain")),
    }
}

/// The name of a root's key.
pub(crate) fn key_of(root_der: &[u8]) -> Result<domain::id::Spki, BadRoot> {
    let whole = WholeCertificate::parse(root_der).map_err(|_| BadRoot("it is no X.509 certificate"))?;
    Ok(key::fingerprint(whole.spki()))
}

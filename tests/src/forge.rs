//! Certificates that no honest CA would issue, signed by a real one: each differs from a good grant certificate in one thing.

use domain::{
    Time,
    id::{GrantId, InstanceId, UserId},
};
use pki::Authority;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::time::Duration;

/// A grant certificate to be forged; starts out as a good one.
pub struct Forged {
    /// rcgen's own parameters, to be changed at will.
    pub params: CertificateParams,
    /// The key's algorithm.
    pub algorithm: &'static rcgen::SignatureAlgorithm,
}

/// The grant certificate's two extensions (1.3.6.1.4.1.99999.1 and .2) with any content.
pub fn extension(last: u64, content: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, last], content)
}

/// A DER `UTF8String`.
pub fn utf8(text: &str) -> Vec<u8> {
    let mut der = vec![0x0c, u8::try_from(text.len()).expect("a short text")];
    der.extend(text.bytes());
    der
}

/// A URI as a subject alternative name.
pub fn uri(text: &str) -> SanType {
    SanType::URI(text.to_owned().try_into().expect("ASCII"))
}

/// `spiffe://<issuer>.mosaic-fed.internal/instance/<holder>`
pub fn spiffe(issuer: InstanceId, holder: InstanceId) -> String {
    format!("spiffe://{issuer}.mosaic-fed.internal/instance/{holder}")
}

impl Forged {
    /// What `issuer` would issue to `holder` for this grant and subject, from five minutes ago for a day.
    pub fn good(issuer: InstanceId, holder: InstanceId, grant: GrantId, subject: UserId, now: Time) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![uri(&spiffe(issuer, holder))];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.custom_extensions =
            vec![extension(1, utf8(&grant.to_string())), extension(2, utf8(&subject.to_string()))];
        params.not_before = now.before(Duration::from_mins(5)).to_offset();
        params.not_after = (now + Duration::from_hours(24)).to_offset();
        params.serial_number = Some(SerialNumber::from_slice(&[&[0x5a; 8], &now.micros().to_be_bytes()[..]].concat()));
        params.use_authority_key_identifier_extension = true;
        Self { params, algorithm: &rcgen::PKCS_ECDSA_P256_SHA256 }
    }

    /// With another change.
    #[must_use]
    pub fn but(mut self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        change(&mut self.params);
        self
    }

    /// Signs it with `authority`'s key. Certificate and PKCS #8 key, DER.
    pub fn sign(&self, authority: &Authority) -> (Vec<u8>, Vec<u8>) {
        let ca_key = authority.key_pkcs8();
        let pkcs8 = PrivatePkcs8KeyDer::from(ca_key.expose().as_slice());
        let ca = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_ECDSA_P256_SHA256).expect("the CA's key");
        let root = CertificateDer::from(authority.root_der());
        let issuer = rcgen::Issuer::from_ca_cert_der(&root, ca).expect("the root");
        let key = KeyPair::generate_for(self.algorithm).expect("a key");
        let certificate = self.params.signed_by(&key, &issuer).expect("a certificate");
        (certificate.der().to_vec(), key.serialized_der().to_vec())
    }
}

/// A common name, which nobody reads.
pub fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

/// The CA bit with its key usage.
pub fn as_ca(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
}

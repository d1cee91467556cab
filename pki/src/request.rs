//! The certificate request: made on the asking side, checked on the sharing side. It proves possession of a key, no more.

use crate::key;
use aws_lc_rs::hmac;
use domain::{id::Spki, secret::Secret, words::Nonce};
use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SubjectPublicKeyInfo,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

/// The longest request that is read; ours has some 200 bytes.
pub const MAX_BYTES: usize = 4 * 1024;

/// A request is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Too long.
    #[error("the certificate request is longer than {MAX_BYTES} bytes; send a plain one")]
    Size,
    /// Not PKCS #10 in DER, or with bytes after its end.
    #[error("the certificate request is no PKCS #10 request in DER")]
    Encoding,
    /// Another kind of key.
    #[error("the certificate request's key is neither P-256 (uncompressed) nor Ed25519; make one of these")]
    KeyKind,
    /// It asks for names, extensions or anything else.
    #[error("the certificate request asks for more than a key may: send one without attributes, names or extensions")]
    Extras,
    /// It was not signed with its own key.
    #[error("the certificate request is not signed by its own key")]
    Signature,
}

/// A request whose signature proved possession of an acceptable key. Only the key can be taken out of it.
///
/// A request that asks for anything, be it an alternative name, an extension or a challenge password, is refused outright: who
/// asks for names misunderstands who decides them, or hopes they are copied. They never are: the certificate is built from the
/// order. The subject is not read.
#[derive(Clone, Debug)]
pub struct CheckedCsr {
    der: Vec<u8>,
    key: SubjectPublicKeyInfo,
    spki: Spki,
}

impl CheckedCsr {
    /// Reads a PKCS #10 request, DER (RFC 2986).
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_BYTES {
            return Err(CsrError::Size);
        }
        let Ok(([], request)) = X509CertificationRequest::from_der(der) else { return Err(CsrError::Encoding) };
        let info = &request.certification_request_info;
        let spki = info.subject_pki.raw;
        key::KeyKind::of(spki).ok_or(CsrError::KeyKind)?;
        if !info.attributes().is_empty() {
            return Err(CsrError::Extras);
        }
        request.verify_signature().map_err(|_| CsrError::Signature)?;
        let key = SubjectPublicKeyInfo::from_der(spki).map_err(|_| CsrError::KeyKind)?;
        Ok(Self { der: der.to_vec(), key, spki: key::fingerprint(spki) })
    }

    /// The key's name.
    pub fn spki(&self) -> Spki {
        self.spki
    }

    /// The request as it came, for a CA that is another program and wants to see it.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn key(&self) -> &impl PublicKeyData {
        &self.key
    }
}

/// A new key of an asking side with the request for its certificate.
pub struct RequestKey {
    /// PKCS #8 DER.
    pub key_pkcs8: Secret<Vec<u8>>,
    /// PKCS #10 DER.
    pub csr: Vec<u8>,
    /// The key's name.
    pub spki: Spki,
}

impl RequestKey {
    /// Makes a P-256 key and a request that asks for nothing but its certificate.
    ///
    /// # Errors
    /// The machine gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        Self::of(&KeyPair::generate().map_err(|error| KeyError(error.to_string()))?)
    }

    /// A key that was made earlier, PKCS #8 DER, with a request of its own.
    ///
    /// # Errors
    /// The bytes are no such key, or the machine gives no randomness.
    pub fn again(key_pkcs8: &Secret<Vec<u8>>) -> Result<Self, KeyError> {
        let pkcs8 = PrivatePkcs8KeyDer::from(key_pkcs8.expose().as_slice());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256);
        Self::of(&key.map_err(|error| KeyError(error.to_string()))?)
    }

    /// 32 bytes that only whoever has the key can foresee, always the same for what is named by `about`: HMAC-SHA256 with the key,
    /// PKCS #8 DER.
    pub fn nonce(&self, about: &[u8; 32]) -> Nonce {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key_pkcs8.expose());
        let mut mac = hmac::Context::with_key(&key);
        mac.update(b"mosaic-fed words nonce 1\0");
        mac.update(about);
        let mut nonce = [0; 32];
        nonce.copy_from_slice(mac.sign().as_ref());
        Nonce(nonce)
    }

    fn of(key: &KeyPair) -> Result<Self, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(key).map_err(|error| KeyError(error.to_string()))?;
        Ok(Self {
            key_pkcs8: Secret::new(key.serialized_der().to_vec()),
            csr: request.der().to_vec(),
            spki: key::fingerprint(&key.subject_public_key_info()),
        })
    }
}

/// A key could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("a key could not be made or read: {0}; check that the machine gives randomness and that the key belongs here")]
pub struct KeyError(pub(crate) String);

//! Why a certificate is refused: a closed list, for this side's log and audit. The peer is told no more than a TLS alert.

use rustls::{CertificateError, Error};

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Flaw {
    /// More bytes than any certificate of this kind has.
    #[error("the certificate is larger than any of ours")]
    Size,
    /// Not a version 3 X.509 certificate in DER, or with bytes after its end.
    #[error("the certificate is no X.509 certificate in DER")]
    Encoding,
    /// It does not chain to the one root, or came with others.
    #[error("the certificate was not issued by the expected root")]
    Chain,
    /// Its end, or its root's, has passed.
    #[error("the certificate has expired, by this machine's clock")]
    Expired,
    /// Its beginning lies ahead.
    #[error("the certificate is not valid yet, by this machine's clock")]
    NotYetValid,
    /// Its extended key usage is not exactly the one needed.
    #[error("the certificate is for another purpose")]
    Purpose,
    /// It says that it may issue certificates.
    #[error("the certificate is one of a certificate authority")]
    Authority,
    /// Its key usage is present and not exactly digitalSignature.
    #[error("the certificate's key usage is not digitalSignature alone")]
    KeyUsage,
    /// Its key is neither P-256 nor Ed25519, or not in its one encoding.
    #[error("the certificate's key is neither P-256 nor Ed25519")]
    KeyKind,
    /// Its subject alternative names are not exactly those of its kind.
    #[error("the certificate's names are not those of this kind of certificate")]
    Names,
    /// Its trust domain or holder is another instance.
    #[error("the certificate names another instance")]
    Instance,
    /// A private extension is missing, doubled or malformed, or any extension is doubled.
    #[error("an extension of the certificate is missing, doubled or malformed")]
    Extension,
    /// It has a critical extension that this program does not know.
    #[error("the certificate has a critical extension that is not known here")]
    UnknownCritical,
    /// Its serial number is not 8 to 20 bytes and positive.
    #[error("the certificate's serial number is not 8 to 20 bytes")]
    Serial,
    /// It lives shorter or longer than the policy allows.
    #[error("the certificate's lifetime is outside 5 minutes to 90 days")]
    Lifetime,
    /// Its serial number or key is denied.
    #[error("the certificate's serial number or key was revoked")]
    Denied,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 16] = [
        Self::Size,
        Self::Encoding,
        Self::Chain,
        Self::Expired,
        Self::NotYetValid,
        Self::Purpose,
        Self::Authority,
        Self::KeyUsage,
        Self::KeyKind,
        Self::Names,
        Self::Instance,
        Self::Extension,
        Self::UnknownCritical,
        Self::Serial,
        Self::Lifetime,
        Self::Denied,
    ];

    /// One word, stable, for logs, audit and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Encoding => "encoding",
            Self::Chain => "chain",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Purpose => "purpose",
            Self::Authority => "authority",
            Self::KeyUsage => "key_usage",
            Self::KeyKind => "key_kind",
            Self::Names => "names",
            Self::Instance => "instance",
            Self::Extension => "extension",
            Self::UnknownCritical => "unknown_critical",
            Self::Serial => "serial",
            Self::Lifetime => "lifetime",
            Self::Denied => "denied",
        }
    }
}

/// What rustls sends as an alert: time, revocation and issuer are told apart because they need different steps of the other
/// side's person; every flaw of form is `access_denied`.
impl From<Flaw> for CertificateError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Expired => Self::Expired,
            Flaw::NotYetValid => Self::NotValidYet,
            Flaw::Chain => Self::UnknownIssuer,
            Flaw::Denied => Self::Revoked,
            Flaw::Size | Flaw::Encoding => Self::BadEncoding,
            _ => Self::ApplicationVerificationFailure,
        }
    }
}

/// What the chain check of rustls found.
impl From<Error> for Flaw {
    fn from(error: Error) -> Self {
        use CertificateError as C;
        match error {
            Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => Self::Expired,
            Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => Self::NotYetValid,
            Error::InvalidCertificate(C::InvalidPurpose | C::InvalidPurposeContext { .. }) => Self::Purpose,
            Error::InvalidCertificate(C::BadEncoding) => Self::Encoding,
            Error::InvalidCertificate(C::UnhandledCriticalExtension) => Self::UnknownCritical,
            Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => Self::Names,
            _ => Self::Chain,
        }
    }
}

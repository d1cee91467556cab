//! What a leaf must look like, to the byte. Run after the chain check, which alone lets through leaves without an extended
//! key usage, leaves that may issue, doubled extensions and names of any type.
//!
//! Extensions are compared as encoded, not as parsed: DER has one encoding for each, so whatever a more tolerant parser would
//! make of other bytes cannot matter. The subject, its common name included, is never read.

use crate::{Flaw, key, spiffe};
use domain::{
    Time,
    caller::Presented,
    grant::Leaf,
    id::{GrantId, InstanceId, Serial, Spki, UserId, parse_uuid},
};
use std::{collections::HashSet, net::SocketAddr, time::Duration};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension, X509Extension},
    prelude::FromDer,
    x509::{SubjectPublicKeyInfo, X509Version},
};

/// The longest certificate that is read; ours have some 600 bytes, with many public names a few thousand.
pub const MAX_BYTES: usize = 8 * 1024;
/// The shortest life of a leaf.
pub const MIN_LIFE: Duration = Duration::from_mins(5);
/// The longest life of a leaf.
pub const MAX_LIFE: Duration = Duration::from_hours(90 * 24);
/// How far before its issue a leaf is valid, for clocks that are behind.
pub const SKEW: Duration = Duration::from_mins(5);

/// The most bytes of a serial number as encoded.
const MAX_SERIAL: usize = 20;

pub(crate) mod oid {
    //! Object identifiers as encoded in DER, without tag and length.

    pub(crate) const NAMES: &[u8] = &[0x55, 0x1d, 0x11];
    pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    pub(crate) const PURPOSE: &[u8] = &[0x55, 0x1d, 0x25];
    /// 1.3.6.1.4.1.99999.1
    pub(crate) const GRANT: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x86, 0x8d, 0x1f, 0x01];
    /// 1.3.6.1.4.1.99999.2
    pub(crate) const SUBJECT: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x86, 0x8d, 0x1f, 0x02];
}

/// SEQUENCE { id-kp-clientAuth } (RFC 5280 4.2.1.12).
const CLIENT_AUTH: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
/// SEQUENCE { id-kp-serverAuth }.
const SERVER_AUTH: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
/// BIT STRING with digitalSignature alone (RFC 5280 4.2.1.3).
const DIGITAL_SIGNATURE: &[u8] = &[0x03, 0x02, 0x07, 0x80];
/// SEQUENCE {}: not an authority (RFC 5280 4.2.1.9).
const NO_AUTHORITY: &[u8] = &[0x30, 0x00];

/// What a grant certificate proves, once its chain was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantLeaf {
    /// The asking instance.
    pub holder: InstanceId,
    /// The grant.
    pub grant: GrantId,
    /// The user of the sharing instance on whose behalf the grant reads.
    pub subject: UserId,
    /// Serial number, key and end.
    pub leaf: Leaf,
    /// When it was issued: [`SKEW`] after it begins, and never after its end.
    pub issued_at: Time,
}

impl GrantLeaf {
    /// The same, as it was presented from `address`.
    pub fn presented_from(self, address: SocketAddr) -> Presented {
        let Self { holder, grant, subject, leaf, issued_at } = self;
        let Leaf { serial, spki, not_after } = leaf;
        Presented { peer: holder, grant, subject, serial, spki, issued_at, not_after, address }
    }
}

/// What an instance's own certificate proves, once its chain was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceLeaf {
    /// The sharing instance.
    pub instance: InstanceId,
    /// The DNS names in the certificate, the instance's own among them.
    pub names: Vec<String>,
    /// Serial number, key and end.
    pub leaf: Leaf,
}

/// Reads the certificate of an asking side, X.509 DER, that `issuer`'s CA is said to have issued.
pub fn grant_leaf(der: &[u8], issuer: InstanceId) -> Result<GrantLeaf, Flaw> {
    let certificate = WholeCertificate::parse(der)?;
    let leaf = certificate.common(CLIENT_AUTH)?;
    let names = certificate.extension(oid::NAMES).ok_or(Flaw::Names)?.value;
    let (domain, holder) = only_uri(names).and_then(spiffe::parse_instance_id).ok_or(Flaw::Names)?;
    if domain != issuer {
        return Err(Flaw::Instance);
    }
    let id = |oid| {
        let extension = certificate.extension(oid).ok_or(Flaw::Extension)?;
        utf8_string(extension.value).and_then(parse_uuid).ok_or(Flaw::Extension)
    };
    let issued_at = (certificate.validity().0 + SKEW).min(leaf.not_after);
    Ok(GrantLeaf { holder, grant: GrantId(id(oid::GRANT)?), subject: UserId(id(oid::SUBJECT)?), leaf, issued_at })
}

/// Reads the certificate of a sharing side, X.509 DER: it must be `instance`'s own.
pub fn instance_leaf(der: &[u8], instance: InstanceId) -> Result<InstanceLeaf, Flaw> {
    let certificate = WholeCertificate::parse(der)?;
    let leaf = certificate.common(SERVER_AUTH)?;
    let extension = certificate.extension(oid::NAMES).ok_or(Flaw::Names)?;
    let ParsedExtension::SubjectAlternativeName(found) = extension.parsed_extension() else {
        return Err(Flaw::Names);
    };
    let (mut ids, mut names) = (Vec::new(), Vec::new());
    for name in &found.general_names {
        match name {
            GeneralName::URI(id) => ids.push(*id),
            GeneralName::DNSName(name) if is_host(name) => names.push((*name).to_owned()),
            _ => return Err(Flaw::Names),
        }
    }
    let [id] = ids[..] else { return Err(Flaw::Names) };
    if spiffe::parse_instance_id(id).ok_or(Flaw::Names)? != (instance, instance) {
        return Err(Flaw::Instance);
    }
    if !names.contains(&spiffe::tls_name(instance)) {
        return Err(Flaw::Names);
    }
    Ok(InstanceLeaf { instance, names, leaf })
}

/// The serial number of whatever this is, when it can be read: for the record of a refusal.
pub(crate) fn serial_of(der: &[u8]) -> Option<Serial> {
    WholeCertificate::parse(der).ok()?.serial().ok()
}

/// Whether this is a plain host name: lower-case letters, digits, `-`, at least two labels, no wildcard (RFC 1123 2.1).
pub(crate) fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // The last label has a letter, or it could be read as an IPv4 address.
    let last = name.rsplit('.').next().is_some_and(|last| last.bytes().any(|b| b.is_ascii_lowercase()));
    name.len() <= 253 && last && name.split('.').all(label)
}

/// The URI of a subject alternative name that holds one URI and nothing else. Both lengths are below 128, as any of ours is.
fn only_uri(names: &[u8]) -> Option<&str> {
    let [0x30, all, 0x86, one, uri @ ..] = names else { return None };
    let fits = uri.len() < 126 && usize::from(*one) == uri.len() && usize::from(*all) == uri.len() + 2;
    std::str::from_utf8(uri).ok().filter(|_| fits)
}

/// The text of a DER `UTF8String` as long as a UUID.
fn utf8_string(value: &[u8]) -> Option<&str> {
    let [0x0c, 36, text @ ..] = value else { return None };
    std::str::from_utf8(text).ok()
}

/// A version 3 certificate that ends where its bytes end.
pub(crate) struct WholeCertificate<'a>(X509Certificate<'a>);

impl<'a> WholeCertificate<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, Flaw> {
        if der.len() > MAX_BYTES {
            return Err(Flaw::Size);
        }
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) if certificate.version() == X509Version::V3 => Ok(Self(certificate)),
            _ => Err(Flaw::Encoding),
        }
    }

    pub(crate) fn extensions(&self) -> &[X509Extension<'a>] {
        self.0.extensions()
    }

    pub(crate) fn spki(&self) -> &'a [u8] {
        self.0.tbs_certificate.subject_pki.raw
    }

    pub(crate) fn public_key(&self) -> &SubjectPublicKeyInfo<'a> {
        &self.0.tbs_certificate.subject_pki
    }

    /// The subject's name, DER.
    pub(crate) fn subject(&self) -> &[u8] {
        self.0.subject().as_raw()
    }

    pub(crate) fn validity(&self) -> (Time, Time) {
        let validity = self.0.validity();
        (Time::from_seconds(validity.not_before.timestamp()), Time::from_seconds(validity.not_after.timestamp()))
    }

    fn extension(&self, oid: &[u8]) -> Option<&X509Extension<'a>> {
        self.extensions().iter().find(|extension| extension.oid.as_bytes() == oid)
    }

    fn serial(&self) -> Result<Serial, Flaw> {
        let bytes = self.0.raw_serial();
        let negative = bytes.first().is_none_or(|first| first & 0x80 != 0);
        // A number of 20 bytes whose sign needs one more is too long as well (RFC 5280 4.1.2.2).
        let long = bytes.len() > MAX_SERIAL;
        // The shortest form alone, as DER has it: one number, one spelling.
        let padded = matches!(bytes, [0, second, ..] if second & 0x80 == 0);
        Serial::new(bytes).filter(|_| !negative && !long && !padded).ok_or(Flaw::Serial)
    }

    /// What both kinds of leaves have in common, with `purpose` as the encoded extended key usage.
    fn common(&self, purpose: &[u8]) -> Result<Leaf, Flaw> {
        self.check_extensions()?;
        let value = |oid| self.extension(oid).map(|extension| extension.value);
        if value(oid::BASIC_CONSTRAINTS).is_some_and(|value| value != NO_AUTHORITY) {
            return Err(Flaw::Authority);
        }
        if value(oid::KEY_USAGE).is_some_and(|value| value != DIGITAL_SIGNATURE) {
            return Err(Flaw::KeyUsage);
        }
        if value(oid::PURPOSE) != Some(purpose) {
            return Err(Flaw::Purpose);
        }
        key::KeyKind::of(self.spki()).ok_or(Flaw::KeyKind)?;
        let not_after = self.check_lifetime()?;
        Ok(Leaf { serial: self.serial()?, spki: self.fingerprint(), not_after })
    }

    fn fingerprint(&self) -> Spki {
        key::fingerprint(self.spki())
    }

    /// Each extension at most once, and no critical one that nobody here looks at.
    fn check_extensions(&self) -> Result<(), Flaw> {
        const KNOWN: [&[u8]; 6] =
            [oid::NAMES, oid::KEY_USAGE, oid::BASIC_CONSTRAINTS, oid::PURPOSE, oid::GRANT, oid::SUBJECT];
        let mut seen = HashSet::new();
        for extension in self.extensions() {
            if !seen.insert(extension.oid.as_bytes()) {
                return Err(Flaw::Extension);
            }
            if extension.critical && !KNOWN.contains(&extension.oid.as_bytes()) {
                return Err(Flaw::UnknownCritical);
            }
        }
        Ok(())
    }

    fn check_lifetime(&self) -> Result<Time, Flaw> {
        let (not_before, not_after) = self.validity();
        let life = not_after.since(not_before);
        if life < MIN_LIFE || life > MAX_LIFE + SKEW {
            return Err(Flaw::Lifetime);
        }
        Ok(not_after)
    }
}

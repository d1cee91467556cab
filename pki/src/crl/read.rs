//! Reading a list that somebody else hands over, to keep out what is on it. Everything is checked before a serial number counts,
//! and a list that tells only a part, or tells it of another CA's certificates, is refused whole: who reads on from there has
//! let revoked certificates in elsewhere (RUSTSEC-2026-0048, -0049).

use super::{CrlError, MAX_CRL_BYTES, signed};
use crate::profile::{SKEW, WholeCertificate};
use domain::{Time, id::Serial};
use std::{collections::HashSet, fmt};
use x509_parser::{
    extensions::{ParsedExtension, X509Extension},
    revocation_list::{CertificateRevocationList, RevokedCertificate},
    x509::ReasonCode,
};

/// A list's own number (RFC 5280 5.2.3), which only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrlNumber(u64);

impl fmt::Display for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A list that may be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadCrl {
    /// Its number.
    pub number: CrlNumber,
    /// When it was made.
    pub begins: Time,
    /// When the next one is due.
    pub ends: Time,
    /// What is on it and can be a certificate of ours.
    pub serials: HashSet<Serial>,
}

/// Reads a list, DER, that must be signed by `anchor`, about all of its certificates, and no older than `held`. One that has
/// expired is read as well: what is on it stays revoked. It is for the caller to say that it is old.
pub fn read(der: &[u8], anchor: &[u8], held: Option<&ReadCrl>, now: Time) -> Result<ReadCrl, CrlError> {
    if der.len() > MAX_CRL_BYTES {
        return Err(CrlError::Size);
    }
    let list = signed(der, anchor)?;
    if !signs_lists(anchor) {
        return Err(CrlError::Signature);
    }
    whole(list.extensions())?;
    let number =
        list.crl_number().and_then(|number| u64::try_from(number).ok()).map(CrlNumber).ok_or(CrlError::Number)?;
    let begins = Time::from_seconds(list.last_update().timestamp());
    if begins > now + SKEW {
        return Err(CrlError::NotYet);
    }
    let ends = list.next_update().map(|end| Time::from_seconds(end.timestamp())).ok_or(CrlError::Expired)?;
    let serials = serials(&list)?;
    let read = ReadCrl { number, begins, ends, serials };
    match held {
        Some(held) if read.number < held.number => Err(CrlError::Older { number, held: held.number }),
        Some(held) if read.number == held.number && read != *held => Err(CrlError::Twice(number)),
        _ => Ok(read),
    }
}

/// A CA whose key is not for signing lists signed none (RFC 5280 4.2.1.3).
fn signs_lists(anchor: &[u8]) -> bool {
    let usage = |extension: &X509Extension<'_>| match extension.parsed_extension() {
        ParsedExtension::KeyUsage(usage) => Some(usage.crl_sign()),
        _ => None,
    };
    WholeCertificate::parse(anchor).is_ok_and(|root| root.extensions().iter().find_map(usage).unwrap_or(true))
}

/// Each extension once, and none that makes the list one about a part: of the time since another list, of the reasons, of the
/// certificates, or of other CAs.
fn whole(extensions: &[X509Extension<'_>]) -> Result<(), CrlError> {
    let mut seen = HashSet::new();
    for extension in extensions {
        if !seen.insert(extension.oid.as_bytes()) {
            return Err(CrlError::Encoding);
        }
        match extension.parsed_extension() {
            ParsedExtension::CRLNumber(_) | ParsedExtension::AuthorityKeyIdentifier(_) => {}
            _ if extension.oid.as_bytes() == POINT && is_whole(extension.value) => {}
            ParsedExtension::ParseError { .. } => return Err(CrlError::Encoding),
            // A delta says so in an extension of this number (RFC 5280 5.2.4).
            _ if [DELTA, POINT].contains(&extension.oid.as_bytes()) => return Err(CrlError::Part),
            _ if extension.critical => return Err(CrlError::Part),
            _ => {}
        }
    }
    Ok(())
}

/// 2.5.29.28
const POINT: &[u8] = &[0x55, 0x1d, 0x1c];
/// 2.5.29.27
const DELTA: &[u8] = &[0x55, 0x1d, 0x1b];

/// Where a list is found says nothing about what is on it, and that it is about no authorities leaves out nothing that comes to
/// a door (step-ca says it). Whatever else stands in this extension does (RFC 5280 5.2.5). Read as encoded: a tolerant parser
/// leaves out what it does not understand.
fn is_whole(point: &[u8]) -> bool {
    const USERS: &[u8] = &[0x81, 1, 0xff];
    let Some((0x30, inside)) = only(point) else { return false };
    let place = inside.strip_suffix(USERS).unwrap_or(inside);
    place.is_empty() || only(place).is_some_and(|(tag, _)| tag == 0xa0)
}

/// Tag and content of the one DER element that this is, of at most 64 KiB.
fn only(der: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, length, content) = match der {
        [tag, 0x82, high, low, content @ ..] => (tag, usize::from(u16::from_be_bytes([*high, *low])), content),
        [tag, 0x81, length, content @ ..] | [tag, length @ 0..=0x7f, content @ ..] => {
            (tag, usize::from(*length), content)
        }
        _ => return None,
    };
    (content.len() == length).then_some((*tag, content))
}

fn serials(list: &CertificateRevocationList<'_>) -> Result<HashSet<Serial>, CrlError> {
    let mut serials = HashSet::new();
    for one in list.iter_revoked_certificates() {
        of_this_ca(one)?;
        // What has a shorter or longer number cannot be a certificate of a grant.
        serials.extend(Serial::new(one.raw_serial()));
    }
    Ok(serials)
}

/// An entry about another CA's certificate names it in a critical extension; one that takes a certificate off the list belongs
/// to a delta (RFC 5280 5.3).
fn of_this_ca(one: &RevokedCertificate<'_>) -> Result<(), CrlError> {
    for extension in one.extensions() {
        let taken_off = matches!(extension.parsed_extension(), ParsedExtension::ReasonCode(ReasonCode::RemoveFromCRL));
        if taken_off || extension.critical || extension.oid.as_bytes() == CERTIFICATE_ISSUER {
            return Err(CrlError::Part);
        }
    }
    Ok(())
}

/// 2.5.29.29
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 0x1d];

//! Lists of revoked certificates (RFC 5280 section 5): what is on one, how the embedded CA writes one, and what another CA's
//! must look like to be believed.
//!
//! Nobody is let in by a list: the grants' own table decides, at once. A list is for others, for the check that the CA knows what
//! this side revoked, and, where one is read from elsewhere ([`mod@read`]), a second belt that keeps out what is on it.

mod read;

pub use read::{CrlNumber, ReadCrl, read};

use crate::{profile::SKEW, profile::WholeCertificate};
use domain::{Time, id::Serial};
use std::{collections::HashSet, time::Duration};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

/// How long a list lives.
pub const CRL_LIFE: Duration = Duration::from_hours(24);
/// The longest list that is read.
pub const MAX_CRL_BYTES: usize = 4 * 1024 * 1024;

/// Why a certificate was revoked (RFC 5280 section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its grant has ended.
    Ended,
    /// Another one took its place.
    Replaced,
    /// Somebody else may have its key.
    KeyCompromised,
    /// It is not said.
    Unsaid,
}

impl Why {
    /// The reason code of RFC 5280 section 5.3.1.
    pub const fn code(self) -> u8 {
        match self {
            Self::Unsaid => 0,
            Self::KeyCompromised => 1,
            Self::Replaced => 4,
            Self::Ended => 5,
        }
    }

    /// The same for rcgen; a reason that is not said is left out (RFC 5280 section 5.3.1).
    pub(crate) const fn reason(self) -> Option<rcgen::RevocationReason> {
        match self {
            Self::KeyCompromised => Some(rcgen::RevocationReason::KeyCompromise),
            Self::Replaced => Some(rcgen::RevocationReason::Superseded),
            Self::Ended => Some(rcgen::RevocationReason::CessationOfOperation),
            Self::Unsaid => None,
        }
    }
}

/// A certificate that was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Which one.
    pub serial: Serial,
    /// When.
    pub at: Time,
    /// Why.
    pub why: Why,
    /// When it would have ended by itself: from then on it need not be on a list.
    pub not_after: Time,
}

/// A list to be made, or to be fetched and compared.
#[derive(Clone, Copy, Debug)]
pub struct CrlOrder<'a> {
    /// Every certificate that was revoked, from the grants' own table; an authority keeps no record of its own.
    pub revoked: &'a [Revoked],
    /// Greater than in every list before; a CA that is another program counts by itself.
    pub number: u64,
    /// The present instant.
    pub now: Time,
}

impl CrlOrder<'_> {
    /// Those that have not ended by themselves.
    pub(crate) fn standing(&self) -> impl Iterator<Item = &Revoked> {
        self.revoked.iter().filter(|one| one.not_after >= self.now)
    }
}

/// A list is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// More bytes than are read.
    #[error("it is larger than {} MiB", MAX_CRL_BYTES >> 20)]
    Size,
    /// It has no number, or one of more than 8 bytes.
    #[error("it has no CRL number that can be compared")]
    Number,
    /// It is about a part of the certificates, reasons or time, or about other CAs.
    #[error("it is a delta, indirect or partitioned list; a whole list of this CA is needed")]
    Part,
    /// An earlier one than the one in force.
    #[error("its number is {number}, but number {held} was read before")]
    Older {
        /// Its own.
        number: CrlNumber,
        /// The one in force.
        held: CrlNumber,
    },
    /// The number of the list in force on another list.
    #[error("it says something else than the list of the same number {0} that was read before")]
    Twice(CrlNumber),
    /// No list in DER, or with bytes after its end.
    #[error("it is no list of revoked certificates in DER")]
    Encoding,
    /// Another CA's, or not signed at all.
    #[error("it was not signed by the CA that links trust")]
    Signature,
    /// From the future.
    #[error("it begins in the future, by this machine's clock")]
    NotYet,
    /// Past its own end, or without one.
    #[error("it has expired or names no end; is the CA's own CRL generator running?")]
    Expired,
    /// A certificate that was revoked is not on it.
    #[error("it lacks the serial number {0}, which was revoked here")]
    Lacks(Serial),
}

/// Checks a list, DER: signed by `anchor`, in force at the order's instant, with every serial of the order on it.
pub fn check(der: &[u8], anchor: &[u8], order: &CrlOrder<'_>) -> Result<(), CrlError> {
    let list = signed(der, anchor)?;
    let begins = Time::from_seconds(list.last_update().timestamp());
    if begins > order.now + SKEW {
        return Err(CrlError::NotYet);
    }
    if list.next_update().is_none_or(|end| Time::from_seconds(end.timestamp()) < order.now) {
        return Err(CrlError::Expired);
    }
    let listed: HashSet<_> = list.iter_revoked_certificates().filter_map(|one| Serial::new(one.raw_serial())).collect();
    let missing = order.standing().find(|one| !listed.contains(&one.serial));
    missing.map_or(Ok(()), |one| Err(CrlError::Lacks(one.serial.clone())))
}

/// What a list says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlSays {
    /// Its number; none where it has none, or one of more than 8 bytes.
    pub number: Option<u64>,
    /// When it was made.
    pub begins: Time,
    /// When the next one is due.
    pub ends: Option<Time>,
}

/// What a list, DER, says of itself, whoever signed it; none where it is no list.
pub fn says(der: &[u8]) -> Option<CrlSays> {
    let Ok(([], list)) = CertificateRevocationList::from_der(der) else { return None };
    Some(CrlSays {
        number: list.crl_number().and_then(|number| u64::try_from(number).ok()),
        begins: Time::from_seconds(list.last_update().timestamp()),
        ends: list.next_update().map(|end| Time::from_seconds(end.timestamp())),
    })
}

/// Whether `serial` is on a list that `anchor` signed.
pub(crate) fn lists(der: &[u8], anchor: &[u8], serial: &Serial) -> bool {
    let listed = |list: CertificateRevocationList<'_>| {
        list.iter_revoked_certificates().any(|one| Serial::new(one.raw_serial()).as_ref() == Some(serial))
    };
    signed(der, anchor).is_ok_and(listed)
}

fn signed<'a>(der: &'a [u8], anchor: &[u8]) -> Result<CertificateRevocationList<'a>, CrlError> {
    let Ok(([], list)) = CertificateRevocationList::from_der(der) else { return Err(CrlError::Encoding) };
    let anchor = WholeCertificate::parse(anchor).map_err(|_| CrlError::Signature)?;
    let named = list.issuer().as_raw() == anchor.subject();
    if !named || list.verify_signature(anchor.public_key()).is_err() {
        return Err(CrlError::Signature);
    }
    Ok(list)
}

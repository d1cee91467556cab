//! What an asking side checks about the certificate it was given, before it trusts a link to it.

use crate::{BadRoot, Flaw, GrantLeaf, anchor::Anchor, profile};
use domain::{
    Time,
    id::{GrantId, InstanceId, Spki},
};
use rustls::pki_types::CertificateDer;

/// What was asked for: the certificate must say exactly this.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The root that the invite carries, X.509 DER.
    pub root: &'a [u8],
    /// The sharing instance.
    pub issuer: InstanceId,
    /// This instance.
    pub holder: InstanceId,
    /// The grant that the invite names.
    pub grant: GrantId,
    /// This side's own key.
    pub spki: Spki,
}

/// The certificate is not the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolledError {
    /// The invite's root cannot be used.
    #[error(transparent)]
    Root(#[from] BadRoot),
    /// It would not pass the other side's own door.
    #[error("the other side gave a certificate that cannot be used: {0}; ask its owner for a new invite")]
    Flaw(#[from] Flaw),
    /// It is for somebody or something else.
    #[error("the other side gave a certificate for another {0}; do not use this link, ask its owner what happened")]
    Other(&'static str),
}

/// Checks a certificate, X.509 DER: issued by the expected root, a grant leaf to the letter with both private extensions,
/// valid at `now`, for this instance, this grant and this side's own key. The subject is the sharing side's to choose.
pub fn check(certificate: &[u8], expected: &Expected<'_>, now: Time) -> Result<GrantLeaf, EnrolledError> {
    let read = profile::grant_leaf(certificate, expected.issuer)?;
    Anchor::new(expected.root)?.issued_client(&CertificateDer::from(certificate), now)?;
    if read.holder != expected.holder {
        return Err(EnrolledError::Other("instance"));
    }
    if read.grant != expected.grant {
        return Err(EnrolledError::Other("grant"));
    }
    if read.leaf.spki != expected.spki {
        return Err(EnrolledError::Other("key"));
    }
    Ok(read)
}

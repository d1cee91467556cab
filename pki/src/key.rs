//! Which keys are accepted, and how a key is named.
//!
//! Every accepted kind of key has exactly one encoding here: a second spelling of the same key (a compressed point, odd
//! algorithm parameters) would have another fingerprint and slip past a list of denied keys.

use aws_lc_rs::digest;
use domain::id::Spki;

/// The kinds of keys a leaf may hold. RSA and other curves are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on NIST P-256, uncompressed point.
    P256,
    /// Ed25519 (RFC 8410).
    Ed25519,
}

/// `SubjectPublicKeyInfo` up to the point, with its leading 4 for "uncompressed" (RFC 5480).
const P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// `SubjectPublicKeyInfo` up to the key (RFC 8410 section 4).
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl KeyKind {
    /// The kind of a key given as `SubjectPublicKeyInfo`, DER; none when it is not accepted.
    pub fn of(spki_der: &[u8]) -> Option<Self> {
        let is = |prefix: &[u8], key: usize| spki_der.len() == prefix.len() + key && spki_der.starts_with(prefix);
        if is(&P256, 64) {
            Some(Self::P256)
        } else if is(&ED25519, 32) {
            Some(Self::Ed25519)
        } else {
            None
        }
    }
}

/// SHA-256 of a `SubjectPublicKeyInfo`, DER: how a key is named everywhere.
pub fn fingerprint(spki_der: &[u8]) -> Spki {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, spki_der).as_ref());
    Spki(bytes)
}

//! Signed heads: what was signed verifies, anything else does not.

use super::forge::{ISSUER, NOW};
use domain::{
    audit::{Head, SignedHead},
    id::{EntryHash, InstanceId},
    secret::Secret,
};
use pki::{AuditKey, audit_key::HeadError, verify_head};

fn signed(key: &AuditKey) -> SignedHead {
    key.sign(Head { sequence: 17, hash: EntryHash([5; 32]), time: NOW }, ISSUER, "work".parse().unwrap())
}

#[test]
fn a_signed_head_verifies_also_by_a_key_that_was_stored() {
    let key = AuditKey::generate().unwrap();
    let stored = AuditKey::load(Secret::new(key.key_pkcs8().expose().clone())).unwrap();
    assert_eq!(stored.public_hex(), key.public_hex());
    assert_eq!(signed(&stored), signed(&key));
    assert_eq!(verify_head(&signed(&key)), Ok(()));
    assert!(AuditKey::load(Secret::new(vec![1, 2, 3])).is_err());
}

#[test]
fn a_changed_head_or_another_key_is_seen() {
    let key = AuditKey::generate().unwrap();
    let right = signed(&key);
    let moved = Head { sequence: 16, ..right.head };
    let other = AuditKey::generate().unwrap().public_hex();
    for wrong in [
        SignedHead { head: moved, ..right.clone() },
        SignedHead { head: Head { hash: EntryHash([6; 32]), ..right.head }, ..right.clone() },
        SignedHead { head: Head { time: NOW + std::time::Duration::from_micros(1), ..right.head }, ..right.clone() },
        SignedHead { key: other, ..right.clone() },
        SignedHead { instance: InstanceId(uuid::Uuid::from_u128(5)), ..right.clone() },
        SignedHead { name: "other".parse().unwrap(), ..right.clone() },
        SignedHead { signature: "00".repeat(64), ..right.clone() },
    ] {
        assert_eq!(verify_head(&wrong), Err(HeadError::Signature));
    }
    for (key, signature) in [("", right.signature.as_str()), (&right.key, "zz"), (&right.key[2..], &right.signature)] {
        let wrong = SignedHead { key: key.to_owned(), signature: signature.to_owned(), ..right.clone() };
        assert_eq!(verify_head(&wrong), Err(HeadError::Form));
    }
}

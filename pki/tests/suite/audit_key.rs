//! Signed heads: what was signed verifies, anything else does not.

use super::forge::{ISSUER, NOW};
use domain::{
    audit::{
        Head, SignedHead,
        note::{Checkpoint, LogKey, Note, origin},
    },
    id::{EntryHash, InstanceId, NodeHash},
    secret::Secret,
};
use pki::{
    AuditKey,
    audit_key::{HeadError, NoteError},
    verify_head, verify_note,
};

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

#[test]
fn a_checkpoint_is_believed_of_the_key_that_signed_it_alone() {
    let (key, other) = (AuditKey::generate().unwrap(), AuditKey::generate().unwrap());
    let checkpoint = Checkpoint { origin: origin(ISSUER), size: 17, root: NodeHash([5; 32]) };
    let note = key.sign_checkpoint(&checkpoint);
    let public = key.log_key(&checkpoint.origin);
    assert_eq!(hex::encode(public.key), key.public_hex());
    assert_eq!(verify_note(&note.to_string().parse().unwrap(), &public), Ok(()));
    let elsewhere = LogKey { name: origin(InstanceId(uuid::Uuid::from_u128(5))), ..public.clone() };
    for stranger in [other.log_key(&checkpoint.origin), elsewhere] {
        assert_eq!(verify_note(&note, &stranger), Err(NoteError::OtherKey));
    }
    let moved = Note { text: Checkpoint { size: 16, ..checkpoint.clone() }.to_string(), ..note.clone() };
    assert_eq!(verify_note(&moved, &public), Err(NoteError::Signature));
    // One that verifies does not make up for one that does not.
    let mut both = note.clone();
    both.signatures.extend(moved_signature(&key, &checkpoint));
    assert_eq!(verify_note(&both, &public), Err(NoteError::Signature));
    both.signatures = other.sign_checkpoint(&checkpoint).signatures;
    both.signatures.extend(note.signatures);
    assert_eq!(verify_note(&both, &public), Ok(()), "somebody else's beside it says nothing");
}

fn moved_signature(key: &AuditKey, checkpoint: &Checkpoint) -> Vec<domain::audit::note::Signature> {
    key.sign_checkpoint(&Checkpoint { size: 16, ..checkpoint.clone() }).signatures
}

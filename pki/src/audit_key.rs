//! The key that signs where the audit log ends, so that a log cut short or rewritten is seen by whoever kept a signed head.

use crate::request::KeyError;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use domain::{
    audit::{
        Head, SignedHead,
        note::{Checkpoint, LogKey, Note, Signature},
    },
    id::{InstanceId, Name},
    secret::Secret,
};

/// An Ed25519 key (RFC 8032). Not printable.
pub struct AuditKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
    pkcs8: Secret<Vec<u8>>,
}

/// A signed head is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Key or signature is not hex of the right length.
    #[error("the signed head's key or signature is not hex of the right length; the export was changed or cut")]
    Form,
    /// The signature is of another key or another head.
    #[error("the signed head's signature does not verify; the head was changed or another key signed it")]
    Signature,
}

impl AuditKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// The machine gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| KeyError("the cipher library gave no reason".to_owned()))?;
        Self::load(Secret::new(document.as_ref().to_vec()))
    }

    /// Reads a key, PKCS #8 DER.
    pub fn load(pkcs8: Secret<Vec<u8>>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.expose()).map_err(|error| KeyError(error.to_string()))?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError("it is no Ed25519 key".to_owned()))?;
        Ok(Self { pair, public, pkcs8 })
    }

    /// The key, PKCS #8 DER, to be sealed.
    pub fn key_pkcs8(&self) -> &Secret<Vec<u8>> {
        &self.pkcs8
    }

    /// The public key, 64 lower-case hex digits.
    pub fn public_hex(&self) -> String {
        hex::encode(self.public)
    }

    /// The public key as it signs checkpoints of this log.
    pub fn log_key(&self, origin: &str) -> LogKey {
        LogKey { name: origin.to_owned(), key: self.public }
    }

    /// Signs a checkpoint of this key's own log.
    pub fn sign_checkpoint(&self, checkpoint: &Checkpoint) -> Note {
        let text = checkpoint.to_string();
        let key = self.log_key(&checkpoint.origin);
        let id = key.id();
        let bytes = self.pair.sign(text.as_bytes()).as_ref().to_vec();
        Note { text, signatures: vec![Signature { name: key.name, id, bytes }] }
    }

    /// Signs [`Head::signed_bytes`].
    pub fn sign(&self, head: Head, instance: InstanceId, name: Name) -> SignedHead {
        let signature = hex::encode(self.pair.sign(&head.signed_bytes(instance, &name)).as_ref());
        SignedHead { instance, name, head, key: self.public_hex(), signature }
    }
}

/// Whether a head was signed by the key it names. Whether that key is the instance's own is for the caller to compare.
pub fn verify_head(signed: &SignedHead) -> Result<(), HeadError> {
    let (mut key, mut signature) = ([0; 32], [0; 64]);
    hex::decode_to_slice(&signed.key, &mut key).map_err(|_| HeadError::Form)?;
    hex::decode_to_slice(&signed.signature, &mut signature).map_err(|_| HeadError::Form)?;
    UnparsedPublicKey::new(&ED25519, key)
        .verify(&signed.head.signed_bytes(signed.instance, &signed.name), &signature)
        .map_err(|_| HeadError::Signature)
}

/// A checkpoint is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Nothing of it is of that key.
    #[error("the checkpoint is not signed by that key: it is of another log, or the key is of another instance")]
    OtherKey,
    /// A signature says it is of the key, and is of another key or another checkpoint.
    #[error("the checkpoint's signature does not verify; the checkpoint was changed or another key signed it")]
    Signature,
}

/// Whether a checkpoint was signed by this key. Every signature that says so must be (C2SP signed-note).
pub fn verify_note(note: &Note, key: &LogKey) -> Result<(), NoteError> {
    let mut signed = note.of(key).peekable();
    signed.peek().ok_or(NoteError::OtherKey)?;
    let public = UnparsedPublicKey::new(&ED25519, key.key);
    signed.try_for_each(|signature| {
        public.verify(note.text.as_bytes(), &signature.bytes).map_err(|_| NoteError::Signature)
    })
}

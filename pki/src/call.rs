//! The keys of a call: how a sharing side that dials proves who it is before TLS begins, and seals the invite that it brings.
//!
//! All of them come from the one secret that the asking side handed over, by HKDF-SHA256 (RFC 5869), each with its own use and id as
//! info, so that none is of use for another. What proves the later calls of a grant takes in the opening of the four words besides, which is
//! said inside the enrolment's TLS alone: whoever read the secret on its way cannot make that one. A proof is HMAC-SHA256 over the fresh challenge of this connection: one that was recorded
//! proves nothing on the next. The seal of an invite is AES-256-GCM under a key with the challenge as salt, and a nonce of its own, because
//! it is the other side that chose the challenge.

use crate::seal::SealError;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, MAX_TAG_LEN, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf, hmac,
};
use domain::{
    id::{AwaitId, GrantId},
    secret::Secret,
    words::Opening,
};
use zeroize::Zeroizing;

/// Bytes of a challenge.
pub const CHALLENGE: usize = 32;
/// Bytes of a proof.
pub const PROOF: usize = 32;
/// What the seal of an invite adds to it.
pub const OVERHEAD: usize = NONCE_LEN + MAX_TAG_LEN;

/// What the asking side says first, once for each connection.
pub type Challenge = [u8; CHALLENGE];

const SALT: &[u8] = b"mosaic-fed call 1";

/// The secret of one await. Not printable.
#[derive(Clone)]
pub struct CallSecret {
    id: AwaitId,
    secret: Secret<[u8; 32]>,
}

/// What proves calls of one kind and id. Not printable.
#[derive(Clone)]
pub struct CallKey(Secret<[u8; 32]>);

impl CallSecret {
    /// The secret of the await with this id.
    pub fn new(id: AwaitId, secret: Secret<[u8; 32]>) -> Self {
        Self { id, secret }
    }

    /// What proves the call that brings an invite.
    pub fn enrolment(&self) -> Result<CallKey, SealError> {
        self.derive(SALT, &[b"enrolment", self.id.0.as_bytes()]).map(CallKey)
    }

    /// What proves every later call of the grant that came of it, by an invite with this opening.
    pub fn grant(&self, grant: GrantId, opening: &Opening) -> Result<CallKey, SealError> {
        self.derive(SALT, &[b"grant", grant.0.as_bytes(), &opening.0]).map(CallKey)
    }

    /// Seals an invite for whoever set this challenge; `head` are the bytes of the preamble that come before it.
    pub fn seal(&self, challenge: &Challenge, head: &[u8], invite: &str) -> Result<Vec<u8>, SealError> {
        let mut body = Zeroizing::new(Vec::with_capacity(invite.len() + MAX_TAG_LEN));
        body.extend_from_slice(invite.as_bytes());
        let nonce = self.cipher(challenge)?.seal_in_place_append_tag(Aad::from(head), &mut *body);
        let nonce = nonce.map_err(|_| SealError::Seal)?;
        Ok([nonce.as_ref().as_slice(), &body].concat())
    }

    /// Opens what [`CallSecret::seal`] made for the same challenge and head.
    pub fn open(&self, challenge: &Challenge, head: &[u8], sealed: &[u8]) -> Result<Secret<String>, SealError> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Form)?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.cipher(challenge)?.open_in_place(nonce, Aad::from(head), &mut body);
        let plain = opened.map_err(|_| SealError::Mismatch)?;
        String::from_utf8(plain.to_vec()).map(Secret::new).map_err(|_| SealError::Form)
    }

    fn cipher(&self, challenge: &Challenge) -> Result<RandomizedNonceKey, SealError> {
        let key = self.derive(challenge, &[b"invite", self.id.0.as_bytes()])?;
        RandomizedNonceKey::new(&AES_256_GCM, key.expose()).map_err(|_| SealError::Seal)
    }

    fn derive(&self, salt: &[u8], info: &[&[u8]]) -> Result<Secret<[u8; 32]>, SealError> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(self.secret.expose());
        let mut key = Zeroizing::new([0; 32]);
        let filled = prk.expand(info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut *key));
        filled.map_err(|_| SealError::Seal)?;
        Ok(Secret::new(*key))
    }
}

impl CallKey {
    /// A key that was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Its bytes, to be sealed and kept.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The proof for this challenge; `said` is what the preamble says before it.
    pub fn prove(&self, challenge: &Challenge, said: &[u8]) -> [u8; PROOF] {
        let mut context = self.context();
        context.update(challenge);
        context.update(said);
        let mut proof = [0; PROOF];
        proof.copy_from_slice(context.sign().as_ref());
        proof
    }

    /// Whether this is the proof, in time that does not depend on where it differs.
    pub fn is_proved(&self, challenge: &Challenge, said: &[u8], proof: &[u8; PROOF]) -> bool {
        Secret::new(self.prove(challenge, said)).matches(proof)
    }

    fn context(&self) -> hmac::Context {
        hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.0.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn secret(byte: u8) -> CallSecret {
        CallSecret::new(AwaitId(Uuid::from_u128(7)), Secret::new([byte; 32]))
    }

    #[test]
    fn a_proof_is_good_for_its_key_its_challenge_and_its_words_alone() {
        let (key, grant) = (secret(1).enrolment().unwrap(), GrantId(Uuid::from_u128(7)));
        let proof = key.prove(&[5; 32], b"said");
        assert!(key.is_proved(&[5; 32], b"said", &proof));
        assert!(!key.is_proved(&[6; 32], b"said", &proof) && !key.is_proved(&[5; 32], b"sold", &proof));
        // The same 16 bytes of id give another key for another use.
        let (one, two) = (Opening([6; 32]), Opening([9; 32]));
        let others = [
            secret(1).grant(grant, &one),
            secret(1).grant(GrantId(Uuid::from_u128(8)), &one),
            secret(1).grant(grant, &two),
            secret(2).enrolment(),
        ];
        for other in others {
            assert!(!other.unwrap().is_proved(&[5; 32], b"said", &proof));
        }
        let later = secret(1).grant(grant, &one).unwrap().prove(&[5; 32], b"said");
        assert!(!secret(1).grant(grant, &two).unwrap().is_proved(&[5; 32], b"said", &later));
    }

    #[test]
    fn an_invite_opens_under_its_secret_challenge_and_head_alone() {
        let sealed = secret(1).seal(&[5; 32], b"head", "mfi1.x").unwrap();
        assert_eq!(sealed.len(), 6 + OVERHEAD);
        assert_eq!(secret(1).open(&[5; 32], b"head", &sealed).ok().unwrap().expose(), "mfi1.x");
        assert!(secret(2).open(&[5; 32], b"head", &sealed).is_err());
        assert!(secret(1).open(&[6; 32], b"head", &sealed).is_err());
        assert!(secret(1).open(&[5; 32], b"heap", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(secret(1).open(&[5; 32], b"head", &changed).is_err(), "{at}");
        }
        // A challenge that is set twice does not have two invites sealed alike.
        assert_ne!(secret(1).seal(&[5; 32], b"head", "mfi1.x").unwrap(), sealed);
    }

    #[test]
    fn the_derivations_are_those_of_the_protocol_page() {
        let grant = GrantId(Uuid::from_u128(8));
        let proof = |key: CallKey| hex::encode(key.prove(&[5; 32], b"said"));
        let proofs = [proof(secret(1).enrolment().unwrap()), proof(secret(1).grant(grant, &Opening([6; 32])).unwrap())];
        // Computed with Python's hmac module.
        assert_eq!(proofs, [EXPECTED_ENROLMENT, EXPECTED_GRANT]);
    }

    const EXPECTED_ENROLMENT: &str = "68612612cdad10e120a227f261e885805f8b7c234776a3f5524903e875225759";
    const EXPECTED_GRANT: &str = "b8ae77325c88b26039684756356b11b489516c2357c1e533b40a568103cac198";
}

//! Keeping secrets at rest: everything secret that reaches the database or a file is sealed under one key that never does.
//!
//! A sealed value is version (1 byte), nonce (12 bytes), ciphertext, tag (16 bytes). The cipher is AES-256-GCM; its key comes
//! from the key-encryption key by HKDF-SHA256 (RFC 5869) with the context as info, and version and context are authenticated,
//! so that a value moved to another place does not open there.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, MAX_TAG_LEN, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf,
};
use domain::{seal::RowKey, secret::Secret, world::World};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const SALT: &[u8] = b"mosaic-fed seal 1";
const TEXT_PREFIX: &str = "mosaic-fed-kek-1:";

/// A key-encryption key, 256 bits. Not printable.
#[derive(Clone)]
pub struct Kek(Secret<[u8; 32]>);

/// A value could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text of a key file is not one of ours.
    #[error(
        "this is no key file of mosaic-fed: one line, `{TEXT_PREFIX}` and 64 hex digits; restore it from the backup"
    )]
    KeyText,
    /// The value was not sealed by this program, or by a newer one.
    #[error("a sealed value has an unknown form; was the database written by a newer mosaic-fed?")]
    Form,
    /// Another key, another context, or changed bytes; which of these cannot be told.
    #[error("a sealed value does not open with this key; restore the key file that belongs to this database")]
    Mismatch,
    /// The cipher failed to seal.
    #[error("a value could not be sealed; check that the machine gives randomness")]
    Seal,
}

impl Kek {
    /// A new key.
    pub fn generate(world: &World) -> Self {
        Self(Secret::new(world.bytes()))
    }

    /// A key that comes from elsewhere, e.g. a systemd credential.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// The content of a key file: one line of text.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(format!("{TEXT_PREFIX}{}\n", hex::encode(self.0.expose())))
    }

    /// Reads the content of a key file; blanks around are forgiven.
    pub fn from_text(text: &str) -> Result<Self, SealError> {
        let digits = text.trim().strip_prefix(TEXT_PREFIX).ok_or(SealError::KeyText)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| SealError::KeyText)?;
        Ok(Self::from_bytes(bytes))
    }

    /// Seals `plain` for the place named by `context`, e.g. `link key <grant id>`.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut body = Zeroizing::new(Vec::with_capacity(plain.len() + MAX_TAG_LEN));
        body.extend_from_slice(plain);
        let nonce = self
            .cipher(context)
            .and_then(|cipher| cipher.seal_in_place_append_tag(aad(context), &mut *body).ok())
            .ok_or(SealError::Seal)?;
        Ok([&[VERSION], nonce.as_ref().as_slice(), &body].concat())
    }

    /// Opens what [`Kek::seal`] made for the same context.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let [VERSION, rest @ ..] = sealed else { return Err(SealError::Form) };
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Form)?;
        let mut body = Zeroizing::new(body.to_vec());
        let cipher = self.cipher(context).ok_or(SealError::Mismatch)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = cipher.open_in_place(nonce, aad(context), &mut body).map_err(|_| SealError::Mismatch)?;
        Ok(Secret::new(plain.to_vec()))
    }

    /// What rows of grants are sealed with: derived, so that it is of no use for anything else.
    ///
    /// # Errors
    /// The key could not be derived.
    pub fn row_key(&self) -> Result<RowKey, SealError> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(self.0.expose());
        let mut key = Zeroizing::new([0; 32]);
        let derived = prk.expand(&[b"rows of grants"], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut *key));
        derived.map_err(|_| SealError::Seal)?;
        Ok(RowKey::new(*key))
    }

    fn cipher(&self, context: &str) -> Option<RandomizedNonceKey> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(self.0.expose());
        let mut key = Zeroizing::new([0; 32]);
        prk.expand(&[context.as_bytes()], hkdf::HKDF_SHA256).ok()?.fill(&mut *key).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, &*key).ok()
    }
}

fn aad(context: &str) -> Aad<Vec<u8>> {
    Aad::from([&[VERSION], context.as_bytes()].concat())
}

//! How what two people hand each other is written on one line: a prefix, then base64url of a message and the first 4 bytes of its
//! SHA-256, so that a text that is cut off is told from one that is damaged.

use crate::secret::Secret;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Before what `invite` prints.
pub(crate) const INVITE: &str = "mfi1.";
/// Before what `link await` prints.
pub(crate) const CALLING: &str = "mfa1.";
/// Before a token of a program.
pub(crate) const TOKEN: &str = "mft1.";
/// Bytes of the check behind the message.
pub(crate) const CHECK: usize = 4;

/// What is wrong with a text whose prefix is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Torn {
    /// It ends before all of it is said.
    Cut,
    /// Characters are missing or changed.
    Damaged,
}

/// The string to hand over.
pub(crate) fn wrap(prefix: &str, mut message: Vec<u8>) -> String {
    let check: [u8; 32] = Sha256::digest(&message).into();
    message.extend(&check[..CHECK]);
    let message = Secret::new(message);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(message.expose()))
}

/// A text as it was pasted, without the blanks around it and the line breaks within; what is longer than `longest` is not read.
pub(crate) fn pasted(text: &str, longest: usize) -> Secret<String> {
    Secret::new(text.chars().filter(|c| !c.is_whitespace()).take(longest).collect())
}

/// The message behind the prefix. `ends_early` says of bytes whose check fails whether they end before their message does.
pub(crate) fn unwrap(body: &str, ends_early: impl FnOnce(&[u8]) -> bool) -> Result<Secret<Vec<u8>>, Torn> {
    if let Some(message) = URL_SAFE_NO_PAD.decode(body).ok().and_then(|bytes| checked(&Secret::new(bytes))) {
        return Ok(message);
    }
    // A cut may leave a last character that says less than a byte.
    let whole = body.get(..body.len() / 4 * 4).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(body).or_else(|_| URL_SAFE_NO_PAD.decode(whole));
    let bytes = Secret::new(bytes.map_err(|_| Torn::Damaged)?);
    Err(if ends_early(bytes.expose()) { Torn::Cut } else { Torn::Damaged })
}

fn checked(bytes: &Secret<Vec<u8>>) -> Option<Secret<Vec<u8>>> {
    let (message, check) = bytes.expose().split_last_chunk::<CHECK>()?;
    let sum: [u8; 32] = Sha256::digest(message).into();
    sum.starts_with(check).then(|| Secret::new(message.to_vec()))
}

//! Where a list goes on: positions within an order, and the opaque tokens that carry them.

use crate::{Time, id::ItemId};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The last row already answered. Lists run from newest to oldest by (`created_at`, `id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The row's time.
    pub created_at: Time,
    /// The row's id, which orders rows of one instant.
    pub id: ItemId,
}

/// A position bound to the query it belongs to: base64url of version (1), binding (16), micros (8) and id (16 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    binding: Binding,
    position: Position,
}

/// The first 16 bytes of SHA-256 over everything a token must not be moved between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding([u8; 16]);

/// The token is malformed or belongs to another query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this page token belongs to another query; start again without it")]
pub struct BadToken;

const VERSION: u8 = 1;
const LENGTH: usize = 1 + 16 + 8 + 16;

impl Binding {
    /// Binds to `parts`, in order: grant, verb, resource and whatever else changes which rows are meant.
    pub fn new(parts: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix([VERSION]);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(first)
    }
}

impl PageToken {
    /// A token for `position` within the query that `binding` names.
    pub fn new(binding: Binding, position: Position) -> Self {
        Self { binding, position }
    }

    /// The opaque text.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        bytes.extend(self.binding.0);
        bytes.extend(self.position.created_at.micros().to_be_bytes());
        bytes.extend(self.position.id.0.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token; what it is bound to is judged by [`PageToken::position`].
    pub fn decode(text: &str) -> Result<Self, BadToken> {
        if text.len() > 2 * LENGTH {
            return Err(BadToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadToken)?;
        let bytes: [u8; LENGTH] = bytes.try_into().map_err(|_| BadToken)?;
        let [VERSION, rest @ ..] = bytes else {
            return Err(BadToken);
        };
        let (binding, rest) = rest.split_first_chunk().ok_or(BadToken)?;
        let (micros, id) = rest.split_first_chunk().ok_or(BadToken)?;
        let id = Uuid::from_slice(id).map_err(|_| BadToken)?;
        let position = Position { created_at: Time::from_micros(i64::from_be_bytes(*micros)), id: ItemId(id) };
        Ok(Self { binding: Binding(*binding), position })
    }

    /// The position, if this token belongs to the query that `binding` names.
    pub fn position(&self, binding: Binding) -> Result<Position, BadToken> {
        if self.binding == binding { Ok(self.position) } else { Err(BadToken) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> PageToken {
        let position = Position { created_at: Time::from_seconds(1_790_000_000), id: ItemId(Uuid::from_u128(7)) };
        PageToken::new(Binding::new(&["grant", "list", "tasks"]), position)
    }

    #[test]
    fn a_token_is_read_back_only_under_the_query_it_was_made_for() {
        let read = PageToken::decode(&token().encode()).unwrap();
        assert_eq!(read, token());
        assert!(read.position(Binding::new(&["grant", "list", "tasks"])).is_ok());
        for other in [["other", "list", "tasks"], ["grant", "list", "notes"], ["grantl", "ist", "tasks"]] {
            assert_eq!(read.position(Binding::new(&other)), Err(BadToken), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,120}") {
            let _ = PageToken::decode(&text);
        }

        #[test]
        fn any_cut_of_a_token_is_refused(at in 0..55_usize) {
            let whole = token().encode();
            prop_assert!(at >= whole.len() || PageToken::decode(&whole[..at]).is_err());
        }
    }
}

//! Four words that two people compare after an enrolment: whoever else used the invite, or put another root into it, has others.
//!
//! They are made of what both sides know for certain afterwards: the root that the asking side trusts, the key that the sharing side
//! gave its certificate to, and the grant. That alone could be searched through: four words are 44 bits, and whoever stands in the
//! middle of two enrolments would try keys and grants until both sides have the same ones. So each side adds 32 bytes that nobody else
//! chooses (Vaudenay, "Secure communications over insecure channels based on short authenticated strings", 2005). The sharing side is
//! bound to its own by the invite, which has their hash, and shows them with the certificate; the asking side shows its own with its
//! key, once and for all for that invite. Whoever is in the middle has to say all that is theirs to either side before they
//! know what words come of it: one guess in 2^44 for each invite.
//!
//! The list is the English one of BIP 39: 2,048 words that cannot be taken for one another.

use crate::id::{GrantId, Spki};
use bip39::Language;
use sha2::{Digest, Sha256};
use std::fmt;

/// What the asking side adds to the words of an enrolment, 32 bytes: told with its key, and the same each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; 32]);

/// What the sharing side adds to them, 32 bytes: a secret until the certificate is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Opening(pub [u8; 32]);

/// What binds the sharing side to its [`Opening`] before it knows whose key comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment(pub [u8; 32]);

impl Opening {
    /// SHA-256 over a fixed prefix and the opening.
    pub fn commitment(&self) -> Commitment {
        Commitment(Sha256::new_with_prefix(b"mosaic-fed words commitment 1\0").chain_update(self.0).finalize().into())
    }
}

/// Who adds what to the words of an enrolment.
#[derive(Clone, Copy)]
pub struct Added {
    /// The sharing side.
    pub opening: Opening,
    /// The asking side.
    pub nonce: Nonce,
}

/// How many.
pub const COUNT: usize = 4;
/// What each of them says, in bits: one of 2,048.
const BITS: usize = 11;

/// The words of one enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words([&'static str; COUNT]);

impl Words {
    /// Of a sharing side's root certificate (X.509 DER), the key that was enrolled, the grant, and what both sides added: the first
    /// 44 bits of SHA-256 over a fixed prefix, the root preceded by its length (8 bytes, big-endian), the key's name (32 bytes), the
    /// grant's id (16 bytes), the opening and the nonce (32 bytes each).
    pub fn of(root: &[u8], key: Spki, grant: GrantId, added: Added) -> Self {
        let hash = Sha256::new_with_prefix(b"mosaic-fed words 1\0")
            .chain_update((root.len() as u64).to_be_bytes())
            .chain_update(root)
            .chain_update(key.0)
            .chain_update(grant.0.as_bytes())
            .chain_update(added.opening.0)
            .chain_update(added.nonce.0)
            .finalize();
        let bits = hash.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let list = Language::English.word_list();
        Self(std::array::from_fn(|at| list[((bits >> (64 - BITS * (at + 1))) & 0x7ff) as usize]))
    }

    /// Reads words that somebody typed; capitals, and whatever stands between them, are forgiven.
    ///
    /// # Errors
    /// They cannot be anybody's: a slip and no guess.
    pub fn read<T: AsRef<str>>(typed: &[T]) -> Result<Self, Slip> {
        let typed = typed.iter().flat_map(|word| word.as_ref().split(|letter: char| !letter.is_alphabetic()));
        let typed: Vec<_> = typed.filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
        let list = Language::English.word_list();
        let known =
            |word: &String| list.iter().find(|known| *known == word).copied().ok_or_else(|| Slip::NoSuch(word.clone()));
        let words = typed.iter().map(known).collect::<Result<Vec<_>, _>>()?;
        words.try_into().map(Self).map_err(|words: Vec<_>| Slip::Number(words.len()))
    }
}

/// Why words that were typed are nobody's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Slip {
    /// A word that is never used.
    #[error("`{0}` is none of the words that are used; look at how it is written, this was no try")]
    NoSuch(String),
    /// Not four.
    #[error("there are four words and not {0}; type all of them, in their order, this was no try")]
    Number(usize),
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use uuid::Uuid;

    const GRANT: GrantId = GrantId(Uuid::from_u128(2));
    const ADDED: Added = Added { opening: Opening([5; 32]), nonce: Nonce([6; 32]) };

    #[test]
    fn every_part_changes_the_words() {
        let (root, key) = ([48; 400], Spki([7; 32]));
        let all = [
            Words::of(&root, key, GRANT, ADDED),
            Words::of(&root[1..], key, GRANT, ADDED),
            Words::of(&[49; 400], key, GRANT, ADDED),
            Words::of(&root, Spki([8; 32]), GRANT, ADDED),
            Words::of(&root, key, GrantId(Uuid::from_u128(3)), ADDED),
            Words::of(&root, key, GRANT, Added { opening: Opening([7; 32]), ..ADDED }),
            Words::of(&root, key, GRANT, Added { nonce: Nonce([7; 32]), ..ADDED }),
        ];
        assert_eq!(all.map(|words| words.to_string()).iter().collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn every_word_of_the_list_is_said_by_some_key() {
        let said = |n: u32| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            Words::of(&[48], Spki(key), GRANT, ADDED).0
        };
        assert_eq!((0..20_000).flat_map(said).collect::<HashSet<_>>().len(), 2_048);
    }

    #[test]
    fn words_are_typed_in_their_order() {
        let words = Words::of(&[48], Spki([7; 32]), GRANT, ADDED);
        let said = words.to_string();
        let typed: Vec<_> = said.split(' ').collect();
        let read = |typed: &str| Words::read(&[typed]);
        for forgiven in
            [said.to_uppercase(), format!(" {said} "), typed.join(", "), typed.join("-"), format!("{said}.")]
        {
            assert_eq!(read(&forgiven), Ok(words), "{forgiven}");
        }
        assert_eq!(Words::read(&typed), Ok(words));
        let turned: Vec<_> = typed.iter().rev().copied().collect();
        assert_ne!(Words::read(&turned), Ok(words));
        assert_eq!(Words::read(&typed[..3]), Err(Slip::Number(3)));
        assert_eq!(Words::read::<&str>(&[]), Err(Slip::Number(0)));
        assert_eq!(Words::read(&[&typed[..], &["abandon"]].concat()), Err(Slip::Number(5)));
        assert_eq!(read("crakc zoo zoo zoo"), Err(Slip::NoSuch("crakc".to_owned())));
    }
}

//! What a log says of its tree, signed: C2SP tlog-checkpoint, which is a C2SP signed-note.
//!
//! Here is the form alone; keys sign and verify in `pki`. What is read is bounded, and printed again it is byte for byte what was read.

use crate::id::{InstanceId, NodeHash};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// A note that is read is at most so long: a checkpoint with more signatures than anybody here puts under one.
pub const MAX_NOTE: usize = 8 * 1024;
const MAX_SIGNATURES: usize = 64;

/// The text is no checkpoint, key or signed note.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no {what}: {why}")]
pub struct BadNote {
    what: &'static str,
    why: &'static str,
}

const fn bad(what: &'static str, why: &'static str) -> BadNote {
    BadNote { what, why }
}

/// The name of an instance's log, and of the key that signs it: nobody need be able to reach it.
pub fn origin(instance: InstanceId) -> String {
    format!("{instance}.mosaic-fed.internal/audit")
}

/// How large a log is, and its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose log.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: NodeHash,
}

/// As it is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }
}

impl FromStr for Checkpoint {
    type Err = BadNote;

    /// Lines after the third are refused: nobody here writes any, and nobody could check what they say.
    fn from_str(text: &str) -> Result<Self, BadNote> {
        let bad = |why| bad("checkpoint", why);
        let mut lines = text.split_inclusive('\n').map(|line| line.strip_suffix('\n'));
        let mut line = || lines.next().flatten().filter(|line| !line.is_empty());
        let (origin, size, root) = (line(), line(), line());
        let origin = origin.filter(|name| is_key_name(name)).ok_or_else(|| bad("its first line names no log"))?;
        let size = size.and_then(number).ok_or_else(|| bad("its second line is no number of entries"))?;
        let root = root.and_then(hash).ok_or_else(|| bad("its third line is no SHA-256 in base64"))?;
        if lines.next().is_some() {
            return Err(bad("something follows its third line"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// A number in its one form.
pub(super) fn number(text: &str) -> Option<u64> {
    let number = text.parse().ok()?;
    (u64::to_string(&number) == text).then_some(number)
}

/// A node's hash in base64.
pub(super) fn hash(text: &str) -> Option<NodeHash> {
    STANDARD.decode(text).ok()?.try_into().ok().map(NodeHash)
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// The public key of a log, Ed25519 (RFC 8032), as whoever verifies was given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey {
    /// Its name: [`origin`] of the instance that has it.
    pub name: String,
    /// The key itself.
    pub key: [u8; 32],
}

impl LogKey {
    /// The first four bytes of the hash over name, kind and key, by which a signature is known to be of this key (C2SP signed-note).
    pub fn id(&self) -> [u8; 4] {
        const ED25519: u8 = 1;
        let hash = Sha256::new().chain_update(&self.name).chain_update([b'\n', ED25519]);
        let [a, b, c, d, ..]: [u8; 32] = hash.chain_update(self.key).finalize().into();
        [a, b, c, d]
    }
}

/// One signature under a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key that made it.
    pub name: String,
    /// That key's id.
    pub id: [u8; 4],
    /// What the key made of the text.
    pub bytes: Vec<u8>,
}

/// A text and the signatures under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// With its last line's end.
    pub text: String,
    /// One at least.
    pub signatures: Vec<Signature>,
}

impl Note {
    /// The signatures that say they are of this key.
    pub fn of<'a>(&'a self, key: &'a LogKey) -> impl Iterator<Item = &'a Signature> {
        let id = key.id();
        self.signatures.iter().filter(move |signature| signature.name == key.name && signature.id == id)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Signature { name, id, bytes } in &self.signatures {
            writeln!(f, "— {name} {}", STANDARD.encode([&id[..], bytes].concat()))?;
        }
        Ok(())
    }
}

impl FromStr for Note {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        let bad = |why| bad("signed note", why);
        if text.len() > MAX_NOTE {
            return Err(bad("it is longer than 8 KiB"));
        }
        if text.contains(|c: char| c < ' ' && c != '\n') {
            return Err(bad("it has control characters"));
        }
        let end = text.rfind("\n\n").ok_or_else(|| bad("no empty line stands before its signatures"))?;
        let (text, signatures) = (&text[..=end], &text[end + 2..]);
        if !signatures.ends_with('\n') {
            return Err(bad("its last line has no end: it was cut"));
        }
        let signatures = signatures.lines().map(|line| signature(line).ok_or(())).collect::<Result<Vec<_>, _>>();
        match signatures {
            Ok(signatures) if (1..=MAX_SIGNATURES).contains(&signatures.len()) => {
                Ok(Self { text: text.to_owned(), signatures })
            }
            _ => Err(bad("a line at its end is no signature")),
        }
    }
}

fn signature(line: &str) -> Option<Signature> {
    let (name, bytes) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = STANDARD.decode(bytes).ok()?;
    let (id, bytes) = bytes.split_first_chunk()?;
    is_key_name(name).then(|| Signature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: origin(InstanceId(uuid::Uuid::from_u128(7))), size: 109_482, root: NodeHash([9; 32]) }
    }

    fn key() -> LogKey {
        LogKey { name: checkpoint().origin, key: [3; 32] }
    }

    fn note() -> Note {
        let by = |key: &LogKey, bytes: &[u8]| Signature { name: key.name.clone(), id: key.id(), bytes: bytes.to_vec() };
        let other = LogKey { key: [4; 32], ..key() };
        Note { text: checkpoint().to_string(), signatures: vec![by(&key(), &[1; 64]), by(&other, &[2; 72])] }
    }

    #[test]
    fn what_is_printed_is_read_again() {
        let text = note().to_string();
        assert_eq!(text.parse(), Ok(note()));
        assert_eq!(note().text.parse(), Ok(checkpoint()));
        assert_eq!(note().of(&key()).map(|signature| signature.bytes.clone()).collect::<Vec<_>>(), [vec![1; 64]]);
    }

    /// The key of the specification's example, c2sp.org/signed-note.
    #[test]
    fn a_key_of_somebody_elses_has_the_id_it_has_there() {
        let kind_and_key = STANDARD.decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let key = LogKey { name: "PeterNeumann".to_owned(), key: kind_and_key[1..].try_into().unwrap() };
        assert_eq!((kind_and_key[0], hex::encode(key.id()).as_str()), (1, "c74f20a3"));
    }

    #[test]
    fn no_other_text_is_a_checkpoint() {
        let good = checkpoint().to_string();
        for (from, to) in
            [("109482", "0109482"), ("109482", "-1"), ("109482", "+1"), ("109482", ""), ("109482\n", "109482\nx\n")]
        {
            assert!(good.replacen(from, to, 1).parse::<Checkpoint>().is_err(), "{to}");
        }
        let origin = checkpoint().origin;
        for (from, to) in [(origin.as_str(), ""), (origin.as_str(), "a b"), (origin.as_str(), "a+b"), ("=\n", "=")] {
            assert!(good.replacen(from, to, 1).parse::<Checkpoint>().is_err(), "{to}");
        }
        assert!(format!("{good}more\n").parse::<Checkpoint>().is_err());
        assert!(format!("{good}\n").parse::<Checkpoint>().is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_printed_as_it_was(text in "([a-z0-9+= \n—\t]{0,40}|— a [A-Za-z0-9+/]{8}\n){0,8}", at in any::<prop::sample::Index>(), byte in 0..128_u8) {
            if let Ok(note) = text.parse::<Note>() {
                prop_assert_eq!(note.to_string(), text);
            }
            let mut bytes = note().to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes) && let Ok(note) = text.parse::<Note>() {
                prop_assert_eq!(note.to_string(), text);
            }
        }
    }
}

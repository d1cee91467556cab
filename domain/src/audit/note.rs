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

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signs {
    /// Its own log's checkpoints.
    Checkpoints,
    /// That it saw another log's checkpoint, with the time: C2SP tlog-cosignature.
    Seen,
}

impl Signs {
    const fn byte(self) -> u8 {
        match self {
            Self::Checkpoints => 1,
            Self::Seen => 4,
        }
    }
}

/// A public key with its name, as whoever verifies was given it: an Ed25519 key (RFC 8032) in the text form of C2SP signed-note.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey {
    /// Its name: [`origin`] of the instance that has it.
    pub name: String,
    /// What it signs.
    pub signs: Signs,
    /// The key itself.
    pub key: [u8; 32],
}

impl LogKey {
    /// The first four bytes of the hash over name, kind and key, by which a signature is known to be of this key.
    pub fn id(&self) -> [u8; 4] {
        let hash = Sha256::new().chain_update(&self.name).chain_update([b'\n', self.signs.byte()]);
        let [a, b, c, d, ..]: [u8; 32] = hash.chain_update(self.key).finalize().into();
        [a, b, c, d]
    }

    /// The same key as it signs what it saw.
    #[must_use]
    pub fn seeing(&self) -> Self {
        Self { signs: Signs::Seen, ..self.clone() }
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.signs.byte()][..], &self.key].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(key))
    }
}

impl FromStr for LogKey {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        let bad = |why| bad("key of a log", why);
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("it is NAME+ID+KEY, as `mosaic-fed audit key` prints it"));
        };
        let key = STANDARD.decode(key).map_err(|_| bad("its last part is no base64"))?;
        let (signs, key) = match key.split_first() {
            Some((1, key)) => (Signs::Checkpoints, key),
            Some((4, key)) => (Signs::Seen, key),
            _ => return Err(bad("it is no Ed25519 key")),
        };
        let key = key.try_into().map_err(|_| bad("it is no Ed25519 key"))?;
        let key = Self { name: name.to_owned(), signs, key };
        if !is_key_name(name) || hex::encode(key.id()) != id {
            return Err(bad("name, id and key do not belong together; copy the whole line"));
        }
        Ok(key)
    }
}

/// One signature under a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key that made it.
    pub name: String,
    /// That key's id.
    pub id: [u8; 4],
    /// What the key made, and before it the time for one that signs what it saw.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// When it was made, seconds since 1970, and the bare signature, of a key that signs what it saw.
    pub fn seen_at(&self) -> Option<(u64, &[u8])> {
        let (time, signature) = self.bytes.split_first_chunk()?;
        Some((u64::from_be_bytes(*time), signature))
    }
}

/// What a key that saw a checkpoint signs, at a time in seconds since 1970.
pub fn seen(checkpoint: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{checkpoint}")
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
        LogKey { name: checkpoint().origin, signs: Signs::Checkpoints, key: [3; 32] }
    }

    fn note() -> Note {
        let by = |key: &LogKey, bytes: &[u8]| Signature { name: key.name.clone(), id: key.id(), bytes: bytes.to_vec() };
        let (own, seen) = (key(), key().seeing());
        let signatures = vec![by(&own, &[1; 64]), by(&seen, &[&5_u64.to_be_bytes()[..], &[2; 64]].concat())];
        Note { text: checkpoint().to_string(), signatures }
    }

    #[test]
    fn what_is_printed_is_read_again() {
        let text = note().to_string();
        assert_eq!(text.parse(), Ok(note()));
        assert_eq!(note().text.parse(), Ok(checkpoint()));
        assert_eq!(note().of(&key()).count(), 1);
        let seen = note();
        let seen: Vec<_> = seen.of(&key().seeing()).cloned().collect::<Vec<_>>();
        assert_eq!(seen[0].seen_at(), Some((5, &[2; 64][..])));
        for key in [key(), key().seeing()] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    /// The key of the specification's example, c2sp.org/signed-note.
    #[test]
    fn a_key_of_somebody_elses_has_the_id_it_has_there() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: LogKey = text.parse().unwrap();
        assert_eq!((key.name.as_str(), hex::encode(key.id()).as_str()), ("PeterNeumann", "c74f20a3"));
        assert_eq!(key.to_string(), text);
        assert!(text.replace("c74f", "c74e").parse::<LogKey>().is_err());
        assert!(text.replace("Peter", "Petra").parse::<LogKey>().is_err());
        assert!(text.replace("+ARpc", "+BRpc").parse::<LogKey>().is_err());
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

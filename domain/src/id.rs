//! Names of things. Each id is its own type, parsed once at the door and printed in exactly one form.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// The text is not in the one form this id has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}: {form}")]
pub struct BadId {
    text: String,
    what: &'static str,
    form: &'static str,
}

impl BadId {
    fn new(text: &str, what: &'static str, form: &'static str) -> Self {
        // A peer may send megabytes; the message must stay one short line.
        Self { text: text.chars().filter(|c| !c.is_control()).take(80).collect(), what, form }
    }
}

/// Parses a UUID in its one form: 36 characters, lower-case hex with dashes (RFC 9562 section 4, lower case only).
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(id)
}

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                parse_uuid(text).map(Self).ok_or_else(|| {
                    BadId::new(text, $what, "36 characters, lower-case hex digits with dashes")
                })
            }
        }
    )*};
}

uuid_id! {
    /// A running daemon with its database.
    InstanceId "instance id";
    /// A grant, and the link that is its other end.
    GrantId "grant id";
    /// A user of one instance.
    UserId "user id";
    /// A workspace of one instance.
    WorkspaceId "workspace id";
    /// A row.
    ItemId "item id";
    /// An invite; its token is never part of it.
    InviteId "invite id";
    /// An asking side's wait to be called by a sharing side that cannot be reached itself.
    AwaitId "await id";
    /// A token of a program; it says nothing of the token itself.
    TokenId "token id";
    /// One call, as both sides' logs name it.
    RequestId "request id";
}

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident $what:literal, $form:literal, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(BadId::new(text, $what, $form)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_id! {
    /// The name of an instance, grant, link, user or workspace: ASCII only, so that no two spellings look alike.
    Name "name", "1 to 63 of a-z, 0-9 and -, not starting or ending with -", is_name;
    /// A team. Arbitrary text, since teams come from other systems.
    TeamId "team id", "1 to 200 characters without control characters", is_label;
    /// A project, by its own name.
    Project "project", "1 to 200 characters without control characters", is_label;
    /// A tag.
    Tag "tag", "1 to 200 characters without control characters", is_label;
    /// A kind of row, e.g. `tasks`; what exists is declared in [`crate::kind`].
    Resource "kind", "1 to 63 of a-z and _", is_resource;
    /// A field of a kind of row, e.g. `title` or `status`.
    Field "field", "1 to 63 of a-z and _", is_resource;
}

fn is_name(text: &str) -> bool {
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    (1..=63).contains(&text.len())
        && text.as_bytes().iter().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_label(text: &str) -> bool {
    (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn is_resource(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

macro_rules! digest {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| BadId::new(text, "SHA-256", "64 hex digits"))?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

digest! {
    /// SHA-256 of a certificate's `SubjectPublicKeyInfo`, DER (RFC 5280 4.1.2.7): the identity of a key.
    Spki;
    /// SHA-256 of a normalised query: lets two logs be matched without holding what was asked.
    QueryHash;
    /// SHA-256 of an audit entry and everything before it.
    EntryHash;
    /// A node of the Merkle tree over the audit log (RFC 6962 section 2.1).
    NodeHash;
}

/// A certificate serial number: 8 to 20 bytes, big-endian, as in the certificate (RFC 5280 4.1.2.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// From the DER integer's content bytes, leading zero bytes removed. None outside 8 to 20 bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let first = bytes.iter().position(|b| *b != 0)?;
        let bytes = &bytes[first..];
        (8..=20).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// Big-endian bytes without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Rng, SeededRng};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_ascii_without_look_alikes(text in ".{0,70}|[a-z0-9-]{0,70}") {
            let ok = text.parse::<Name>().is_ok();
            let grammar = !text.is_empty() && text.len() <= 63
                && text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
                && !text.starts_with('-') && !text.ends_with('-');
            prop_assert_eq!(ok, grammar);
        }
    }

    /// A million strings, most of them one or two steps from an id: a wrong parser differs from the grammar near it, and
    /// strings made from nothing hardly ever come near.
    #[test]
    fn id_parse_exact() {
        let is_id = |text: &[u8]| {
            text.len() == 36
                && text.iter().enumerate().all(|(at, b)| match at {
                    8 | 13 | 18 | 23 => *b == b'-',
                    _ => b.is_ascii_digit() || (b'a'..=b'f').contains(b),
                })
        };
        let dice = SeededRng::new(0x5eed);
        let mut seen = [0_u32; 2];
        for _ in 0..1_000_000 {
            let mut id = [0; 16];
            dice.fill(&mut id);
            let mut text = GrantId(Uuid::from_bytes(id)).to_string().into_bytes();
            for _ in 0..below(&dice, 3) {
                misspell(&dice, &mut text);
            }
            let Ok(spelt) = std::str::from_utf8(&text) else { continue };
            assert_eq!(spelt.parse::<GrantId>().is_ok(), is_id(&text), "{spelt:?}");
            seen[usize::from(is_id(&text))] += 1;
        }
        assert!(seen.iter().all(|each| *each > 200_000), "both kinds are tried: {seen:?}");
    }

    fn below(dice: &SeededRng, end: usize) -> usize {
        let mut bytes = [0; 4];
        dice.fill(&mut bytes);
        usize::try_from(u32::from_be_bytes(bytes)).unwrap() % end
    }

    /// One edit: another byte, one more, one less, upper case, or something behind.
    fn misspell(dice: &SeededRng, text: &mut Vec<u8>) {
        const BYTES: &[u8] = b"0123456789abcdefABCDEFgz-_/%{}\0 \n.";
        let byte = BYTES[below(dice, BYTES.len())];
        let at = below(dice, text.len());
        match below(dice, 6) {
            0 | 1 => text[at] = byte,
            2 => text.insert(at, byte),
            3 => drop(text.remove(at)),
            4 => text[at] = text[at].to_ascii_uppercase(),
            _ => text.push(byte),
        }
    }

    #[test]
    fn other_spellings_of_a_uuid_are_refused() {
        let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert!(id.parse::<GrantId>().is_ok());
        let others = [
            id.to_uppercase(),
            id.replace('-', ""),
            format!("{{{id}}}"),
            format!("urn:uuid:{id}"),
            format!("{id}\0"),
            format!(" {id}"),
            format!("{id}/"),
            id.replace("0f", "%30f"),
        ];
        for other in others {
            assert!(other.parse::<GrantId>().is_err(), "{other}");
        }
    }

    #[test]
    fn limits_hold_at_one_below_at_and_one_above() {
        for (length, ok) in [(0, false), (1, true), (62, true), (63, true), (64, false)] {
            assert_eq!("a".repeat(length).parse::<Name>().is_ok(), ok, "name of {length}");
        }
        for (length, ok) in [(0, false), (1, true), (200, true), (201, false)] {
            assert_eq!("é".repeat(length).parse::<TeamId>().is_ok(), ok, "team of {length}");
        }
        for (length, ok) in [(7, false), (8, true), (20, true), (21, false)] {
            assert_eq!(Serial::new(&vec![1; length]).is_some(), ok, "serial of {length}");
        }
    }
}

//! A key that somebody else may have, as when a machine was stolen: it is refused for ever.

use crate::{
    Time,
    id::{Name, Spki},
};
use std::{fmt, str::FromStr};

/// The longest reason, in characters.
pub const MAX_REASON: usize = 200;

/// A key that was revoked. It never comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedKey {
    /// Which key.
    pub key: Spki,
    /// Since when.
    pub at: Time,
    /// Who did it, by name.
    pub by: Name,
    /// Why, as they said; empty where they did not.
    pub reason: KeyReason,
}

/// Why a key was revoked, in its owner's words: one line, possibly empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyReason(String);

/// The text is no reason that can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reason is one line of at most {MAX_REASON} characters, without control characters")]
pub struct BadReason;

impl KeyReason {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyReason {
    type Err = BadReason;

    fn from_str(text: &str) -> Result<Self, BadReason> {
        let text = text.trim();
        if text.chars().count() > MAX_REASON || text.chars().any(char::is_control) {
            return Err(BadReason);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why what the database says of a revoked key is not to be believed. The key is refused all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDoubt {
    /// Its row is not as this instance wrote it.
    Tampered,
    /// It has none any more.
    Gone,
}

impl KeyDoubt {
    /// The word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tampered => "tampered",
            Self::Gone => "gone",
        }
    }
}

impl fmt::Display for KeyDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tampered => "its row is not as this instance wrote it: somebody has changed the database",
            Self::Gone => "its row is gone: somebody has changed the database, or put it back to an earlier state",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        let long = "é".repeat(MAX_REASON);
        for (text, kept) in [("", ""), ("  stolen in Köln ", "stolen in Köln"), (&long, &long)] {
            assert_eq!(text.parse::<KeyReason>().unwrap().as_str(), kept);
        }
        for bad in [&format!("{long}e")[..], "two\nlines", "a\u{1b}[2J"] {
            assert_eq!(bad.parse::<KeyReason>(), Err(BadReason), "{bad:?}");
        }
    }
}

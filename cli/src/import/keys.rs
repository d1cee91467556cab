//! The keys of a file's rows: a second row with one would silently take the place of the first.

use domain::id::Resource;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, hash_map::Entry};

/// Bytes of a key at most, as the daemon takes them.
const MAX_KEY: usize = 1_000;

/// A key as it may be: one that is too long is known by its digest, below its source as every key.
pub fn fitting(key: String, source: &str) -> String {
    if key.len() <= MAX_KEY {
        return key;
    }
    let digest = hex::encode(Sha256::digest(&key));
    Some(format!("{source}/{digest}")).filter(|key| key.len() <= MAX_KEY).unwrap_or(digest)
}

/// The keys so far, each with the place of its row.
#[derive(Debug, Default)]
pub struct Keys(HashMap<(Resource, String), String>);

impl Keys {
    /// Takes a key for the row at `at`; the place of the row that has it already, if there is one.
    pub fn taken(&mut self, kind: &Resource, key: &str, at: &str) -> Option<String> {
        match self.0.entry((kind.clone(), key.to_owned())) {
            Entry::Vacant(free) => {
                free.insert(at.to_owned());
                None
            }
            Entry::Occupied(former) => Some(former.get().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_too_long_is_known_by_its_digest_below_its_source() {
        let key = |size: usize| format!("src/{}", "x".repeat(size));
        assert_eq!(fitting(key(996), "src"), key(996));
        let (long, longer) = (fitting(key(997), "src"), fitting(key(998), "src"));
        assert!(long.starts_with("src/") && long.len() == 68 && long != longer, "{long}");
        assert_eq!(fitting(key(997), &"s".repeat(990)).len(), 64);
    }
}

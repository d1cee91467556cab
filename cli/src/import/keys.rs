//! The keys of a file's rows: a second row with one would silently take the place of the first.

use domain::id::Resource;
use std::collections::{HashMap, hash_map::Entry};

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

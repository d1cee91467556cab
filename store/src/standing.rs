//! The grants' table as those read it who judge callers by it.

use crate::{END, Floor};
use domain::{
    grant::{Grant, Leaf},
    id::{GrantId, Spki},
    seal::Doubt,
};
use std::collections::BTreeMap;

/// What the standing of callers is judged by, or what changed of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// [`crate::Grants::grants_version`] at the time of reading.
    pub version: u64,
    /// The version since which `grants` and `refused` say what changed; where there is none they say everything, ended grants too.
    pub since: Option<u64>,
    /// Grants as they are now.
    pub grants: BTreeMap<GrantId, Held>,
    /// Certificates of this instance's CA that must not pass a handshake: revoked or replaced, until they expire. What was told once stays so
    /// until everything is told anew.
    pub refused: Vec<Leaf>,
    /// Keys that are refused for ever, always all of them, and whether each one's row is as the daemon wrote it.
    pub keys: BTreeMap<Spki, bool>,
}

/// How one grant is held.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    /// It may permit something.
    Stands(Box<Grant>),
    /// It was ended here, at this generation, and permits nothing any more.
    Ended(u64),
    /// It is not to be believed: it permits nothing.
    Doubtful(Doubt),
}

impl Held {
    /// How far it has come, as far as it is to be believed.
    pub fn floor(&self) -> Option<Floor> {
        match self {
            Self::Stands(grant) => Some(Floor::of(grant)),
            Self::Ended(_) => Some(END),
            Self::Doubtful(_) => None,
        }
    }

    /// The grant, if it stands.
    pub fn standing(self) -> Option<Grant> {
        match self {
            Self::Stands(grant) => Some(*grant),
            Self::Ended(_) | Self::Doubtful(_) => None,
        }
    }
}

impl Standing {
    /// The grants that stand, of those that it tells of.
    pub fn live(self) -> impl Iterator<Item = Grant> {
        self.grants.into_values().filter_map(Held::standing)
    }
}

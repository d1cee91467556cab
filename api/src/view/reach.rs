//! What linked instances say of the addresses of this one.

use crate::shape;
use domain::{
    Time,
    id::{GrantId, Name},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What the grants are called that somebody may know of.
pub type GrantNames = HashMap<GrantId, Name>;

/// Whether others can reach this instance, by the word of linked instances that were asked to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// tested; silent: those who were asked did not answer; nobody: no instance is linked that could be asked; local: every address is one
    /// of this machine alone; closed: nothing listens.
    pub state: String,
    /// When they were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub at: Option<Time>,
    /// The grants whose holders were asked and, if they were tested, answered: those that the caller may know of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<shape::Name>")]
    pub asked: Vec<Name>,
    /// How many they are, with those that the caller may not know of.
    pub count: u64,
    /// The addresses that were tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<TriedAddress>,
}

/// An address that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TriedAddress {
    /// `host:port`.
    pub address: String,
    /// What listens there: links or enrolment.
    pub listener: String,
    /// Whether somebody reached this instance by it.
    pub reached: bool,
    /// The grants whose holders did: those that the caller may know of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<shape::Name>")]
    pub by: Vec<Name>,
}

impl Reach {
    /// As whoever may know of the grants in `names` is told it.
    pub fn told(reach: spoke::Reach, names: &GrantNames) -> Self {
        let known = |grants: &[GrantId]| grants.iter().filter_map(|grant| names.get(grant).cloned()).collect();
        let tried = |spoke::reach::Tried { address, listener, by }| TriedAddress {
            address,
            listener: listener.word().to_owned(),
            reached: !by.is_empty(),
            by: known(&by),
        };
        let spoke::Reach { state, at, asked, addresses } = reach;
        Self {
            state: state.word().to_owned(),
            at,
            count: asked.len() as u64,
            asked: known(&asked),
            addresses: addresses.into_iter().map(tried).collect(),
        }
    }
}

//! Keys that were revoked.

use super::RevokeReport;
use crate::shape;
use domain::{
    Time,
    id::{Name, Spki},
    revoked::RevokedKey,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Revokes a key. There is no way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyOrder {
    /// Which key, by its fingerprint.
    #[schemars(with = "String")]
    pub key: Spki,
    /// Why, one line of 200 characters at most.
    #[serde(default)]
    pub reason: String,
}

/// A key that is refused for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyEntry {
    /// Which key, by its fingerprint.
    #[schemars(with = "String")]
    pub key: Spki,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub at: Option<Time>,
    /// Who revoked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub by: Option<Name>,
    /// Why, as they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// tampered or gone: somebody else changed what the database says of it, so that nothing of that is said here. It is refused all the
    /// same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

impl From<RevokedKey> for KeyEntry {
    fn from(RevokedKey { key, at, by, reason }: RevokedKey) -> Self {
        let reason = Some(reason.as_str().to_owned()).filter(|reason| !reason.is_empty());
        Self { key, at: Some(at), by: Some(by), reason, doubt: None }
    }
}

impl From<store::KeptKey> for KeyEntry {
    fn from(store::KeptKey { key, said, doubt }: store::KeptKey) -> Self {
        let doubt = doubt.map(|doubt| doubt.word().to_owned());
        let unsaid = Self { key, at: None, by: None, reason: None, doubt: None };
        Self { doubt, ..said.map_or(unsaid, Into::into) }
    }
}

/// A link of this instance that uses a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyLink {
    /// What its owner calls it.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// Whose it is.
    #[schemars(with = "shape::Name")]
    pub owner: Name,
}

/// What a revoked key took with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyReport {
    /// The key.
    pub key: KeyEntry,
    /// Each grant that was ended with it.
    pub grants: Vec<RevokeReport>,
    /// Grants whose open invite was for it alone: they stand, and need another invite.
    #[schemars(with = "Vec<shape::Name>")]
    pub invites: Vec<Name>,
    /// Links of this instance that use it, or were made with it: what it may do there is up to their other sides.
    pub links: Vec<KeyLink>,
    /// Whether it was kept here for an invite, and is no longer.
    pub forgotten: bool,
}

//! Tokens of programs.

use crate::shape;
use domain::{
    Time,
    id::Name,
    token::{DAYS, KeptToken},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks for a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenOrder {
    /// What to call it: none of the caller's has this name.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// How many days it is good for, 1 to 366.
    #[serde(default = "days")]
    #[schemars(range(min = 1, max = 366))]
    pub days: u32,
}

const fn days() -> u32 {
    DAYS
}

/// A new token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenMade {
    /// What it is called.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// The token itself, a secret that is said this once.
    pub token: String,
    /// Whom whoever shows it acts as.
    #[schemars(with = "shape::Name")]
    pub user: Name,
    /// The one workspace that it is for.
    #[schemars(with = "shape::Name")]
    pub workspace: Name,
    /// From when on it is good for nothing.
    #[schemars(with = "shape::Time")]
    pub not_after: Time,
    /// Where it can be shown; absent where this instance has no HTTP port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
}

/// A token that there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenEntry {
    /// What it is called.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// The one workspace that it is for.
    #[schemars(with = "shape::Name")]
    pub workspace: Name,
    /// Since when.
    #[schemars(with = "shape::Time")]
    pub added_at: Time,
    /// From when on it is good for nothing.
    #[schemars(with = "shape::Time")]
    pub not_after: Time,
    /// Whether that is over.
    pub expired: bool,
    /// When it was used last, to the hour; absent where it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub used_at: Option<Time>,
}

impl TokenEntry {
    /// As it is at `now`.
    pub(crate) fn new(token: KeptToken, workspace: Name, now: Time) -> Self {
        let expired = token.has_expired(now);
        let KeptToken { name, added_at, not_after, used_at, .. } = token;
        Self { name, workspace, added_at, not_after, expired, used_at }
    }
}

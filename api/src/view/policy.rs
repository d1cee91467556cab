//! What an instance allows at all.

use super::GrantEntry;
use crate::shape;
use domain::{
    Time,
    id::Name,
    scope::ceiling::{self, Ceiling},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What no grant may exceed; nothing where every key is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// The ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Ceiling>")]
    pub ceiling: Option<Ceiling>,
    /// When it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub set_at: Option<Time>,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub set_by: Option<Name>,
}

impl From<Option<store::KeptCeiling>> for Policy {
    fn from(kept: Option<store::KeptCeiling>) -> Self {
        kept.map_or_else(Self::default, |kept| Self {
            ceiling: Some(kept.ceiling),
            set_at: Some(kept.set_at),
            set_by: Some(kept.set_by),
        })
    }
}

/// Puts a ceiling in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyOrder {
    /// The ceiling.
    #[schemars(with = "shape::Ceiling")]
    pub ceiling: Ceiling,
    /// Whether grants that are beyond it are narrowed with it; else it is refused where there are any.
    #[serde(default)]
    pub narrow: bool,
}

/// The ceiling in force, and what it narrowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyReport {
    /// What is in force now.
    pub policy: Policy,
    /// The grants that were narrowed, each with what it lost.
    pub narrowed: Vec<GrantEntry>,
}

/// A key of a scope that is beyond the ceiling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The key, as in `filters.tasks.include_teams`.
    pub key: String,
    /// What was asked for.
    pub given: serde_json::Value,
    /// What is left of it.
    pub within: serde_json::Value,
    /// The same in words.
    pub text: String,
}

/// The keys in which a scope was beyond the ceiling.
pub fn differences(lost: Vec<ceiling::Difference>) -> Vec<Difference> {
    let told = |lost: ceiling::Difference| {
        let text = lost.to_string();
        let ceiling::Difference { key, given, within } = lost;
        Difference { key, given, within, text }
    };
    lost.into_iter().map(told).collect()
}

//! Many invites at once.

use crate::shape;
use domain::{
    Time,
    id::{Name, Spki},
    scope::Spec,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many are judged in one request.
pub const MOST_INVITEES: usize = 10_000;

/// Asks whether many grants could be made, each with its invite, on the same terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "a body of JSON: each is said by its caller, or not")]
pub struct InviteesOrder {
    /// Who is to be invited; 10,000 at most.
    pub people: Vec<Invitee>,
    /// What is permitted.
    #[schemars(with = "shape::Spec")]
    pub scope: Spec,
    /// As for one.
    #[serde(default)]
    pub personal: bool,
    /// As for one.
    #[serde(default)]
    pub sensitive: bool,
    /// As for one.
    #[serde(default)]
    pub narrow: bool,
    /// As for one.
    #[serde(default)]
    pub confirm: bool,
}

/// Somebody who is to be invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Invitee {
    /// The grant's name.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// The local user on whose behalf rows are read.
    #[schemars(with = "shape::Name")]
    pub subject: Name,
    /// The only key that may use the invite, by its fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub key: Option<Spki>,
}

impl From<Invitee> for spoke::Invitee {
    fn from(Invitee { name, subject, key }: Invitee) -> Self {
        Self { name, subject, key }
    }
}

/// What would become of one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum InviteeVerdict {
    /// It can be made.
    Good,
    /// Its grant is there already, for the same user and on the same terms: nothing is to be made.
    There {
        /// Whether somebody holds it.
        held: bool,
        /// What its holder calls itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<shape::Name>")]
        holder: Option<Name>,
        /// When its last invite stops working; absent where none was made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<shape::Time>")]
        expires_at: Option<Time>,
    },
    /// It cannot.
    Refused {
        /// Why, one line.
        cause: String,
        /// What to do; absent where the cause says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
}

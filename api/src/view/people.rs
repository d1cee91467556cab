//! Users, workspaces and teams.

use super::grants::Receipt;
use crate::shape;
use domain::{
    id::{Name, TeamId, UserId, WorkspaceId},
    rights::Role,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who the caller is at this door, and where they act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// The user's name.
    #[schemars(with = "shape::Name")]
    pub user: Name,
    /// The workspace the request is about.
    #[schemars(with = "shape::Name")]
    pub workspace: Name,
    /// The user's role there.
    #[schemars(with = "shape::Role")]
    pub role: Role,
    /// Whether the caller runs this daemon, and may act as others.
    pub operator: bool,
    /// The token that the caller showed, if it is a program at the HTTP port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub token: Option<Name>,
}

/// A user of this instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserEntry {
    /// Which user.
    #[schemars(with = "shape::Id")]
    pub id: UserId,
    /// What people call them.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// The operating system user that acts as them, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Their role, by workspace.
    #[schemars(with = "BTreeMap<String, shape::Role>")]
    pub roles: BTreeMap<Name, Role>,
    /// Their teams, by workspace.
    #[schemars(with = "BTreeMap<String, Vec<shape::Label>>")]
    pub teams: BTreeMap<Name, Vec<TeamId>>,
    /// What the operator still has to do for them, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

impl From<store::User> for UserEntry {
    fn from(user: store::User) -> Self {
        let store::User { id, name, uid, roles, teams } = user;
        Self { id, name, uid, roles, teams, notice: None }
    }
}

/// Asks for a user in the request's workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserOrder {
    /// Their name.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// The operating system user that is to act as them.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Their role.
    #[schemars(with = "shape::Role")]
    pub role: Role,
}

/// Asks for a role in the request's workspace; none takes the user out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleOrder {
    /// The role.
    #[schemars(with = "Option<shape::Role>")]
    pub role: Option<Role>,
}

/// What would go with a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Belongings {
    /// The user's name.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// Rows that are theirs alone.
    pub rows: u64,
    /// Their links.
    pub links: u64,
    /// Grants on their behalf that have not ended, by name.
    #[schemars(with = "Vec<shape::Name>")]
    pub grants: Vec<Name>,
}

/// What went with a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// The user's name.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// Grants that were revoked with them, by name.
    #[schemars(with = "Vec<shape::Name>")]
    pub revoked_grants: Vec<Name>,
    /// What is known of the sides that asked under them, by grant.
    #[schemars(with = "BTreeMap<String, Receipt>")]
    pub receipts: BTreeMap<Name, Receipt>,
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceEntry {
    /// Which workspace.
    #[schemars(with = "shape::Id")]
    pub id: WorkspaceId,
    /// What people call it.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// How many users are in it.
    pub members: u64,
    /// The caller's role in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Role>")]
    pub role: Option<Role>,
}

/// Asks for a workspace; the caller becomes its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceOrder {
    /// Its name.
    #[schemars(with = "shape::Name")]
    pub name: Name,
}

/// A team of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TeamEntry {
    /// Its workspace.
    #[schemars(with = "shape::Name")]
    pub workspace: Name,
    /// Its id.
    #[schemars(with = "shape::Label")]
    pub team: TeamId,
    /// Its members with their place in it.
    #[schemars(with = "BTreeMap<String, shape::Role>")]
    pub members: BTreeMap<Name, Role>,
}

impl From<store::Team> for TeamEntry {
    fn from(team: store::Team) -> Self {
        Self { workspace: team.workspace, team: team.id, members: team.members }
    }
}

/// Asks for a team in the request's workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamOrder {
    /// Its id.
    #[schemars(with = "shape::Label")]
    pub team: TeamId,
}

/// Puts a user into a team of the request's workspace, or takes them out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberOrder {
    /// Which team.
    #[schemars(with = "shape::Label")]
    pub team: TeamId,
    /// Which user.
    #[schemars(with = "shape::Name")]
    pub user: Name,
    /// Their place in it: owner, admin or member; none takes them out.
    #[schemars(with = "Option<shape::Role>")]
    pub role: Option<Role>,
}

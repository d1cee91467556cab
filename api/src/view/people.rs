//! Users, workspaces and teams.

use domain::{
    id::{Name, TeamId, UserId, WorkspaceId},
    rights::Role,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who the caller is at this door, and where they act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The user's name.
    pub user: Name,
    /// The workspace the request is about.
    pub workspace: Name,
    /// The user's role there.
    pub role: Role,
    /// Whether the caller runs this daemon, and may act as others.
    pub operator: bool,
}

/// A user of this instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEntry {
    /// Which user.
    pub id: UserId,
    /// What people call them.
    pub name: Name,
    /// The operating system user that acts as them, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Their role, by workspace.
    pub roles: BTreeMap<Name, Role>,
    /// Their teams, by workspace.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserOrder {
    /// Their name.
    pub name: Name,
    /// The operating system user that is to act as them.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Their role.
    pub role: Role,
}

/// Asks for a role in the request's workspace; none takes the user out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleOrder {
    /// The role.
    pub role: Option<Role>,
}

/// What would go with a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belongings {
    /// The user's name.
    pub name: Name,
    /// Rows that are theirs alone.
    pub rows: u64,
    /// Their links.
    pub links: u64,
    /// Grants on their behalf that have not ended, by name.
    pub grants: Vec<Name>,
}

/// What went with a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The user's name.
    pub name: Name,
    /// Grants that were revoked with them, by name.
    pub revoked_grants: Vec<Name>,
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceEntry {
    /// Which workspace.
    pub id: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// How many users are in it.
    pub members: u64,
    /// The caller's role in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// Asks for a workspace; the caller becomes its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceOrder {
    /// Its name.
    pub name: Name,
}

/// A team of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamEntry {
    /// Its workspace.
    pub workspace: Name,
    /// Its id.
    pub team: TeamId,
    /// Its members with their place in it.
    pub members: BTreeMap<Name, Role>,
}

impl From<store::Team> for TeamEntry {
    fn from(team: store::Team) -> Self {
        Self { workspace: team.workspace, team: team.id, members: team.members }
    }
}

/// Asks for a team in the request's workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamOrder {
    /// Its id.
    pub team: TeamId,
}

/// Puts a user into a team of the request's workspace, or takes them out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberOrder {
    /// Which team.
    pub team: TeamId,
    /// Which user.
    pub user: Name,
    /// Their place in it: owner, admin or member; none takes them out.
    pub role: Option<Role>,
}

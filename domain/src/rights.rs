//! What a user may see natively: the rule that the database's policies state, stated a second time.
//!
//! It serves the second check on every outgoing row, so that a broken policy is found before a row leaves.

use crate::{
    id::{TeamId, UserId, WorkspaceId},
    item::{StoredItem, Whose},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// A user's place in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads the rows of their teams only, writes nothing.
    Guest,
    /// Reads and writes their own rows and those of their teams.
    Member,
    /// Also sees every team's rows, and manages people and grants.
    Admin,
    /// As admin; the one who made the workspace.
    Owner,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Guest, Self::Member, Self::Admin, Self::Owner];

    /// The word people and the database use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Whether this role manages people and grants, and sees every team's rows.
    pub const fn manages(self) -> bool {
        matches!(self, Self::Admin | Self::Owner)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// No such role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role `{0}`; choose owner, admin, member or guest")]
pub struct BadRole(String);

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        Self::ALL.into_iter().find(|role| role.word() == text).ok_or_else(|| BadRole(text.chars().take(40).collect()))
    }
}

/// What a user may see in one workspace, read in the same transaction as the rows it judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Where.
    pub workspace: WorkspaceId,
    /// Who.
    pub user: UserId,
    /// As what; none is no access at all.
    pub role: Option<Role>,
    /// The teams the user is in.
    pub teams: BTreeSet<TeamId>,
}

impl Rights {
    /// Whether the user may see this row without any grant.
    pub fn admit(&self, stored: &StoredItem) -> bool {
        let Some(role) = self.role else { return false };
        stored.workspace == self.workspace
            && match (&stored.whose, &stored.item.team) {
                (Whose::Listed { .. }, _) if role.manages() => true,
                // An entry says which teams it is listed in, so that it may name none that the user is not in.
                (Whose::Listed { teams, person }, _) => {
                    teams.is_subset(&self.teams) && (!teams.is_empty() || *person == Some(self.user))
                }
                (Whose::Of(_), Some(team)) => role.manages() || self.teams.contains(team),
                (Whose::Of(owner), None) => *owner == self.user && role != Role::Guest,
            }
    }
}

//! What a grant permits, as a closed value that can be compared: written by an owner ([`spec`]), narrowed and compared
//! exactly ([`algebra`]), held below what an instance allows at all ([`ceiling`]), asked one row or one verb at a time (here).

mod algebra;
pub mod ceiling;
pub mod spec;
#[cfg(test)]
mod tests;

use crate::{
    Time,
    id::{Field, Name, Project, Resource, Tag, TeamId},
    item::{StoredItem, Whose},
    kind::Class,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub use spec::{Context, ScopeError, Spec};

/// What may be done with rows. `search` is part of scopes; no operation uses it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Ask what the grant allows.
    Capabilities,
    /// Read many rows.
    List,
    /// Read one row.
    Get,
    /// Search rows.
    Search,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 4] = [Self::Capabilities, Self::List, Self::Get, Self::Search];

    /// The word people and the database use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::List => "list",
            Self::Get => "get",
            Self::Search => "search",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where the owner wants rows shown. Obeyed by an honest asking side; a hostile one cannot be made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// The command line.
    Cli,
    /// The web console.
    Console,
    /// An assistant.
    Mcp,
    /// A program.
    Api,
}

impl Door {
    /// Every door.
    pub const ALL: [Self; 4] = [Self::Cli, Self::Console, Self::Mcp, Self::Api];

    /// The word people use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Console => "console",
            Self::Mcp => "mcp",
            Self::Api => "api",
        }
    }
}

/// A bucket of `burst` calls, refilled at `per_minute`; both at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls a minute, 1 to 100,000.
    pub per_minute: u32,
    /// Calls at once, 1 to 100,000.
    pub burst: u32,
}

impl Rate {
    /// 60 calls a minute, 60 at once.
    pub const DEFAULT: Self = Self { per_minute: 60, burst: 60 };
}

/// Which rows of one resource, and which of their fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Team rows: those of these teams, or of every team the subject may see.
    pub teams: Option<BTreeSet<TeamId>>,
    /// Whether the subject's personal rows are shared.
    pub personal: bool,
    /// Only rows of these projects, or of any and none.
    pub projects: Option<BTreeSet<Project>>,
    /// Each set must share a tag with the row. Several sets arise only by intersection.
    pub tags: BTreeSet<BTreeSet<Tag>>,
    /// Only rows updated at or after this time.
    pub since: Option<Time>,
    /// The fields that may leave.
    pub fields: BTreeSet<Field>,
}

impl Filter {
    /// Whether this filter lets the row through, native rights aside. An entry of the directory is nobody's personal row.
    pub fn admit(&self, stored: &StoredItem) -> bool {
        let item = &stored.item;
        let owned = match (&stored.whose, &item.team) {
            (Whose::Listed { teams: listed, .. }, _) => self.teams.as_ref().is_none_or(|all| !all.is_disjoint(listed)),
            (Whose::Of(_), Some(team)) => self.teams.as_ref().is_none_or(|all| all.contains(team)),
            (Whose::Of(_), None) => self.personal,
        };
        let project =
            self.projects.as_ref().is_none_or(|all| item.project.as_ref().is_some_and(|one| all.contains(one)));
        let tags = self.tags.iter().all(|any| any.iter().any(|tag| item.tags.contains(tag)));
        owned && project && tags && self.since.is_none_or(|since| item.updated_at >= since)
    }

    /// Whether no row at all could pass.
    fn is_void(&self) -> bool {
        let nobody = !self.personal && self.teams.as_ref().is_some_and(BTreeSet::is_empty);
        nobody || self.projects.as_ref().is_some_and(BTreeSet::is_empty) || self.tags.iter().any(BTreeSet::is_empty)
    }
}

/// What a grant permits. Effective access is this intersected with the subject's native rights, never more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    workspace: Name,
    resources: BTreeMap<Resource, Filter>,
    excluded: BTreeSet<Resource>,
    /// Only for kinds that a later edit adds: what is shared now says its fields.
    withheld: BTreeSet<Class>,
    verbs: BTreeSet<Verb>,
    commands: BTreeSet<String>,
    topics: BTreeSet<String>,
    doors: BTreeSet<Door>,
    max_rows: u32,
    rate: Rate,
    not_after: Time,
}

impl Scope {
    /// What permits nothing: it stands for a scope that cannot be read.
    pub fn nothing(workspace: Name, not_after: Time) -> Self {
        Self {
            workspace,
            resources: BTreeMap::new(),
            excluded: BTreeSet::new(),
            withheld: BTreeSet::new(),
            verbs: BTreeSet::new(),
            commands: BTreeSet::new(),
            topics: BTreeSet::new(),
            doors: BTreeSet::new(),
            max_rows: 1,
            rate: Rate { per_minute: 1, burst: 1 },
            not_after,
        }
    }

    /// The one workspace whose rows are shared.
    pub fn workspace(&self) -> &Name {
        &self.workspace
    }

    /// The filter of a resource that this scope names; none for every other.
    pub fn filter(&self, resource: &Resource) -> Option<&Filter> {
        self.resources.get(resource)
    }

    /// The resources this scope names, with their filters.
    pub fn resources(&self) -> impl Iterator<Item = (&Resource, &Filter)> {
        self.resources.iter()
    }

    /// Whether the verb is permitted.
    pub fn allows(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// The permitted verbs.
    pub fn verbs(&self) -> impl Iterator<Item = Verb> {
        self.verbs.iter().copied()
    }

    /// Where the owner wants rows shown.
    pub fn doors(&self) -> impl Iterator<Item = Door> {
        self.doors.iter().copied()
    }

    /// The most rows one answer may hold, 1 to 10,000.
    pub fn max_rows(&self) -> u32 {
        self.max_rows
    }

    /// How often the grant may be used.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// When the grant ends by itself.
    pub fn not_after(&self) -> Time {
        self.not_after
    }
}

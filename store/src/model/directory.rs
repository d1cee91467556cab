//! Teams and people as rows. Their dates are those of the changes that the map of them went through.

use super::{Model, State};
use domain::{
    Time,
    id::{ItemId, Resource, TeamId, UserId, WorkspaceId},
    item::{Item, StoredItem, Whose},
    kind::{Kinds, Origin},
    rights::{Rights, Role},
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Whose entry it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    Team(TeamId),
    User(UserId),
}

/// What is kept of an entry beside what it shows.
#[derive(Clone, Copy)]
pub(super) struct Dated {
    id: ItemId,
    since: Time,
    changed: Time,
}

/// What an entry shows: a role or none, and names of what is on the other side.
type Shown = (Option<Role>, BTreeSet<TeamId>, BTreeSet<UserId>);

impl Model {
    /// Dates the entries that differ from those before.
    pub(super) fn date(&self, before: &State, next: &mut State) {
        let (old, new) = (before.shown(), next.shown());
        next.dated.retain(|entry, _| new.contains_key(entry));
        let now = self.world.now();
        for (entry, shown) in new {
            let id = if let (_, Of::User(user)) = &entry { ItemId(user.0) } else { ItemId(self.world.uuid()) };
            let changed = old.get(&entry) != Some(&shown);
            let dated = next.dated.entry(entry).or_insert(Dated { id, since: now, changed: now });
            if changed {
                dated.changed = now;
            }
        }
    }
}

impl State {
    /// Whether the directory is the same.
    pub(super) fn lists_as(&self, other: &Self) -> bool {
        self.roles == other.roles && self.teams == other.teams
    }

    fn shown(&self) -> BTreeMap<(WorkspaceId, Of), Shown> {
        let team = |((place, team), members): (&(WorkspaceId, TeamId), &BTreeMap<UserId, Role>)| {
            ((*place, Of::Team(team.clone())), (None, BTreeSet::new(), members.keys().copied().collect()))
        };
        let user = |((place, user), role): (&(WorkspaceId, UserId), &Role)| {
            ((*place, Of::User(*user)), (Some(*role), self.rights(*place, *user).teams, BTreeSet::new()))
        };
        self.teams.iter().map(team).chain(self.roles.iter().map(user)).collect()
    }

    /// The rows of a kind that follow the directory, with the teams that the reader may see.
    pub(super) fn entries(&self, reader: &Rights, resource: &Resource) -> Vec<StoredItem> {
        let origin = Kinds::builtin().get(resource).map_or(Origin::Items, |kind| kind.origin);
        let entries = self.shown().into_iter().filter(|((workspace, _), _)| *workspace == reader.workspace);
        let sees = |team: &TeamId| reader.role.is_some_and(Role::manages) || reader.teams.contains(team);
        let row = |(entry, shown): ((WorkspaceId, Of), Shown)| match (origin, &entry.1) {
            (Origin::Teams, Of::Team(team)) => {
                let names = shown.2.iter().filter_map(|user| self.user_name(*user)).collect::<BTreeSet<_>>();
                let listed = BTreeSet::from([team.clone()]);
                Some(self.entry(&entry, resource, team.as_str(), listed, &json!({ "members": names })))
            }
            (Origin::Users, Of::User(user)) => {
                let listed = shown.1.into_iter().filter(sees).collect();
                let shows = json!({ "role": shown.0 });
                Some(self.entry(&entry, resource, self.user_name(*user)?.as_str(), listed, &shows))
            }
            _ => None,
        };
        entries.filter_map(row).collect()
    }

    fn entry(
        &self,
        entry: &(WorkspaceId, Of),
        resource: &Resource,
        title: &str,
        teams: BTreeSet<TeamId>,
        shows: &Value,
    ) -> StoredItem {
        let Dated { id, since, changed } = self.dated[entry];
        let person = if let Of::User(user) = entry.1 { Some(user) } else { None };
        StoredItem {
            workspace: entry.0,
            whose: Whose::Listed { teams, person },
            item: Item {
                id,
                resource: resource.clone(),
                created_at: since,
                updated_at: changed,
                title: Some(title.to_owned()),
                body: None,
                team: None,
                project: None,
                owner: None,
                tags: BTreeSet::new(),
                attributes: shows.as_object().cloned().unwrap_or_else(Map::new),
            },
        }
    }
}

//! Exact containment and intersection. They carry edits, ceilings and sub-grants, so neither may be an approximation:
//! `a.contains(b)` holds exactly when everything `b` permits, `a` permits too; `a.intersect(b)` permits exactly what both do.

use super::{Filter, Rate, Scope};
use crate::id::{Resource, Tag};
use std::collections::{BTreeMap, BTreeSet};

impl Scope {
    /// Whether everything `other` permits is permitted here too.
    pub fn contains(&self, other: &Self) -> bool {
        self.workspace == other.workspace
            && self.max_rows >= other.max_rows
            && self.rate.covers(other.rate)
            && self.not_after >= other.not_after
            && self.verbs.is_superset(&other.verbs)
            && self.commands.is_superset(&other.commands)
            && self.topics.is_superset(&other.topics)
            && self.doors.is_superset(&other.doors)
            && other.resources.iter().all(|(name, theirs)| self.filter(name).is_some_and(|ours| ours.contains(theirs)))
    }

    /// What both permit; none when that is nothing.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let both = self.both(other);
        let something = !both.resources.is_empty() && !both.verbs.is_empty() && !both.doors.is_empty();
        (something && self.workspace == other.workspace).then_some(both)
    }

    /// What both permit in this one's workspace, also where that is nothing.
    pub(super) fn both(&self, other: &Self) -> Self {
        let excluded: BTreeSet<Resource> = &self.excluded | &other.excluded;
        let shared: BTreeMap<_, _> = self
            .resources
            .iter()
            .filter_map(|(name, ours)| {
                let both = ours.intersect(other.filter(name)?);
                (!excluded.contains(name) && !both.is_void()).then(|| (name.clone(), both))
            })
            .collect();
        Self {
            workspace: self.workspace.clone(),
            resources: shared,
            excluded,
            withheld: &self.withheld | &other.withheld,
            verbs: &self.verbs & &other.verbs,
            commands: &self.commands & &other.commands,
            topics: &self.topics & &other.topics,
            doors: &self.doors & &other.doors,
            max_rows: self.max_rows.min(other.max_rows),
            rate: self.rate.lower(other.rate),
            not_after: self.not_after.min(other.not_after),
        }
    }
}

impl Filter {
    fn contains(&self, other: &Self) -> bool {
        let teams = covers(self.teams.as_ref(), other.teams.as_ref());
        let since = self.since.is_none_or(|ours| other.since.is_some_and(|theirs| theirs >= ours));
        teams
            && (self.personal || !other.personal)
            && covers(self.projects.as_ref(), other.projects.as_ref())
            && implied(&self.tags, &other.tags)
            && since
            && self.fields.is_superset(&other.fields)
    }

    fn intersect(&self, other: &Self) -> Self {
        Self {
            teams: overlap(self.teams.as_ref(), other.teams.as_ref()),
            personal: self.personal && other.personal,
            projects: overlap(self.projects.as_ref(), other.projects.as_ref()),
            tags: minimal(&(&self.tags | &other.tags)),
            since: self.since.max(other.since),
            fields: &self.fields & &other.fields,
        }
    }
}

impl Rate {
    fn covers(self, other: Self) -> bool {
        self.per_minute >= other.per_minute && self.burst >= other.burst
    }

    pub(super) fn lower(self, other: Self) -> Self {
        Self { per_minute: self.per_minute.min(other.per_minute), burst: self.burst.min(other.burst) }
    }
}

/// Absent means everything.
fn covers<T: Ord>(ours: Option<&BTreeSet<T>>, theirs: Option<&BTreeSet<T>>) -> bool {
    ours.is_none_or(|ours| theirs.is_some_and(|theirs| ours.is_superset(theirs)))
}

fn overlap<T: Ord + Clone>(a: Option<&BTreeSet<T>>, b: Option<&BTreeSet<T>>) -> Option<BTreeSet<T>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a & b),
        (one, other) => one.or(other).cloned(),
    }
}

/// Whether rows that satisfy every set of `given` satisfy every set of `wanted`.
///
/// A set asks for any of its tags. A wanted set follows exactly when some given set lies within it: otherwise the row that
/// carries every tag except the wanted ones satisfies all given sets and not this one.
fn implied(wanted: &BTreeSet<BTreeSet<Tag>>, given: &BTreeSet<BTreeSet<Tag>>) -> bool {
    wanted.iter().all(|any| given.iter().any(|stronger| stronger.is_subset(any)))
}

/// Leaves out sets that follow from another one, so that equal conditions are equal values.
pub(super) fn minimal(sets: &BTreeSet<BTreeSet<Tag>>) -> BTreeSet<BTreeSet<Tag>> {
    let follows = |set: &BTreeSet<Tag>| sets.iter().any(|other| other != set && other.is_subset(set));
    sets.iter().filter(|set| !follows(set)).cloned().collect()
}

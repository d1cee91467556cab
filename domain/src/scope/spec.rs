//! A scope as an owner writes it: JSON or flags in, a [`Scope`] or a clear refusal out.

use super::{Door, Filter, Rate, Scope, Verb, algebra};
use crate::{
    Time,
    id::{Field, Name, Project, Resource, Tag, TeamId},
    kind::{Class, Kind, Kinds},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A scope in JSON. Absent keys take the defaults said beside them; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The one workspace.
    pub workspace: Name,
    /// What is shared; not empty.
    pub resources: Vec<String>,
    /// What is never shared, also by a later edit. Default: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded_resources: Vec<String>,
    /// Which rows, by resource. Default: all the subject may see, personal rows as [`Context::personal`] says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, FilterSpec>,
    /// Which fields, by resource; an empty list leaves id, resource and times. Default: all but those whose class is withheld.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Vec<String>>,
    /// Which classes of field stay here. Default: `secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withhold: Option<Vec<Class>>,
    /// 1 to 10,000. Default: 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows_per_query: Option<u32>,
    /// Default: capabilities, list, get, search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbs: Option<Vec<Verb>>,
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Default: 60 a minute, 60 at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Default: every door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doors: Option<Vec<Door>>,
    /// Default: 90 days from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
}

/// Which rows of one resource. Teams or personal, and all the rest must hold. An empty list is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterSpec {
    /// Default: every team the subject may see. May be empty only beside `include_personal: true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_teams: Option<Vec<String>>,
    /// Default: as [`Context::personal`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_personal: Option<bool>,
    /// Default: any project and none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_projects: Option<Vec<String>>,
    /// Rows with any of these tags; a list of lists asks for one of each. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_tags: Option<Tags>,
    /// Rows updated at or after this time. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// Tags: any of one list, or any of each of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Tags {
    /// Any of these.
    Any(Vec<String>),
    /// Any of each of these.
    Each(Vec<Vec<String>>),
}

/// What a scope's meaning depends on besides its text.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The kinds that exist.
    pub kinds: &'a Kinds,
    /// The time of writing.
    pub now: Time,
    /// Whether personal rows are shared where the text does not say: true only when the subject shares for themselves.
    pub personal: bool,
    /// Whether the owner confirmed that sensitive kinds are shared.
    pub sensitive: bool,
}

/// Why a scope was refused, with what would have been right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum ScopeError {
    #[error("a scope shares nothing: name at least one kind ({known})")]
    NoResource { known: String },
    #[error("there is no kind `{name}`; {known} exist")]
    UnknownResource { name: String, known: String },
    #[error("`{name}` is both shared and excluded; keep it in one of `resources` and `excluded_resources`")]
    Overlap { name: Resource },
    #[error("`{key}` speaks of `{name}`, which is not among the shared kinds; add it there or remove it here")]
    NotShared { key: &'static str, name: String },
    #[error("`{name}` holds secrets' names and owners; share it only with an explicit confirmation (--sensitive)")]
    Sensitive { name: Resource },
    #[error("`{key}` is an empty list; leave the key out to mean everything")]
    Empty { key: &'static str },
    #[error("`{key}` holds a bad entry: {cause}")]
    Entry { key: &'static str, cause: String },
    #[error("`{resource}` has no field `{name}`; {known} exist")]
    UnknownField { resource: Resource, name: String, known: String },
    #[error("`max_rows_per_query` is {given}; it must be 1 to 10000")]
    RowCap { given: u32 },
    #[error("`rate` is {0} a minute with {1} at once; both must be 1 to 100000", .given.per_minute, .given.burst)]
    Rate { given: Rate },
    #[error("`not_after` is {given}, which is past; choose a later time or leave it out for 90 days")]
    Past { given: Time },
    #[error("`max_days` is {given}; it must be 1 to 36500")]
    Days { given: u32 },
    #[error("the filter of `{name}` lets no row through: it names no team and excludes personal rows")]
    Void { name: Resource },
}

/// The life of a grant whose scope names none.
pub const DEFAULT_LIFE: Duration = Duration::from_hours(90 * 24);
pub(super) const DEFAULT_ROWS: u32 = 1_000;
/// The most rows one answer may ever hold.
pub const MAX_ROWS: u32 = 10_000;
/// The most calls a minute, and at once, that a grant may ever allow.
pub const MAX_RATE: u32 = 100_000;

impl Spec {
    /// The shortest scope: these resources of this workspace, everything else by default.
    pub fn sharing(workspace: Name, resources: Vec<String>) -> Self {
        Self {
            workspace,
            resources,
            excluded_resources: Vec::new(),
            filters: BTreeMap::new(),
            fields: BTreeMap::new(),
            withhold: None,
            max_rows_per_query: None,
            verbs: None,
            commands: Vec::new(),
            topics: Vec::new(),
            rate: None,
            doors: None,
            not_after: None,
        }
    }

    /// Checks everything and closes it into a [`Scope`].
    pub fn close(&self, context: Context<'_>) -> Result<Scope, ScopeError> {
        let scope = self.read(context)?;
        let past = scope.not_after <= context.now;
        if past { Err(ScopeError::Past { given: scope.not_after }) } else { Ok(scope) }
    }

    /// As [`Spec::close`], for a scope that was once accepted: one that has ended meanwhile is still a scope.
    pub fn read(&self, context: Context<'_>) -> Result<Scope, ScopeError> {
        let shared = self.shared(context)?;
        only_shared("filters", self.filters.keys(), &shared)?;
        only_shared("fields", self.fields.keys(), &shared)?;
        let withheld = self.withheld();
        let mut resources = BTreeMap::new();
        for name in &shared {
            let fields = self.fields_of(name, context, &withheld)?;
            resources.insert(name.clone(), self.filter_of(name, context, fields)?);
        }
        Ok(Scope {
            workspace: self.workspace.clone(),
            resources,
            excluded: set("excluded_resources", &self.excluded_resources)?,
            withheld,
            verbs: some_of("verbs", self.verbs.as_deref(), &Verb::ALL)?,
            commands: self.commands.iter().cloned().collect(),
            topics: self.topics.iter().cloned().collect(),
            doors: some_of("doors", self.doors.as_deref(), &Door::ALL)?,
            max_rows: row_cap(self.max_rows_per_query)?,
            rate: checked_rate(self.rate)?,
            not_after: self.not_after.unwrap_or(context.now + DEFAULT_LIFE),
        })
    }

    /// The classes of field that stay here where `fields` does not name them.
    pub fn withheld(&self) -> BTreeSet<Class> {
        self.withhold.as_ref().map_or_else(|| BTreeSet::from([Class::Secret]), |said| said.iter().copied().collect())
    }

    fn shared(&self, context: Context<'_>) -> Result<BTreeSet<Resource>, ScopeError> {
        if self.resources.is_empty() {
            return Err(ScopeError::NoResource { known: context.kinds.listed() });
        }
        let shared = self.resources.iter().map(|name| known(name, context)).collect::<Result<BTreeSet<_>, _>>()?;
        let excluded = self.excluded_resources.iter().map(|name| known(name, context));
        let excluded = excluded.collect::<Result<BTreeSet<_>, _>>()?;
        if let Some(name) = shared.intersection(&excluded).next() {
            return Err(ScopeError::Overlap { name: name.clone() });
        }
        let guarded = |name: &&Resource| context.kinds.get(name).is_some_and(|kind| kind.sensitive);
        match shared.iter().find(guarded) {
            Some(name) if !context.sensitive => Err(ScopeError::Sensitive { name: name.clone() }),
            _ => Ok(shared),
        }
    }

    fn fields_of(
        &self,
        name: &Resource,
        context: Context<'_>,
        withheld: &BTreeSet<Class>,
    ) -> Result<BTreeSet<Field>, ScopeError> {
        let Some(kind) = context.kinds.get(name) else {
            return Ok(BTreeSet::new());
        };
        let Some(wanted) = self.fields.get(name.as_str()) else {
            return Ok(kind.fields_without(withheld));
        };
        wanted.iter().map(|field| known_field(name, kind, field)).collect()
    }

    fn filter_of(&self, name: &Resource, context: Context<'_>, fields: BTreeSet<Field>) -> Result<Filter, ScopeError> {
        let none = FilterSpec::default();
        let spec = self.filters.get(name.as_str()).unwrap_or(&none);
        let personal = spec.include_personal.unwrap_or(context.personal);
        if let Some(teams) = &spec.include_teams
            && spec.include_personal != Some(true)
        {
            not_empty("include_teams", teams)?;
        }
        let filter = Filter {
            teams: spec.include_teams.as_ref().map(|teams| set::<TeamId>("include_teams", teams)).transpose()?,
            personal,
            projects: some::<Project>("include_projects", spec.include_projects.as_ref())?,
            tags: spec.include_tags.as_ref().map(tag_sets).transpose()?.unwrap_or_default(),
            since: spec.since,
            fields,
        };
        if filter.is_void() { Err(ScopeError::Void { name: name.clone() }) } else { Ok(filter) }
    }
}

impl Scope {
    /// The scope written out with nothing left to defaults: reading it again gives the same scope, whatever the context.
    pub fn to_spec(&self) -> Spec {
        let names = |set: &BTreeSet<Resource>| set.iter().map(ToString::to_string).collect();
        let fields = |filter: &Filter| filter.fields.iter().map(ToString::to_string).collect();
        Spec {
            workspace: self.workspace.clone(),
            resources: self.resources.keys().map(ToString::to_string).collect(),
            excluded_resources: names(&self.excluded),
            filters: self.resources.iter().map(|(name, filter)| (name.to_string(), filter.to_spec())).collect(),
            fields: self.resources.iter().map(|(name, filter)| (name.to_string(), fields(filter))).collect(),
            withhold: Some(self.withheld.iter().copied().collect()),
            max_rows_per_query: Some(self.max_rows),
            verbs: Some(self.verbs.iter().copied().collect()),
            commands: self.commands.iter().cloned().collect(),
            topics: self.topics.iter().cloned().collect(),
            rate: Some(self.rate),
            doors: Some(self.doors.iter().copied().collect()),
            not_after: Some(self.not_after),
        }
    }
}

impl Filter {
    fn to_spec(&self) -> FilterSpec {
        let tags = |set: &BTreeSet<Tag>| set.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut sets: Vec<_> = self.tags.iter().map(tags).collect();
        let include_tags = match sets.len() {
            0 => None,
            1 => sets.pop().map(Tags::Any),
            _ => Some(Tags::Each(sets)),
        };
        FilterSpec {
            include_teams: self.teams.as_ref().map(|teams| teams.iter().map(ToString::to_string).collect()),
            include_personal: Some(self.personal),
            include_projects: self.projects.as_ref().map(|all| all.iter().map(ToString::to_string).collect()),
            include_tags,
            since: self.since,
        }
    }
}

fn only_shared<'a>(
    key: &'static str,
    mut names: impl Iterator<Item = &'a String>,
    shared: &BTreeSet<Resource>,
) -> Result<(), ScopeError> {
    let foreign = names.find(|name| !shared.iter().any(|resource| resource.as_str() == *name));
    foreign.map_or(Ok(()), |name| Err(ScopeError::NotShared { key, name: name.clone() }))
}

fn known(name: &str, context: Context<'_>) -> Result<Resource, ScopeError> {
    let unknown = || ScopeError::UnknownResource { name: name.to_owned(), known: context.kinds.listed() };
    let resource: Resource = name.parse().map_err(|_| unknown())?;
    context.kinds.get(&resource).map(|_| ()).ok_or_else(unknown)?;
    Ok(resource)
}

fn known_field(resource: &Resource, kind: &Kind, name: &str) -> Result<Field, ScopeError> {
    let field = kind.fields.keys().find(|field| field.as_str() == name);
    field.cloned().ok_or_else(|| ScopeError::UnknownField {
        resource: resource.clone(),
        name: name.to_owned(),
        known: kind.fields.keys().map(Field::as_str).collect::<Vec<_>>().join(", "),
    })
}

fn not_empty<T>(key: &'static str, list: &[T]) -> Result<(), ScopeError> {
    if list.is_empty() { Err(ScopeError::Empty { key }) } else { Ok(()) }
}

fn set<T: std::str::FromStr + Ord>(key: &'static str, list: &[String]) -> Result<BTreeSet<T>, ScopeError>
where
    T::Err: std::fmt::Display,
{
    let read =
        |text: &String| text.parse().map_err(|cause: T::Err| ScopeError::Entry { key, cause: cause.to_string() });
    list.iter().map(read).collect()
}

fn some<T: std::str::FromStr + Ord>(
    key: &'static str,
    list: Option<&Vec<String>>,
) -> Result<Option<BTreeSet<T>>, ScopeError>
where
    T::Err: std::fmt::Display,
{
    let Some(list) = list else { return Ok(None) };
    not_empty(key, list)?;
    set(key, list).map(Some)
}

fn some_of<T: Copy + Ord>(key: &'static str, given: Option<&[T]>, all: &[T]) -> Result<BTreeSet<T>, ScopeError> {
    let given = given.unwrap_or(all);
    not_empty(key, given)?;
    Ok(given.iter().copied().collect())
}

fn tag_sets(tags: &Tags) -> Result<BTreeSet<BTreeSet<Tag>>, ScopeError> {
    let one = |list: &Vec<String>| {
        not_empty("include_tags", list)?;
        set("include_tags", list)
    };
    match tags {
        Tags::Any(list) => Ok(BTreeSet::from([one(list)?])),
        Tags::Each(lists) => {
            not_empty("include_tags", lists)?;
            Ok(algebra::minimal(&lists.iter().map(one).collect::<Result<_, _>>()?))
        }
    }
}

fn row_cap(given: Option<u32>) -> Result<u32, ScopeError> {
    let given = given.unwrap_or(DEFAULT_ROWS);
    if (1..=MAX_ROWS).contains(&given) { Ok(given) } else { Err(ScopeError::RowCap { given }) }
}

fn checked_rate(given: Option<Rate>) -> Result<Rate, ScopeError> {
    let given = given.unwrap_or(Rate::DEFAULT);
    let fits = |number| (1..=MAX_RATE).contains(&number);
    if fits(given.per_minute) && fits(given.burst) { Ok(given) } else { Err(ScopeError::Rate { given }) }
}

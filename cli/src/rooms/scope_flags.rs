//! Flags that write a scope, for `invite` and `grant edit`: anything they do not say stays as it was.

use super::{no_kind, up_to};
use crate::exit::{Exit, Failure, Outcome};
use clap::Args;
use domain::{
    Time,
    id::{Field, Name, Project, Tag, TeamId},
    kind::Kinds,
    scope::{
        Rate, Spec,
        spec::{FilterSpec, MAX_ROWS, Tags},
    },
};
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    fmt::Display,
    io::Read,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// The longest life of a grant that flags give: the root that certifies it lives no longer.
const MAX_DAYS: u32 = 3_650;

/// Calls a minute that a scope may allow at most.
const MAX_CALLS: u32 = 100_000;

/// A name of this sort, so that one that cannot be is blamed by the flag it was given with.
fn written<T: FromStr<Err: Display>>(text: &str) -> Result<String, String> {
    text.parse::<T>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A kind between commas, with or without a blank beside it.
#[expect(clippy::unnecessary_wraps, reason = "the form that clap asks for")]
fn trimmed(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.trim().to_owned())
}

/// The flags.
#[derive(Args, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that people type")]
pub struct ScopeFlags {
    /// Kinds of row to share, with commas between
    #[arg(long, value_delimiter = ',', value_name = "KIND", value_parser = trimmed)]
    pub share: Vec<String>,
    /// Only rows of this team; may be repeated. Leaves personal rows out unless --personal is given
    #[arg(long, value_name = "TEAM", value_parser = written::<TeamId>)]
    pub team: Vec<String>,
    /// Only rows of this project; may be repeated
    #[arg(long, value_name = "PROJECT", value_parser = written::<Project>)]
    pub project: Vec<String>,
    /// Only rows with one of these tags; may be repeated
    #[arg(long, value_name = "TAG", value_parser = written::<Tag>)]
    pub tag: Vec<String>,
    /// Only rows that changed at or after this time, as in 2026-11-21T09:30:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Time>,
    /// Share the personal rows of the user as well
    #[arg(long)]
    pub personal: bool,
    /// Keep the personal rows of the user out
    #[arg(long, conflicts_with = "personal")]
    pub no_personal: bool,
    /// End the grant after this many days, 1 to 3650; a new one ends after 90 if not given
    #[arg(long, value_name = "DAYS", value_parser = up_to(MAX_DAYS))]
    pub days: Option<u32>,
    /// The most rows in one answer, 1 to 10000
    #[arg(long, value_name = "ROWS", value_parser = up_to(MAX_ROWS))]
    pub rows: Option<u32>,
    /// Calls a minute, and at once, 1 to 100000
    #[arg(long, value_name = "CALLS", value_parser = up_to(MAX_CALLS))]
    pub rate: Option<u32>,
    /// The whole scope as JSON, from a file or - for stdin; no other flag may stand beside it
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["share", "team", "project", "tag", "since", "personal", "no_personal", "days", "rows", "rate"]
    )]
    pub scope: Option<PathBuf>,
    /// Allow kinds that hold secrets' names and owners
    #[arg(long)]
    pub sensitive: bool,
    /// Leave out what this instance does not allow (`policy show`) instead of being refused
    #[arg(long)]
    pub narrow: bool,
}

impl ScopeFlags {
    /// Whether nothing is said of a scope. A confirmation alone says nothing.
    pub fn say_nothing(&self) -> bool {
        *self == Self { sensitive: self.sensitive, narrow: self.narrow, ..Self::default() }
    }

    /// A new scope in `workspace`.
    pub fn make(self, workspace: &Name, now: Time) -> Outcome<Spec> {
        if self.scope.is_none() && self.share.is_empty() {
            return Err(
                Failure::new(Exit::Usage, "nothing is shared").next("name at least one kind: --share tasks,notes")
            );
        }
        self.change(Spec::sharing(workspace.clone(), Vec::new()), now)
    }

    /// The scope with what the flags say put into it.
    pub fn change(self, mut spec: Spec, now: Time) -> Outcome<Spec> {
        if let Some(path) = &self.scope {
            return read_json(path, "scope", "write it as `scope` in what `mosaic-fed grant show NAME --json` prints");
        }
        for kind in &self.share {
            if !kind.parse().is_ok_and(|kind| Kinds::builtin().get(&kind).is_some()) {
                return Err(no_kind(Exit::Usage, kind, "--share with some of"));
            }
        }
        if !self.share.is_empty() {
            let before = spec.clone();
            spec.resources.clone_from(&self.share);
            self.limit_new_kinds(&before, &mut spec)?;
            let kept = |name: &String| self.share.contains(name);
            spec.filters.retain(|name, _| kept(name));
            spec.fields.retain(|name, _| kept(name));
        }
        self.filter(&spec.resources, &mut spec.filters);
        spec.max_rows_per_query = self.rows.or(spec.max_rows_per_query);
        spec.rate = self.rate.map(|calls| Rate { per_minute: calls, burst: calls }).or(spec.rate);
        let end = self.days.map(|days| now + Duration::from_secs(u64::from(days) * 24 * 3_600));
        spec.not_after = end.or(spec.not_after);
        Ok(spec)
    }

    /// A kind that comes to a grant takes on the limits of the kinds that are there: nobody who takes one out and puts it
    /// back means to share more than before.
    fn limit_new_kinds(&self, before: &Spec, spec: &mut Spec) -> Outcome<()> {
        let old = |kind: &&String| before.resources.contains(kind);
        let Some(first) = before.resources.first() else { return Ok(()) };
        for kind in self.share.iter().filter(|kind| !old(kind)) {
            let filter = before.filters.get(first).cloned().unwrap_or_default();
            let alike = |one: &String| before.filters.get(one).cloned().unwrap_or_default() == filter;
            if !before.resources.iter().all(alike) {
                let cause = format!("`{kind}` is new to this grant, whose other kinds have limits that differ");
                return Err(Failure::new(Exit::Usage, cause).next("say all of it in JSON: --scope FILE"));
            }
            spec.filters.insert(kind.clone(), filter);
            if let Some(fields) = fields_as_in(before, kind) {
                spec.fields.insert(kind.clone(), fields);
            }
        }
        Ok(())
    }

    /// The same filter for every kind: flags do not tell kinds apart, JSON does.
    fn filter(&self, kinds: &[String], filters: &mut BTreeMap<String, FilterSpec>) {
        let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
        let personal = match (self.personal, self.no_personal || !self.team.is_empty()) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        };
        for kind in kinds {
            let filter = filters.entry(kind.clone()).or_default();
            filter.include_teams = some(&self.team).or(filter.include_teams.take());
            filter.include_projects = some(&self.project).or(filter.include_projects.take());
            filter.include_tags = some(&self.tag).map(Tags::Any).or(filter.include_tags.take());
            filter.include_personal = personal.or(filter.include_personal);
            filter.since = self.since.or(filter.since);
        }
        filters.retain(|_, filter| *filter != FilterSpec::default());
    }
}

/// The kind's own fields, without those of a class that the grant withholds and without those that another kind of the grant
/// has and does not share.
fn fields_as_in(before: &Spec, kind: &str) -> Option<Vec<String>> {
    let kinds = Kinds::builtin();
    let declared = kinds.get(&kind.parse().ok()?)?.fields_without(&before.withheld());
    let withheld = |field: &Field| {
        before.fields.iter().any(|(other, shared)| {
            let has = other
                .parse()
                .ok()
                .and_then(|other| kinds.get(&other))
                .is_some_and(|other| other.fields.contains_key(field));
            has && !shared.iter().any(|name| name == field.as_str())
        })
    };
    Some(declared.iter().filter(|field| !withheld(field)).map(ToString::to_string).collect())
}

/// JSON from a file, or from stdin where it is called `-`; `next` helps with a text that is no `what`.
pub fn read_json<T: DeserializeOwned>(path: &Path, what: &str, next: &str) -> Outcome<T> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(path).map(|read| text = read)
    };
    read.map_err(|error| Failure::input(path, &error))?;
    let bad = |error| Failure::new(Exit::Usage, format!("{} is no {what}: {error}", path.display())).next(next);
    serde_json::from_str(&text).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::kind::Class;

    fn now() -> Time {
        Time::from_seconds(1_790_000_000)
    }

    #[test]
    fn a_named_team_leaves_personal_rows_out_unless_they_are_asked_for() {
        let flags = |personal| ScopeFlags {
            share: vec!["tasks".into()],
            team: vec!["core".into()],
            personal,
            ..ScopeFlags::default()
        };
        let spec = |personal| flags(personal).make(&"main".parse().unwrap(), now()).unwrap();
        assert_eq!(spec(false).filters["tasks"].include_personal, Some(false));
        assert_eq!(spec(true).filters["tasks"].include_personal, Some(true));
    }

    #[test]
    fn a_kind_that_is_put_back_is_limited_as_the_others_are() {
        let share = |kinds: &[&str]| ScopeFlags {
            share: kinds.iter().map(ToString::to_string).collect(),
            ..ScopeFlags::default()
        };
        let made = ScopeFlags { team: vec!["core".into()], ..share(&["tasks", "notes"]) };
        let made = made.make(&"main".parse().unwrap(), now()).unwrap();
        let mut narrowed = share(&["tasks"]).change(made.clone(), now()).unwrap();
        narrowed.fields.insert("tasks".into(), vec!["title".into(), "status".into()]);
        let back = share(&["tasks", "notes"]).change(narrowed, now()).unwrap();
        assert_eq!(back.filters["notes"], made.filters["notes"]);
        let kept = ["aliases", "attachments", "links", "path", "pinned", "source", "title"];
        assert_eq!(back.fields["notes"], kept);
    }

    #[test]
    fn a_kind_that_is_added_keeps_back_what_the_grant_keeps_back() {
        let share = |kinds: &[&str]| ScopeFlags {
            share: kinds.iter().map(ToString::to_string).collect(),
            ..ScopeFlags::default()
        };
        let mut made = share(&["tasks"]).make(&"main".parse().unwrap(), now()).unwrap();
        let added = |made: &Spec| share(&["tasks", "events"]).change(made.clone(), now()).unwrap();
        assert!(added(&made).fields["events"].contains(&"attendees".to_owned()));
        made.withhold = Some(vec![Class::Personal]);
        assert!(!added(&made).fields["events"].contains(&"attendees".to_owned()));
    }

    #[test]
    fn an_edit_changes_what_it_names_and_nothing_else() {
        let made = ScopeFlags { share: vec!["tasks".into(), "notes".into()], rows: Some(7), ..ScopeFlags::default() };
        let made = made.make(&"main".parse().unwrap(), now()).unwrap();
        let edited = ScopeFlags { share: vec!["tasks".into()], days: Some(2), ..ScopeFlags::default() };
        let edited = edited.change(made, now()).unwrap();
        assert_eq!(edited.resources, ["tasks"]);
        assert_eq!(edited.max_rows_per_query, Some(7));
        assert_eq!(edited.not_after, Some(now() + Duration::from_hours(48)));
    }
}

//! What a grant shares as one cell of a table: kinds and workspace, and after them every limit that lets fewer rows or fields
//! through. Whoever reads "tasks of main" must be able to trust that it is all of them.

use super::{counted, joined, minute};
use crate::config::shell_word;
use domain::{
    Time,
    id::Resource,
    kind::{Class, Kinds},
    scope::{
        Door, Spec, Verb,
        spec::{FilterSpec, Tags},
    },
};
use std::collections::BTreeSet;

/// The kinds of a scope with nothing left to defaults, those that are limited alike together.
pub fn of(scope: &Spec) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for kind in &scope.resources {
        let said = limits(scope, kind);
        match groups.iter_mut().find(|(limits, _)| *limits == said) {
            Some((_, kinds)) => kinds.push(kind),
            None => groups.push((said, vec![kind])),
        }
    }
    let shown = groups.into_iter().map(|(limits, kinds)| {
        let limits = if limits.is_empty() { limits } else { format!(" ({limits})") };
        format!("{} of {}{limits}", joined(kinds), scope.workspace)
    });
    joined(shown)
}

/// The same and all the rest that a scope with nothing left to defaults says, a line each.
pub fn lines(scope: &Spec) -> Vec<String> {
    let classes = scope.withheld();
    let usual = classes == BTreeSet::from([Class::Secret]);
    let kept_back =
        || format!("{} fields of kinds that are added later", joined(classes.iter().map(|class| class.word())));
    let never = (!scope.excluded_resources.is_empty()).then(|| joined(&scope.excluded_resources));
    let rows = scope.max_rows_per_query.map(|rows| format!("{} an answer", counted(u64::from(rows), "row")));
    let calls = scope.rate.map(|rate| format!("{} calls a minute, {} at once", rate.per_minute, rate.burst));
    let facts = [
        ("shares", Some(of(scope))),
        ("never", never),
        ("keeps back", (!usual && !classes.is_empty()).then(kept_back)),
        ("may", scope.verbs.as_ref().map(|verbs| joined(verbs.iter().filter(|verb| **verb != Verb::Search)))),
        ("shown in", doors(scope).map(|doors| joined(doors.iter().map(|door| door.word())))),
        ("at most", Some(joined(rows.into_iter().chain(calls)))),
        ("until", scope.not_after.map(until)),
    ];
    facts.into_iter().filter_map(|(name, value)| Some(format!("{name:<12} {}", value?))).collect()
}

/// The doors of the asking side that rows are for, where these are not all.
fn doors(scope: &Spec) -> Option<&Vec<Door>> {
    scope.doors.as_ref().filter(|doors| doors.len() < Door::ALL.len())
}

/// An end, as people read it.
pub fn until(end: Time) -> String {
    format!("{} UTC", minute(end))
}

/// Stands for what flags cannot say.
pub const IN_A_FILE: &str = "--scope FILE";

/// The flags that say which kinds and rows a scope with nothing left to defaults shares; where kinds differ, or something else than
/// flags say is limited, only that all of it is to be said.
pub fn flags(scope: &Spec) -> String {
    let whole = |kind: &String| scope.fields.get(kind).is_none_or(|fields| fields_only(kind, fields).is_none());
    let filters: Vec<_> = scope.resources.iter().map(|kind| scope.filters.get(kind)).collect();
    let alike = filters.windows(2).all(|pair| pair[0] == pair[1]) && scope.resources.iter().all(whole);
    let mut words = vec![format!("--share {}", scope.resources.join(","))];
    if let Some(filter) = filters.first().copied().flatten() {
        let each = |flag: &str, list: &Option<Vec<String>>| {
            list.iter().flatten().map(|one| format!("{flag} {}", shell_word(one))).collect::<Vec<_>>()
        };
        words.extend(each("--team", &filter.include_teams));
        words.extend(each("--project", &filter.include_projects));
        match &filter.include_tags {
            Some(Tags::Any(any)) => words.extend(any.iter().map(|tag| format!("--tag {}", shell_word(tag)))),
            Some(Tags::Each(_)) => return IN_A_FILE.to_owned(),
            None => {}
        }
        words.extend(filter.since.map(|since| format!("--since {since}")));
        words.push(if filter.include_personal == Some(true) { "--personal" } else { "--no-personal" }.to_owned());
    }
    words.extend(scope.max_rows_per_query.map(|rows| format!("--rows {rows}")));
    let even = scope.rate.filter(|rate| rate.per_minute == rate.burst);
    words.extend(even.map(|rate| format!("--rate {}", rate.burst)));
    let every_verb = scope.verbs.as_ref().is_none_or(|verbs| verbs.len() == Verb::ALL.len());
    let alike = alike && every_verb && even.is_some() == scope.rate.is_some() && idle(scope).is_none();
    let alike = alike && doors(scope).is_none();
    if alike { words.join(" ") } else { IN_A_FILE.to_owned() }
}

/// What a scope was given beside the defaults and no room of this version acts on: nobody is to wait for it.
pub fn idle(scope: &Spec) -> Option<String> {
    let search =
        scope.verbs.as_ref().is_some_and(|verbs| verbs.contains(&Verb::Search) && verbs.len() < Verb::ALL.len());
    let given =
        [(search, "`search`"), (!scope.commands.is_empty(), "`commands`"), (!scope.topics.is_empty(), "`topics`")];
    let given = joined(given.into_iter().filter_map(|(given, name)| given.then_some(name)));
    (!given.is_empty()).then(|| format!("{given} in the scope: kept for later versions; this one does nothing with it"))
}

fn limits(scope: &Spec, kind: &str) -> String {
    let fields = scope.fields.get(kind).and_then(|fields| fields_only(kind, fields));
    let rows = scope.filters.get(kind).map(rows_only).unwrap_or_default();
    rows.into_iter().chain(fields).collect::<Vec<_>>().join("; ")
}

/// Which rows a filter lets through, where that is not all.
pub fn rows_only(filter: &FilterSpec) -> Vec<String> {
    let named = |what: &str, list: &Vec<String>| format!("{what} {}", joined(list));
    let teams = filter.include_teams.as_ref().filter(|teams| !teams.is_empty());
    let personal = match (&filter.include_teams, filter.include_personal) {
        (None, Some(false)) => Some("no personal rows"),
        (Some(teams), Some(true)) if teams.is_empty() => Some("personal rows only"),
        (Some(_), Some(true)) => Some("and personal rows"),
        _ => None,
    };
    let limits = [
        teams.map(|teams| named("team", teams)),
        personal.map(str::to_owned),
        filter.include_projects.as_ref().map(|projects| named("project", projects)),
        filter.include_tags.as_ref().map(tagged),
        filter.since.map(|since| format!("since {}", minute(since))),
    ];
    limits.into_iter().flatten().collect()
}

fn tagged(tags: &Tags) -> String {
    match tags {
        Tags::Any(any) => format!("tag {}", any.join(" or ")),
        Tags::Each(each) => {
            let sets = each.iter().map(|any| any.join(" or ")).collect::<Vec<_>>();
            format!("tags {}", sets.join(" and "))
        }
    }
}

/// The fields, where they are not all that a kind shares unless told otherwise.
fn fields_only(kind: &str, fields: &[String]) -> Option<String> {
    let kind = kind.parse::<Resource>().ok().and_then(|kind| Kinds::builtin().get(&kind))?;
    let whole = kind.fields_without(&BTreeSet::from([Class::Secret]));
    let same = whole.len() == fields.len() && whole.iter().all(|field| fields.iter().any(|one| one == field.as_str()));
    match (same, fields.is_empty()) {
        (true, _) => None,
        (false, true) => Some("no fields".to_owned()),
        (false, false) => {
            let gone: Vec<_> = whole.iter().filter(|field| !fields.iter().any(|one| one == field.as_str())).collect();
            let few = gone.len() < fields.len() && fields.len() + gone.len() == whole.len();
            Some(if few { format!("without {}", joined(gone)) } else { format!("fields {}", joined(fields)) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::scope::spec::Context;

    /// With nothing left to defaults.
    fn written_out(json: &str) -> Spec {
        let spec: Spec = serde_json::from_str(json).unwrap();
        let now = Time::from_seconds(1_790_000_000);
        let context = Context { kinds: Kinds::builtin(), now, personal: true, sensitive: false };
        spec.close(context).unwrap().to_spec()
    }

    fn shown(json: &str) -> String {
        of(&written_out(json))
    }

    #[test]
    fn what_was_given_and_is_not_answered_yet_is_named_and_a_default_is_not() {
        let said = |more: &str| idle(&written_out(&format!(r#"{{"workspace":"main","resources":["tasks"]{more}}}"#)));
        assert_eq!((said(""), said(r#","verbs":["list"]"#)), (None, None));
        let named = said(r#","verbs":["list","search"],"commands":["x"],"topics":["y"],"doors":["cli"]"#).unwrap();
        assert!(named.starts_with("`search`, `commands`, `topics` in the scope: "), "{named}");
    }

    #[test]
    fn what_has_no_limit_shows_none() {
        assert_eq!(shown(r#"{"workspace":"main","resources":["tasks","notes"]}"#), "notes, tasks of main");
    }

    #[test]
    fn a_whole_scope_is_said_in_words() {
        let spec = r#"{"workspace":"main","resources":["tasks"],"excluded_resources":["memory"],"withhold":["personal","secret"],"doors":["cli"],
            "filters":{"tasks":{"include_teams":["core"]}},"verbs":["list"],"max_rows_per_query":1,
            "rate":{"per_minute":30,"burst":10},"not_after":"2027-02-01T00:00:00Z"}"#;
        let spec: Spec = serde_json::from_str(spec).unwrap();
        let context =
            Context { kinds: Kinds::builtin(), now: Time::from_seconds(0), personal: false, sensitive: false };
        let said = lines(&spec.close(context).unwrap().to_spec()).join("\n");
        assert!(said.starts_with("shares       tasks of main (team core; without "), "{said}");
        let rest = "never        memory\nkeeps back   personal, secret fields of kinds that are added later\n\
                    may          list\nshown in     cli\nat most      1 row an answer, 30 calls a minute, 10 at once\n\
                    until        2027-02-01 00:00 UTC";
        assert!(said.ends_with(rest), "{said}");
    }

    #[test]
    fn every_limit_is_shown_at_the_kinds_that_have_it() {
        let spec = r#"{"workspace":"main","resources":["tasks","notes"],"fields":{"tasks":["title"]},"filters":{
            "tasks":{"include_teams":["core"],"include_personal":false,"include_projects":["p"],"include_tags":["a","b"],
                     "since":"2026-11-21T09:30:00Z"},
            "notes":{"include_personal":false}}}"#;
        let wanted = "notes of main (no personal rows), tasks of main (team core; project p; tag a or b; \
                      since 2026-11-21 09:30; fields title)";
        assert_eq!(shown(spec), wanted);
        let both = r#"{"workspace":"main","resources":["tasks"],"filters":{"tasks":{"include_teams":["core"],"include_personal":true}}}"#;
        assert_eq!(shown(both), "tasks of main (team core; and personal rows)");
    }
}

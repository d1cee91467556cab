//! What no grant of an instance may exceed, whatever its workspace and whoever makes it. Judged where a scope is put in force,
//! by the same algebra that compares scopes: no call is judged by it, because no scope beyond it is ever in force.

use super::{
    Rate, Scope, ScopeError, Spec, Verb,
    spec::{Context, DEFAULT_LIFE, DEFAULT_ROWS, FilterSpec, MAX_RATE, MAX_ROWS},
};
use crate::{
    Time,
    id::Name,
    kind::{Class, Kinds},
    say,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

/// The most that any grant may permit, in JSON: keys of a scope, of which each that is absent sets no bound. Unknown keys are
/// refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ceiling {
    /// The only kinds that may be shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<String>>,
    /// Kinds that may not be shared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded_resources: Vec<String>,
    /// The only rows that may be shared, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, FilterSpec>,
    /// The only fields that may be shared, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Vec<String>>,
    /// Classes of field that may not be shared, of the kinds that `fields` does not name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub withhold: Vec<Class>,
    /// Rows in one answer at most, 1 to 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rows_per_query: Option<u32>,
    /// The only verbs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbs: Option<Vec<Verb>>,
    /// Calls a minute and at once at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many days a grant may live from when its scope is written, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_days: Option<u32>,
}

/// A scope is beyond the ceiling.
#[derive(Clone, Debug, PartialEq)]
pub struct Excess {
    /// What of the scope is within it; none where that is nothing.
    pub within: Option<Scope>,
    /// Where they differ; not empty.
    pub differing: Vec<Difference>,
}

/// One key of a scope that is beyond the ceiling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The key, as in `filters.tasks.include_teams`.
    pub key: String,
    /// What the scope says.
    pub given: Value,
    /// What the ceiling leaves of it.
    pub within: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, given, within } = self;
        match (given, within) {
            (Value::Array(given), Value::Array(within)) if within.iter().all(|one| given.contains(one)) => {
                let gone: Vec<_> = given.iter().filter(|one| !within.contains(one)).cloned().collect();
                write!(f, "{key} without {}", said(&Value::Array(gone)))
            }
            (Value::String(given), Value::String(within)) if key == "not_after" => {
                write!(f, "{key} is {}, at most {}", minute(given), minute(within))
            }
            _ => write!(f, "{key} is {}, at most {}", said(given), said(within)),
        }
    }
}

/// RFC 3339 without seconds.
fn minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ") + " UTC"
}

/// Texts and lists without the marks of JSON.
fn said(value: &Value) -> String {
    match value {
        Value::Null => "everything".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(all) if all.is_empty() => "nothing".to_owned(),
        Value::Array(all) => {
            let all: Vec<_> = all.iter().map(said).collect();
            say::named(all.iter().map(String::as_str))
        }
        other => other.to_string(),
    }
}

impl Ceiling {
    /// Checks everything it says.
    ///
    /// # Errors
    /// As a scope's, with what would have been right.
    pub fn check(&self, kinds: &Kinds, now: Time) -> Result<(), ScopeError> {
        if self.max_days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
            return Err(ScopeError::Days { given: self.max_days.unwrap_or_default() });
        }
        self.spec("any", None, kinds, now)?.read(context(kinds, now)).map(drop)
    }

    /// Whether a scope is within it, or else what of it is.
    ///
    /// # Errors
    /// [`ScopeError`] where this ceiling is none that this build can read.
    pub fn judge(&self, scope: &Scope, kinds: &Kinds, now: Time) -> Result<Option<Excess>, ScopeError> {
        let most = self.spec(scope.workspace.as_str(), Some(scope), kinds, now)?.read(context(kinds, now))?;
        if most.contains(scope) {
            return Ok(None);
        }
        let within = scope.both(&most);
        let differing = differing(scope, &within);
        Ok(Some(Excess { within: scope.intersect(&most), differing }))
    }

    /// The spec with what it leaves to defaults no wider than this allows: nobody asked for more.
    pub fn fill(&self, spec: &mut Spec, kinds: &Kinds, now: Time) {
        let lower = |bound: Option<u32>, usual: u32| bound.map(|bound| bound.min(usual));
        spec.max_rows_per_query = spec.max_rows_per_query.or(lower(self.max_rows_per_query, DEFAULT_ROWS));
        spec.rate = spec.rate.or(self.rate.map(|rate| rate.lower(Rate::DEFAULT)));
        spec.verbs = spec.verbs.take().or_else(|| self.verbs.clone());
        let life = self.max_days.map(|days| Duration::from_secs(u64::from(days) * 86_400).min(DEFAULT_LIFE));
        spec.not_after = spec.not_after.or(life.map(|life| now + life));
        let withheld = spec.withheld();
        // Of what the ceiling lets through only what would be shared anyway: it bounds, and shares nothing.
        for (name, most) in self.fields.iter().filter(|(name, _)| spec.resources.contains(name)) {
            let Some(kind) = name.parse().ok().and_then(|name| kinds.get(&name)) else { continue };
            let usual = kind.fields_without(&withheld).into_iter().map(|field| field.to_string());
            spec.fields.entry(name.clone()).or_insert_with(|| usual.filter(|field| most.contains(field)).collect());
        }
        let withheld = withheld.into_iter().chain(self.withhold.iter().copied()).collect::<BTreeSet<_>>();
        spec.withhold = spec.withhold.take().or(Some(withheld.into_iter().collect()));
    }

    /// The ceiling as the widest scope that it allows in a workspace. What it does not bound is as wide as can be, or as `scope`.
    fn spec(&self, workspace: &str, scope: Option<&Scope>, kinds: &Kinds, now: Time) -> Result<Spec, ScopeError> {
        let all = || kinds.names().map(ToString::to_string).filter(|name| !self.excluded_resources.contains(name));
        let resources = self.resources.clone().unwrap_or_else(|| all().collect());
        let workspace: Name =
            workspace.parse().map_err(|_| ScopeError::Entry { key: "workspace", cause: workspace.to_owned() })?;
        let end = self.max_days.map(|days| now + Duration::from_secs(u64::from(days) * 86_400));
        Ok(Spec {
            excluded_resources: self.excluded_resources.clone(),
            filters: self.filters.clone(),
            fields: self.fields.clone(),
            withhold: Some(self.withhold.clone()),
            max_rows_per_query: self.max_rows_per_query.or(Some(MAX_ROWS)),
            verbs: self.verbs.clone(),
            commands: scope.map(|scope| scope.commands.iter().cloned().collect()).unwrap_or_default(),
            topics: scope.map(|scope| scope.topics.iter().cloned().collect()).unwrap_or_default(),
            rate: self.rate.or(Some(Rate { per_minute: MAX_RATE, burst: MAX_RATE })),
            not_after: end.or(scope.map(|scope| scope.not_after)),
            ..Spec::sharing(workspace, resources)
        })
    }
}

/// The longest life of a grant that a ceiling can name.
const MAX_DAYS: u32 = 36_500;

fn context(kinds: &Kinds, now: Time) -> Context<'_> {
    Context { kinds, now, personal: true, sensitive: true }
}

/// The keys whose values are lower in `within`. Those of a kind that is gone are told by the kind alone, and what a scope only
/// keeps for later edits is not told.
fn differing(scope: &Scope, within: &Scope) -> Vec<Difference> {
    let (Some(given), Some(within)) = (json(scope), json(within)) else { return Vec::new() };
    let mut found = Vec::new();
    compare("", &given, &within, &mut found);
    found
}

fn json(scope: &Scope) -> Option<Map<String, Value>> {
    let mut spec = scope.to_spec();
    (spec.excluded_resources, spec.withhold) = (Vec::new(), None);
    match serde_json::to_value(spec).ok()? {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

fn compare(path: &str, given: &Map<String, Value>, within: &Map<String, Value>, found: &mut Vec<Difference>) {
    let of_kinds = matches!(path, "filters" | "fields");
    let keys = given.keys().chain(within.keys().filter(|key| !given.contains_key(*key)));
    for key in keys {
        let (one, other) = (given.get(key).unwrap_or(&Value::Null), within.get(key).unwrap_or(&Value::Null));
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (one, other) {
            (same, other) if same == other => {}
            (_, Value::Null) if of_kinds => {}
            (Value::Object(one), Value::Object(other)) => compare(&path, one, other, found),
            (Value::Object(_), Value::Null) if path == "filters" || path == "fields" => {}
            _ => found.push(Difference { key: path, given: one.clone(), within: other.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_seconds(1_790_000_000);

    fn scope(json: &str) -> Scope {
        let context = Context { kinds: Kinds::builtin(), now: NOW, personal: true, sensitive: true };
        serde_json::from_str::<Spec>(json).unwrap().close(context).unwrap()
    }

    fn judged(ceiling: &str, given: &str) -> Option<Excess> {
        let ceiling: Ceiling = serde_json::from_str(ceiling).unwrap();
        ceiling.check(Kinds::builtin(), NOW).unwrap();
        ceiling.judge(&scope(given), Kinds::builtin(), NOW).unwrap()
    }

    const BOTH: &str = r#"{"workspace":"main","resources":["tasks","notes"]}"#;

    #[test]
    fn a_ceiling_that_says_nothing_bounds_nothing() {
        assert_eq!(judged("{}", BOTH), None);
        let wide = r#"{"workspace":"side","resources":["credentials"],"fields":{"credentials":["title","kept_in"]},
            "max_rows_per_query":10000,"rate":{"per_minute":100000,"burst":100000},"commands":["c"],"topics":["t"],
            "not_after":"2126-01-01T00:00:00Z"}"#;
        assert_eq!(judged("{}", wide), None);
    }

    #[test]
    fn each_key_bounds_what_it_names_and_is_told() {
        let cases = [
            (r#"{"resources":["tasks"]}"#, vec!["resources without notes"]),
            (r#"{"excluded_resources":["notes"]}"#, vec!["resources without notes"]),
            (r#"{"max_rows_per_query":10}"#, vec!["max_rows_per_query is 1000, at most 10"]),
            (r#"{"verbs":["list"]}"#, vec!["verbs without capabilities, get, search"]),
            (r#"{"rate":{"per_minute":5,"burst":60}}"#, vec!["rate.per_minute is 60, at most 5"]),
            (
                r#"{"filters":{"tasks":{"include_personal":false}}}"#,
                vec!["filters.tasks.include_personal is true, at most false"],
            ),
            (
                r#"{"filters":{"tasks":{"include_teams":["core"],"include_personal":true}}}"#,
                vec!["filters.tasks.include_teams is everything, at most core"],
            ),
        ];
        for (ceiling, wanted) in cases {
            let excess = judged(ceiling, BOTH).unwrap();
            assert_eq!(excess.differing.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted, "{ceiling}");
            let within = excess.within.unwrap();
            assert_eq!(
                serde_json::from_str::<Ceiling>(ceiling).unwrap().judge(&within, Kinds::builtin(), NOW),
                Ok(None)
            );
        }
        let days = judged(r#"{"max_days":30}"#, BOTH).unwrap();
        assert_eq!(days.within.unwrap().not_after(), NOW + Duration::from_hours(30 * 24));
        assert_eq!(days.differing[0].key, "not_after");
        let fields = judged(r#"{"fields":{"notes":["title"]}}"#, BOTH).unwrap();
        assert!(fields.differing[0].to_string().starts_with("fields.notes without aliases, "), "{fields:?}");
        let fields = judged(r#"{"withhold":["personal"]}"#, BOTH).unwrap();
        assert!(fields.differing.iter().any(|one| one.key == "fields.notes"), "{fields:?}");
    }

    #[test]
    fn a_scope_of_which_nothing_is_within_leaves_nothing() {
        let excess = judged(r#"{"resources":["events"]}"#, BOTH).unwrap();
        assert_eq!(excess.within, None);
        assert_eq!(
            excess.differing.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["resources without notes, tasks"]
        );
    }

    #[test]
    fn what_a_scope_leaves_to_defaults_is_within_the_ceiling() {
        let ceiling = r#"{"max_rows_per_query":10,"rate":{"per_minute":5,"burst":500},"verbs":["list"],"max_days":30,
            "withhold":["personal"],"fields":{"notes":["title"]}}"#;
        let ceiling: Ceiling = serde_json::from_str(ceiling).unwrap();
        let mut spec: Spec = serde_json::from_str(BOTH).unwrap();
        ceiling.fill(&mut spec, Kinds::builtin(), NOW);
        let filled = scope(&serde_json::to_string(&spec).unwrap());
        assert_eq!(ceiling.judge(&filled, Kinds::builtin(), NOW), Ok(None), "{spec:?}");
        assert_eq!(filled.rate(), Rate { per_minute: 5, burst: 60 });
        let mut said = Spec { max_rows_per_query: Some(11), ..serde_json::from_str(BOTH).unwrap() };
        ceiling.fill(&mut said, Kinds::builtin(), NOW);
        assert_eq!(said.max_rows_per_query, Some(11), "what is said is not changed");
    }

    #[test]
    fn a_ceiling_never_makes_a_scope_wider() {
        let kinds = Kinds::builtin();
        for name in kinds.names() {
            let all: Vec<_> = kinds.get(name).unwrap().fields.keys().map(ToString::to_string).collect();
            let ceiling = Ceiling { fields: BTreeMap::from([(name.to_string(), all)]), ..Ceiling::default() };
            let plain = Spec::sharing("main".parse().unwrap(), vec![name.to_string()]);
            let mut filled = plain.clone();
            ceiling.fill(&mut filled, kinds, NOW);
            let close = |spec: &Spec| spec.close(context(kinds, NOW)).unwrap();
            assert!(close(&plain).contains(&close(&filled)), "{name}: {filled:?}");
        }
    }

    #[test]
    fn a_bad_ceiling_says_what_would_have_been_right() {
        let cases = [
            (r#"{"resources":["taks"]}"#, "there is no kind `taks`"),
            (r#"{"resources":[]}"#, "at least one kind"),
            (r#"{"max_rows_per_query":0}"#, "must be 1 to 10000"),
            (r#"{"max_days":0}"#, "must be 1 to 36500"),
            (r#"{"fields":{"tasks":["statos"]}}"#, "no field `statos`"),
        ];
        for (ceiling, words) in cases {
            let ceiling: Ceiling = serde_json::from_str(ceiling).unwrap();
            let error = ceiling.check(Kinds::builtin(), NOW).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(serde_json::from_str::<Ceiling>(r#"{"max_row":1}"#).is_err());
    }
}

//! What a grant says.

use super::{Label, Name, Time};
use schemars::JsonSchema;
use std::collections::BTreeMap;

/// A user's place in a workspace or team.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each word is said in docs/cli.md")]
pub enum Role {
    Guest,
    Member,
    Admin,
    Owner,
}

/// What may be done with rows.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is a word for itself")]
pub enum Verb {
    Capabilities,
    List,
    Get,
    Search,
}

/// How freely a field may travel.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each word is said in docs/kinds.md")]
pub enum Class {
    Public,
    Internal,
    Personal,
    Secret,
}

/// Where an owner wants rows shown.
#[derive(JsonSchema)]
#[schemars(rename = "Door", rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is a word for itself")]
pub enum DoorWord {
    Cli,
    Console,
    Mcp,
    Api,
}

/// Calls a minute, and at once; each 1 to 100,000.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Rate {
    /// Calls a minute.
    pub per_minute: u32,
    /// Calls at once.
    pub burst: u32,
}

/// Tags: any of one list, or any of each of several.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Tags {
    /// Any of these.
    Any(Vec<String>),
    /// Any of each of these.
    Each(Vec<Vec<String>>),
}

/// Which rows of one resource. Teams or personal, and all the rest must hold. An empty list is refused.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Filter {
    /// Default: every team the subject may see. May be empty only beside `include_personal: true`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub include_teams: Option<Vec<Label>>,
    /// Default: true where the subject shares for themselves.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub include_personal: Option<bool>,
    /// Default: any project and none.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub include_projects: Option<Vec<Label>>,
    /// Rows with any of these tags; a list of lists asks for one of each. Default: any.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub include_tags: Option<Tags>,
    /// Rows updated at or after this time. Default: any.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// What no grant of an instance may exceed: keys of a scope, of which each that is absent sets no bound. Unknown keys are refused.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Ceiling {
    /// The only kinds that may be shared.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<String>>,
    /// Kinds that may not be shared.
    #[schemars(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded_resources: Vec<String>,
    /// The only rows that may be shared, by kind.
    #[schemars(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, Filter>,
    /// The only fields that may be shared, by kind.
    #[schemars(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Vec<String>>,
    /// Classes of field that may not be shared, of the kinds that `fields` does not name.
    #[schemars(default, skip_serializing_if = "Vec::is_empty")]
    pub withhold: Vec<Class>,
    /// Rows in one answer at most, 1 to 10,000.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub max_rows_per_query: Option<u32>,
    /// The only verbs.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub verbs: Option<Vec<Verb>>,
    /// Calls a minute and at once at most.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many days a grant may live from when its scope is written, 1 to 36,500.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub max_days: Option<u32>,
}

/// A scope. Absent keys take the defaults said beside them; unknown keys are refused.
#[derive(JsonSchema)]
#[schemars(rename = "Scope", deny_unknown_fields)]
pub struct Spec {
    /// The one workspace.
    pub workspace: Name,
    /// What is shared; not empty.
    pub resources: Vec<String>,
    /// What is never shared, also by a later edit. Default: nothing.
    #[schemars(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded_resources: Vec<String>,
    /// Which rows, by resource. Default: all the subject may see.
    #[schemars(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, Filter>,
    /// Which fields, by resource; an empty list leaves id, resource and times. Default: all but those whose class is withheld.
    #[schemars(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Vec<String>>,
    /// Which classes of field stay here. Default: `secret`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub withhold: Option<Vec<Class>>,
    /// 1 to 10,000. Default: 1,000.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub max_rows_per_query: Option<u32>,
    /// Default: capabilities, list, get, search; this version answers no search.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub verbs: Option<Vec<Verb>>,
    /// Without effect in this version. Default: none.
    #[schemars(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Without effect in this version. Default: none.
    #[schemars(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Default: 60 a minute, 60 at once.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Without effect in this version. Default: every door.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub doors: Option<Vec<DoorWord>>,
    /// Default: 90 days from now.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
}

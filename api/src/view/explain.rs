//! What a question would be given and cost.

use super::links::askable;
use crate::shape;
use domain::{
    Time,
    answer::{HERE, Outcome, SourceOutcome},
    id::{Field, Name, Resource},
    scope::Verb,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks what a question would be given and cost, in the query string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuestion {
    /// As in [`super::ListQuestion::from`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The id, or the beginning of it, of the one row that would be asked for; many rows if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What a question would be given and cost. No row was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Of which kind of row.
    #[schemars(with = "shape::Kind")]
    pub resource: Resource,
    /// Each source that would be asked, in the order of its name.
    pub sources: Vec<ExplainedSource>,
}

/// What one source would be asked, give and cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedSource {
    /// `here`, or the link's name.
    pub source: String,
    /// Whether the question would be sent.
    pub asked: bool,
    /// Whether it would be answered, as far as is known. One that is sent and not allowed is refused by the other side, and takes a call.
    pub allowed: bool,
    /// Why not, or what is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How asking for the grant's words ended.
    #[schemars(with = "shape::Outcome")]
    pub outcome: Outcome,
    /// What the other side calls the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub grant: Option<Name>,
    /// The workspace whose rows are shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub workspace: Option<Name>,
    /// Which kinds of row the grant shares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<shape::Kind>")]
    pub resources: Vec<Resource>,
    /// What may be done with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<shape::Verb>")]
    pub verbs: Vec<Verb>,
    /// Rows in one answer, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u32>,
    /// When the grant ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub not_after: Option<Time>,
    /// The fields of this kind of row that the grant keeps back. Absent where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub withheld: Option<Vec<Field>>,
    /// Calls of the grant's limit that the question takes at least, where nothing is kept of earlier answers: 0 where it would not be sent, or where
    /// the row may be found here.
    pub calls_least: u32,
    /// At most; each further page is a question of its own.
    pub calls_most: u32,
    /// Calls of the grant's limit that this explanation itself took; 0 where the other side was not asked.
    pub calls_taken: u32,
    /// Calls that the grant has left, those of this explanation taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_left: Option<u32>,
    /// Calls a minute that the grant allows, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
}

impl ExplainedSource {
    pub(crate) fn new(planned: hub::Planned) -> Self {
        let is_asked = planned.is_asked();
        let hub::Planned { outcome: told, shares, kept_back, refusal, taken, costs: (least, most) } = planned;
        let SourceOutcome { source, outcome, reason, calls_left, .. } = told;
        let allowed = is_asked && refusal.is_none();
        let unknown =
            (shares.is_none() && is_asked && source != HERE).then(|| "the grant does not say what it gives".to_owned());
        Self {
            source,
            asked: is_asked,
            allowed,
            reason: reason.or(refusal).or(unknown),
            outcome,
            grant: shares.as_ref().map(|shares| shares.grant.clone()),
            workspace: shares.as_ref().map(|shares| shares.workspace.clone()),
            resources: shares.as_ref().map(|shares| shares.resources.keys().cloned().collect()).unwrap_or_default(),
            verbs: shares.as_ref().map(|shares| askable(&shares.verbs).collect()).unwrap_or_default(),
            max_rows: shares.as_ref().map(|shares| shares.max_rows),
            not_after: shares.as_ref().map(|shares| shares.not_after),
            withheld: kept_back,
            calls_least: least,
            calls_most: most,
            calls_taken: taken,
            calls_left: shares.as_ref().map(|shares| shares.calls_left).or(calls_left),
            calls_per_minute: shares.as_ref().map(|shares| shares.calls_per_minute),
        }
    }
}

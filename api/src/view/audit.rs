//! The log, as people read it.

use crate::shape;
use domain::{
    Time,
    audit::{Ending, Entry},
    id::Name,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An entry of the log, with the names that belong to its ids today.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// The entry, as it is chained.
    #[schemars(with = "shape::Entry")]
    pub entry: Entry,
    /// What the grant or link is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub grant_name: Option<Name>,
    /// What the subject is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub subject_name: Option<Name>,
    /// What the other instance calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub peer_name: Option<Name>,
}

/// A proof that an entry is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditProof {
    /// Which entry.
    pub sequence: u64,
    /// How many entries the log has that it is shown to be in.
    pub size: u64,
    /// The proof, as C2SP tlog-proof says; the entry, as JSON, is its extra data.
    pub proof: String,
}

/// The most entries in one answer.
pub const MAX_ENTRIES: u32 = 10_000;

/// What of the log to export, in the query string: an export proves a stretch of the log, and a stretch has no gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportFilter {
    /// Only entries after this sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// Which entries to read, in the query string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditFilter {
    /// Only entries after this sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most this many, 1 to [`MAX_ENTRIES`]. Default: 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The last ones that fit rather than the first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
    /// Only of this grant: its name, or the beginning of its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Only with this ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Ending>")]
    pub ending: Option<Ending>,
    /// Only at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub since: Option<Time>,
}

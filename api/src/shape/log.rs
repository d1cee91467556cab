//! The log.

use super::{Hash, Id, Kind, Name, Time};
use schemars::JsonSchema;

/// Where on the road a record was made.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each stage is a row of docs/architecture.md")]
pub enum Stage {
    Accept,
    Standing,
    Limit,
    Convert,
    Decide,
    Store,
    Release,
    Admin,
    Ask,
}

/// How it ended.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is a word for itself")]
pub enum Ending {
    Answered,
    Refused,
    Abandoned,
    Done,
}

/// A record in its place in the log.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Entry {
    /// 1, 2, 3 … without a gap.
    pub sequence: u64,
    /// When it ended.
    pub time: Time,
    /// Where on the road.
    pub stage: Stage,
    /// How it ended.
    pub ending: Ending,
    /// The method or act.
    pub about: String,
    /// Which call.
    pub request: Id,
    /// Where the caller is.
    pub address: String,
    /// Under which grant or link.
    pub grant: Option<Id>,
    /// With which other instance.
    pub peer: Option<Id>,
    /// On behalf of whom, or by whom.
    pub subject: Option<Id>,
    /// Which kind of row.
    pub resource: Option<Kind>,
    /// SHA-256 of the normalised query.
    pub query: Option<Hash>,
    /// Why it was refused, as a code.
    pub reason: Option<String>,
    /// One short line.
    pub note: String,
    /// Rows answered, or repeats folded.
    pub rows: u64,
    /// Bytes answered.
    pub bytes: u64,
    /// Microseconds.
    pub latency_us: u64,
    /// The hash of the entry before; all zero before the first.
    pub previous: Hash,
    /// SHA-256 over `previous` and every field above it.
    pub hash: Hash,
}

/// Where the log ends.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Head {
    /// The last entry's sequence; 0 for an empty log.
    pub sequence: u64,
    /// The last entry's hash.
    pub hash: Hash,
    /// When the head was taken.
    pub time: Time,
}

/// Where the log ended, signed by the instance.
#[derive(JsonSchema)]
pub struct SignedHead {
    /// Which instance's log.
    pub instance: Id,
    /// Its name, for people.
    pub name: Name,
    /// Where the log ended.
    pub head: Head,
    /// Ed25519 public key (RFC 8032), 64 hex digits.
    pub key: String,
    /// Ed25519 signature, 128 hex digits.
    pub signature: String,
}

/// One line of an export: entries in order, then one head.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Line {
    /// A record in its place.
    Entry(Box<Entry>),
    /// Where the log ended when it was exported.
    Head(SignedHead),
}

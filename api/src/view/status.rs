//! What runs and who this is.

use crate::shape;
use domain::{
    Time,
    id::{InstanceId, Name},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many links stand how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkCount {
    /// unknown, up, offline, revoked …
    pub state: String,
    /// The caller's links that stand so.
    pub links: u64,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// What this instance calls itself.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// The program's version.
    pub version: String,
    /// The daemon's process id.
    pub pid: u32,
    /// Since when it has been running.
    #[schemars(with = "shape::Time")]
    pub since: Time,
    /// What database it uses; never with a password.
    pub database: String,
    /// Whether the database answered just now.
    pub database_answers: bool,
    /// Where links are served; none while there is no grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links_listener: Option<String>,
    /// Where invites are taken; none while there is no open invite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment_listener: Option<String>,
    /// Grants that are active: held by another instance, neither revoked nor expired.
    pub grants: u64,
    /// Grants that nobody has used the invite of, as far as the caller may know of them.
    #[serde(default)]
    pub pending_grants: u64,
    /// Connections under grants.
    pub connections: u64,
    /// Calls under way.
    pub calls: u64,
    /// Milliseconds since the grants were read last.
    pub snapshot_age_ms: u64,
    /// Answers that the second check refused: anything but 0 means that the database's policies are broken.
    pub second_check_failures: u64,
    /// Answers and refusals that were held back because their record could not be written.
    pub refused_unrecorded: u64,
    /// Calls with a certificate of this CA that was never issued here: somebody else can sign with its key.
    pub unknown_certificates: u64,
    /// Connections turned away before any call.
    pub incidents: u64,
    /// Records that nobody waited for and that could not be written.
    pub audit_records_lost: u64,
    /// Why the log could not be written at the last try, and every answer with it is refused; absent where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_fault: Option<String>,
    /// The log's last entry; none while the database does not say.
    pub audit_head: Option<u64>,
    /// The caller's own links, by state.
    pub links: Vec<LinkCount>,
}

/// Who this instance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// What it calls itself.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// Which instance.
    #[schemars(with = "shape::Id")]
    pub instance: InstanceId,
    /// SHA-256 of its CA's root certificate, DER, 64 hex digits.
    pub fingerprint: String,
    /// The key that signs its audit heads, Ed25519, 64 hex digits.
    pub audit_key: String,
    /// Where links are served.
    pub listen: String,
    /// Where invites are taken.
    pub listen_enrolment: String,
    /// The hosts that invites name; empty means that they are found when an invite is made.
    pub advertise: Vec<String>,
}

//! What runs and who this is.

use crate::{shape, view::LinkEntry};
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
    /// Uses of a certificate of this CA that was replaced by a newer one: somebody has a copy, or its holder was put back to an
    /// earlier state.
    pub replaced_certificates: u64,
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
    /// Certificates of links that were renewed since the daemon started, of all users.
    pub renewals_done: u64,
    /// Renewals that were tried in vain since then, of all users.
    pub renewals_failed: u64,
    /// The caller's own links whose certificate could not be renewed when it was time, or should have been long since.
    pub degraded_links: Vec<DegradedLink>,
}

/// A link that will end with its certificate unless that can be renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DegradedLink {
    /// The link.
    #[schemars(with = "shape::Name")]
    pub link: Name,
    /// When its certificate ends.
    #[schemars(with = "shape::Time")]
    pub certificate_not_after: Time,
    /// Hours until then, one that has begun counted whole; 0 once it has ended.
    pub hours_left: u64,
    /// Why it could not be renewed, with a next step.
    pub reason: String,
    /// When it is tried again; none once the certificate has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub next: Option<Time>,
}

impl DegradedLink {
    /// What there is to tell of a link at `now`, if anything.
    pub fn of(link: &LinkEntry, now: Time) -> Option<Self> {
        let failure = link.renewal_failure.as_ref();
        let ended = now >= link.certificate_not_after;
        if failure.is_none() && !link.renewal_overdue && !ended {
            return None;
        }
        let reason = match failure {
            _ if ended => "it has ended; ask the other side's owner for a new invite".to_owned(),
            Some(failure) => failure.reason.clone(),
            None => "it was not tried yet".to_owned(),
        };
        let left = link.certificate_not_after.since(now);
        Some(Self {
            link: link.name.clone(),
            certificate_not_after: link.certificate_not_after,
            hours_left: left.as_secs().div_ceil(60 * 60),
            reason,
            next: failure.filter(|_| !ended).map(|failure| failure.next),
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::RenewalFailure;
    use std::time::Duration;

    const NOW: Time = Time::from_seconds(1_795_253_400);

    fn link(left: Duration, overdue: bool, failed: bool) -> LinkEntry {
        let failure =
            RenewalFailure { at: NOW, reason: "offline; check it".into(), next: NOW + Duration::from_mins(4) };
        LinkEntry {
            id: domain::id::GrantId(uuid::Uuid::nil()),
            name: "work".parse().unwrap(),
            peer_name: "office".parse().unwrap(),
            resources: Vec::new(),
            state: "degraded".into(),
            words: None,
            reason: None,
            days_left: 1,
            certificate_not_after: NOW + left,
            renewal_due: None,
            renewal_overdue: overdue,
            renewal_failure: failed.then_some(failure),
            last_success: None,
            last_failure: None,
            addresses: Vec::new(),
        }
    }

    #[test]
    fn a_link_is_told_of_when_its_renewal_failed_is_overdue_or_too_late() {
        let hours = Duration::from_hours;
        let told = |left, overdue, failed| DegradedLink::of(&link(left, overdue, failed), NOW);
        assert_eq!(told(hours(9), false, false), None);
        let failed = told(Duration::from_mins(241), false, true).unwrap();
        assert_eq!((failed.hours_left, &failed.reason[..], failed.next.is_some()), (5, "offline; check it", true));
        assert_eq!(told(hours(2), true, false).unwrap().next, None);
        let ended = told(Duration::ZERO, true, true).unwrap();
        assert!(ended.hours_left == 0 && ended.next.is_none() && ended.reason.contains("new invite"), "{ended:?}");
    }
}

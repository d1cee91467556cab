//! What runs and who this is.

use crate::{
    shape,
    view::{LinkEntry, Reach},
};
use domain::{
    Time,
    id::{GrantId, InstanceId, Name},
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
    /// Where calls are taken; none while nobody waits for one and no link is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_listener: Option<String>,
    /// Where programs with a token are answered; none unless the setting `http` says where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_listener: Option<String>,
    /// Where Prometheus reads numbers; none unless the setting `metrics_listen` says where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_listener: Option<String>,
    /// The HTTP proxy through which other instances are dialled, without its password; none where they are dialled directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The collector that spans of requests are sent to; none where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<CollectorView>,
    /// Connections of other sides that wait to be used.
    #[serde(default)]
    pub calls_parked: u64,
    /// Grants that are active: held by another instance, neither revoked nor expired.
    pub grants: u64,
    /// Grants that nobody has used the invite of, as far as the caller may know of them.
    #[serde(default)]
    pub pending_grants: u64,
    /// Grants whose holder waits until their words were typed here, as far as the caller may know of them.
    #[serde(default)]
    pub waiting_grants: Vec<WaitingGrant>,
    /// Grants whose holder this instance calls and does not reach, as far as the caller may know of them.
    #[serde(default)]
    pub failing_calls: Vec<FailingCall>,
    /// Connections under grants.
    pub connections: u64,
    /// Grants whose asking side holds a control session: it hears at once when its grant ends.
    pub sessions: u64,
    /// Calls under way, besides the sessions.
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
    /// Grants that were not made because this machine's clock went back.
    #[serde(default)]
    pub clock_refusals: u64,
    /// Who issues this instance's certificates.
    #[serde(default)]
    pub issuer: IssuerView,
    /// The list of revoked certificates that is given; none where that is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_given: Option<GivenList>,
    /// The list of revoked certificates that is taken; none where that is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_taken: Option<TakenList>,
    /// Connections turned away before any call.
    pub incidents: u64,
    /// Records that nobody waited for and that could not be written.
    pub audit_records_lost: u64,
    /// Why the log could not be written at the last try, and every answer with it is refused; absent where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_fault: Option<String>,
    /// The log's last entry; none while the database does not say.
    pub audit_head: Option<u64>,
    /// The entry that the log had reached before it was shortened or rewritten, as when a database was put back; 0 where that cannot
    /// be read. Absent where it was not, or the operator has answered for it (`serve --audit-put-back`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_head_lost: Option<u64>,
    /// Why how far grants have come cannot be written beside the database, which would not be noticed if it was put back; absent
    /// where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floors_failure: Option<String>,
    /// Whether it was forgotten how far grants had come, so that one that was put back is not noticed; until somebody has looked at them
    /// and removed `grants.floor.lost`.
    #[serde(default)]
    pub floors_lost: bool,
    /// Grants that the database has and that permit nothing.
    pub doubtful_grants: Vec<DoubtfulGrant>,
    /// Revoked keys whose row was changed or removed behind the daemon's back, 64 hex digits each. They stay refused.
    #[serde(default)]
    pub doubtful_keys: Vec<String>,
    /// The caller's own links, by state.
    pub links: Vec<LinkCount>,
    /// Certificates of links that were renewed since the daemon started, of all users.
    pub renewals_done: u64,
    /// Renewals that were tried in vain since then, of all users.
    pub renewals_failed: u64,
    /// The caller's own links whose certificate could not be renewed when it was time, or should have been long since.
    pub degraded_links: Vec<DegradedLink>,
}

impl Status {
    /// What is to be said where the log does not lead to `reached` any more.
    pub fn log_was_lost(reached: u64) -> String {
        format!(
            "the audit log had reached entry {reached} and does not lead there any more: it was shortened or rewritten, as when a \
             database is put back. The signed head or checkpoint that it had is kept in `audit-head.lost`. If a backup was put back on purpose, end \
             the daemon and start it once with `mosaic-fed serve --audit-put-back`, which the log records; if not, somebody has \
             changed the database: compare with exports that lie elsewhere"
        )
    }
}

/// Who issues certificates, and how it answered when it was needed last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerView {
    /// Where the step-ca is that issues; none where it is the instance's own CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_ca: Option<String>,
    /// Since when it does not answer; none while its last call was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub away_since: Option<Time>,
    /// Why its last call was not answered, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl From<pki::IssuerStanding> for IssuerView {
    fn from(standing: pki::IssuerStanding) -> Self {
        let (away_since, failure) = standing.away.unzip();
        Self { step_ca: standing.at, away_since, failure }
    }
}

/// A collector of spans, and whether it takes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CollectorView {
    /// Where it is.
    pub at: String,
    /// When it took spans last; none where it took none since the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub taken_at: Option<Time>,
    /// When it took none last, though there were some; none where that was never so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub failed_at: Option<Time>,
    /// Why it did not then, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether it did not take the last ones: they were dropped.
    pub is_failing: bool,
}

/// A grant whose holder waits to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingGrant {
    /// What people call it.
    #[schemars(with = "shape::Name")]
    pub grant: Name,
    /// What its holder calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub holder: Option<Name>,
}

/// A grant whose holder is called, because nobody can reach this instance, and is not reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailingCall {
    /// What people call it.
    #[schemars(with = "shape::Name")]
    pub grant: Name,
    /// Why the last call failed, and what to do.
    pub reason: String,
}

/// A grant that the database has and that permits nothing, because it is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoubtfulGrant {
    /// Which grant.
    #[schemars(with = "shape::Id")]
    pub id: GrantId,
    /// Why it is not believed, and what can be done.
    pub reason: String,
}

/// A list of revoked certificates that is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GivenList {
    /// Where it is served.
    pub address: String,
    /// Its number, as it says itself; none while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub made_at: Option<Time>,
    /// When the next one is due; from then on this one is not to be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub next_at: Option<Time>,
    /// Why the last attempt to make it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A list of revoked certificates that is taken from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TakenList {
    /// Where it comes from.
    pub source: String,
    /// The number of the one in force; none while none was ever read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// How many certificates are on it.
    pub certificates: u64,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub made_at: Option<Time>,
    /// When the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub next_at: Option<Time>,
    /// When it was last seen to be the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub seen_at: Option<Time>,
    /// What must not stay so: it is too old, cannot be had or not be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl From<spoke::lists::publish::GivenList> for GivenList {
    fn from(list: spoke::lists::publish::GivenList) -> Self {
        let made = list.made;
        Self {
            address: list.address.to_string(),
            number: made.and_then(|made| made.number),
            made_at: made.map(|made| made.begins),
            next_at: made.and_then(|made| made.ends),
            failure: list.failure,
        }
    }
}

impl From<spoke::lists::consume::TakenList> for TakenList {
    fn from(taken: spoke::lists::consume::TakenList) -> Self {
        let list = taken.list.as_ref();
        Self {
            source: taken.source,
            number: list.map(|list| list.number.to_string()),
            certificates: list.map_or(0, |list| list.serials.len() as u64),
            made_at: list.map(|list| list.begins),
            next_at: list.map(|list| list.ends),
            seen_at: taken.seen,
            failure: taken.failure,
        }
    }
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
        if link.state == hub::LinkState::Revoked.word() {
            return None;
        }
        let failure = link.renewal_failure.as_ref();
        let ended = now >= link.certificate_not_after;
        if failure.is_none() && !link.renewal_overdue && !ended {
            return None;
        }
        let reason = match failure {
            _ if ended => link
                .reason
                .clone()
                .unwrap_or_else(|| "it has ended; ask the other side's owner for a new invite".to_owned()),
            Some(failure) => failure.reason.clone(),
            None => "it should have been tried by now; see what `mosaic-fed serve` prints".to_owned(),
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
    /// Where calls are taken, while somebody waits for one.
    pub listen_calls: String,
    /// The hosts that invites name; empty means that they are found when an invite is made.
    pub advertise: Vec<String>,
    /// Whether others can reach it there, where that was asked for by somebody who may invite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
}

/// Asks who this instance is, in the query string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityQuestion {
    /// Whether linked instances are asked to try its addresses, which takes some seconds where there are any.
    #[serde(default)]
    pub reach: bool,
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
            proxy: None,
            days_left: 1,
            certificate_not_after: NOW + left,
            renewal_due: None,
            renewal_overdue: overdue,
            renewal_failure: failed.then_some(failure),
            last_success: None,
            last_failure: None,
            circuit: hub::CircuitStatus::default().into(),
            latency: None,
            clock_offset_ms: None,
            session: None,
            terms: None,
            addresses: Vec::new(),
            calls: false,
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
        let over = LinkEntry { state: "revoked".into(), ..link(Duration::ZERO, true, true) };
        assert_eq!(DegradedLink::of(&over, NOW), None, "there is nothing to renew");
    }
}

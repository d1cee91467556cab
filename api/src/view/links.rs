//! Links: the asking side's own.

use super::PingReport;
use crate::shape;
use domain::{
    Time,
    answer::Page,
    id::{Field, GrantId, InstanceId, Name, Resource, Spki},
    scope::{Door, Verb},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An invite as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteText {
    /// The `mfi1.…` text.
    pub invite: String,
}

/// Asks for a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkOrder {
    /// The `mfi1.…` text.
    pub invite: String,
    /// What to call the link; by default what the other instance calls itself.
    #[serde(default)]
    #[schemars(with = "Option<shape::Name>")]
    pub name: Option<Name>,
}

/// A key that waits for an invite which is bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreparedKey {
    /// SHA-256 of its `SubjectPublicKeyInfo`, DER, hex: what the one who invites is told.
    #[schemars(with = "String")]
    pub key: Spki,
    /// When it is forgotten.
    #[schemars(with = "shape::Time")]
    pub not_after: Time,
}

/// What an invite offered when it was made, before anything is sent: its owner may have changed or ended the grant since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferView {
    /// The sharing instance.
    #[schemars(with = "shape::Id")]
    pub instance: InstanceId,
    /// What it calls itself.
    #[schemars(with = "shape::Name")]
    pub instance_name: Name,
    /// SHA-256 of its root certificate, hex, as `id` prints it there.
    pub fingerprint: String,
    /// Where it says that it is.
    pub addresses: Vec<String>,
    /// What it calls the grant.
    #[schemars(with = "shape::Name")]
    pub grant: Name,
    /// The workspace whose rows are shared.
    #[schemars(with = "shape::Name")]
    pub workspace: Name,
    /// Which kinds of row.
    pub resources: Vec<String>,
    /// On whose behalf they are read there.
    #[schemars(with = "shape::Name")]
    pub subject: Name,
    /// When the grant ends.
    #[schemars(with = "shape::Time")]
    pub not_after: Time,
    /// When the invite stops working.
    #[schemars(with = "shape::Time")]
    pub expires_at: Time,
    /// The only key that may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub key: Option<Spki>,
}

impl From<&domain::invite::Invite> for OfferView {
    fn from(invite: &domain::invite::Invite) -> Self {
        Self {
            instance: invite.instance,
            instance_name: invite.instance_name.clone(),
            fingerprint: domain::invite::fingerprint(&invite.root),
            addresses: invite.addresses.clone(),
            grant: invite.offer.grant_name.clone(),
            workspace: invite.offer.workspace.clone(),
            resources: invite.offer.resources.clone(),
            subject: invite.offer.subject.clone(),
            not_after: invite.offer.not_after,
            expires_at: invite.expires_at,
            key: invite.key,
        }
    }
}

/// A link as its owner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkEntry {
    /// Which link; the grant at the other end has the same id.
    #[schemars(with = "shape::Id")]
    pub id: GrantId,
    /// What its owner calls it.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// The other instance's name.
    #[schemars(with = "shape::Name")]
    pub peer_name: Name,
    /// Which kinds of row its invite offered; what the grant gives now, a ping says.
    pub resources: Vec<String>,
    /// unknown, up, waiting for the other side's owner to confirm it, or how the last call ended; degraded where it was answered, but the
    /// certificate could not be renewed when it was time. Derived from real calls only; that it is revoked is remembered.
    pub state: String,
    /// Why, where it is not up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The proxy through which it is looked for, where it is that which failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The words that the other side's owner has yet to be told, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Days until its certificate ends, one that has begun counted whole; 0 or less once it has ended.
    pub days_left: i64,
    /// When its certificate ends.
    #[schemars(with = "shape::Time")]
    pub certificate_not_after: Time,
    /// When its certificate is renewed by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub renewal_due: Option<Time>,
    /// Whether it should have been renewed long since.
    pub renewal_overdue: bool,
    /// Why it could not be renewed when it was time, and when it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_failure: Option<RenewalFailure>,
    /// The last answered call since this daemon started; of a link that was ended, the last before that was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub last_success: Option<Time>,
    /// The last call that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub last_failure: Option<Time>,
    /// Where it is looked for.
    pub addresses: Vec<String>,
    /// Whether it is the other side that opens the connections, to these addresses.
    #[serde(default)]
    pub calls: bool,
    /// Its control session, while it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<LinkSession>,
    /// What its grant allows, as the other side told last; absent where it has not since this daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<LinkTerms>,
    /// Whether questions over it are sent.
    pub circuit: LinkCircuit,
    /// How long the last answers took, once there was one since this daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LinkLatency>,
    /// The other side's clock less this one's, in milliseconds, by the session or the last ping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
}

/// Whether questions over a link are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkCircuit {
    /// closed: they are; open: it could not be reached three times in a row, and they end at once; `half_open`: the next one is sent, to try it.
    pub state: String,
    /// Questions in a row that did not reach the other side.
    pub failures: u32,
    /// When one is sent again, where none is before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub next: Option<Time>,
}

impl From<hub::CircuitStatus> for LinkCircuit {
    fn from(circuit: hub::CircuitStatus) -> Self {
        let hub::CircuitStatus { state, failures, next } = circuit;
        Self { state: state.word().to_owned(), failures, next }
    }
}

/// How long the last answered calls of a link took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkLatency {
    /// Calls that were counted, 128 at most.
    pub calls: u32,
    /// Half of them took this long or less.
    pub p50_ms: u32,
    /// All but one in a hundred.
    pub p99_ms: u32,
}

impl From<hub::Latency> for LinkLatency {
    fn from(latency: hub::Latency) -> Self {
        let hub::Latency { calls, p50_ms, p99_ms } = latency;
        Self { calls, p50_ms, p99_ms }
    }
}

/// The stream over which the other side tells of a grant's changes and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkSession {
    /// When it began.
    #[schemars(with = "shape::Time")]
    pub since: Time,
    /// When the other side was last heard.
    #[schemars(with = "shape::Time")]
    pub heard: Time,
    /// The other side's clock less this one's, in milliseconds, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
}

impl From<hub::SessionStatus> for LinkSession {
    fn from(session: hub::SessionStatus) -> Self {
        let hub::SessionStatus { since, heard, clock_offset_ms, .. } = session;
        Self { since, heard, clock_offset_ms }
    }
}

/// What a link's grant allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkTerms {
    /// The fields that it gives of each kind, besides id, kind and times.
    #[schemars(with = "BTreeMap<String, Vec<String>>")]
    pub fields: BTreeMap<Resource, BTreeSet<Field>>,
    /// What may be done with them.
    #[schemars(with = "Vec<shape::Verb>")]
    pub verbs: BTreeSet<Verb>,
    /// Through which doors of this instance its rows may be shown.
    #[schemars(with = "Vec<shape::DoorWord>")]
    pub doors: BTreeSet<Door>,
}

impl From<hub::Terms> for LinkTerms {
    fn from(terms: hub::Terms) -> Self {
        let hub::Terms { resources, verbs, doors } = terms;
        Self { fields: resources, verbs: askable(&verbs).collect(), doors }
    }
}

/// The verbs for which there is a question. A grant may name `search`, and nothing can be searched yet.
pub(super) fn askable(verbs: &BTreeSet<Verb>) -> impl Iterator<Item = Verb> {
    verbs.iter().copied().filter(|verb| *verb != Verb::Search)
}

/// A renewal that was tried in vain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenewalFailure {
    /// When it was tried last.
    #[schemars(with = "shape::Time")]
    pub at: Time,
    /// Cause and next step.
    pub reason: String,
    /// When it is tried again.
    #[schemars(with = "shape::Time")]
    pub next: Time,
}

impl From<hub::RenewalFailure> for RenewalFailure {
    fn from(failure: hub::RenewalFailure) -> Self {
        let hub::RenewalFailure { at, reason, next } = failure;
        Self { at, reason, next }
    }
}

impl LinkEntry {
    /// A link, as it stands at `now`.
    pub fn new(link: hub::LinkStatus, now: Time) -> Self {
        let up = [hub::LinkState::Up, hub::LinkState::Degraded].contains(&link.state);
        let (failure, renewal) = (link.last_failure, link.renewal);
        Self {
            id: link.id,
            name: link.name,
            peer_name: link.peer_name,
            resources: link.offer.resources,
            state: link.state.word().to_owned(),
            reason: link.waits.or_else(|| failure.as_ref().filter(|_| !up).map(|failure| failure.reason.clone())),
            proxy: failure.as_ref().filter(|_| !up).and_then(|failure| failure.proxy.clone()),
            words: link.words,
            days_left: days_until(link.certificate_not_after, now),
            certificate_not_after: link.certificate_not_after,
            renewal_due: renewal.due,
            renewal_overdue: renewal.overdue,
            renewal_failure: renewal.failure.map(Into::into),
            last_success: link.last_success,
            last_failure: failure.map(|failure| failure.at),
            addresses: link.addresses,
            calls: link.calls,
            session: link.session.map(Into::into),
            terms: link.terms.map(Into::into),
            circuit: link.circuit.into(),
            latency: link.latency.map(Into::into),
            clock_offset_ms: link.clock_offset_ms,
        }
    }
}

/// A minute after thirty days were given, thirty are left.
fn days_until(end: Time, now: Time) -> i64 {
    const DAY: i64 = 24 * 60 * 60 * 1_000_000;
    -(now.micros() - end.micros()).div_euclid(DAY)
}

/// A link that was made, with its first answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkMade {
    /// The link.
    pub link: LinkEntry,
    /// Whether it took the place of the same grant's former certificate.
    pub replaced: bool,
    /// Whether it was made of this very invite before, so that nothing was sent and nothing changed.
    pub already: bool,
    /// Four words that its owner and the other side's may compare: they are the same where nobody else used or changed the invite.
    pub words: String,
    /// How the other side answered first. The link stays also when it did not.
    pub ping: PingReport,
    /// The kinds of row that were asked for, of those that it shares: up to four, until one had rows.
    #[schemars(with = "Vec<shape::Kind>")]
    pub asked: Vec<Resource>,
    /// The newest rows of the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Page>")]
    pub first: Option<Page>,
}

/// Asks which of some links that are offline a session has not been told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfflineOrder {
    /// What the session is called: 1 to 128 letters, digits and marks without spaces.
    pub session: String,
    /// The links by their names; of others than the caller's own nothing is said.
    #[schemars(with = "Vec<shape::Name>")]
    pub links: Vec<Name>,
}

/// Links that are offline, which a session has not been told of since they last answered; it has now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfflineReport {
    /// By their names.
    #[schemars(with = "Vec<shape::Name>")]
    pub anew: Vec<Name>,
}

/// Removes a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnlinkOrder {
    /// Whether to erase here without telling the other side.
    #[serde(default)]
    pub now: bool,
}

/// What removing a link did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnlinkReport {
    /// The link's name.
    #[schemars(with = "shape::Name")]
    pub link: Name,
    /// Whether the other side was told, and has ended the grant.
    pub told: bool,
    /// Whether it had ended the grant before, so that there was nothing to tell it.
    pub ended_before: bool,
    /// Whether it had not let the link in, with the certificate that it had, and so takes no word from it: its grant waits on.
    pub never_let_in: bool,
    /// Why it was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// That a link exists, for administrators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DirectoryEntry {
    /// Which link.
    #[schemars(with = "shape::Id")]
    pub id: GrantId,
    /// What its owner calls it.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// Whose it is.
    #[schemars(with = "shape::Name")]
    pub owner: Name,
    /// The other instance's name.
    #[schemars(with = "shape::Name")]
    pub peer_name: Name,
    /// When it was added.
    #[schemars(with = "shape::Time")]
    pub added_at: Time,
}

impl From<store::LinkEntry> for DirectoryEntry {
    fn from(entry: store::LinkEntry) -> Self {
        let store::LinkEntry { id, name, owner, peer_name, added_at } = entry;
        Self { id, name, owner, peer_name, added_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_nobody_can_ask_is_not_among_what_a_grant_allows() {
        let terms = hub::Terms { resources: BTreeMap::new(), verbs: Verb::ALL.into(), doors: BTreeSet::new() };
        let told = serde_json::to_value(LinkTerms::from(terms)).unwrap();
        assert_eq!(told["verbs"], serde_json::json!(["capabilities", "list", "get"]));
    }

    #[test]
    fn a_begun_day_counts_whole_and_an_end_is_no_day() {
        let (now, day) = (Time::from_seconds(1_790_000_000), Duration::from_hours(24));
        let minute = Duration::from_mins(1);
        let left = [(now + day * 30, 30), ((now + day * 30).before(minute), 30), (now + minute, 1), (now, 0)];
        for (end, days) in left.into_iter().chain([(now.before(minute), 0), (now.before(day), -1)]) {
            assert_eq!(days_until(end, now), days, "{end}");
        }
    }
}

//! Grants and invites.

use super::{CallEntry, Difference, Reach};
use crate::shape;
use domain::{
    Time,
    grant::Grant,
    id::{GrantId, InstanceId, Name, Resource, Spki},
    scope::{Spec, Verb},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rows by resource: how many a scope shows now.
pub type Counted = BTreeMap<Resource, u64>;

/// A grant as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantEntry {
    /// Which grant; the link at the other end has the same id.
    #[schemars(with = "shape::Id")]
    pub id: GrantId,
    /// What people call it.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// Moves with every change of it.
    pub generation: u64,
    /// pending, active, expired, revoked, or doubtful: the database was changed or put back, and it permits nothing.
    pub state: String,
    /// On whose behalf rows are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub subject: Option<Name>,
    /// The instance that holds the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Id>")]
    pub peer: Option<InstanceId>,
    /// What that instance calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub peer_name: Option<Name>,
    /// What is permitted, nothing left to defaults.
    #[schemars(with = "shape::Spec")]
    pub scope: Spec,
    /// The key of the certificate in force, by its fingerprint: what `key revoke` takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub key: Option<Spki>,
    /// When the certificate in force ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub certificate_not_after: Option<Time>,
    /// Whether that certificate is on the list of revoked ones that is taken from elsewhere (`crl_source`): nobody is let in with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub denied_by_list: bool,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub created_at: Option<Time>,
    /// Its control session, where one grant is shown and it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<GrantSession>,
    /// Whether it waits for its owner to type the words that its holder sees.
    #[serde(default, skip_serializing_if = "is_false")]
    pub waiting: bool,
    /// What its holder saw when it was linked, to be compared; not while it waits to be typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Its last invite; a further one is for the same, unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<InviteTerms>,
    /// How it ended, where one grant is shown and it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<GrantEnd>,
    /// How it stands with the calls of its holder, where it is this instance that opens the connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallEntry>,
    /// What was just left out because this instance does not allow it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub narrowed: Vec<Difference>,
}

impl GrantEntry {
    /// A grant, as it stands at `now`.
    pub fn new(grant: &Grant, now: Time) -> Self {
        Self {
            id: grant.id,
            name: grant.name.clone(),
            generation: grant.generation,
            state: grant.standing(now).to_owned(),
            subject: None,
            peer: grant.peer,
            peer_name: None,
            scope: grant.scope.to_spec(),
            key: grant.leaf.as_ref().map(|leaf| leaf.spki),
            certificate_not_after: grant.leaf.as_ref().map(|leaf| leaf.not_after),
            denied_by_list: false,
            created_at: None,
            session: None,
            waiting: grant.waits(),
            words: None,
            invite: None,
            ended: None,
            call: None,
            narrowed: Vec::new(),
        }
    }

    /// A grant with its people's names, as it stands at `now`.
    pub fn named(view: &store::GrantView, now: Time) -> Self {
        Self {
            state: view.standing(now).to_owned(),
            waiting: view.doubt.is_none() && view.grant.waits(),
            subject: Some(view.subject_name.clone()),
            peer_name: view.peer_name.clone(),
            created_at: Some(view.created_at),
            invite: view.invite.map(Into::into),
            ..Self::new(&view.grant, now)
        }
    }
}

/// Who may use an invite, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteTerms {
    /// When it stops working, or was made to.
    #[schemars(with = "shape::Time")]
    pub expires_at: Time,
    /// The only key that may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub key: Option<Spki>,
    /// Whether whoever uses it waits to be let in.
    pub confirm: bool,
    /// Whether somebody was given a certificate for it.
    pub used: bool,
}

impl From<store::LastInvite> for InviteTerms {
    fn from(invite: store::LastInvite) -> Self {
        let store::LastInvite { key, confirm, used, expires_at } = invite;
        Self { expires_at, key, confirm, used }
    }
}

/// How a grant ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantEnd {
    /// When, as far as the log says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub at: Option<Time>,
    /// revoked, `wrong_words`, unlinked, `user_removed`, `key_revoked` or expired.
    pub how: String,
    /// The same for people, with who did it.
    pub why: String,
}

/// The stream over which a grant's asking side hears of its changes and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantSession {
    /// When it began.
    #[schemars(with = "shape::Time")]
    pub since: Time,
    /// Milliseconds since the asking side was last heard.
    pub heard_ms: u64,
    /// The asking side's clock less this one's when it was last heard, in milliseconds; the way of the message is in it.
    pub clock_offset_ms: i64,
    /// The generation of the grant that the asking side has acted upon.
    pub acknowledged: u64,
}

impl From<spoke::SessionView> for GrantSession {
    fn from(view: spoke::SessionView) -> Self {
        let spoke::SessionView { since, heard, clock_offset_ms, acknowledged, .. } = view;
        Self { since, heard_ms: u64::try_from(heard.as_millis()).unwrap_or(u64::MAX), clock_offset_ms, acknowledged }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Asks for a grant and its invite in one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "a body of JSON: each is said by its caller, or not")]
pub struct InviteOrder {
    /// The grant's name.
    #[schemars(with = "shape::Name")]
    pub name: Name,
    /// The local user on whose behalf rows are read.
    #[schemars(with = "shape::Name")]
    pub subject: Name,
    /// What is permitted.
    #[schemars(with = "shape::Spec")]
    pub scope: Spec,
    /// Whether personal rows are asked for; they are shared where the scope does not say if the subject is the caller, and
    /// refused if it is anybody else.
    #[serde(default)]
    pub personal: bool,
    /// Whether sensitive kinds may be shared.
    #[serde(default)]
    pub sensitive: bool,
    /// Whether what this instance does not allow is left out; else it is refused.
    #[serde(default)]
    pub narrow: bool,
    /// The only key that may use the invite, by its fingerprint; else whoever comes first may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub key: Option<Spki>,
    /// Whether whoever uses it waits until the words that they see were typed here.
    #[serde(default)]
    pub confirm: bool,
}

/// Asks for a further invite of a grant. What is not said is as it was with the one before it, but for a key that was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreshInvite {
    /// The only key that may use it, by its fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub key: Option<Spki>,
    /// Whether it is for no key, also where the one before it was.
    #[serde(default)]
    pub no_key: bool,
    /// Whether whoever uses it waits until the words that they see were typed here.
    #[serde(default)]
    pub confirm: bool,
}

/// A grant's invite, to be handed over once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteMade {
    /// The grant.
    pub grant: GrantEntry,
    /// The text to hand over. It is a secret and is shown once.
    pub invite: String,
    /// When it stops working.
    #[schemars(with = "shape::Time")]
    pub expires_at: Time,
    /// The only key that may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub key: Option<Spki>,
    /// Whether whoever uses it waits until the words that they see were typed here.
    pub confirm: bool,
    /// Where the other side will look for this instance, in that order.
    pub addresses: Vec<String>,
    /// Whether others can reach it there.
    pub reach: Reach,
    /// How many rows the grant shows now.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub rows: Counted,
}

/// The words that the other side's owner read out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmOrder {
    /// Four words, in their order.
    pub words: Vec<String>,
}

/// Puts another scope in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditOrder {
    /// The generation of the grant that the scope was made from: an edit of anything later is refused.
    pub generation: u64,
    /// The scope.
    #[schemars(with = "shape::Spec")]
    pub scope: Spec,
    /// Whether sensitive kinds may be shared.
    #[serde(default)]
    pub sensitive: bool,
    /// Whether what this instance does not allow is left out; else it is refused.
    #[serde(default)]
    pub narrow: bool,
}

/// What a revocation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokeReport {
    /// The grant as it stands after it.
    pub grant: GrantEntry,
    /// When its end was committed: no answer left after it.
    #[schemars(with = "shape::Time")]
    pub at: Time,
    /// Microseconds from the order until its connections and calls were gone.
    pub took_us: u64,
    /// Whether every call was seen to end.
    pub drained: bool,
    /// Connections that were cut.
    pub connections: u64,
    /// Calls that were under way.
    pub calls: u64,
    /// What is known of the side that asked under it.
    pub receipt: Receipt,
}

/// What the asking side of an ended grant is known to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "asking_side", rename_all = "snake_case")]
pub enum Receipt {
    /// There is none: nobody ever used the grant's invite.
    Unused,
    /// It waited to be let in and never was: nothing was shown to it.
    NeverLetIn,
    /// It said that its calls have ended and that it neither keeps nor shows anything of the grant.
    Acknowledged {
        /// Microseconds from the commit to its word.
        after_us: u64,
    },
    /// It was connected and was told, and said nothing.
    Silent,
    /// It had no control session, whether or not it was connected, and so was not told: nothing is known of what it shows.
    Away {
        /// When what it may still show ends, if it keeps to the protocol.
        #[schemars(with = "shape::Time")]
        until: Time,
    },
}

impl From<spoke::Receipt> for Receipt {
    fn from(receipt: spoke::Receipt) -> Self {
        match receipt {
            spoke::Receipt::Unused => Self::Unused,
            spoke::Receipt::NeverLetIn => Self::NeverLetIn,
            spoke::Receipt::Acknowledged(after) => {
                Self::Acknowledged { after_us: u64::try_from(after.as_micros()).unwrap_or(u64::MAX) }
            }
            spoke::Receipt::Silent => Self::Silent,
            spoke::Receipt::Away(until) => Self::Away { until },
        }
    }
}

/// Asks what a grant may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanQuestion {
    /// To do what.
    #[schemars(with = "shape::Verb")]
    pub verb: Verb,
    /// With which kind of row.
    pub resource: String,
}

/// What a grant may do, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictView {
    /// Whether it is permitted.
    pub allowed: bool,
    /// Why, or why not.
    pub why: String,
    /// How many rows it shows now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

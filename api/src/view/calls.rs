//! Calls: whom this instance waits for, and whom it calls.

use super::{Counted, GrantEntry, InviteOrder};
use crate::shape;
use domain::{
    Time,
    id::{AwaitId, Name, Spki},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Waits to be called by an instance that cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwaitOrder {
    /// What the link is to be called; what the other instance calls itself if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub name: Option<Name>,
    /// Hosts under which the other instance reaches this one, with a port or without; those of this machine if not said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// Somebody who begins to wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AwaitMade {
    /// Which await.
    #[schemars(with = "shape::Id")]
    pub id: AwaitId,
    /// The text for the other side's owner. It is a secret and is shown once.
    pub call: String,
    /// Where it says that this instance is called.
    pub addresses: Vec<String>,
    /// When it is waited for no longer.
    #[schemars(with = "shape::Time")]
    pub expires_at: Time,
}

/// Somebody who waits, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AwaitEntry {
    /// Which await.
    #[schemars(with = "shape::Id")]
    pub id: AwaitId,
    /// What the link is to be called, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub name: Option<Name>,
    /// waiting; failing where a call came to no link; linked once one did, which uses it up; or expired.
    pub state: String,
    /// The link that came of it, while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    pub link: Option<Name>,
    /// Why the last call came to no link, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where this instance is called.
    pub addresses: Vec<String>,
    /// When it is waited for no longer.
    #[schemars(with = "shape::Time")]
    pub expires_at: Time,
}

impl From<hub::AwaitStatus> for AwaitEntry {
    fn from(status: hub::AwaitStatus) -> Self {
        let hub::AwaitStatus { id, name, addresses, expires_at, state, link, reason } = status;
        Self { id, name, state: state.word().to_owned(), link, reason, addresses, expires_at }
    }
}

impl From<hub::Awaiting> for AwaitMade {
    fn from(made: hub::Awaiting) -> Self {
        let hub::Awaiting { id, text, addresses, expires_at } = made;
        Self { id, call: text.expose().clone(), addresses, expires_at }
    }
}

/// Makes a grant whose invite this instance brings to whoever waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallOrder {
    /// The grant.
    pub invite: InviteOrder,
    /// What `link await` printed on the other instance.
    pub call: String,
}

/// Brings a fresh invite of a grant to whoever waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallAgain {
    /// What `link await` printed on the other instance.
    pub call: String,
    /// Whether whoever uses it waits until the words that they see were typed here; so it is too where the one before it said so.
    #[serde(default)]
    pub confirm: bool,
}

/// How it stands with the calls of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallEntry {
    /// calling; failing where the last call did; brought while the other side reads the invite; parked while it keeps the connections and has
    /// not used one since; up once it has; or `too_late` where the invite ended before.
    pub state: String,
    /// Why the last call failed, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whom it calls.
    pub addresses: Vec<String>,
    /// Until when the invite is brought; none once it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    pub until: Option<Time>,
}

impl From<spoke::CallView> for CallEntry {
    fn from(view: spoke::CallView) -> Self {
        let spoke::CallView { addresses, state, until } = view;
        let reason = if let spoke::CallState::Failing(reason) = &state { Some(reason.clone()) } else { None };
        Self { state: state.word().to_owned(), reason, addresses, until }
    }
}

/// A grant whose invite is brought to the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallMade {
    /// The grant.
    pub grant: GrantEntry,
    /// How the first call went.
    pub call: CallEntry,
    /// The only key that may use the invite: the one that the text named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub key: Option<Spki>,
    /// Whether whoever uses it waits until the words that they see were typed here.
    pub confirm: bool,
    /// How many rows the grant shows now.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub rows: Counted,
}

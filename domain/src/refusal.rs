//! Refusals: a closed list of reasons, and what of each may be told to whom.

use std::{fmt, time::Duration};

/// Why a call was refused. The wire's `Reason` has the same names; a test holds the two equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Identity is known, standing is not good. One reason and one text for every such case.
    NotPermitted,
    /// The resource or verb lies outside the scope.
    OutOfScope,
    /// No such row, or a hidden one.
    NotFound,
    /// The grant's call rate is used up.
    GrantRate,
    /// The peer's call rate over all its grants is used up.
    PeerRate,
    /// A field of the request is malformed.
    Malformed,
    /// The page token belongs to another query.
    BadPageToken,
    /// No such method.
    UnknownMethod,
    /// The record of the answer could not be made durable.
    AuditUnavailable,
    /// The rows could not be read.
    StoreUnavailable,
    /// The view of the grants is too old, or the grant changed while it was asked.
    SnapshotStale,
    /// No invite has this token.
    InviteUnknown,
    /// The invite is used or expired, or its grant has ended.
    InviteSpent,
    /// No protocol version in common.
    Version,
    /// A row failed the second check.
    SecondCheck,
}

impl Reason {
    /// Every reason, in the wire's order.
    pub const ALL: [Self; 15] = [
        Self::NotPermitted,
        Self::OutOfScope,
        Self::NotFound,
        Self::GrantRate,
        Self::PeerRate,
        Self::Malformed,
        Self::BadPageToken,
        Self::UnknownMethod,
        Self::AuditUnavailable,
        Self::StoreUnavailable,
        Self::SnapshotStale,
        Self::InviteUnknown,
        Self::InviteSpent,
        Self::Version,
        Self::SecondCheck,
    ];

    /// The stable code: the wire enum's value name without `REASON_`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotPermitted => "NOT_PERMITTED",
            Self::OutOfScope => "OUT_OF_SCOPE",
            Self::NotFound => "NOT_FOUND",
            Self::GrantRate => "GRANT_RATE",
            Self::PeerRate => "PEER_RATE",
            Self::Malformed => "MALFORMED",
            Self::BadPageToken => "BAD_PAGE_TOKEN",
            Self::UnknownMethod => "UNKNOWN_METHOD",
            Self::AuditUnavailable => "AUDIT_UNAVAILABLE",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::SnapshotStale => "SNAPSHOT_STALE",
            Self::InviteUnknown => "INVITE_UNKNOWN",
            Self::InviteSpent => "INVITE_SPENT",
            Self::Version => "VERSION",
            Self::SecondCheck => "SECOND_CHECK",
        }
    }

    /// The reason with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The one text that goes out for this reason, where the refusal brings none of its own.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotPermitted => "not permitted; ask the owner of the other instance for a new invite",
            Self::OutOfScope => "the grant does not allow this",
            Self::NotFound => "no such row",
            Self::GrantRate => "this grant's call rate is used up; try again later",
            Self::PeerRate => "this instance's call rate is used up; try again later",
            Self::Malformed => "a field of the request is malformed",
            Self::BadPageToken => "this page token belongs to another query; start again without it",
            Self::UnknownMethod => "no such method",
            Self::AuditUnavailable => "the answer could not be recorded and was not given; try again",
            Self::StoreUnavailable => "the rows could not be read; try again",
            Self::SnapshotStale => "the grant is being read anew; try again",
            Self::InviteUnknown => "no invite has this token; check that all of it was pasted",
            Self::InviteSpent => "this invite can no longer be used; ask for a new one",
            Self::Version => "no protocol version in common; update the older side",
            Self::SecondCheck => "the answer failed a check and was not given",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A field of a request and what is wrong with it, safe to send back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's name on the wire.
    pub field: &'static str,
    /// What would have been right.
    pub description: String,
}

/// A decision against a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    text: Option<String>,
    detail: Option<String>,
    retry_after: Option<Duration>,
    violations: Vec<Violation>,
}

impl Refusal {
    /// A refusal that says only its reason.
    pub const fn new(reason: Reason) -> Self {
        Self { reason, text: None, detail: None, retry_after: None, violations: Vec::new() }
    }

    /// A malformed field.
    pub fn malformed(field: &'static str, description: impl Into<String>) -> Self {
        let violation = Violation { field, description: description.into() };
        Self { violations: vec![violation], ..Self::new(Reason::Malformed) }
    }

    /// With a public text of its own: the grant's words to its holder.
    #[must_use]
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// With a detail for this side's log and audit only.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With the time after which trying again can help.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Why.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// What the other side is told.
    pub fn public_text(&self) -> &str {
        self.text.as_deref().unwrap_or(self.reason.text())
    }

    /// What only this side is told.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// When trying again can help.
    pub const fn retry(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The malformed fields.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_knows_exactly_these_reasons_in_this_order() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            let wire = proto::v1::Reason::try_from(i32::try_from(at).unwrap() + 1).unwrap();
            assert_eq!(wire.as_str_name(), format!("REASON_{}", reason.code()));
        }
        assert!(proto::v1::Reason::try_from(i32::try_from(Reason::ALL.len()).unwrap() + 1).is_err());
    }

    #[test]
    fn detail_never_becomes_the_public_text() {
        let refusal = Refusal::new(Reason::NotPermitted).because("serial 17 is not the grant's");
        assert_eq!(refusal.public_text(), Reason::NotPermitted.text());
    }
}

//! How a grant's certificate is followed by the next one while calls go on: which certificates are good at one moment, when a
//! further one may be asked for, and what becomes of the old one.
//!
//! The new certificate comes into force with its first use, which proves that its key and its answer arrived. Until then the
//! old one is as good as before; whoever lost the answer asks again with it. None of this changes the grant's generation:
//! what the grant permits is the same, and an answer that is on its way must not be withdrawn because its asker renewed.

use crate::{
    Reason, Refusal, Time,
    caller::Presented,
    grant::{Grant, Leaf, State},
    id::Serial,
};
use std::time::Duration;

/// How long a certificate stays good after its successor was first used: calls in flight end meanwhile.
pub const OVERLAP: Duration = Duration::from_secs(30);
/// How long after one answered renewal the next may be asked for, where the first answer seems lost; doubled with each in a row.
pub const AGAIN: Duration = Duration::from_secs(10);
/// How long a grant's certificate lives where the sharing side does not choose otherwise.
pub const LIFE: Duration = Duration::from_hours(24);
/// Of its life a certificate must have lived this part, as a divisor, before it may be followed by another.
const PART: u32 = 10;

/// A certificate that was issued to follow the one in force, and was not used yet: by renewal, or by an invite whose user waits to
/// be let in. A renewal takes the place of one that waits, so that nobody who only waits is in the way of the holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The certificate.
    pub leaf: Leaf,
    /// When it was issued.
    pub issued_at: Time,
    /// How many in a row before it were not used.
    pub unused: u32,
    /// Whether the grant's owner has yet to let its holder in: it is good for nothing before that.
    pub waits: bool,
}

impl Successor {
    /// One that follows the certificate in force at once.
    pub const fn new(leaf: Leaf, issued_at: Time) -> Self {
        Self { leaf, issued_at, unused: 0, waits: false }
    }

    /// One whose holder waits to be let in.
    pub const fn waiting(leaf: Leaf, issued_at: Time) -> Self {
        Self { leaf, issued_at, unused: 0, waits: true }
    }

    /// How long after it, while it is unused, another may be asked for. Each that is given up is refused by name until it
    /// ends, so whoever never uses any waits longer each time, to a tenth of the life.
    fn wait(&self) -> Duration {
        let longest = self.leaf.not_after.since(self.issued_at) / PART;
        let doubled = 1_u32.checked_shl(self.unused).and_then(|times| AGAIN.checked_mul(times));
        doubled.map_or(longest, |wait| wait.min(longest)).max(AGAIN)
    }
}

/// A certificate whose successor is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// The certificate.
    pub leaf: Leaf,
    /// When it stops being good.
    pub until: Time,
}

impl Former {
    /// Whether it is good at `now`: for [`OVERLAP`] from the first use of what followed it. A clock that goes back behind that
    /// revives nothing.
    pub fn is_good(&self, now: Time) -> bool {
        self.until.before(OVERLAP) <= now && now < self.until
    }
}

/// No further certificate is issued now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRenewal {
    /// The certificate in force is young, or another successor was issued just now. How long to wait.
    #[error("this grant's certificate is too new to be renewed; try again in {} s", .0.as_secs().max(1))]
    TooSoon(Duration),
    /// The certificate shown is not the one in force. How long it stays good.
    #[error("this certificate was replaced by a newer one; renew with that")]
    Replaced(Duration),
    /// The grant is not active.
    #[error("the grant has ended")]
    Ended,
}

impl From<NoRenewal> for Refusal {
    fn from(cause: NoRenewal) -> Self {
        match cause {
            NoRenewal::TooSoon(wait) | NoRenewal::Replaced(wait) => {
                Self::new(Reason::GrantRate).saying(cause.to_string()).retry_after(wait.max(Duration::from_secs(1)))
            }
            NoRenewal::Ended => Self::new(Reason::NotPermitted).because(cause.to_string()),
        }
    }
}

impl Grant {
    /// Every certificate that this side's record accounts for, good or over.
    pub fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        let successor = self.successor.as_ref().map(|next| &next.leaf);
        let former = self.former.as_ref().map(|former| &former.leaf);
        self.leaf.iter().chain(successor).chain(former)
    }

    /// The one with this serial number.
    pub fn leaf_with(&self, serial: &Serial) -> Option<&Leaf> {
        self.leaves().find(|leaf| leaf.serial == *serial)
    }

    /// The certificates that are good at `now`.
    pub fn accepted(&self, now: Time) -> impl Iterator<Item = &Leaf> {
        let over = self.former.as_ref().filter(|former| !former.is_good(now)).map(|former| &former.leaf.serial);
        let early = self.successor.as_ref().filter(|next| next.waits).map(|next| &next.leaf.serial);
        self.leaves()
            .filter(move |leaf| now < leaf.not_after && Some(&leaf.serial) != over && Some(&leaf.serial) != early)
    }

    /// Whether the certificate with this serial number is good at `now`.
    pub fn accepts(&self, serial: &Serial, now: Time) -> bool {
        self.accepted(now).any(|leaf| leaf.serial == *serial)
    }

    /// Whether this certificate waits for its first use.
    pub fn is_successor(&self, serial: &Serial) -> bool {
        self.renewed().is_some_and(|next| next.leaf.serial == *serial)
    }

    /// What was issued by renewal and not used yet.
    fn renewed(&self) -> Option<&Successor> {
        self.successor.as_ref().filter(|next| !next.waits)
    }

    /// Whether a further certificate may be issued to whoever showed `presented`.
    ///
    /// # Errors
    /// Only the certificate in force is followed by another, and not before a tenth of its life, so that nobody keeps the CA
    /// busy. That tenth does not stand in the way of who lost an answer: while a successor is unused, 10 s will
    /// do, then 20 s, 40 s and so on.
    pub fn may_renew(&self, presented: &Presented, now: Time) -> Result<(), NoRenewal> {
        if self.is_successor(&presented.serial) {
            // Its own first use is not in force yet; it will be in a moment, and then it is as young as it is.
            return Err(NoRenewal::TooSoon(AGAIN));
        }
        self.may_follow(&presented.serial, now)?;
        let age = presented.not_after.since(presented.issued_at) / PART;
        match self.renewed() {
            Some(_) => Ok(()),
            None => not_before(presented.issued_at, age, now),
        }
    }

    /// What holds at the moment of the change too, whatever changed since the decision.
    fn may_follow(&self, serial: &Serial, now: Time) -> Result<(), NoRenewal> {
        if self.state != State::Active || self.has_expired(now) {
            return Err(NoRenewal::Ended);
        }
        if self.leaf.as_ref().is_none_or(|leaf| leaf.serial != *serial) {
            let until = self.former.as_ref().map_or(now, |former| former.until);
            return Err(NoRenewal::Replaced(until.since(now)));
        }
        self.renewed().map_or(Ok(()), |next| not_before(next.issued_at, next.wait(), now))
    }

    /// The grant with a further certificate, which follows the one in force once it is used. One that waited for that is
    /// replaced by it and must be refused from then on.
    ///
    /// # Errors
    /// Another renewal was quicker, or the grant has ended.
    pub fn renew(&self, serial: &Serial, successor: Successor) -> Result<Self, NoRenewal> {
        self.may_follow(serial, successor.issued_at)?;
        let unused = self.renewed().map_or(0, |next| next.unused.saturating_add(1));
        Ok(Self { successor: Some(Successor { unused, ..successor }), ..self.clone() })
    }

    /// The grant after the first use of its successor; none where this is not the successor, or no longer. A former
    /// certificate gives its place to the one that was in force, and must be refused from then on.
    pub fn confirm(&self, serial: &Serial, now: Time) -> Option<Self> {
        let next = self.renewed().filter(|next| next.leaf.serial == *serial)?;
        let former = self.leaf.clone().map(|leaf| Former { leaf, until: now + OVERLAP });
        let renewals = self.renewals.saturating_add(1);
        Some(Self { renewals, leaf: Some(next.leaf.clone()), successor: None, former, ..self.clone() })
    }
}

/// Whether `wait` since `since` is over. A clock that went back behind `since` stands in nobody's way.
///
/// # Errors
/// It is not; how long it still is.
pub fn not_before(since: Time, wait: Duration, now: Time) -> Result<(), NoRenewal> {
    let ready = since + wait;
    if now >= since && now < ready { Err(NoRenewal::TooSoon(ready.since(now))) } else { Ok(()) }
}

#[cfg(test)]
mod tests;

//! Who asks, and whether their standing is good. Identity comes from the connection only; a caller that exists was judged.

use crate::{
    Reason, Refusal, Time,
    decide::Ground,
    grant::{Grant, State},
    id::{GrantId, InstanceId, Serial, Spki, UserId},
    invite::{Claimant, Invited, Standing},
};
use std::{net::SocketAddr, sync::Arc};

/// What a connection proved in its handshake, parsed once. Necessary for standing, never sufficient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The instance in the certificate's SPIFFE id.
    pub peer: InstanceId,
    /// The grant in the certificate's extension.
    pub grant: GrantId,
    /// The subject in the certificate's extension.
    pub subject: UserId,
    /// The certificate's serial number.
    pub serial: Serial,
    /// The certificate's key.
    pub spki: Spki,
    /// When the certificate was issued, by its own word.
    pub issued_at: Time,
    /// The certificate's end.
    pub not_after: Time,
    /// Where the connection comes from.
    pub address: SocketAddr,
}

impl Presented {
    /// Whether this side's own record of the grant knows other certificates, or none: then this one, which chains to our
    /// CA, was issued by nobody here.
    pub fn is_unaccounted_for(&self, grant: &Grant) -> bool {
        grant.leaf_with(&self.serial).is_none_or(|leaf| leaf.spki != self.spki)
    }
}

/// A caller of good standing at the moment it was judged. Made only by the functions below.
#[derive(Debug)]
pub struct Caller<G: Ground>(Arc<G>);

impl<G: Ground> Clone for Caller<G> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Caller<Grant> {
    /// Judges a certificate against this side's own record of the grant it names.
    ///
    /// # Errors
    /// Every failure is [`Reason::NotPermitted`] with one public text; only the detail differs.
    pub fn present(presented: &Presented, grant: Option<Arc<Grant>>, now: Time) -> Result<Self, Refusal> {
        let refuse = |detail: &str| Err(Refusal::new(Reason::NotPermitted).because(detail));
        let Some(grant) = grant else {
            return refuse("no such grant");
        };
        let Some(in_force) = &grant.leaf else {
            return refuse("the grant has no certificate");
        };
        let own = grant.leaf_with(&presented.serial);
        if now >= presented.not_after || now >= own.unwrap_or(in_force).not_after {
            return refuse("the certificate has expired");
        }
        match grant.state {
            State::Pending => return refuse("the grant is pending"),
            State::Revoked => return refuse("the grant is revoked"),
            State::Active if grant.has_expired(now) => return refuse("the grant has expired"),
            State::Active => {}
        }
        if grant.id != presented.grant {
            return refuse("the certificate is for another grant");
        }
        if grant.subject != presented.subject {
            return refuse("the certificate is for another subject");
        }
        if grant.peer != Some(presented.peer) {
            return refuse("the certificate is for another instance");
        }
        let Some(own) = own else {
            return refuse("the certificate's serial is not the grant's");
        };
        if own.spki != presented.spki {
            return refuse("the certificate's key is not the grant's");
        }
        if grant.waiting() == Some(own) {
            return refuse("the certificate's holder is not let in yet");
        }
        if !grant.accepts(&own.serial, now) {
            return refuse("the certificate was replaced by the one that followed it");
        }
        Ok(Self(grant))
    }
}

impl Caller<Invited> {
    /// Judges a token, shown by whoever uses it, against this side's own record of the invite it names.
    ///
    /// # Errors
    /// [`Reason::InviteUnknown`] or [`Reason::InviteSpent`].
    pub fn invited(invited: Option<Invited>, by: Claimant, now: Time) -> Result<Self, Refusal> {
        let Some(invited) = invited else {
            return Err(Refusal::new(Reason::InviteUnknown));
        };
        let spent = |detail: &str| Err(Refusal::new(Reason::InviteSpent).because(detail));
        match invited.standing(by, now) {
            Standing::Open => Ok(Self(Arc::new(invited))),
            Standing::OtherKey => Err(Refusal::new(Reason::InviteSpent)
                .saying("this invite is bound to another key; it helps nobody without that key")
                .because("the invite is bound to another key")),
            Standing::Used => spent("the invite was used, and not by this key"),
            Standing::Expired => spent("the invite has expired"),
            Standing::GrantEnded => spent("the invite's grant has ended"),
        }
    }
}

impl<G: Ground> Caller<G> {
    /// This side's own record, as it was when the caller was judged.
    pub fn ground(&self) -> &Arc<G> {
        &self.0
    }
}

//! Invites: the single-use token that makes a grant a link, who may use it, and [`text`] that carries it.

mod text;

pub(crate) use text::MAX_ADDRESSES;
pub use text::{BadInvite, Invite, Offer, fingerprint};

use crate::{
    Time,
    grant::{Grant, State},
    id::{GrantId, InviteId, Serial, Spki},
    secret::Secret,
    words::Nonce,
    world::World,
};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long an open invite lives.
pub const OPEN_LIFE: Duration = Duration::from_mins(15);
/// How long one lives that is bound to a key: nobody else can use it, whoever reads it.
pub const BOUND_LIFE: Duration = Duration::from_hours(7 * 24);
/// How long after its claim an invite may be used again by the key that claimed it, once its certificate is stored.
pub const AGAIN: Duration = Duration::from_mins(15);

/// A 256-bit token, written as 64 lower-case hex digits. Shown once, stored only as its hash.
pub struct Token(Secret<[u8; 32]>);

impl Token {
    /// A new token.
    pub fn generate(world: &World) -> Self {
        Self(Secret::new(world.bytes()))
    }

    /// Reads 64 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        hex::decode_to_slice(text, &mut bytes).ok().filter(|()| lower)?;
        Some(Self(Secret::new(bytes)))
    }

    /// The text for the invite, and for nothing else.
    pub fn expose(&self) -> String {
        hex::encode(self.0.expose())
    }

    /// What is stored and looked up: SHA-256 of a fixed prefix and the token, which is random and needs no salt.
    pub fn digest(&self) -> [u8; 32] {
        let hash = Sha256::new_with_prefix(b"mosaic-fed invite token 1\0").chain_update(self.0.expose());
        hash.finalize().into()
    }
}

/// This side's own record of an invite, with the grant it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// Which invite; logs name this, never the token.
    pub id: InviteId,
    /// The grant whose certificate it gives.
    pub grant: Grant,
    /// When it stops working.
    pub expires_at: Time,
    /// The only key that may use it; none where any may, once.
    pub key: Option<Spki>,
    /// Whether whoever uses it waits to be let in.
    pub confirm: bool,
    /// Who claimed it, and what came of it.
    pub claim: Option<Claim>,
}

/// An invite as it is stored: all of it is under its seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptInvite {
    /// Which invite.
    pub id: InviteId,
    /// The grant it belongs to.
    pub grant: GrantId,
    /// [`Token::digest`].
    pub digest: [u8; 32],
    /// When it stops working.
    pub expires_at: Time,
    /// The only key that may use it; none where any may, once.
    pub key: Option<Spki>,
    /// Whether whoever uses it waits to be let in.
    pub confirm: bool,
    /// How often other words were typed than those of whoever used it.
    pub wrong_words: u32,
    /// Who claimed it, and what came of it.
    pub claim: Option<Claim>,
}

impl KeptInvite {
    /// The invite with the grant it belongs to.
    pub fn of(self, grant: Grant) -> Invited {
        let Self { id, expires_at, key, confirm, claim, .. } = self;
        Invited { id, grant, expires_at, key, confirm, claim }
    }
}

/// The one use of an invite: by the holder of one key, however often it takes until the answer has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The key.
    pub key: Spki,
    /// What its holder added to the words; none in what an earlier build stored.
    pub nonce: Option<Nonce>,
    /// When it was claimed.
    pub at: Time,
    /// The certificate that was stored for it.
    pub given: Option<Given>,
}

/// Who uses an invite. Both stay the same however often they ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// Their key.
    pub key: Spki,
    /// What they add to the words.
    pub nonce: Nonce,
}

/// A certificate that an invite gave, kept to be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its serial number.
    pub serial: Serial,
    /// X.509 DER.
    pub certificate: Vec<u8>,
}

/// Where an invite stands for the holder of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They may use it, for the first time or because they lost the answer.
    Open,
    /// It is bound to another key.
    OtherKey,
    /// It was used: by another key, or so that nothing is left to be given again.
    Used,
    /// Its time is over.
    Expired,
    /// Its grant is revoked or expired.
    GrantEnded,
}

impl Invited {
    /// Where this invite stands at `now` for whoever uses it.
    pub fn standing(&self, by: Claimant, now: Time) -> Standing {
        if self.grant.state == State::Revoked || self.grant.has_expired(now) {
            Standing::GrantEnded
        } else if self.key.is_some_and(|bound| bound != by.key) {
            Standing::OtherKey
        } else if self.claim.as_ref().is_some_and(|claim| !self.is_again(claim, by, now)) {
            Standing::Used
        } else if now >= self.expires_at {
            Standing::Expired
        } else {
            Standing::Open
        }
    }

    /// Whether the claim is their own, and what it gave, if anything, is what the grant is held with, or will be. Who could add
    /// something else to the words the second time would have seen by then what the other side adds.
    fn is_again(&self, claim: &Claim, by: Claimant, now: Time) -> bool {
        let stands = |given: &Given| now < claim.at + AGAIN && self.grant.is_handed(&given.serial);
        claim.key == by.key && claim.nonce == Some(by.nonce) && claim.given.as_ref().is_none_or(stands)
    }

    /// The last moment at which somebody may use it, first or again.
    pub fn last_use(&self) -> Time {
        let answered = self.claim.as_ref().filter(|claim| claim.given.is_some());
        answered.map_or(self.expires_at, |claim| self.expires_at.min(claim.at + AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_spelling() {
        let text = "ab".repeat(32);
        assert!(Token::parse(&text).is_some());
        assert!(Token::parse(&text.to_uppercase()).is_none());
        assert!(Token::parse(&text[1..]).is_none());
        assert!(Token::parse(&format!("{text}0")).is_none());
    }
}

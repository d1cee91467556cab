//! What is stored of an invite and of its use, on either side.

use domain::{
    Time,
    grant::{Grant, Leaf},
    id::{GrantId, InstanceId, InviteId, Name, Spki, UserId},
    invite::Given,
    words::Nonce,
};

/// An invite to be stored.
#[derive(Clone, Debug)]
pub struct NewInvite {
    /// Which invite.
    pub id: InviteId,
    /// The grant it belongs to.
    pub grant: GrantId,
    /// [`domain::invite::Token::digest`]; the token itself is never stored.
    pub digest: [u8; 32],
    /// When it stops working.
    pub expires_at: Time,
    /// The only key that may use it.
    pub key: Option<Spki>,
    /// Whether whoever uses it waits to be let in. So it is for every later invite of the grant, whatever they say.
    pub confirm: bool,
}

/// How a grant came to its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The invite.
    pub invite: InviteId,
    /// The key that was enrolled.
    pub key: Spki,
    /// What its holder added to the words; none in what an earlier build stored.
    pub nonce: Option<Nonce>,
    /// Whether it had, or has, to be let in.
    pub confirm: bool,
    /// How often other words than its own were typed.
    pub wrong_words: u32,
}

/// The invite that was made last for a grant, as it is shown. Nobody is let in because of it: whoever can write to the database could
/// delete it as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastInvite {
    /// The only key that may use it.
    pub key: Option<Spki>,
    /// Whether whoever uses it waits to be let in.
    pub confirm: bool,
    /// Whether somebody was given a certificate for it.
    pub used: bool,
    /// When it stops working, or was made to.
    pub expires_at: Time,
}

/// What a link was made of, as its owner may type it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeOf {
    /// [`domain::invite::Invite::digest`].
    pub invite: [u8; 32],
    /// The key that was enrolled.
    pub key: Spki,
    /// The words that were shown.
    pub words: String,
}

/// What is remembered of a link whose grant the other side has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkEnd {
    /// When that was heard.
    pub at: Time,
    /// When the other side had answered last, where that was known then.
    pub last_answer: Option<Time>,
}

/// A certificate that was issued to whoever claimed an invite.
#[derive(Clone, Copy, Debug)]
pub struct Enrolment<'a> {
    /// The invite, claimed for the certificate's key.
    pub invite: InviteId,
    /// The instance that will hold it.
    pub peer: InstanceId,
    /// What that instance calls itself.
    pub peer_name: &'a Name,
    /// The certificate: serial number, key, end.
    pub leaf: &'a Leaf,
    /// X.509 DER.
    pub certificate: &'a [u8],
}

/// What an invite's holder is given: the certificate of theirs that was stored first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// The grant as it stands with that certificate.
    pub grant: Grant,
    /// The certificate.
    pub given: Given,
}

/// A key that the asking side keeps before it has a certificate for it.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkKey {
    /// Whose it is.
    pub owner: UserId,
    /// The key's name.
    pub spki: Spki,
    /// [`domain::invite::Invite::digest`] of the invite that it is used with; none while it waits for one.
    pub invite: Option<[u8; 32]>,
    /// PKCS #8 DER, sealed under the KEK.
    pub sealed_key: Vec<u8>,
    /// When it is of no more use.
    pub not_after: Time,
}

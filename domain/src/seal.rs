//! What shows that a stored grant, or an invite to one, is as the daemon wrote it: a MAC over its scope, its subject, its holder and the
//! certificates that speak for it, under a key that is never in the database. Whoever can write to the database alone can change
//! none of these, nor let anybody into a grant.
//!
//! Nothing else is sealed. A grant shows what its subject may see, within its scope: the rows themselves, and who is in which workspace, role
//! and team, are as the database says. Whoever can write there can show a grant's holder more by making its subject a member of
//! another team whose rows the scope names or does not exclude. Nor are names sealed that are only shown to people, the ceiling, and the list
//! of refused certificates: what these keep out, a sealed row does not let in.

use crate::{
    grant::{Grant, Leaf},
    id::{GrantId, InviteId, Spki},
    invite::KeptInvite,
    revoked::RevokedKey,
    secret::Secret,
    token::KeptToken,
    words::Opening,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{collections::BTreeSet, fmt, sync::Arc};

/// HMAC-SHA256, 32 bytes.
pub type Seal = [u8; 32];

/// Why a grant that the database has permits nothing. It can be ended, and nothing else is done to it. One that somebody else ended is
/// doubtful too: its end is remembered nowhere until its owner ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Its row is not as this instance wrote it.
    Tampered,
    /// It was further already.
    Older,
    /// This build cannot read it.
    Unreadable,
}

impl Doubt {
    /// What its owner can do.
    pub const fn next(self) -> &'static str {
        match self {
            Self::Tampered | Self::Older => "end it with `mosaic-fed grant revoke` and make a new one",
            Self::Unreadable => {
                "start the version that wrote it, put the database back, or end it by its id: `mosaic-fed grant revoke ID`"
            }
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tampered => "it is not as this instance wrote it: somebody has changed the database",
            Self::Older => "it had come further already: the database was put back to an earlier state",
            Self::Unreadable => "this build cannot read it: a newer one wrote it, or the database is damaged",
        })
    }
}

/// What a grant was held with since it came to its holder: a revoked key that is among these ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldKeys {
    /// The grant.
    pub grant: GrantId,
    /// How often its certificate had been followed by another one when this was written, so that an earlier state is told from a later one.
    pub renewals: u64,
    /// The invite by which it came to its holder; none of one that was enrolled before there was a record of that.
    pub invite: Option<InviteId>,
    /// The key that claimed this invite.
    pub claimed: Option<Spki>,
    /// The keys of its renewals.
    pub renewed: BTreeSet<Spki>,
}

impl HeldKeys {
    /// Whether this key is among them.
    pub fn has(&self, key: Spki) -> bool {
        self.claimed == Some(key) || self.renewed.contains(&key)
    }
}

/// The key of the MAC. Not printable.
#[derive(Clone)]
pub struct RowKey(Arc<Secret<[u8; 32]>>);

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowKey")
    }
}

impl RowKey {
    /// From 32 secret bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Secret::new(bytes)))
    }

    /// The seal of a grant that is stored with the scope `scope`, JSON.
    pub fn seal(&self, grant: &Grant, scope: &serde_json::Value) -> Seal {
        self.mac(grant, scope).finalize().into_bytes().into()
    }

    /// Whether `seal` is the one of this grant, found in constant time.
    pub fn fits(&self, grant: &Grant, scope: &serde_json::Value, seal: &[u8]) -> bool {
        self.mac(grant, scope).verify_slice(seal).is_ok()
    }

    /// What shows that this instance wrote `said` elsewhere.
    pub fn tag(&self, said: &[u8]) -> Seal {
        let mut mac = keyed(self.0.expose());
        mac.update(b"mosaic-fed word 1");
        mac.update(said);
        mac.finalize().into_bytes().into()
    }

    /// What this instance adds to the words of whoever uses an invite: always the same, and nobody else's to foresee.
    pub fn opening(&self, invite: InviteId) -> Opening {
        let mut mac = keyed(self.0.expose());
        mac.update(b"mosaic-fed words opening 1");
        mac.update(invite.0.as_bytes());
        Opening(mac.finalize().into_bytes().into())
    }

    /// The seal of an invite.
    pub fn seal_invite(&self, invite: &KeptInvite) -> Seal {
        self.mac_of_invite(invite).finalize().into_bytes().into()
    }

    /// Whether `seal` is the one of this invite, found in constant time.
    pub fn fits_invite(&self, invite: &KeptInvite, seal: &[u8]) -> bool {
        self.mac_of_invite(invite).verify_slice(seal).is_ok()
    }

    /// The seal of a key that was revoked.
    pub fn seal_revoked(&self, key: &RevokedKey) -> Seal {
        self.mac_of_revoked(key).finalize().into_bytes().into()
    }

    /// Whether `seal` is the one of this revoked key, found in constant time.
    pub fn fits_revoked(&self, key: &RevokedKey, seal: &[u8]) -> bool {
        self.mac_of_revoked(key).verify_slice(seal).is_ok()
    }

    /// The seal of what a grant was held with.
    pub fn seal_held(&self, held: &HeldKeys) -> Seal {
        self.mac_of_held(held).finalize().into_bytes().into()
    }

    /// Whether `seal` is the one of what a grant was held with, found in constant time.
    pub fn fits_held(&self, held: &HeldKeys, seal: &[u8]) -> bool {
        self.mac_of_held(held).verify_slice(seal).is_ok()
    }

    fn mac_of_held(&self, held: &HeldKeys) -> Hmac<Sha256> {
        let mut mac = keyed(self.0.expose());
        let mut part = |bytes: &[u8]| add(&mut mac, bytes);
        part(b"mosaic-fed held keys 1");
        part(held.grant.0.as_bytes());
        part(&held.renewals.to_be_bytes());
        part(held.invite.as_ref().map_or(&[], |invite| invite.0.as_bytes()));
        part(held.claimed.as_ref().map_or(&[], |key| &key.0));
        held.renewed.iter().for_each(|key| part(&key.0));
        mac
    }

    fn mac_of_revoked(&self, key: &RevokedKey) -> Hmac<Sha256> {
        let mut mac = keyed(self.0.expose());
        for part in [
            &b"mosaic-fed revoked key 1"[..],
            &key.key.0,
            &key.at.micros().to_be_bytes(),
            key.by.as_str().as_bytes(),
            key.reason.as_str().as_bytes(),
        ] {
            add(&mut mac, part);
        }
        mac
    }

    /// The seal of a program's token.
    pub fn seal_token(&self, token: &KeptToken) -> Seal {
        self.mac_of_token(token).finalize().into_bytes().into()
    }

    /// Whether `seal` is the one of this token, found in constant time.
    pub fn fits_token(&self, token: &KeptToken, seal: &[u8]) -> bool {
        self.mac_of_token(token).verify_slice(seal).is_ok()
    }

    /// All but when it was used last, which permits nothing.
    fn mac_of_token(&self, token: &KeptToken) -> Hmac<Sha256> {
        let mut mac = keyed(self.0.expose());
        for part in [
            &b"mosaic-fed program token 1"[..],
            token.id.0.as_bytes(),
            token.owner.0.as_bytes(),
            token.workspace.0.as_bytes(),
            token.name.as_str().as_bytes(),
            &token.hash,
            &token.added_at.micros().to_be_bytes(),
            &token.not_after.micros().to_be_bytes(),
        ] {
            add(&mut mac, part);
        }
        mac
    }

    /// The scope counts as it is stored, and not as a version of this program reads it: a later one knows more of it.
    fn mac(&self, grant: &Grant, scope: &serde_json::Value) -> Hmac<Sha256> {
        let mut mac = keyed(self.0.expose());
        let mut part = |bytes: &[u8]| add(&mut mac, bytes);
        part(b"mosaic-fed grant 1");
        part(grant.id.0.as_bytes());
        part(grant.name.as_str().as_bytes());
        part(grant.workspace.0.as_bytes());
        part(grant.subject.0.as_bytes());
        part(grant.peer.as_ref().map_or(&[], |peer| peer.0.as_bytes()));
        part(scope.to_string().as_bytes());
        part(grant.state.word().as_bytes());
        part(&grant.generation.to_be_bytes());
        let (next, former) = (grant.successor.as_ref(), grant.former.as_ref());
        for leaf in [grant.leaf.as_ref(), next.map(|next| &next.leaf), former.map(|former| &former.leaf)] {
            part(&leaf.map(whole).unwrap_or_default());
        }
        part(&next.map_or(0, |next| next.issued_at.micros()).to_be_bytes());
        part(&next.map_or(0, |next| next.unused).to_be_bytes());
        part(&former.map_or(0, |former| former.until.micros()).to_be_bytes());
        // A part of its own, so that what was sealed before anybody could wait stays as it was.
        if next.is_some_and(|next| next.waits) {
            part(b"waits");
        }
        // Rows that were sealed before there was this count have none.
        if grant.renewals > 0 {
            part(&grant.renewals.to_be_bytes());
        }
        mac
    }

    /// Who may use it and until when, whether they wait to be let in, and who did use it.
    fn mac_of_invite(&self, invite: &KeptInvite) -> Hmac<Sha256> {
        let mut mac = keyed(self.0.expose());
        let mut part = |bytes: &[u8]| add(&mut mac, bytes);
        part(b"mosaic-fed invite 1");
        part(invite.id.0.as_bytes());
        part(invite.grant.0.as_bytes());
        part(&invite.digest);
        part(&invite.expires_at.micros().to_be_bytes());
        part(invite.key.as_ref().map_or(&[], |key| &key.0));
        part(&[u8::from(invite.confirm)]);
        part(&invite.wrong_words.to_be_bytes());
        let claim = invite.claim.as_ref();
        part(claim.map_or(&[], |claim| &claim.key.0));
        part(&claim.map_or(0, |claim| claim.at.micros()).to_be_bytes());
        let given = claim.and_then(|claim| claim.given.as_ref());
        part(given.map_or(&[], |given| given.serial.as_bytes()));
        part(given.map_or(&[], |given| &given.certificate));
        if let Some(nonce) = claim.and_then(|claim| claim.nonce) {
            part(&nonce.0);
        }
        mac
    }
}

/// Each part is preceded by its length, so that no two rows have the same parts in a row.
fn add(mac: &mut Hmac<Sha256>, part: &[u8]) {
    mac.update(&(part.len() as u64).to_be_bytes());
    mac.update(part);
}

fn whole(leaf: &Leaf) -> Vec<u8> {
    [leaf.serial.as_bytes(), &leaf.spki.0, &leaf.not_after.micros().to_be_bytes()].concat()
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Time,
        id::{GrantId, InviteId, Serial, Spki, TokenId, UserId, WorkspaceId},
        invite::{Claim, Given},
        words::Nonce,
    };
    use uuid::Uuid;

    #[test]
    fn nothing_of_a_revoked_key_can_change_without_its_seal() {
        let (key, name) = (RowKey::new([7; 32]), |text: &str| text.parse().unwrap());
        let reason = |text: &str| text.parse().unwrap();
        let at = Time::from_seconds(100);
        let said = RevokedKey { key: Spki([3; 32]), at, by: name("dana"), reason: reason("stolen") };
        let seal = key.seal_revoked(&said);
        assert!(key.fits_revoked(&said, &seal) && !RowKey::new([8; 32]).fits_revoked(&said, &seal));
        for other in [
            RevokedKey { key: Spki([4; 32]), ..said.clone() },
            RevokedKey { at: Time::from_seconds(101), ..said.clone() },
            RevokedKey { by: name("bob"), ..said.clone() },
            RevokedKey { reason: reason(""), ..said.clone() },
            RevokedKey { by: name("danas"), reason: reason("tolen"), ..said.clone() },
        ] {
            assert!(!key.fits_revoked(&other, &seal), "{other:?}");
        }
    }

    #[test]
    fn nothing_of_what_a_grant_was_held_with_can_change_without_its_seal() {
        let (key, grant) = (RowKey::new([7; 32]), GrantId(Uuid::from_u128(1)));
        let renewed: BTreeSet<_> = [Spki([3; 32]), Spki([4; 32])].into();
        let (invite, claimed) = (Some(InviteId(Uuid::from_u128(2))), Some(Spki([2; 32])));
        let held = HeldKeys { grant, renewals: 2, invite, claimed, renewed: renewed.clone() };
        let seal = key.seal_held(&held);
        assert!(key.fits_held(&held, &seal) && !RowKey::new([8; 32]).fits_held(&held, &seal));
        assert!(held.has(Spki([2; 32])) && held.has(Spki([4; 32])) && !held.has(Spki([5; 32])));
        for other in [
            HeldKeys { grant: GrantId(Uuid::from_u128(3)), ..held.clone() },
            HeldKeys { renewals: 1, ..held.clone() },
            HeldKeys { invite: Some(InviteId(Uuid::from_u128(3))), ..held.clone() },
            HeldKeys { invite: None, ..held.clone() },
            HeldKeys { claimed: Some(Spki([5; 32])), ..held.clone() },
            HeldKeys { claimed: None, ..held.clone() },
            HeldKeys { renewed: [Spki([3; 32])].into(), ..held.clone() },
            HeldKeys { renewed: [Spki([3; 32]), Spki([5; 32])].into(), ..held.clone() },
            HeldKeys { renewed: [Spki([5; 32])].into_iter().chain(renewed).collect(), ..held.clone() },
        ] {
            assert!(!key.fits_held(&other, &seal), "{other:?}");
        }
    }

    #[test]
    fn nothing_of_a_token_can_change_without_its_seal_but_its_last_use() {
        let key = RowKey::new([7; 32]);
        let token = KeptToken {
            id: TokenId(Uuid::from_u128(1)),
            owner: UserId(Uuid::from_u128(2)),
            workspace: WorkspaceId(Uuid::from_u128(3)),
            name: "ci".parse().unwrap(),
            hash: [4; 32],
            added_at: Time::from_seconds(5),
            not_after: Time::from_seconds(6),
            used_at: None,
        };
        let seal = key.seal_token(&token);
        assert!(key.fits_token(&KeptToken { used_at: Some(Time::from_seconds(5)), ..token.clone() }, &seal));
        for other in [
            KeptToken { id: TokenId(Uuid::from_u128(9)), ..token.clone() },
            KeptToken { owner: UserId(Uuid::from_u128(9)), ..token.clone() },
            KeptToken { workspace: WorkspaceId(Uuid::from_u128(9)), ..token.clone() },
            KeptToken { name: "cd".parse().unwrap(), ..token.clone() },
            KeptToken { hash: [9; 32], ..token.clone() },
            KeptToken { added_at: Time::from_seconds(4), ..token.clone() },
            KeptToken { not_after: Time::from_seconds(7), ..token.clone() },
        ] {
            assert!(!key.fits_token(&other, &seal), "{other:?}");
        }
    }

    #[test]
    fn nothing_of_an_invite_can_change_without_its_seal() {
        let key = RowKey::new([7; 32]);
        let given = Given { serial: Serial::new(&[9; 16]).unwrap(), certificate: vec![48; 40] };
        let claim = Claim {
            key: Spki([3; 32]),
            nonce: Some(Nonce([4; 32])),
            at: Time::from_seconds(100),
            given: Some(given.clone()),
        };
        let invite = KeptInvite {
            id: InviteId(Uuid::from_u128(1)),
            grant: GrantId(Uuid::from_u128(2)),
            digest: [5; 32],
            expires_at: Time::from_seconds(1_000),
            key: Some(Spki([3; 32])),
            confirm: true,
            wrong_words: 1,
            claim: Some(claim.clone()),
        };
        let claimed = |claim: Claim| KeptInvite { claim: Some(claim), ..invite.clone() };
        let gave = |given: Given| claimed(Claim { given: Some(given), ..claim.clone() });
        let others = [
            KeptInvite { id: InviteId(Uuid::from_u128(3)), ..invite.clone() },
            KeptInvite { grant: GrantId(Uuid::from_u128(3)), ..invite.clone() },
            KeptInvite { digest: [6; 32], ..invite.clone() },
            KeptInvite { expires_at: Time::from_seconds(1_001), ..invite.clone() },
            KeptInvite { key: None, ..invite.clone() },
            KeptInvite { confirm: false, ..invite.clone() },
            KeptInvite { wrong_words: 0, ..invite.clone() },
            KeptInvite { claim: None, ..invite.clone() },
            claimed(Claim { key: Spki([4; 32]), ..claim.clone() }),
            claimed(Claim { nonce: Some(Nonce([5; 32])), ..claim.clone() }),
            claimed(Claim { nonce: None, ..claim.clone() }),
            claimed(Claim { at: Time::from_seconds(101), ..claim.clone() }),
            claimed(Claim { given: None, ..claim.clone() }),
            gave(Given { serial: Serial::new(&[8; 16]).unwrap(), ..given.clone() }),
            gave(Given { certificate: vec![49; 40], ..given.clone() }),
        ];
        let seal = key.seal_invite(&invite);
        assert!(key.fits_invite(&invite, &seal) && !RowKey::new([8; 32]).fits_invite(&invite, &seal));
        for other in others {
            assert!(!key.fits_invite(&other, &seal), "{other:?}");
        }
    }
}

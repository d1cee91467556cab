//! What an invite says, as it is handed from person to person: one line that shows when any of it is missing or changed.

use super::Token;
use crate::{
    Time,
    armour::{self, CALLING, CHECK, INVITE, Torn},
    id::{GrantId, InstanceId, Name, Spki},
    secret::Secret,
    words::Commitment,
};
use prost::Message;
use proto::v1;
use sha2::{Digest, Sha256};

/// What an invite string says, read and checked.
#[derive(Clone)]
pub struct Invite {
    /// The token, 64 hex digits.
    pub token: Secret<String>,
    /// Where the federation listener is, `host:port`, in the order to try.
    pub addresses: Vec<String>,
    /// Where the enrolment listener is.
    pub enrol_addresses: Vec<String>,
    /// The name to verify in the sharing side's certificate.
    pub tls_name: String,
    /// The only trust anchor of the link, X.509 DER.
    pub root: Vec<u8>,
    /// The sharing instance.
    pub instance: InstanceId,
    /// What it calls itself.
    pub instance_name: Name,
    /// The grant.
    pub grant: GrantId,
    /// What is offered.
    pub offer: Offer,
    /// When the token stops working.
    pub expires_at: Time,
    /// What the sharing side will add to the words, as a commitment.
    pub commitment: Commitment,
    /// The only key that may use it; none where any may, once.
    pub key: Option<Spki>,
}

/// The public part of a grant.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Offer {
    /// What the sharing side calls the grant.
    pub grant_name: Name,
    /// The workspace whose rows are shared.
    pub workspace: Name,
    /// What is shared.
    pub resources: Vec<String>,
    /// On whose behalf rows are read.
    pub subject: Name,
    /// When the grant ends.
    pub not_after: Time,
}

/// What two people compare of an instance's root certificate, X.509 DER: SHA-256, 64 lower-case hex digits.
pub fn fingerprint(root: &[u8]) -> String {
    hex::encode(Sha256::digest(root))
}

/// The text is no invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadInvite {
    /// It does not begin with `mfi1.`.
    #[error(
        "this is no invite: it does not begin with `{INVITE}`; paste the whole line that `mosaic-fed invite` printed"
    )]
    NoInvite,
    /// What `link await` printed in its place: the other way round.
    #[error(
        "this is what `mosaic-fed link await` printed, and no invite; it goes to the other side's owner, who types \
         `mosaic-fed invite NAME --share KINDS --call -` there"
    )]
    Call,
    /// It ends before all of it is said.
    #[error("this invite is cut off: {}; copy the whole line again", came(*.0))]
    Cut(usize),
    /// Characters are missing or changed.
    #[error("this invite is damaged: characters are missing or changed; copy the whole line again")]
    Damaged,
    /// It is whole, but says something impossible.
    #[error("this invite is whole but its `{0}` is not usable; ask for a new one from an instance of this version")]
    Field(&'static str),
}

/// Characters of an invite with an address or two.
const USUAL: usize = 1_100;
/// The last field that every invite has, `words_commitment`; the one that only a bound one has behind it; and the wire type of all of them.
const LAST_FIELD: u8 = 11;
const KEY_FIELD: u8 = 12;
const WITH_LENGTH: u8 = 2;
/// Hex digits of a key's name.
const KEY_DIGITS: u8 = 64;
/// Far above any real invite (about 1 kB); what is longer is not read.
const MAX_TEXT: usize = 64 * 1024;
/// Of each kind: an invite is no list of places to knock at.
pub(crate) const MAX_ADDRESSES: usize = 16;

impl Invite {
    /// The string to hand over: `mfi1.`, then base64url of the message and 4 bytes of its SHA-256.
    pub fn encode(&self) -> String {
        armour::wrap(INVITE, self.to_wire().encode_to_vec())
    }

    /// Reads an invite string; blanks around and line breaks within it are forgiven.
    pub fn decode(text: &str) -> Result<Self, BadInvite> {
        let text = armour::pasted(text, MAX_TEXT);
        let text = text.expose();
        if text.starts_with(CALLING) {
            return Err(BadInvite::Call);
        }
        let body = text.strip_prefix(INVITE).ok_or(BadInvite::NoInvite)?;
        let message = armour::unwrap(body, ends_early).map_err(|torn| match torn {
            Torn::Cut => BadInvite::Cut(text.len()),
            Torn::Damaged => BadInvite::Damaged,
        })?;
        Self::from_wire(v1::Invite::decode(&message.expose()[..]).map_err(|_| BadInvite::Damaged)?)
    }

    /// What names the whole of it: SHA-256 over a fixed prefix and the message. Another invite, though it has the same token, has
    /// another.
    pub fn digest(&self) -> [u8; 32] {
        let whole = self.to_wire().encode_to_vec();
        Sha256::new_with_prefix(b"mosaic-fed whole invite 1\0").chain_update(whole).finalize().into()
    }

    fn to_wire(&self) -> v1::Invite {
        v1::Invite {
            token: self.token.expose().clone(),
            addresses: self.addresses.clone(),
            enrol_addresses: self.enrol_addresses.clone(),
            tls_name: self.tls_name.clone(),
            root: self.root.clone(),
            instance_id: self.instance.to_string(),
            instance_name: self.instance_name.to_string(),
            grant_id: self.grant.to_string(),
            offer: Some(v1::Offer {
                grant_name: self.offer.grant_name.to_string(),
                workspace: self.offer.workspace.to_string(),
                resources: self.offer.resources.clone(),
                subject: self.offer.subject.to_string(),
                not_after: Some(crate::wire::timestamp(self.offer.not_after)),
            }),
            expires_at: Some(crate::wire::timestamp(self.expires_at)),
            words_commitment: self.commitment.0.to_vec(),
            key: self.key.map(|key| key.to_string()).unwrap_or_default(),
        }
    }

    fn from_wire(wire: v1::Invite) -> Result<Self, BadInvite> {
        let field = BadInvite::Field;
        let some = |list: Vec<String>, name| {
            let few = (1..=MAX_ADDRESSES).contains(&list.len());
            if few { Ok(list) } else { Err(field(name)) }
        };
        Token::parse(&wire.token).ok_or(field("token"))?;
        Ok(Self {
            token: Secret::new(wire.token),
            addresses: some(wire.addresses, "addresses")?,
            enrol_addresses: some(wire.enrol_addresses, "enrol_addresses")?,
            tls_name: wire.tls_name,
            root: if wire.root.is_empty() { Err(field("root"))? } else { wire.root },
            instance: wire.instance_id.parse().map_err(|_| field("instance_id"))?,
            instance_name: wire.instance_name.parse().map_err(|_| field("instance_name"))?,
            grant: wire.grant_id.parse().map_err(|_| field("grant_id"))?,
            offer: offer(wire.offer.ok_or(field("offer"))?)?,
            expires_at: wire.expires_at.map(crate::wire::time).ok_or(field("expires_at"))?,
            commitment: wire
                .words_commitment
                .try_into()
                .map(Commitment)
                .map_err(|_: Vec<u8>| field("words_commitment"))?,
            key: key(&wire.key)?,
        })
    }
}

/// How much of one came. How much there was is not in what is left of it; most are of one length.
fn came(characters: usize) -> String {
    if characters < USUAL {
        format!("{characters} of its about {USUAL} characters are there")
    } else {
        format!("it goes on after the {characters} characters that are there")
    }
}

/// Whether the bytes end before the message does, as the lengths of its fields say: it has eleven or twelve, in order, all of them
/// with a length (Protocol Buffers, "Message Structure"), and the check after them.
fn ends_early(bytes: &[u8]) -> bool {
    let (mut rest, mut field) = (bytes, 0);
    while field < LAST_FIELD {
        let Some((tag, after)) = rest.split_first() else { return true };
        let (next, kind) = (tag >> 3, tag & 7);
        if kind != WITH_LENGTH || next < field.max(1) || next > LAST_FIELD {
            return false;
        }
        rest = after;
        let Ok(length) = prost::decode_length_delimiter(&mut rest) else { return after.len() < 10 };
        match rest.get(length..) {
            Some(after) => (rest, field) = (after, next),
            None => return true,
        }
    }
    match rest {
        [tag, length, key @ ..] if *tag == KEY_FIELD << 3 | WITH_LENGTH && *length == KEY_DIGITS => {
            key.len() < usize::from(KEY_DIGITS) + CHECK
        }
        check => check.len() < CHECK,
    }
}

fn key(text: &str) -> Result<Option<Spki>, BadInvite> {
    let key = (!text.is_empty()).then(|| text.parse().map_err(|_| BadInvite::Field("key")));
    key.transpose()
}

fn offer(wire: v1::Offer) -> Result<Offer, BadInvite> {
    let bad = |_| BadInvite::Field("offer");
    Ok(Offer {
        grant_name: wire.grant_name.parse().map_err(bad)?,
        workspace: wire.workspace.parse().map_err(bad)?,
        resources: wire.resources,
        subject: wire.subject.parse().map_err(bad)?,
        not_after: wire.not_after.map(crate::wire::time).ok_or(BadInvite::Field("offer"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Opening;
    use uuid::Uuid;

    fn invite() -> Invite {
        Invite {
            token: Secret::new("ab".repeat(32)),
            addresses: vec!["[::1]:7443".into()],
            enrol_addresses: vec!["[::1]:7444".into()],
            tls_name: "x.mosaic-fed.internal".into(),
            root: vec![48; 400],
            instance: InstanceId(Uuid::from_u128(1)),
            instance_name: "office".parse().unwrap(),
            grant: GrantId(Uuid::from_u128(2)),
            offer: Offer {
                grant_name: "home".parse().unwrap(),
                workspace: "main".parse().unwrap(),
                resources: vec!["tasks".into()],
                subject: "alice".parse().unwrap(),
                not_after: Time::from_seconds(1_800_000_000),
            },
            expires_at: Time::from_seconds(1_790_000_900),
            commitment: Opening([5; 32]).commitment(),
            key: None,
        }
    }

    #[test]
    fn another_invite_with_the_same_token_is_another() {
        let digest = invite().digest();
        assert_eq!(Invite::decode(&invite().encode()).unwrap().digest(), digest);
        let others = [
            Invite { addresses: vec!["[::1]:9443".into()], ..invite() },
            Invite { root: vec![49; 400], ..invite() },
            Invite { grant: GrantId(Uuid::from_u128(3)), ..invite() },
            Invite { commitment: Opening([6; 32]).commitment(), ..invite() },
            bound(),
        ];
        for other in others {
            assert_ne!(other.digest(), digest);
        }
    }

    #[test]
    fn an_invite_without_a_commitment_to_its_words_is_refused() {
        for odd in [Vec::new(), vec![5; 31], vec![5; 33]] {
            let odd = v1::Invite { words_commitment: odd, ..invite().to_wire() };
            assert_eq!(Invite::from_wire(odd).err(), Some(BadInvite::Field("words_commitment")));
        }
    }

    #[test]
    fn an_invite_survives_being_wrapped_over_lines() {
        let text = invite().encode();
        let wrapped = format!("  {}\n{}  ", &text[..40], &text[40..]);
        let read = Invite::decode(&wrapped).unwrap();
        assert_eq!(read.offer, invite().offer);
        assert_eq!(read.token.expose(), invite().token.expose());
    }

    fn bound() -> Invite {
        Invite { key: Some(Spki([0xab; 32])), ..invite() }
    }

    #[test]
    fn the_key_that_an_invite_is_bound_to_is_said_in_it_and_one_without_says_nothing() {
        assert_eq!(Invite::decode(&bound().encode()).unwrap().key, bound().key);
        assert_eq!(Invite::decode(&invite().encode()).unwrap().key, None);
        // What a reader of before sees: the same message, with a field behind it that it does not know.
        let known = v1::Invite { key: String::new(), ..bound().to_wire() };
        assert_eq!(known, invite().to_wire());
        let odd = v1::Invite { key: "ab".to_owned(), ..invite().to_wire() };
        assert_eq!(Invite::from_wire(odd).err(), Some(BadInvite::Field("key")));
    }

    #[test]
    fn every_damage_is_noticed() {
        for invite in [invite(), bound()] {
            every_damage_of(&invite);
        }
        assert_eq!(Invite::decode("https://example.org").err(), Some(BadInvite::NoInvite));
        assert_eq!(Invite::decode("mfa1.AAAA").err(), Some(BadInvite::Call));
    }

    fn every_damage_of(invite: &Invite) {
        let text = invite.encode();
        for at in INVITE.len()..text.len() {
            let cut = Invite::decode(&text[..at]).err();
            // Of one that is bound the first bytes of its last field may be taken for the check.
            let unclear = invite.key.is_some() && cut == Some(BadInvite::Damaged) && text.len() - at > 86;
            assert!(cut == Some(BadInvite::Cut(at)) || unclear, "cut at {at}: {cut:?}");
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(Invite::decode(std::str::from_utf8(&changed).unwrap()).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn one_that_is_cut_off_says_how_much_of_it_is_there() {
        let said = |characters| BadInvite::Cut(characters).to_string();
        assert!(said(412).starts_with("this invite is cut off: 412 of its about 1100 characters are there; "));
        assert!(said(1_400).contains("it goes on after the 1400 characters that are there; "));
        let text = invite().encode();
        for at in [40, 300, text.len() - 6] {
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(Invite::decode(&changed).err(), Some(BadInvite::Damaged), "{at}");
        }
    }
}

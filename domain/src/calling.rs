//! What an asking side hands over so that the sharing side calls it: where, under which id, and the secret that both prove and
//! seal with. The text is short and of one shape, so that a damaged one is told from one that is cut off.
//!
//! The message: id (16), secret (32), name of the key that the invite is to be bound to (32), end in seconds since 1970 (8,
//! big-endian), number of addresses (1), each as length (1) and ASCII.

use crate::{
    Time,
    armour::{self, CALLING, CHECK, INVITE, Torn},
    id::{AwaitId, Spki},
    invite::MAX_ADDRESSES,
    reach::Address,
    secret::Secret,
    world::World,
};
use std::time::Duration;
use uuid::Uuid;

/// How long an asking side waits to be called. Whoever reads the text on its way can have rows of their own shown under the waiting name,
/// once, and is given none: the invite is bound to the key that the text names, also where somebody else answers the call. So it may lie in a
/// mail until its owner is back.
pub const AWAIT_LIFE: Duration = Duration::from_hours(7 * 24);

/// An asking side that waits to be called, as the sharing side is told of it.
#[derive(Clone)]
pub struct Calling {
    /// Which of those that wait.
    pub id: AwaitId,
    /// What proves a call, and seals what is said before TLS.
    pub secret: Secret<[u8; 32]>,
    /// The only key that may use the invite.
    pub key: Spki,
    /// Where to call, `host:port`, in the order to try.
    pub addresses: Vec<String>,
    /// When it is waited for no longer.
    pub expires_at: Time,
}

/// The text is none that `link await` printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCalling {
    /// It does not begin as one.
    #[error(
        "this does not say where to call: it does not begin with `{CALLING}`; paste the whole line that `mosaic-fed link await` printed there"
    )]
    Other,
    /// An invite in its place: the other way round.
    #[error(
        "this is an invite: it is used with `mosaic-fed link`; --call takes what `mosaic-fed link await` prints on the other instance"
    )]
    Invite,
    /// It ends before all of it is said.
    #[error("this text is cut off after {0} characters; copy the whole line again")]
    Cut(usize),
    /// Characters are missing or changed.
    #[error("this text is damaged: characters are missing or changed; copy the whole line again")]
    Damaged,
    /// It is whole, but says something impossible.
    #[error("this text is whole but its `{0}` is not usable; ask for a new one from an instance of this version")]
    Field(&'static str),
}

/// Id, secret, key, end, number of addresses.
const FIXED: usize = 16 + 32 + 32 + 8 + 1;
/// Above the longest one there can be; what is longer is not read.
const MAX_TEXT: usize = 8 * 1024;

impl Calling {
    /// One that waits from now on, for an invite that is bound to `key`.
    pub fn new(world: &World, key: Spki, addresses: Vec<String>) -> Self {
        let (id, secret) = (AwaitId(world.uuid()), Secret::new(world.bytes()));
        Self { id, secret, key, addresses, expires_at: world.now() + AWAIT_LIFE }
    }

    /// The string to hand over.
    pub fn encode(&self) -> Secret<String> {
        let mut body = self.id.0.as_bytes().to_vec();
        body.extend(self.secret.expose());
        body.extend(self.key.0);
        body.extend(u64::try_from(self.expires_at.micros() / 1_000_000).unwrap_or_default().to_be_bytes());
        body.extend(u8::try_from(self.addresses.len()));
        for address in &self.addresses {
            body.extend(u8::try_from(address.len()));
            body.extend(address.as_bytes());
        }
        Secret::new(armour::wrap(CALLING, body))
    }

    /// Reads the string; blanks around and line breaks within it are forgiven.
    pub fn decode(text: &str) -> Result<Self, BadCalling> {
        let text = armour::pasted(text, MAX_TEXT);
        let text = text.expose();
        if text.starts_with(INVITE) {
            return Err(BadCalling::Invite);
        }
        let body = text.strip_prefix(CALLING).ok_or(BadCalling::Other)?;
        let message = armour::unwrap(body, ends_early).map_err(|torn| match torn {
            Torn::Cut => BadCalling::Cut(text.len()),
            Torn::Damaged => BadCalling::Damaged,
        })?;
        Self::read(message.expose())
    }

    fn read(message: &[u8]) -> Result<Self, BadCalling> {
        let (id, rest) = message.split_first_chunk::<16>().ok_or(BadCalling::Damaged)?;
        let (secret, rest) = rest.split_first_chunk::<32>().ok_or(BadCalling::Damaged)?;
        let (key, rest) = rest.split_first_chunk::<32>().ok_or(BadCalling::Damaged)?;
        let (end, rest) = rest.split_first_chunk::<8>().ok_or(BadCalling::Damaged)?;
        let (count, mut rest) = rest.split_first().ok_or(BadCalling::Damaged)?;
        let mut addresses = Vec::new();
        while let Some((length, after)) = rest.split_first() {
            let (address, after) = after.split_at_checked(usize::from(*length)).ok_or(BadCalling::Damaged)?;
            addresses.push(dialable(address).ok_or(BadCalling::Field("addresses"))?);
            rest = after;
        }
        if !(1..=MAX_ADDRESSES).contains(&addresses.len()) || addresses.len() != usize::from(*count) {
            return Err(BadCalling::Field("addresses"));
        }
        let end = i64::try_from(u64::from_be_bytes(*end)).ok().filter(|end| *end < 1 << 40);
        Ok(Self {
            id: AwaitId(Uuid::from_bytes(*id)),
            secret: Secret::new(*secret),
            key: Spki(*key),
            addresses,
            expires_at: Time::from_seconds(end.ok_or(BadCalling::Field("expires_at"))?),
        })
    }
}

/// Whether these bytes end before what their lengths say that there is.
fn ends_early(bytes: &[u8]) -> bool {
    let said = bytes
        .get(FIXED - 1)
        .and_then(|count| (0..*count).try_fold(FIXED, |at, _| Some(at + 1 + usize::from(*bytes.get(at)?))));
    said.is_none_or(|message| message + CHECK > bytes.len())
}

fn dialable(address: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(address).ok()?;
    text.parse::<Address>().is_ok().then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calling() -> Calling {
        Calling {
            id: AwaitId(Uuid::from_u128(0x0f8f_ad5b_d9cb_469f_a165_7086_7728_950e)),
            secret: Secret::new([0xab; 32]),
            key: Spki([0xcd; 32]),
            addresses: vec!["192.0.2.7:7445".into(), "[2001:db8::7]:7445".into()],
            expires_at: Time::from_seconds(1_795_000_000),
        }
    }

    #[test]
    fn what_was_encoded_is_read_again_also_with_line_breaks() {
        let text = calling().encode().expose().clone();
        let broken: String = text
            .chars()
            .enumerate()
            .flat_map(|(n, c)| if n % 20 == 0 { vec!['\n', ' ', c] } else { vec![c] })
            .collect();
        for text in [text, broken] {
            let read = Calling::decode(&text).ok().unwrap();
            let wrote = calling();
            assert_eq!((read.id, read.addresses, read.expires_at), (wrote.id, wrote.addresses, wrote.expires_at));
            assert_eq!(read.key, wrote.key);
            assert!(read.secret.matches(wrote.secret.expose()));
        }
    }

    #[test]
    fn one_that_is_cut_off_anywhere_says_so_and_one_that_is_changed_is_damaged() {
        let text = calling().encode().expose().clone();
        for end in CALLING.len()..text.len() {
            assert_eq!(Calling::decode(&text[..end]).err(), Some(BadCalling::Cut(end)), "{end}");
        }
        for at in CALLING.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let error = Calling::decode(std::str::from_utf8(&changed).unwrap()).err();
            // A changed length may make it look cut off: also then the whole line is to be copied again.
            assert!(matches!(error, Some(BadCalling::Damaged | BadCalling::Cut(_))), "{at}: {error:?}");
        }
        assert_eq!(Calling::decode(&format!("{text}AAAA")).err(), Some(BadCalling::Damaged));
        assert_eq!(Calling::decode("mfi1.AAAA").err(), Some(BadCalling::Invite));
        assert_eq!(Calling::decode("hello").err(), Some(BadCalling::Other));
    }

    #[test]
    fn an_address_that_nobody_can_call_is_named() {
        for bad in ["nowhere", "host:0", "host:70000", ":7445", "ho st:1", "user@h:1", "h:+1", "h\u{1b}[2J:1"] {
            let text = Calling { addresses: vec![bad.to_owned()], ..calling() }.encode();
            assert_eq!(Calling::decode(text.expose()).err(), Some(BadCalling::Field("addresses")), "{bad}");
        }
        for many in [0, MAX_ADDRESSES + 1] {
            let text = Calling { addresses: vec!["h:1".to_owned(); many], ..calling() }.encode();
            assert_eq!(Calling::decode(text.expose()).err(), Some(BadCalling::Field("addresses")), "{many}");
        }
    }
}

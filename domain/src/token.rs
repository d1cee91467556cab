//! What a program shows at its own instance's HTTP port: 256 random bits, bound to one local user in one workspace. Written as a
//! prefix, the bits and a check, so that people and scanners recognise one and a cut one is told before anything is looked up. Shown
//! once, stored only as its hash.

use crate::{
    Time,
    armour::{self, TOKEN},
    id::{Name, TokenId, UserId, WorkspaceId},
    secret::Secret,
    world::World,
};
use sha2::{Digest, Sha256};
use std::{fmt, time::Duration};
use subtle::ConstantTimeEq;

/// Tokens of one user, at most.
pub const MOST: usize = 50;
/// How long one lives that nobody said anything else of, in days.
pub const DAYS: u32 = 90;
/// How long one lives at most, in days.
pub const MOST_DAYS: u32 = 366;
/// When it was used last is kept this coarsely.
pub const COARSE: Duration = Duration::from_hours(1);
/// Its length as text: the prefix, then 36 bytes in base64url.
const LENGTH: usize = TOKEN.len() + 48;

/// A token, as a program has it.
pub struct ProgramToken(Secret<[u8; 32]>);

impl ProgramToken {
    /// A new one.
    pub fn generate(world: &World) -> Self {
        Self(Secret::new(world.bytes()))
    }

    /// Reads exactly what [`ProgramToken::encode`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(TOKEN).filter(|_| text.len() == LENGTH)?;
        let bytes = armour::unwrap(body, |_| false).ok()?;
        Some(Self(Secret::new(bytes.expose().as_slice().try_into().ok()?)))
    }

    /// Whether a text has what looks like one in it, whole or not.
    pub fn is_in(text: &str) -> bool {
        text.contains(TOKEN)
    }

    /// The text to hand over, once.
    pub fn encode(&self) -> Secret<String> {
        Secret::new(armour::wrap(TOKEN, self.0.expose().to_vec()))
    }

    /// By which it is found. Whoever knows it knows nothing of the token.
    pub fn id(&self) -> TokenId {
        let hash = self.hashed(b"mosaic-fed program token id 1\0");
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        TokenId(uuid::Builder::from_random_bytes(id).into_uuid())
    }

    /// What is stored of it: it is random and needs no salt.
    pub fn hash(&self) -> [u8; 32] {
        self.hashed(b"mosaic-fed program token 1\0")
    }

    /// Whether this is what was kept, in time that does not depend on where the two differ.
    pub fn is(&self, kept: &KeptToken) -> bool {
        self.hash().ct_eq(&kept.hash).into()
    }

    fn hashed(&self, what_for: &[u8]) -> [u8; 32] {
        Sha256::new_with_prefix(what_for).chain_update(self.0.expose()).finalize().into()
    }
}

/// What an instance keeps of a token.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptToken {
    /// Which one.
    pub id: TokenId,
    /// Whose; whoever shows it acts as them.
    pub owner: UserId,
    /// The one workspace that it is for.
    pub workspace: WorkspaceId,
    /// What its owner calls it.
    pub name: Name,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// Since when.
    pub added_at: Time,
    /// From when on it is good for nothing.
    pub not_after: Time,
    /// When it was used last, to the hour.
    pub used_at: Option<Time>,
}

impl KeptToken {
    /// What is kept of a new one.
    pub fn of(token: &ProgramToken, (owner, workspace): (UserId, WorkspaceId), name: Name, life: Lifetime) -> Self {
        let Lifetime { added_at, not_after } = life;
        Self { id: token.id(), owner, workspace, name, hash: token.hash(), added_at, not_after, used_at: None }
    }

    /// Whether it is over.
    pub fn has_expired(&self, now: Time) -> bool {
        now >= self.not_after
    }

    /// Whether it is time to write down that it was used.
    pub fn is_used_anew(&self, now: Time) -> bool {
        self.used_at.is_none_or(|at| now.since(at) >= COARSE)
    }
}

impl fmt::Debug for KeptToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} in {}, {} to {}", self.name, self.owner, self.workspace, self.added_at, self.not_after)
    }
}

/// From when until when a token is good.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// Its beginning.
    pub added_at: Time,
    /// Its end.
    pub not_after: Time,
}

impl Lifetime {
    /// So many days from `now` on; none where that is none, or more than [`MOST_DAYS`].
    pub fn days(now: Time, days: u32) -> Option<Self> {
        let fits = (1..=MOST_DAYS).contains(&days);
        fits.then(|| Self { added_at: now, not_after: now + Duration::from_hours(24) * days })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{FakeClock, SeededRng};
    use std::sync::Arc;

    fn world() -> World {
        World::new(Arc::new(FakeClock::new(Time::from_seconds(1_000))), Arc::new(SeededRng::new(3)))
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_a_damaged_one_is_none() {
        let token = ProgramToken::generate(&world());
        let text = token.encode().expose().clone();
        assert!(text.starts_with("mft1.") && text.len() == LENGTH, "{text}");
        let read = ProgramToken::parse(&text).unwrap();
        assert_eq!((read.id(), read.hash()), (token.id(), token.hash()));
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert!(ProgramToken::parse(&String::from_utf8(other).unwrap()).is_none(), "{at}");
            assert!(ProgramToken::parse(&text[..at]).is_none(), "{at}");
        }
        assert!(ProgramToken::parse(&format!(" {text}")).is_none() && ProgramToken::parse("").is_none());
    }

    #[test]
    fn only_the_very_token_is_what_was_kept() {
        let world = world();
        let (token, other) = (ProgramToken::generate(&world), ProgramToken::generate(&world));
        let life = Lifetime::days(world.now(), DAYS).unwrap();
        let whose = (UserId(world.uuid()), WorkspaceId(world.uuid()));
        let kept = KeptToken::of(&token, whose, "ci".parse().unwrap(), life);
        assert!(token.is(&kept) && !other.is(&kept) && token.id() != other.id());
        assert!(!kept.has_expired(life.added_at) && kept.has_expired(life.not_after));
        assert!(Lifetime::days(world.now(), 0).is_none() && Lifetime::days(world.now(), MOST_DAYS + 1).is_none());
    }

    #[test]
    fn the_last_use_is_kept_to_the_hour() {
        let world = world();
        let life = Lifetime::days(world.now(), 1).unwrap();
        let whose = (UserId(world.uuid()), WorkspaceId(world.uuid()));
        let kept = KeptToken::of(&ProgramToken::generate(&world), whose, "ci".parse().unwrap(), life);
        assert!(kept.is_used_anew(world.now()));
        let used = KeptToken { used_at: Some(world.now()), ..kept };
        assert!(!used.is_used_anew(world.now() + Duration::from_mins(59)) && used.is_used_anew(world.now() + COARSE));
    }
}

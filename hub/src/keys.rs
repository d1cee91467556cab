//! Keys that are kept before there is a certificate for them. An invite is used up by the key that it is sent with; as long as
//! that key is kept, whoever was cut off in the middle goes on with the same invite.

use crate::{Asker, Hub, HubError};
use domain::{
    Time,
    id::{Spki, UserId},
    invite::{BOUND_LIFE, Invite, OPEN_LIFE},
};
use pki::RequestKey;
use std::time::Duration;
use store::LinkKey;

/// How long a prepared key waits for its invite.
const PREPARED_LIFE: Duration = Duration::from_hours(30 * 24);
/// Of one user's.
const MOST_PREPARED: usize = 16;

/// A key that waits for an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its name, to be given to whoever invites.
    pub key: Spki,
    /// When it is forgotten.
    pub not_after: Time,
}

/// Where a kept key's seal belongs; it opens nowhere else.
fn context(owner: UserId, spki: Spki) -> String {
    format!("kept key {spki} of user {owner}")
}

impl Hub {
    /// Makes a key and keeps it, for an invite that is to be bound to it.
    pub async fn prepare(&self, asker: &Asker) -> Result<Prepared, HubError> {
        let kept = self.store.link_keys(asker.user).await?;
        let waiting: Vec<_> = kept.iter().filter(|kept| kept.invite.is_none()).collect();
        if let Some(last) = waiting.last().filter(|_| waiting.len() >= MOST_PREPARED) {
            return Err(HubError::PreparedKey(format!(
                "you have {MOST_PREPARED} prepared keys that no invite was used with; use one of them, the last is {}, or wait until \
                 the first is forgotten at {}",
                last.spki, waiting[0].not_after
            )));
        }
        let key = RequestKey::generate().map_err(unusable)?;
        let kept = self.keep_key(asker, &key, None, self.world.now() + PREPARED_LIFE).await?;
        Ok(Prepared { key: kept.spki, not_after: kept.not_after })
    }

    /// The key that this invite is used with: the one that it is bound to, the one that was kept for it, or a new one, kept before
    /// it is shown to anybody.
    pub(crate) async fn key_for(&self, asker: &Asker, invite: &Invite) -> Result<RequestKey, HubError> {
        let digest = invite.digest();
        let kept = self.store.link_keys(asker.user).await?;
        if let Some(bound) = invite.key {
            // One that was kept for another invite has been shown to whoever made that one.
            let prepared = kept.iter().find(|kept| kept.spki == bound && kept.invite.is_none());
            return self.opened(prepared.ok_or_else(|| no_such_key(bound, invite))?);
        }
        if let Some(kept) = kept.iter().find(|kept| kept.invite == Some(digest)) {
            return self.opened(kept);
        }
        let key = RequestKey::generate().map_err(unusable)?;
        let now = self.world.now();
        // By our clock the invite may be over already, or have years to live; it is the other side's clock that decides.
        let not_after = invite.expires_at.clamp(now + OPEN_LIFE, now + BOUND_LIFE);
        self.keep_key(asker, &key, Some(digest), not_after).await?;
        Ok(key)
    }

    async fn keep_key(
        &self,
        asker: &Asker,
        key: &RequestKey,
        invite: Option<[u8; 32]>,
        not_after: Time,
    ) -> Result<LinkKey, HubError> {
        let sealed_key = self.kek.seal(&context(asker.user, key.spki), key.key_pkcs8.expose()).map_err(unusable)?;
        let kept = LinkKey { owner: asker.user, spki: key.spki, invite, sealed_key, not_after };
        self.store.keep_link_key(&kept).await?;
        Ok(kept)
    }

    fn opened(&self, kept: &LinkKey) -> Result<RequestKey, HubError> {
        let key = self.kek.open(&context(kept.owner, kept.spki), &kept.sealed_key).map_err(unusable)?;
        RequestKey::again(&key).map_err(unusable)
    }

    /// Forgets a key that the link has now, or that is of no more use. If it stays for now, its time ends it.
    pub(crate) async fn forget_key(&self, asker: &Asker, key: Spki) {
        if let Err(error) = self.store.forget_link_key(asker.user, key).await {
            tracing::warn!(%error, "a key that is of no more use is kept until its time is over");
        }
    }
}

/// What to do with an invite that somebody else's key, or one that is not kept any more, was named for.
fn no_such_key(bound: Spki, invite: &Invite) -> HubError {
    HubError::PreparedKey(format!(
        "this invite is bound to the key {bound}, which is not kept here for you; use it where and as whom that key was made, or make one \
         with `mosaic-fed link --prepare` and send its fingerprint to the owner of {}, who makes another invite with --key",
        invite.instance_name
    ))
}

fn unusable(error: impl std::fmt::Display) -> HubError {
    HubError::Key(error.to_string())
}

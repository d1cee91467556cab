//! Keys that are kept before there is a certificate for them. An invite is used up by the key that it is sent with; as long as
//! that key is kept, whoever was cut off in the middle goes on with the same invite.

use crate::{Asker, Hub, HubError};
use domain::{
    id::{Spki, UserId},
    invite::{Invite, MAX_LIFE, OPEN_LIFE, Token},
};
use pki::RequestKey;
use store::LinkKey;

/// Where a kept key's seal belongs; it opens nowhere else.
fn context(owner: UserId, spki: Spki) -> String {
    format!("kept key {spki} of user {owner}")
}

impl Hub {
    /// The key that this invite is used with: the one that was kept for it, or a new one, kept before it is shown to anybody.
    pub(crate) async fn key_for(&self, asker: &Asker, invite: &Invite) -> Result<RequestKey, HubError> {
        let digest = Token::parse(invite.token.expose()).map(|token| token.digest());
        let kept = self.store.link_keys(asker.user).await?;
        if let Some(kept) = kept.iter().find(|kept| kept.invite.is_some() && kept.invite == digest) {
            return self.opened(kept);
        }
        let key = RequestKey::generate().map_err(unusable)?;
        let now = self.world.now();
        // By our clock the invite may be over already, or have years to live; it is the other side's clock that decides.
        let not_after = invite.expires_at.clamp(now + OPEN_LIFE, now + MAX_LIFE);
        let sealed_key = self.kek.seal(&context(asker.user, key.spki), key.key_pkcs8.expose()).map_err(unusable)?;
        let kept = LinkKey { owner: asker.user, spki: key.spki, invite: digest, sealed_key, not_after };
        self.store.keep_link_key(&kept).await?;
        Ok(key)
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

fn unusable(error: impl std::fmt::Display) -> HubError {
    HubError::Key(error.to_string())
}

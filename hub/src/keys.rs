//! Keys that are kept before there is a certificate for them. An invite is used up by the key that it is sent with; as long as
//! that key is kept, whoever was cut off in the middle goes on with the same invite.

use crate::{Asker, Hub, HubError};
use domain::{
    Time,
    id::{Name, Spki, UserId},
    invite::{BOUND_LIFE, Invite, OPEN_LIFE},
};
use pki::RequestKey;
use std::time::Duration;
use store::{LinkKey, LinkRecord};

/// How long a prepared key waits for its invite.
const PREPARED_LIFE: Duration = Duration::from_hours(30 * 24);
/// Of one user's.
const MOST_PREPARED: usize = 16;
/// Of one user's, for invites that were sent and whose answer has not come.
const MOST_BEGUN: usize = 16;

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

/// What was found here of a key that was revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyHere {
    /// Links that use it, with whose each is. They stay as they are: what it may do is up to the other side.
    pub links: Vec<(Name, Name)>,
    /// Whether somebody kept it for an invite, which it is of no more use for.
    pub forgotten: bool,
}

impl Hub {
    /// Forgets a key that is kept for an invite, whoever keeps it, and names the links that use it, also as the key that they were
    /// made with or that is to follow.
    pub async fn let_go_of_key(&self, key: Spki) -> Result<KeyHere, HubError> {
        let mut here = KeyHere::default();
        for user in self.store.users().await? {
            if self.store.link_keys(user.id).await?.iter().any(|kept| kept.spki == key) {
                self.store.forget_link_key(user.id, key).await?;
                here.forgotten = true;
            }
            let links = self.store.links(user.id).await?.into_iter().filter(|link| uses(link, key));
            here.links.extend(links.map(|link| (user.name.clone(), link.name)));
        }
        Ok(here)
    }

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
            let Some(prepared) = kept.iter().find(|kept| kept.spki == bound && kept.invite.is_none()) else {
                return Err(self.no_such_key(asker, bound, invite).await);
            };
            return self.opened(prepared);
        }
        if let Some(kept) = kept.iter().find(|kept| kept.invite == Some(digest)) {
            return self.opened(kept);
        }
        room_for_one(&kept)?;
        let key = RequestKey::generate().map_err(unusable)?;
        let now = self.world.now();
        // By our clock the invite may be over already, or have years to live; it is the other side's clock that decides.
        let not_after = invite.expires_at.clamp(now + OPEN_LIFE, now + BOUND_LIFE);
        self.keep_key(asker, &key, Some(digest), not_after).await?;
        Ok(key)
    }

    pub(crate) async fn keep_key(
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

    /// What to do with an invite that is bound to a key which was used, is somebody else's, or is not kept any more.
    async fn no_such_key(&self, asker: &Asker, bound: Spki, invite: &Invite) -> HubError {
        // Only to say more: whoever cannot be asked is not asked again.
        let links = self.store.links(asker.user).await.unwrap_or_default();
        let made = links.iter().find(|link| link.made_of.as_ref().is_some_and(|made| made.key == bound));
        let (why, elsewhere) = match made {
            Some(link) => {
                (format!("was used already, for your link `{}`: each key is good for one invite", link.name), "")
            }
            None => (
                "is not kept here for you: it was made by another user or on another machine, was used already, or was forgotten after \
                 30 days"
                    .to_owned(),
                "use the invite where and as whom the key was made, or ",
            ),
        };
        let (owner, grant) = (&invite.instance_name, &invite.offer.grant_name);
        HubError::PreparedKey(format!(
            "this invite is bound to the key {bound}, which {why}; {elsewhere}type `mosaic-fed link --prepare` and send the fingerprint \
             that it prints to the owner of {owner}, who types `mosaic-fed grant invite {grant} --key FINGERPRINT` there and sends back \
             what that prints, then type `mosaic-fed link`, which asks for it"
        ))
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

/// Refuses one more key for an invite where there are too many already: whoever can make somebody type invites must not fill the database.
fn room_for_one(kept: &[LinkKey]) -> Result<(), HubError> {
    let mut begun = kept.iter().filter(|kept| kept.invite.is_some());
    let Some(first) = begun.next().filter(|_| begun.count() + 1 >= MOST_BEGUN) else { return Ok(()) };
    Err(HubError::PreparedKey(format!(
        "{MOST_BEGUN} invites of yours were sent and not answered; type `mosaic-fed link` with one of them again, which goes on with it or \
         forgets it, or wait until the first is forgotten at {}",
        first.not_after
    )))
}

fn uses(link: &LinkRecord, key: Spki) -> bool {
    let of =
        |certificate: &[u8]| pki::profile::grant_leaf(certificate, link.peer).is_ok_and(|leaf| leaf.leaf.spki == key);
    let next = link.next.as_ref().is_some_and(|next| of(&next.certificate));
    next || of(&link.certificate) || link.made_of.as_ref().is_some_and(|made| made.key == key)
}

fn unusable(error: impl std::fmt::Display) -> HubError {
    HubError::Key(error.to_string())
}

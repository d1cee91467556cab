//! Keys that somebody else may have: revoked for ever, with every grant that is held with them.

use crate::{
    Spoke,
    ending::Revoked,
    grants::{AdminError, By},
};
use domain::{
    audit::{Act, Record},
    id::{GrantId, Name, Spki},
    revoked::{KeyReason, RevokedKey},
};

/// A key that was revoked, and what it took with it.
#[derive(Clone, Debug)]
pub struct KeyRevoked {
    /// The key.
    pub key: RevokedKey,
    /// Each grant that was ended with it.
    pub grants: Vec<Revoked>,
    /// Grants whose open invite was for it alone.
    pub invites: Vec<GrantId>,
}

impl Spoke {
    /// Revokes a key, for ever, and ends every grant whose holder has it, as [`Spoke::revoke`] ends one.
    ///
    /// # Errors
    /// It is revoked already, or the database is away.
    pub async fn revoke_key(&self, by: By, who: Name, key: Spki, reason: KeyReason) -> Result<KeyRevoked, AdminError> {
        let held = self.parts.store.grants_with_key(key).await?;
        let revoked = RevokedKey { key, at: self.parts.world.now(), by: who, reason };
        let record = Record::act(revoked.at, Act::KeyRevoke, by.user, by.request).noting(&note(&revoked));
        let commit = async {
            let end = self.parts.store.revoke_key(&revoked, record).await?;
            Ok((end.grants, end.invites))
        };
        let (grants, invites) = self.end(by, &held, commit).await?;
        self.snapshots.remember_revoked(key).await;
        Ok(KeyRevoked { key: revoked, grants, invites })
    }
}

fn note(revoked: &RevokedKey) -> String {
    let RevokedKey { key, reason, .. } = revoked;
    if reason.as_str().is_empty() { key.to_string() } else { format!("{key}: {reason}") }
}

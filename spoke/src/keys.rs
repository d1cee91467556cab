//! Keys that somebody else may have: revoked for ever, with every grant that is held with them.

use crate::{
    Spoke,
    grants::{AdminError, By, Receipt, Revoked},
};
use domain::{
    audit::{Act, Record},
    grant::Grant,
    id::{GrantId, Name, Spki},
    revoked::{KeyReason, RevokedKey},
};
use std::collections::HashMap;
use tokio::time::Instant;

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
        let began = Instant::now();
        let held = self.parts.store.grants_with_key(key).await?.into_iter();
        let held: HashMap<GrantId, (usize, usize)> =
            held.map(|id| (id, (self.registry.connections(id), self.registry.calls(id)))).collect();
        let audience = self.audience(|grant| held.contains_key(&grant.id));
        let hears: Vec<_> = held.keys().filter(|id| audience.hears(**id)).copied().collect();
        let revoked = RevokedKey { key, at: self.parts.world.now(), by: who, reason };
        let record = Record::act(revoked.at, Act::KeyRevoke, by.user, by.request).noting(&note(&revoked));
        let end = self.parts.store.revoke_key(&revoked, record).await?;
        let at = self.parts.world.now();
        let ended = self.ended(by, &end.grants, audience).await;
        self.snapshots.remember_revoked(key).await;
        let of = |grant: Grant| {
            let (connections, calls) = held.get(&grant.id).copied().unwrap_or_default();
            let receipt = ended.receipts.get(&grant.id).copied().unwrap_or(Receipt::Unused);
            let calls = calls.saturating_sub(usize::from(hears.contains(&grant.id)));
            Revoked { grant, at, took: began.elapsed(), drained: ended.drained, connections, calls, receipt }
        };
        Ok(KeyRevoked { key: revoked, grants: end.grants.into_iter().map(of).collect(), invites: end.invites })
    }
}

fn note(revoked: &RevokedKey) -> String {
    let RevokedKey { key, reason, .. } = revoked;
    if reason.as_str().is_empty() { key.to_string() } else { format!("{key}: {reason}") }
}

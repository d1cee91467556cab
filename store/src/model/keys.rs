//! Revoked keys.

use super::{Model, State};
use crate::{KeptKey, KeyEnd, Keys, StoreError, rules};
use async_trait::async_trait;
use domain::{
    Time,
    audit::Record,
    grant::{Grant, State as Stage},
    id::{GrantId, Spki},
    revoked::RevokedKey,
};

#[async_trait]
impl Keys for Model {
    async fn revoke_key(&self, key: &RevokedKey, record: Record) -> Result<KeyEnd, StoreError> {
        let now = self.world.now();
        self.change(|state| {
            if let Some(said) = state.revoked_keys.get(&key.key) {
                return Err(rules::key_revoked_already(said));
            }
            state.revoked_keys.insert(key.key, key.clone());
            state.version += 1;
            let live = state.grants.values().map(|kept| &kept.grant).filter(|grant| grant.state != Stage::Revoked);
            let live: Vec<_> = live.filter(|grant| state.has_key(grant, key.key, now)).cloned().collect();
            let grants = live.iter().map(|grant| state.revoke(grant, now)).collect::<Result<Vec<_>, _>>()?;
            let open = state.invites.values_mut().filter(|kept| kept.key == Some(key.key) && kept.expires_at > now);
            let invites = open.map(|kept| {
                kept.expires_at = now;
                kept.grant
            });
            let end = KeyEnd { invites: invites.collect(), grants };
            let records = rules::key_ends(&record, &end.grants);
            Ok((end, records))
        })
    }

    async fn grants_with_key(&self, key: Spki) -> Result<Vec<GrantId>, StoreError> {
        let (state, now) = (self.state(), self.world.now());
        let live = state.grants.values().map(|kept| &kept.grant).filter(|grant| grant.state != Stage::Revoked);
        Ok(live.filter(|grant| state.has_key(grant, key, now)).map(|grant| grant.id).collect())
    }

    async fn revoked_keys(&self) -> Result<Vec<KeptKey>, StoreError> {
        let mut all: Vec<_> = self.state().revoked_keys.values().cloned().collect();
        all.sort_by_key(|said| (std::cmp::Reverse(said.at), said.key));
        Ok(all.into_iter().map(|said| KeptKey { key: said.key, said: Some(said), doubt: None }).collect())
    }
}

impl State {
    fn has_key(&self, grant: &Grant, key: Spki, now: Time) -> bool {
        let claimed = |kept: &&domain::invite::KeptInvite| {
            let claim = kept.claim.as_ref().filter(|claim| claim.key == key);
            kept.grant == grant.id && kept.expires_at > now && claim.is_some_and(|claim| claim.given.is_none())
        };
        let handed = self.handed(grant.id);
        grant.leaves().any(|leaf| leaf.spki == key)
            || handed.is_some_and(|handed| handed.key == key)
            || self.grant_keys.get(&(grant.id, key)).is_some_and(|by| *by == handed.map(|handed| handed.invite))
            || self.invites.values().any(|kept| claimed(&kept))
    }

    /// Refuses to make anything of a key that was revoked.
    pub(super) fn is_no_revoked(&self, key: Spki) -> Result<(), StoreError> {
        if self.revoked_keys.contains_key(&key) { Err(rules::key_revoked(key)) } else { Ok(()) }
    }
}

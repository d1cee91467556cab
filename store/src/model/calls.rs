//! Calls.

use super::Model;
use crate::{Await, Calls, StoreError, rules};
use async_trait::async_trait;
use domain::{
    audit::Record,
    id::{AwaitId, GrantId, UserId},
};

#[async_trait]
impl Calls for Model {
    async fn keep_grant_call(&self, grant: GrantId, sealed: &[u8]) -> Result<(), StoreError> {
        self.change(|state| {
            state.grants.get(&grant).ok_or_else(|| rules::no_grant(grant))?;
            state.grant_calls.insert(grant, Some(sealed.to_vec()));
            Ok(((), Vec::new()))
        })
    }

    async fn grant_calls(&self) -> Result<Vec<(GrantId, Vec<u8>)>, StoreError> {
        let kept = self.state().grant_calls.clone();
        Ok(kept.into_iter().filter_map(|(grant, sealed)| Some((grant, sealed?))).collect())
    }

    async fn call_nobody(&self, grant: GrantId) -> Result<(), StoreError> {
        self.change(|state| {
            state.grants.get(&grant).ok_or_else(|| rules::no_grant(grant))?;
            state.grant_calls.insert(grant, None);
            Ok(((), Vec::new()))
        })
    }

    async fn forget_grant_call(&self, grant: GrantId) -> Result<(), StoreError> {
        self.change(|state| {
            state.grant_calls.remove(&grant);
            Ok(((), Vec::new()))
        })
    }

    async fn keep_await(&self, kept: &Await, record: Record) -> Result<(), StoreError> {
        let now = self.world.now();
        self.change(|state| {
            state.user_name(kept.owner).ok_or_else(|| rules::no_user_id(kept.owner))?;
            let stays = |one: &Await| one.owner != kept.owner || one.not_after > now;
            state.awaits.retain(|_, one| stays(one));
            state.awaits.insert((kept.owner, kept.id), kept.clone());
            Ok(((), vec![record]))
        })
    }

    async fn awaits(&self, owner: UserId) -> Result<Vec<Await>, StoreError> {
        let state = self.state();
        let mut own: Vec<_> = state.awaits.values().filter(|kept| kept.owner == owner).cloned().collect();
        own.sort_by_key(|kept| (kept.not_after, kept.id));
        Ok(own)
    }

    async fn claim_await(&self, owner: UserId, id: AwaitId, grant: GrantId) -> Result<bool, StoreError> {
        self.change(|state| {
            let found = state.awaits.get_mut(&(owner, id)).filter(|kept| kept.grant.is_none_or(|held| held == grant));
            Ok((found.map(|kept| kept.grant = Some(grant)).is_some(), Vec::new()))
        })
    }

    async fn use_await(&self, owner: UserId, id: AwaitId) -> Result<(), StoreError> {
        self.change(|state| {
            if let Some(kept) = state.awaits.get_mut(&(owner, id)) {
                kept.used = true;
                kept.sealed.clear();
            }
            Ok(((), Vec::new()))
        })
    }

    async fn forget_await(&self, owner: UserId, id: AwaitId, record: Record) -> Result<bool, StoreError> {
        self.change(|state| {
            let gone = state.awaits.remove(&(owner, id)).is_some();
            Ok((gone, if gone { vec![record] } else { Vec::new() }))
        })
    }

    async fn keep_link_call(&self, owner: UserId, link: GrantId, sealed: &[u8]) -> Result<(), StoreError> {
        self.change(|state| {
            state.user_name(owner).ok_or_else(|| rules::no_user_id(owner))?;
            state.link_calls.insert((owner, link), sealed.to_vec());
            Ok(((), Vec::new()))
        })
    }

    async fn link_calls(&self, owner: UserId) -> Result<Vec<(GrantId, Vec<u8>)>, StoreError> {
        let state = self.state();
        let own = state.link_calls.iter().filter(|((of, _), _)| *of == owner);
        Ok(own.map(|((_, link), sealed)| (*link, sealed.clone())).collect())
    }

    async fn forget_link_call(&self, owner: UserId, link: GrantId) -> Result<(), StoreError> {
        self.change(|state| {
            state.link_calls.remove(&(owner, link));
            Ok(((), Vec::new()))
        })
    }
}

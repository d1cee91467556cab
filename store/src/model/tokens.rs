//! Tokens of programs.

use super::Model;
use crate::{StoreError, Tokens, rules};
use async_trait::async_trait;
use domain::{
    Time,
    audit::Record,
    id::{Name, TokenId, UserId},
    token::{KeptToken, MOST},
};
use std::collections::BTreeSet;

#[async_trait]
impl Tokens for Model {
    async fn add_token(&self, token: &KeptToken, record: Record) -> Result<(), StoreError> {
        let now = self.world.now();
        self.change(|state| {
            state.user_name(token.owner).ok_or_else(|| rules::no_user_id(token.owner))?;
            state.tokens.retain(|_, kept| kept.owner != token.owner || !kept.has_expired(now));
            let own = || state.tokens.values().filter(|kept| kept.owner == token.owner);
            if own().count() >= MOST {
                return Err(rules::too_many_tokens());
            }
            if own().any(|kept| kept.name == token.name) {
                return Err(rules::token_taken(&token.name));
            }
            state.tokens.insert(token.id, token.clone());
            Ok(((), vec![record]))
        })
    }

    async fn tokens(&self, owner: UserId) -> Result<Vec<KeptToken>, StoreError> {
        let state = self.state();
        let is_own = |kept: &&KeptToken| kept.owner == owner && !state.tokens_gone.contains(&kept.id);
        let mut own: Vec<_> = state.tokens.values().filter(is_own).cloned().collect();
        own.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(own)
    }

    async fn token(&self, id: TokenId) -> Result<Option<KeptToken>, StoreError> {
        let state = self.state();
        Ok(state.tokens.get(&id).filter(|_| !state.tokens_gone.contains(&id)).cloned())
    }

    async fn token_ids(&self) -> Result<BTreeSet<TokenId>, StoreError> {
        Ok(self.state().tokens.keys().copied().collect())
    }

    async fn note_token(&self, token: &KeptToken, at: Time) -> Result<(), StoreError> {
        self.change(|state| {
            if let Some(kept) = state.tokens.get_mut(&token.id) {
                kept.used_at = Some(at);
            }
            Ok(((), Vec::new()))
        })
    }

    async fn remove_token(&self, owner: UserId, name: &Name, record: Record) -> Result<Option<TokenId>, StoreError> {
        self.change(|state| {
            let found = state.tokens.values().find(|kept| kept.owner == owner && kept.name == *name);
            let gone = found.map(|kept| kept.id);
            if let Some(id) = gone {
                state.tokens.remove(&id);
                state.tokens_gone.insert(id);
            }
            Ok((gone, gone.map(|_| record).into_iter().collect()))
        })
    }
}

//! Tokens of programs: what is kept of them, each its owner's alone.

use crate::StoreError;
use async_trait::async_trait;
use domain::{
    Time,
    audit::Record,
    id::{Name, TokenId, UserId},
    token::KeptToken,
};
use std::collections::BTreeSet;

/// Tokens. They end with their owner.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Keeps a new one, and forgets those of its owner that are over. Conflict where its owner has one of this name, or as many as one may
    /// have; missing where there is no such user.
    async fn add_token(&self, token: &KeptToken, record: Record) -> Result<(), StoreError>;
    /// A user's, by name, those that are over too.
    async fn tokens(&self, owner: UserId) -> Result<Vec<KeptToken>, StoreError>;
    /// The one with this id, whoever owns it; none where it is not as the daemon wrote it.
    async fn token(&self, id: TokenId) -> Result<Option<KeptToken>, StoreError>;
    /// The ids of all that there are.
    async fn token_ids(&self) -> Result<BTreeSet<TokenId>, StoreError>;
    /// Notes when one was used.
    async fn note_token(&self, token: &KeptToken, at: Time) -> Result<(), StoreError>;
    /// Takes one away, whose id comes back. None where its owner has none of this name.
    async fn remove_token(&self, owner: UserId, name: &Name, record: Record) -> Result<Option<TokenId>, StoreError>;
}

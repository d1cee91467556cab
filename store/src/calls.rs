//! What is kept of calls, on either side: whom to call and who waits to be called. Keys are in it sealed; what they are sealed for, and
//! what the bytes say, is for those who sealed them.

use crate::StoreError;
use async_trait::async_trait;
use domain::{
    Time,
    audit::Record,
    id::{AwaitId, GrantId, Name, UserId},
};

/// Somebody of this instance who waits to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Await {
    /// Which await.
    pub id: AwaitId,
    /// Whose.
    pub owner: UserId,
    /// What the link is to be called; what the other instance calls itself if not said.
    pub name: Option<Name>,
    /// `host:port` that the one who calls was told.
    pub addresses: Vec<String>,
    /// Its secret, sealed under the KEK; empty once it was used.
    pub sealed: Vec<u8>,
    /// When it is waited for no longer.
    pub not_after: Time,
    /// The grant that the first call was of.
    pub grant: Option<GrantId>,
    /// Whether a link came of it, which uses it up.
    pub used: bool,
}

/// Calls.
#[async_trait]
pub trait Calls: Send + Sync {
    /// Keeps whom to call for a grant, sealed, in the place of what was kept before. Missing where there is no such grant. Whoever calls
    /// nobody says [`Calls::call_nobody`].
    async fn keep_grant_call(&self, grant: GrantId, sealed: &[u8]) -> Result<(), StoreError>;
    /// Whom to call, for every grant of which that is known.
    async fn grant_calls(&self) -> Result<Vec<(GrantId, Vec<u8>)>, StoreError>;
    /// Keeps that nobody is called for a grant though its invites are for no door of this instance: they are about to be brought, or the grant
    /// has ended. What was kept before is forgotten. Missing where there is no such grant.
    async fn call_nobody(&self, grant: GrantId) -> Result<(), StoreError>;
    /// Forgets all that: its invites are for a door.
    async fn forget_grant_call(&self, grant: GrantId) -> Result<(), StoreError>;
    /// Keeps that somebody waits, and forgets those of theirs whose time is over. Missing where there is no such user.
    async fn keep_await(&self, kept: &Await, record: Record) -> Result<(), StoreError>;
    /// Everything that a user waited for and that is kept, by its end.
    async fn awaits(&self, owner: UserId) -> Result<Vec<Await>, StoreError>;
    /// Binds an await to the grant of its first call. False where it is bound to another one, or not there.
    async fn claim_await(&self, owner: UserId, id: AwaitId, grant: GrantId) -> Result<bool, StoreError>;
    /// Notes that a link came of an await, and forgets its secret.
    async fn use_await(&self, owner: UserId, id: AwaitId) -> Result<(), StoreError>;
    /// Forgets an await. False where there is none.
    async fn forget_await(&self, owner: UserId, id: AwaitId, record: Record) -> Result<bool, StoreError>;
    /// Keeps what proves the calls of a user's link, sealed, in the place of what was kept before.
    async fn keep_link_call(&self, owner: UserId, link: GrantId, sealed: &[u8]) -> Result<(), StoreError>;
    /// What proves the calls of a user's links. It may be there without its link.
    async fn link_calls(&self, owner: UserId) -> Result<Vec<(GrantId, Vec<u8>)>, StoreError>;
    /// Forgets what proves the calls of a link.
    async fn forget_link_call(&self, owner: UserId, link: GrantId) -> Result<(), StoreError>;
}

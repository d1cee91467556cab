//! Keys that were revoked: refused for ever, whoever has a certificate for them.

use crate::StoreError;
use async_trait::async_trait;
use domain::{
    audit::Record,
    grant::Grant,
    id::{GrantId, Spki},
    revoked::{KeyDoubt, RevokedKey},
};

/// What a revoked key took with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyEnd {
    /// The grants whose holder had it, or was about to, as they are now.
    pub grants: Vec<Grant>,
    /// Grants whose open invite was for it alone; they stand, and the invite is of no more use.
    pub invites: Vec<GrantId>,
}

/// A revoked key as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptKey {
    /// Which key.
    pub key: Spki,
    /// What is said of it; none where that is not to be believed.
    pub said: Option<RevokedKey>,
    /// Why not; the key is refused all the same.
    pub doubt: Option<KeyDoubt>,
}

/// The keys that are refused for ever. There is no way back for one.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Revokes a key, and ends with it, in one, every grant whose certificate in force, successor or former one has it, that was renewed with
    /// it since it was enrolled, or whose invite was claimed for it by whoever holds the grant or has yet to be given it; and open invites that
    /// are for it alone. Conflict where it is revoked already.
    async fn revoke_key(&self, key: &RevokedKey, record: Record) -> Result<KeyEnd, StoreError>;
    /// The grants that it would end now.
    async fn grants_with_key(&self, key: Spki) -> Result<Vec<GrantId>, StoreError>;
    /// Every revoked key, the last one first; at the end those of which it is not known when.
    async fn revoked_keys(&self) -> Result<Vec<KeptKey>, StoreError>;
}

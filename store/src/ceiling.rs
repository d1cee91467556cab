//! What no grant of this instance may exceed: kept, and held to in the very transactions that put a scope in force.

use crate::{StoreError, rules};
use async_trait::async_trait;
use domain::{
    Time,
    audit::Record,
    grant::{Grant, State},
    id::{GrantId, Name},
    kind::Kinds,
    scope::{Scope, ceiling::Ceiling},
};

/// The ceiling in force, and since when.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptCeiling {
    /// What it says.
    pub ceiling: Ceiling,
    /// When it was set.
    pub set_at: Time,
    /// Who set it.
    pub set_by: Name,
}

/// A grant that is narrowed along with a new ceiling.
#[derive(Clone, Debug)]
pub struct Narrowed {
    /// Which grant.
    pub grant: GrantId,
    /// The generation that the scope was made from.
    pub generation: u64,
    /// What is left of its scope.
    pub scope: Scope,
    /// The record of this edit.
    pub record: Record,
}

/// What bounds every grant.
#[async_trait]
pub trait Ceilings: Send + Sync {
    /// The ceiling in force; none where none was set.
    async fn ceiling(&self) -> Result<Option<KeptCeiling>, StoreError>;
    /// Puts a ceiling in force, or takes it away, and narrows these grants with it, all in one. Conflict where a grant that has
    /// not ended would be beyond it, or one of these was changed meanwhile.
    async fn set_ceiling(
        &self,
        ceiling: Option<&KeptCeiling>,
        narrowed: Vec<Narrowed>,
        record: Record,
    ) -> Result<Vec<Grant>, StoreError>;
}

/// Refuses a scope that is beyond the ceiling; one that cannot be read allows nothing.
pub(crate) fn check(ceiling: Option<&Ceiling>, grant: &Grant, now: Time) -> Result<(), StoreError> {
    let Some(ceiling) = ceiling else { return Ok(()) };
    if grant.state == State::Revoked || grant.has_expired(now) {
        return Ok(());
    }
    match ceiling.judge(&grant.scope, Kinds::builtin(), now) {
        Ok(None) => Ok(()),
        Ok(Some(excess)) => Err(rules::beyond_ceiling(&grant.name, &excess)),
        Err(cause) => Err(StoreError::Unavailable(format!(
            "the ceiling of this instance cannot be read: {cause}; set it again with `mosaic-fed policy set FILE`"
        ))),
    }
}

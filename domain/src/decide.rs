//! The decision: a pure function from caller and request to a permit or a refusal. Nothing else makes a permit.

use crate::{
    Caller, Reason, Refusal,
    grant::Grant,
    id::Resource,
    invite::Invited,
    item::{Item, StoredItem},
    operation::{Get, List, Method, Operation},
    page::{PageToken, Position},
    rights::Rights,
    scope::Filter,
};
use std::sync::Arc;

/// What a decision stands on: a grant, or an invite to one. Sealed by being implemented here only.
pub trait Ground: private::Ground + Send + Sync + 'static {
    /// Whether verb and resource are permitted.
    fn allows(&self, method: Method, resource: Option<&Resource>) -> Result<(), Refusal>;
}

mod private {
    pub trait Ground {}
    impl Ground for crate::grant::Grant {}
    impl Ground for crate::invite::Invited {}
}

/// The proof that a decision allowed this very request. Only [`decide`] makes it; whoever returns federated rows must be shown it.
#[derive(Debug)]
pub struct Permitted<O: Operation> {
    operation: O,
    ground: Arc<O::Ground>,
}

/// Allows `operation` on the caller's ground, or says why not.
pub fn decide<O: Operation>(caller: &Caller<O::Ground>, operation: O) -> Result<Permitted<O>, Refusal> {
    let ground = caller.ground();
    ground.allows(O::METHOD, operation.resource())?;
    operation.judge(ground)?;
    Ok(Permitted { operation, ground: Arc::clone(ground) })
}

impl Ground for Grant {
    fn allows(&self, method: Method, resource: Option<&Resource>) -> Result<(), Refusal> {
        let refuse = || Refusal::new(Reason::OutOfScope).saying(out_of_scope(self, method, resource));
        if method.entrance() != crate::operation::Entrance::Federation {
            return Err(Refusal::new(Reason::UnknownMethod));
        }
        if method.verb().is_some_and(|verb| !self.scope.allows(verb)) {
            return Err(refuse());
        }
        if resource.is_some_and(|resource| self.scope.filter(resource).is_none()) {
            return Err(refuse());
        }
        Ok(())
    }
}

impl Ground for Invited {
    fn allows(&self, method: Method, _resource: Option<&Resource>) -> Result<(), Refusal> {
        match method {
            Method::Enroll => Ok(()),
            _ => Err(Refusal::new(Reason::UnknownMethod)),
        }
    }
}

/// The grant's own words to its holder, who knows what it names.
fn out_of_scope(grant: &Grant, method: Method, resource: Option<&Resource>) -> String {
    let named = grant.scope.resources().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    match resource {
        Some(resource) => format!("grant {} does not allow {method} on {resource}; it shares {named}", grant.name),
        None => format!("grant {} does not allow {method}", grant.name),
    }
}

/// A row failed the second check: the database let through what it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row outside the grant reached the second check; the database's policies are broken")]
pub struct SecondCheck;

impl<O: Operation> Permitted<O> {
    /// What was permitted.
    pub fn operation(&self) -> &O {
        &self.operation
    }

    /// The record the decision stood on.
    pub fn ground(&self) -> &O::Ground {
        &self.ground
    }
}

impl<O: Operation<Ground = Grant>> Permitted<O> {
    /// The grant the decision stood on.
    pub fn grant(&self) -> &Grant {
        &self.ground
    }

    /// Judges a row that the database returned a second time, and removes what the scope withholds.
    ///
    /// # Errors
    /// [`SecondCheck`] when the row is outside the subject's rights or the scope: nothing of the answer may leave.
    fn pass(&self, resource: &Resource, rights: &Rights, stored: StoredItem) -> Result<Item, SecondCheck> {
        let grant = self.grant();
        let filter = grant.scope.filter(resource).ok_or(SecondCheck)?;
        let same = rights.user == grant.subject && rights.workspace == grant.workspace;
        if !same || stored.item.resource != *resource || !rights.admit(&stored) || !filter.admit(&stored) {
            return Err(SecondCheck);
        }
        Ok(stored.shown_in(filter.teams.as_ref()).keep_only(&filter.fields))
    }
}

/// Rows in one chunk of a streamed answer.
pub const CHUNK_ROWS: u32 = 200;
/// Bytes in one chunk of a streamed answer; a single larger row is a chunk of its own.
pub const CHUNK_BYTES: usize = 256 * 1024;

impl Permitted<List> {
    /// Rows this answer may still hold: the lower of what was asked and the scope's cap, less what was answered.
    pub fn rows_left(&self) -> u32 {
        let cap = self.grant().scope.max_rows();
        let wanted = self.operation.limit.unwrap_or(cap).min(cap);
        wanted.saturating_sub(self.operation.progress.map_or(0, |progress| progress.rows))
    }

    /// Rows this chunk may hold.
    pub fn chunk_rows(&self) -> u32 {
        self.rows_left().min(CHUNK_ROWS)
    }

    /// The row after which this chunk begins.
    pub fn after(&self) -> Option<Position> {
        // The token was judged with the permit; a token that does not fit cannot have passed.
        self.operation.after(&self.grant().id.to_string()).ok().flatten()
    }

    /// The token that continues after `position`.
    pub fn token(&self, position: Position) -> PageToken {
        PageToken::new(self.operation.binding(&self.grant().id.to_string()), position)
    }

    /// The filter of the resource that was asked about.
    pub fn filter(&self) -> Option<&Filter> {
        self.grant().scope.filter(&self.operation.resource)
    }

    /// As [`Permitted::pass`], for each row of a list.
    pub fn check(&self, rights: &Rights, stored: StoredItem) -> Result<Item, SecondCheck> {
        self.pass(&self.operation.resource, rights, stored)
    }
}

impl Permitted<Get> {
    /// The filter of the resource that was asked about.
    pub fn filter(&self) -> Option<&Filter> {
        self.grant().scope.filter(&self.operation.resource)
    }

    /// As [`Permitted::pass`], for the one row.
    pub fn check(&self, rights: &Rights, stored: StoredItem) -> Result<Item, SecondCheck> {
        if stored.item.id != self.operation.id {
            return Err(SecondCheck);
        }
        self.pass(&self.operation.resource, rights, stored)
    }
}

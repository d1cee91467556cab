//! The log.

use super::Model;
use crate::{
    AuditLog, AuditQuery, Committed, StoreError,
    rules::{DEFAULT_ENTRIES, last_look, verdicts},
};
use async_trait::async_trait;
use domain::audit::{Entry, Head, Record};

#[async_trait]
impl AuditLog for Model {
    async fn commit(&self, batch: &[Record]) -> Result<Vec<Committed>, StoreError> {
        let now = self.world.now();
        let mut state = self.state();
        let standing = state
            .grants
            .iter()
            .map(|(id, kept)| (*id, (kept.grant.state, kept.grant.generation, kept.grant.scope.not_after())));
        let looked = last_look(batch, &standing.collect(), now);
        let verdicts = verdicts(state.head().sequence, &looked.withdrawn);
        state.append(&looked.records);
        Ok(verdicts)
    }

    async fn entries(&self, query: &AuditQuery) -> Result<Vec<Entry>, StoreError> {
        let limit = if query.limit == 0 { DEFAULT_ENTRIES } else { query.limit } as usize;
        let fits = |entry: &&Entry| {
            entry.sequence > query.after
                && query.grant.is_none_or(|grant| entry.grant == Some(grant))
                && query.ending.is_none_or(|ending| entry.ending == ending)
                && query.since.is_none_or(|since| entry.time >= since)
        };
        let state = self.state();
        let found: Vec<_> = state.log.iter().filter(fits).cloned().collect();
        let from = if query.last { found.len().saturating_sub(limit) } else { 0 };
        Ok(found.into_iter().skip(from).take(limit).collect())
    }

    async fn head(&self) -> Result<Head, StoreError> {
        Ok(self.state().head())
    }
}

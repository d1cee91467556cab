//! A log that keeps nothing: what the audit's price is measured against. The daemon's own writer runs in front of it, so that
//! what is missing is the database's part alone. It exists in the bench only; nothing in the product can take its place.

use async_trait::async_trait;
use domain::{
    Time,
    audit::{Entry, Head, Record},
    id::EntryHash,
};
use store::{AuditLog, AuditQuery, Committed, StoreError};

/// The log that keeps nothing.
pub struct Sink;

#[async_trait]
impl AuditLog for Sink {
    async fn commit(&self, batch: &[Record]) -> Result<Vec<Committed>, StoreError> {
        Ok(batch.iter().map(|_| Committed::Written { sequence: 0 }).collect())
    }

    async fn entries(&self, _: &AuditQuery) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }

    async fn head(&self) -> Result<Head, StoreError> {
        Ok(Head { sequence: 0, hash: EntryHash([0; 32]), time: Time::default() })
    }
}

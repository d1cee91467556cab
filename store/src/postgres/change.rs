//! The one way to change a standing: under the audit head's lock, with its record in the same transaction. Change and record
//! commit together or neither does, and no batch of answers can commit between them.

use super::{
    Postgres, audit,
    row::{digest, number, time},
    sql,
    unit::{self, Pool, Unit},
};
use crate::{StoreError, Trust};
use domain::{
    audit::{Head, Record},
    id::EntryHash,
};
use sqlx::{PgConnection, Row};
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// A transaction that holds the head's lock, from its first statement on.
pub(super) struct Change {
    unit: Unit,
    head: Head,
    trust: Arc<Trust>,
}

impl Postgres {
    /// Begins an ordinary change.
    pub(super) async fn change(&self) -> Result<Change, StoreError> {
        Change::begin(&self.door, &self.trust).await
    }

    /// Begins a change that must not wait behind reads.
    pub(super) async fn urgent_change(&self) -> Result<Change, StoreError> {
        Change::begin(&self.reserved, &self.trust).await
    }
}

impl Change {
    async fn begin(pool: &Pool, trust: &Arc<Trust>) -> Result<Self, StoreError> {
        let mut unit = unit::write(pool).await?;
        let head = lock_head(&mut unit).await?;
        Ok(Self { unit, head, trust: Arc::clone(trust) })
    }

    /// What judges and seals grants.
    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Commits what changes nothing that anybody is permitted, and has no record.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.unit.end().await?)
    }

    /// Commits the change with its record.
    pub(super) async fn record(self, record: &Record) -> Result<(), StoreError> {
        self.records(std::slice::from_ref(record)).await
    }

    /// Commits the change with its records.
    pub(super) async fn records(mut self, records: &[Record]) -> Result<(), StoreError> {
        audit::append(&mut self.unit, self.head, records).await?;
        Ok(self.unit.end().await?)
    }

    /// Commits the change with its record where it `changed` something, else ends without both.
    pub(super) async fn record_if(self, changed: bool, record: &Record) -> Result<bool, StoreError> {
        if changed {
            self.record(record).await?;
        } else {
            self.abandon().await?;
        }
        Ok(changed)
    }

    /// Ends without a change and without a record.
    pub(super) async fn abandon(self) -> Result<(), StoreError> {
        Ok(self.unit.undo().await?)
    }
}

/// Waits for its turn; until the commit nobody else appends or changes a standing.
pub(super) async fn lock_head(connection: &mut PgConnection) -> Result<Head, StoreError> {
    let row = sqlx::query(sql::audit::LOCK_HEAD).fetch_one(connection).await?;
    Ok(Head {
        sequence: number(&row, "sequence")?,
        hash: EntryHash(digest(row.try_get("hash")?)?),
        time: time(&row, "time")?,
    })
}

impl Deref for Change {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.unit
    }
}

impl DerefMut for Change {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.unit
    }
}

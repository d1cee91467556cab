//! A transaction on an exclusively held connection. A connection goes back to its pool only after the server said that the
//! transaction is over; whatever ends otherwise (an error, a dropped future) closes it, so that no tenant setting and no
//! half-read answer ever meets the next caller.

use super::error::is_stale;
use crate::StoreError;
use sqlx::{
    Executor, PgConnection,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres},
};
use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

/// How long a caller waits for a connection; shorter than any source's deadline.
const PATIENCE: Duration = Duration::from_secs(4);

/// A pool that connects when first asked. Liveness is not tested on each acquire: [`begin`] retries on a stale connection.
pub(super) fn pool(options: &PgConnectOptions, size: u32) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(size).acquire_timeout(PATIENCE).test_before_acquire(false);
    pool.connect_lazy_with(options.clone())
}

/// A transaction that is open until [`Unit::end`].
#[derive(Debug)]
pub(super) struct Unit {
    connection: PoolConnection<Postgres>,
    ended: bool,
}

/// All statements see one moment; nothing is written.
pub(super) async fn read(pool: &PgPool) -> Result<Unit, StoreError> {
    begin(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
}

/// Each statement sees what was committed before it, so that what is read after a lock is what the lock guards.
pub(super) async fn write(pool: &PgPool) -> Result<Unit, StoreError> {
    begin(pool, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await
}

/// Nothing was done yet when a pooled connection turns out to be dead (the server restarted): each such one is closed and
/// another one tried, until a fresh one answers or fails.
async fn begin(pool: &PgPool, statement: &'static str) -> Result<Unit, StoreError> {
    let stale = pool.options().get_max_connections();
    for _ in 0..stale {
        let mut unit = Unit { connection: pool.acquire().await?, ended: false };
        match unit.execute(statement).await {
            Ok(_) => return Ok(unit),
            Err(error) if is_stale(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut unit = Unit { connection: pool.acquire().await?, ended: false };
    unit.execute(statement).await?;
    Ok(unit)
}

impl Unit {
    /// Commits, and gives the connection back.
    pub(super) async fn end(mut self) -> Result<(), sqlx::Error> {
        self.execute("COMMIT").await?;
        self.ended = true;
        Ok(())
    }

    /// Undoes, and gives the connection back.
    pub(super) async fn undo(mut self) -> Result<(), sqlx::Error> {
        self.execute("ROLLBACK").await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Unit {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Unit {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

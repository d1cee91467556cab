//! Filling an instance with rows, through the very way that imports take: judged, under row-level security, in statements of
//! 500 rows. Two writers at once; the database is the limit.

use crate::rows::Rows;
use anyhow::{Result, bail};
use domain::{
    id::{UserId, WorkspaceId},
    item::NewItem,
};
use futures::{StreamExt, stream};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use store::{After, Items as _, Put, postgres::Postgres};

/// Rows of one call.
const BATCH: u64 = 2_000;
/// Calls at once.
const WRITERS: usize = 2;

/// Writes `count` rows as `user`; tells `progress` how many are in.
pub async fn fill(
    store: &Postgres,
    (workspace, user): (WorkspaceId, UserId),
    rows: &Rows,
    count: u64,
    progress: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    let batches = (0..count.div_ceil(BATCH)).map(|batch| batch * BATCH..count.min((batch + 1) * BATCH));
    let written = batches.map(|batch| async move {
        let items = batch.map(|n| rows.row(n)).collect::<Result<Vec<NewItem>>>()?;
        let puts = store.put(workspace, user, items, After::Keep).await?;
        if let Some(Put::Refused(cause)) = puts.iter().find(|put| matches!(put, Put::Refused(_))) {
            bail!("a row was refused: {cause}");
        }
        Ok(u64::try_from(puts.len())?)
    });
    let mut written = stream::iter(written).buffer_unordered(WRITERS);
    let mut done = 0;
    while let Some(batch) = written.next().await {
        done += batch?;
        progress(done)?;
    }
    Ok(())
}

/// What autovacuum would do within minutes, now: statistics for the planner, and a checkpoint, so that none begins later.
pub async fn settle(superuser: PgConnectOptions) -> Result<()> {
    let mut connection = PgConnection::connect_with(&superuser).await?;
    for statement in ["VACUUM (ANALYZE) items", "CHECKPOINT"] {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

//! Writing rows on behalf of a user, many at a time, under their native rights: judged here for a clear answer, and again by
//! the policies.

use super::{Postgres, items::enter, row::parsed, sql, unit};
use crate::{
    After, Put, StoreError,
    rules::{Writer, content, kept_back, nowhere, undone},
};
use domain::{
    Time,
    id::{ItemId, TeamId, UserId, WorkspaceId},
    item::NewItem,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Row, postgres::PgRow, types::Json};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use uuid::Uuid;

/// One statement carries at most this many rows, and about this many bytes: far below what a message may hold.
const BATCH_ROWS: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

/// What makes two rows of one user the same: SHA-256 of workspace, owner, kind and source key.
type Source = Vec<u8>;

struct Writing {
    workspace: WorkspaceId,
    user: UserId,
    now: Time,
}

/// An accepted row, by its place in the call.
struct Accepted {
    at: usize,
    source: Option<Source>,
    content: [u8; 32],
    item: NewItem,
}

impl Writing {
    fn source(&self, item: &NewItem) -> Option<Source> {
        let key = item.source_key.as_ref()?;
        let mut hash = Sha256::new_with_prefix(b"mosaic-fed item source 1\0");
        hash.update(self.workspace.0);
        hash.update(self.user.0);
        hash.update(item.resource.as_str());
        // No resource holds a zero byte: where the kind ends and the key begins is never in doubt.
        hash.update([0]);
        hash.update(key);
        Some(hash.finalize().to_vec())
    }
}

impl Postgres {
    pub(super) async fn put_items(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        items: Vec<NewItem>,
        after: After,
    ) -> Result<Vec<Put>, StoreError> {
        let writing = Writing { workspace, user, now: self.clock.now() };
        let mut unit = unit::write(&self.serving).await?;
        let Some(writer) = writer(&mut unit, &writing).await? else {
            unit.undo().await?;
            return Err(nowhere());
        };
        sqlx::query(sql::items::WRITER).bind(workspace.0).bind(user.0).execute(&mut *unit).await?;
        let (mut puts, accepted) = judge(&writing, &writer, items);
        for batch in batches(accepted) {
            for (at, put) in write(&mut unit, &writing, batch).await? {
                puts.insert(at, put);
            }
        }
        let puts = puts.into_values().collect();
        match after {
            After::Keep => unit.end().await?,
            After::Undo => {
                unit.undo().await?;
                return Ok(undone(puts));
            }
        }
        Ok(puts)
    }
}

/// The rows that may be written, and the verdict on each that may not, by their place in the call.
fn judge(writing: &Writing, writer: &Writer, items: Vec<NewItem>) -> (BTreeMap<usize, Put>, Vec<Accepted>) {
    let (mut refused, mut accepted) = (BTreeMap::new(), Vec::with_capacity(items.len()));
    for (at, item) in items.into_iter().enumerate() {
        match writer.judge(&item) {
            Ok(()) => accepted.push(Accepted { at, source: writing.source(&item), content: content(&item), item }),
            Err(cause) => drop(refused.insert(at, Put::Refused(cause))),
        }
    }
    (refused, accepted)
}

async fn writer(connection: &mut PgConnection, writing: &Writing) -> Result<Option<Writer>, StoreError> {
    let (rights, _) = enter(connection, writing.workspace, writing.user).await?;
    let every: Vec<String> =
        sqlx::query_scalar(sql::items::TEAM_IDS).bind(writing.workspace.0).fetch_all(connection).await?;
    let every = every.iter().map(|team| parsed("team id", team)).collect::<Result<BTreeSet<TeamId>, _>>()?;
    Ok(Writer::new(rights.role, rights.teams, every))
}

/// In order; a source key that comes again begins a new batch, so that the later row finds the earlier one.
fn batches(accepted: Vec<Accepted>) -> Vec<Vec<Accepted>> {
    let mut batches: Vec<Vec<Accepted>> = Vec::new();
    let (mut sources, mut bytes) = (BTreeSet::new(), usize::MAX);
    for row in accepted {
        let size = row.item.size();
        let again = row.source.clone().is_some_and(|source| !sources.insert(source));
        let full = batches.last().is_none_or(|batch| batch.len() >= BATCH_ROWS);
        if again || full || bytes.saturating_add(size) > BATCH_BYTES {
            sources = row.source.clone().into_iter().collect();
            bytes = 0;
            batches.push(Vec::new());
        }
        bytes += size;
        if let Some(batch) = batches.last_mut() {
            batch.push(row);
        }
    }
    batches
}

async fn write(
    connection: &mut PgConnection,
    writing: &Writing,
    batch: Vec<Accepted>,
) -> Result<Vec<(usize, Put)>, StoreError> {
    let found = found(connection, &batch).await?;
    let (mut puts, mut add, mut change) = (Vec::new(), Vec::new(), Vec::new());
    for row in batch {
        match row.source.as_ref().and_then(|source| found.get(source)) {
            None => add.push(row),
            Some((id, content)) if *content == row.content => puts.push((row.at, Put::Unchanged(Some(ItemId(*id))))),
            Some((id, _)) => change.push((*id, row)),
        }
    }
    let ids: Vec<Uuid> = sqlx::query_scalar(sql::items::NEW_IDS)
        .bind(i32::try_from(add.len()).unwrap_or(0))
        .fetch_all(&mut *connection)
        .await?;
    let add = ids.into_iter().zip(add).collect();
    puts.extend(send(connection, writing, sql::items::ADD, add, Put::Added).await?);
    puts.extend(send(connection, writing, sql::items::CHANGE, change, Put::Updated).await?);
    Ok(puts)
}

/// The user's rows that the batch names by their source.
async fn found(
    connection: &mut PgConnection,
    batch: &[Accepted],
) -> Result<BTreeMap<Source, (Uuid, Vec<u8>)>, StoreError> {
    let sources: Vec<_> = batch.iter().filter_map(|row| row.source.clone()).collect();
    if sources.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query(sql::items::FOUND).bind(sources).fetch_all(connection).await?;
    let entry = |row: PgRow| Ok((row.try_get("source")?, (row.try_get("id")?, row.try_get("content")?)));
    rows.into_iter().map(entry).collect()
}

/// Sends rows with one statement. A row that it does not return was kept back by a policy or by a row that the user may no
/// longer see.
async fn send(
    connection: &mut PgConnection,
    writing: &Writing,
    statement: &'static str,
    rows: Vec<(Uuid, Accepted)>,
    done: fn(Option<ItemId>) -> Put,
) -> Result<Vec<(usize, Put)>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let texts = |text: fn(&NewItem) -> Option<String>| rows.iter().map(|(_, row)| text(&row.item)).collect::<Vec<_>>();
    let tags = |item: &NewItem| Value::from(item.tags.iter().map(ToString::to_string).collect::<Vec<_>>());
    let written: BTreeSet<Uuid> = sqlx::query_scalar(statement)
        .bind(writing.workspace.0)
        .bind(writing.user.0)
        .bind(writing.now.to_offset())
        .bind(rows.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(texts(|item| Some(item.resource.to_string())))
        .bind(texts(|item| item.team.as_ref().map(ToString::to_string)))
        .bind(texts(|item| item.project.as_ref().map(ToString::to_string)))
        .bind(texts(|item| Some(item.title.clone())))
        .bind(texts(|item| item.body.clone()))
        .bind(rows.iter().map(|(_, row)| Json(tags(&row.item))).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| Json(&row.item.attributes)).collect::<Vec<_>>())
        .bind(texts(|item| item.source_key.clone()))
        .bind(rows.iter().map(|(_, row)| row.source.clone()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.content.to_vec()).collect::<Vec<_>>())
        .bind(
            rows.iter()
                .map(|(_, row)| row.item.created_at.map(Time::to_offset))
                .collect::<Vec<Option<OffsetDateTime>>>(),
        )
        .fetch_all(connection)
        .await?
        .into_iter()
        .collect();
    let put = |(id, row): (Uuid, Accepted)| {
        (row.at, if written.contains(&id) { done(Some(ItemId(id))) } else { kept_back(&row.item.title) })
    };
    Ok(rows.into_iter().map(put).collect())
}

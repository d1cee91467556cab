//! The log's writer in the database: one transaction for a batch, under the head's lock, after a last look at every grant
//! in it. A commit whose reply was lost is looked up before anything is written again: the hash of the batch's last entry
//! covers all before it and so names the batch.

use super::{
    Postgres,
    change::lock_head,
    row::{bigint, damaged, digest, number, time},
    sql,
    unit::{self, Unit},
};
use crate::{
    AuditLog, AuditQuery, Committed, StoreError,
    rules::{DEFAULT_ENTRIES, LastLook, chain, last_look, verdicts},
};
use async_trait::async_trait;
use domain::{
    audit::{Ending, Entry, Head, Record, Stage},
    grant::State,
    id::{EntryHash, GrantId, InstanceId, QueryHash, RequestId, UserId},
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;
use uuid::Uuid;

/// Pauses before the attempts after the first. Whoever waits gives up sooner than a silent server does and is refused; its record
/// may be written all the same, so that the log says more than was sent, never less.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];
/// A server that is gone without a word must not hold the writer until TCP gives up.
const SILENCE: Duration = Duration::from_secs(10);

/// A batch whose commit was sent: where its last entry stands, and what was decided for each record.
struct Sent {
    sequence: u64,
    hash: EntryHash,
    verdicts: Vec<Committed>,
}

/// What one attempt came to before its commit.
enum Attempt {
    /// The attempt before was committed after all.
    Stands,
    /// Everything is written; the commit remains.
    Ready(Unit, Sent),
}

#[async_trait]
impl AuditLog for Postgres {
    async fn commit(&self, batch: &[Record]) -> Result<Vec<Committed>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let (mut sent, mut pauses) = (None, PAUSES.into_iter());
        loop {
            let error = match bounded(self.attempt(batch, sent.as_ref())).await {
                Ok(Attempt::Stands) => return Ok(sent.map_or_else(Vec::new, |sent: Sent| sent.verdicts)),
                Ok(Attempt::Ready(unit, sending)) => match bounded(async { Ok(unit.end().await?) }).await {
                    Ok(()) => return Ok(sending.verdicts),
                    Err(error) => {
                        sent = Some(sending);
                        error
                    }
                },
                Err(error) => error,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            tracing::warn!(%error, "writing the audit log again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn entries(&self, query: &AuditQuery) -> Result<Vec<Entry>, StoreError> {
        let limit = if query.limit == 0 { DEFAULT_ENTRIES } else { query.limit };
        let mut unit = unit::read(&self.serving).await?;
        let rows = sqlx::query(if query.last { sql::audit::LAST } else { sql::audit::FIRST })
            .bind(bigint(query.after))
            .bind(query.grant.map(|grant| grant.0))
            .bind(query.ending.map(Ending::word))
            .bind(query.since.map(domain::Time::to_offset))
            .bind(i64::from(limit))
            .fetch_all(&mut *unit)
            .await?;
        unit.end().await?;
        let mut entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        if query.last {
            entries.reverse();
        }
        Ok(entries)
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let mut unit = unit::read(&self.reserved).await?;
        let row = sqlx::query(sql::audit::HEAD).fetch_one(&mut *unit).await?;
        unit.end().await?;
        Ok(Head {
            sequence: number(&row, "sequence")?,
            hash: EntryHash(digest(row.try_get("hash")?)?),
            time: time(&row, "time")?,
        })
    }
}

impl Postgres {
    /// One transaction up to its commit. The head's lock comes first: whoever sent an earlier attempt has ended by then,
    /// either way.
    async fn attempt(&self, batch: &[Record], sent: Option<&Sent>) -> Result<Attempt, StoreError> {
        let mut unit = unit::write(&self.reserved).await?;
        let head = lock_head(&mut unit).await?;
        if let Some(sent) = sent
            && stands(&mut unit, sent).await?
        {
            unit.undo().await?;
            return Ok(Attempt::Stands);
        }
        let looked = self.look(&mut unit, batch).await?;
        let (sequence, hash) = append(&mut unit, head, &looked.records).await?;
        Ok(Attempt::Ready(unit, Sent { sequence, hash, verdicts: verdicts(head.sequence, &looked) }))
    }

    /// The grants of the batch as they stand now, under the head's lock.
    async fn look(&self, connection: &mut PgConnection, batch: &[Record]) -> Result<LastLook, StoreError> {
        let asked: Vec<Uuid> = batch
            .iter()
            .filter(|record| crate::rules::looks(record))
            .filter_map(|record| record.grant)
            .map(|id| id.0)
            .collect();
        let mut states = BTreeMap::new();
        if !asked.is_empty() {
            for row in sqlx::query(sql::grants::STATES).bind(asked).fetch_all(connection).await? {
                let word: &str = row.try_get("state")?;
                let state = State::from_word(word).ok_or_else(|| damaged("state", word))?;
                let standing = (state, number(&row, "generation")?, time(&row, "not_after")?);
                states.insert(GrantId(row.try_get("id")?), standing);
            }
        }
        Ok(last_look(batch, &states, self.clock.now()))
    }
}

/// `step`, unless the server says nothing for too long.
async fn bounded<T>(step: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
    let late = || StoreError::Unavailable(format!("PostgreSQL said nothing for {} s", SILENCE.as_secs()));
    tokio::time::timeout(SILENCE, step).await.unwrap_or_else(|_| Err(late()))
}

/// Whether the batch was committed after all.
async fn stands(connection: &mut PgConnection, sent: &Sent) -> Result<bool, StoreError> {
    let found: Option<Vec<u8>> =
        sqlx::query_scalar(sql::audit::HASH_AT).bind(bigint(sent.sequence)).fetch_optional(connection).await?;
    Ok(found.is_some_and(|hash| hash == sent.hash.0))
}

/// Appends records behind `head`, whose lock the caller holds; returns the new end of the log.
pub(super) async fn append(
    connection: &mut PgConnection,
    head: Head,
    records: &[Record],
) -> Result<(u64, EntryHash), StoreError> {
    let entries = chain(head, records);
    let Some(last) = entries.last() else { return Ok((head.sequence, head.hash)) };
    let each = |text: fn(&Entry) -> String| entries.iter().map(text).collect::<Vec<_>>();
    let some = |text: fn(&Entry) -> Option<String>| entries.iter().map(text).collect::<Vec<_>>();
    let numbers = |number: fn(&Entry) -> u64| entries.iter().map(|entry| bigint(number(entry))).collect::<Vec<_>>();
    let ids = |id: fn(&Entry) -> Option<Uuid>| entries.iter().map(id).collect::<Vec<_>>();
    let hashes = |hash: fn(&Entry) -> Option<Vec<u8>>| entries.iter().map(hash).collect::<Vec<_>>();
    sqlx::query(sql::audit::APPEND)
        .bind(numbers(|entry| entry.sequence))
        .bind(entries.iter().map(|entry| entry.time.to_offset()).collect::<Vec<OffsetDateTime>>())
        .bind(each(|entry| entry.stage.word().to_owned()))
        .bind(each(|entry| entry.ending.word().to_owned()))
        .bind(each(|entry| entry.about.clone()))
        .bind(ids(|entry| Some(entry.request.0)))
        .bind(each(|entry| entry.address.clone()))
        .bind(ids(|entry| entry.grant.map(|id| id.0)))
        .bind(ids(|entry| entry.peer.map(|id| id.0)))
        .bind(ids(|entry| entry.subject.map(|id| id.0)))
        .bind(some(|entry| entry.resource.as_ref().map(ToString::to_string)))
        .bind(hashes(|entry| entry.query.map(|query| query.0.to_vec())))
        .bind(some(|entry| entry.reason.clone()))
        .bind(each(|entry| entry.note.clone()))
        .bind(numbers(|entry| entry.rows))
        .bind(numbers(|entry| entry.bytes))
        .bind(numbers(|entry| entry.latency_us))
        .bind(hashes(|entry| Some(entry.previous.0.to_vec())))
        .bind(hashes(|entry| Some(entry.hash.0.to_vec())))
        .bind(bigint(last.sequence))
        .bind(&last.hash.0[..])
        .bind(last.time.to_offset())
        .execute(connection)
        .await?;
    Ok((last.sequence, last.hash))
}

fn entry(row: &PgRow) -> Result<Entry, StoreError> {
    let hash = |column: &str| digest(row.try_get(column)?).map(EntryHash);
    let (stage, ending): (&str, &str) = (row.try_get("stage")?, row.try_get("ending")?);
    let resource: Option<&str> = row.try_get("resource")?;
    let query: Option<&[u8]> = row.try_get("query")?;
    Ok(Entry {
        sequence: number(row, "sequence")?,
        time: time(row, "time")?,
        stage: Stage::from_word(stage).ok_or_else(|| damaged("stage", stage))?,
        ending: Ending::from_word(ending).ok_or_else(|| damaged("ending", ending))?,
        about: row.try_get("about")?,
        request: RequestId(row.try_get("request")?),
        address: row.try_get("address")?,
        grant: row.try_get::<Option<Uuid>, _>("grant_id")?.map(GrantId),
        peer: row.try_get::<Option<Uuid>, _>("peer")?.map(InstanceId),
        subject: row.try_get::<Option<Uuid>, _>("subject")?.map(UserId),
        resource: resource.map(|text| super::row::parsed("resource", text)).transpose()?,
        query: query.map(digest).transpose()?.map(QueryHash),
        reason: row.try_get("reason")?,
        note: row.try_get("note")?,
        rows: number(row, "rows")?,
        bytes: number(row, "bytes")?,
        latency_us: number(row, "latency_us")?,
        previous: hash("previous")?,
        hash: hash("hash")?,
    })
}

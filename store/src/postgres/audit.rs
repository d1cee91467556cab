//! The log's writer in the database: one transaction for a batch, under the head's lock, after a last look at every grant
//! in it. Mostly the log ends where it was left and every grant stands as it stood when its answers were decided on: then one
//! question does it all. Where anything differs, the batch is written step by step.
//!
//! A commit whose reply was lost is looked up before anything is written again: the hash of the batch's last entry covers all
//! before it and so names the batch.

use super::{
    Postgres,
    change::lock_head,
    row::{bigint, damaged, digest, number, time},
    sql,
    unit::{self, Unit},
};
use crate::{
    AuditLog, AuditQuery, Committed, StoreError,
    rules::{DEFAULT_ENTRIES, LastLook, chain, last_look, looks, verdicts},
};
use async_trait::async_trait;
use domain::{
    Time,
    audit::{Ending, Entry, Head, Record, Stage},
    grant::State,
    id::{EntryHash, GrantId, InstanceId, QueryHash, RequestId, UserId},
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use time::OffsetDateTime;
use uuid::Uuid;

/// Pauses before the attempts after the first. Whoever waits gives up sooner than a silent server does and is refused; its record
/// may be written all the same, so that the log says more than was sent, never less.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];
/// A server that is gone without a word must not hold the writer until TCP gives up.
const SILENCE: Duration = Duration::from_secs(10);

/// A batch whose commit was sent: where the log ends with it, and what was decided for each record.
#[derive(Clone)]
struct Sent {
    end: Head,
    verdicts: Vec<Committed>,
}

/// Where the log was left by the batch before, so that the next one need not ask.
#[derive(Debug, Default)]
pub(super) struct LastEnd(Mutex<Option<Head>>);

impl LastEnd {
    fn get(&self) -> Option<Head> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, end: Option<Head>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }
}

/// What came of asking for everything in one question.
enum AtOnce {
    Written(Sent),
    /// The log ends elsewhere, or a grant moved: nothing was written.
    Differs,
    /// Whether it was written is not known.
    Unanswered(Sent),
}

/// What one attempt came to before its commit.
enum Attempt {
    /// The attempt before was committed after all.
    Stands(Sent),
    /// Everything is written; the commit remains.
    Ready(Unit, Sent),
}

#[async_trait]
impl AuditLog for Postgres {
    async fn commit(&self, batch: &[Record]) -> Result<Vec<Committed>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let done = match self.at_once(batch).await {
            AtOnce::Written(done) => done,
            AtOnce::Differs => self.step_by_step(batch, None).await?,
            AtOnce::Unanswered(sent) => self.step_by_step(batch, Some(sent)).await?,
        };
        self.last_end.set(Some(done.end));
        Ok(done.verdicts)
    }

    async fn entries(&self, query: &AuditQuery) -> Result<Vec<Entry>, StoreError> {
        let limit = if query.limit == 0 { DEFAULT_ENTRIES } else { query.limit };
        let mut unit = unit::read(&self.serving).await?;
        let rows = sqlx::query(if query.last { sql::audit::LAST } else { sql::audit::FIRST })
            .bind(bigint(query.after))
            .bind(query.grant.map(|grant| grant.0))
            .bind(query.ending.map(Ending::word))
            .bind(query.since.map(Time::to_offset))
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
    /// Writes the batch as what it will be if nothing moved since its answers were decided on.
    async fn at_once(&self, batch: &[Record]) -> AtOnce {
        let Some(head) = self.last_end.get() else { return AtOnce::Differs };
        let entries = chain(head, batch);
        let sent = Sent { end: end(head, &entries), verdicts: verdicts(head.sequence, &vec![None; batch.len()]) };
        let question = async {
            let mut connection = unit::bare(&self.reserved).await?;
            let written = append_where(&mut connection, head, &entries, Provided::of(batch, self.clock.now())).await?;
            connection.done();
            Ok(written)
        };
        match bounded(question).await {
            Ok(true) => AtOnce::Written(sent),
            Ok(false) => AtOnce::Differs,
            Err(error) => {
                tracing::warn!(%error, "writing the audit log again, step by step");
                AtOnce::Unanswered(sent)
            }
        }
    }

    /// Writes the batch as its grants stand now, after finding out where the log ends; as often as [`PAUSES`] allow.
    async fn step_by_step(&self, batch: &[Record], mut sent: Option<Sent>) -> Result<Sent, StoreError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match bounded(self.attempt(batch, sent.as_ref())).await {
                Ok(Attempt::Stands(sent)) => return Ok(sent),
                Ok(Attempt::Ready(unit, sending)) => match bounded(async { Ok(unit.end().await?) }).await {
                    Ok(()) => return Ok(sending),
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

    /// One transaction up to its commit. The head's lock comes first: whoever sent an earlier attempt has ended by then,
    /// either way.
    async fn attempt(&self, batch: &[Record], sent: Option<&Sent>) -> Result<Attempt, StoreError> {
        let mut unit = unit::write(&self.reserved).await?;
        let head = lock_head(&mut unit).await?;
        if let Some(sent) = sent
            && stands(&mut unit, sent).await?
        {
            unit.undo().await?;
            return Ok(Attempt::Stands(sent.clone()));
        }
        let looked = self.look(&mut unit, batch).await?;
        let end = append(&mut unit, head, &looked.records).await?;
        Ok(Attempt::Ready(unit, Sent { end, verdicts: verdicts(head.sequence, &looked.withdrawn) }))
    }

    /// The grants of the batch as they stand now, under the head's lock.
    async fn look(&self, connection: &mut PgConnection, batch: &[Record]) -> Result<LastLook, StoreError> {
        let asked: Vec<Uuid> =
            batch.iter().filter(|record| looks(record)).filter_map(|record| record.grant).map(|id| id.0).collect();
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
        sqlx::query_scalar(sql::audit::HASH_AT).bind(bigint(sent.end.sequence)).fetch_optional(connection).await?;
    Ok(found.is_some_and(|hash| hash == sent.end.hash.0))
}

/// What must hold for a batch to be written: grants as their answers were decided on, at a time.
#[derive(Default)]
struct Provided {
    grants: Vec<Uuid>,
    generations: Vec<i64>,
    now: Time,
}

impl Provided {
    fn of(batch: &[Record], now: Time) -> Self {
        let decided = |record: &Record| Some((record.grant?.0, bigint(record.generation?)));
        let each: BTreeSet<_> = batch.iter().filter(|record| looks(record)).filter_map(decided).collect();
        let (grants, generations) = each.into_iter().unzip();
        Self { grants, generations, now }
    }
}

/// Where the log ends with these entries behind `head`.
fn end(head: Head, entries: &[Entry]) -> Head {
    entries.last().map_or(head, |last| Head { sequence: last.sequence, hash: last.hash, time: last.time })
}

/// Appends records behind `head`, whose lock the caller holds; returns the new end of the log.
pub(super) async fn append(connection: &mut PgConnection, head: Head, records: &[Record]) -> Result<Head, StoreError> {
    let entries = chain(head, records);
    if entries.is_empty() || append_where(connection, head, &entries, Provided::default()).await? {
        return Ok(end(head, &entries));
    }
    Err(damaged("log", "its end moved while it was locked"))
}

/// Appends entries if the log still ends at `head` and what is provided for holds; false where it does not.
async fn append_where(
    connection: &mut PgConnection,
    head: Head,
    entries: &[Entry],
    provided: Provided,
) -> Result<bool, StoreError> {
    let each = |text: fn(&Entry) -> String| entries.iter().map(text).collect::<Vec<_>>();
    let some = |text: fn(&Entry) -> Option<String>| entries.iter().map(text).collect::<Vec<_>>();
    let numbers = |number: fn(&Entry) -> u64| entries.iter().map(|entry| bigint(number(entry))).collect::<Vec<_>>();
    let ids = |id: fn(&Entry) -> Option<Uuid>| entries.iter().map(id).collect::<Vec<_>>();
    let hashes = |hash: fn(&Entry) -> Option<Vec<u8>>| entries.iter().map(hash).collect::<Vec<_>>();
    let appended = sqlx::query_scalar(sql::audit::APPEND)
        .bind(bigint(head.sequence))
        .bind(&head.hash.0[..])
        .bind(provided.grants)
        .bind(provided.generations)
        .bind(provided.now.to_offset())
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
        .fetch_one(connection)
        .await?;
    Ok(appended)
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

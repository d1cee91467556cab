//! The last look before answers leave, and the chain their records form.

use crate::Committed;
use domain::{
    Reason, Time,
    audit::{Ending, Entry, Head, Record, one_line},
    grant::State,
    id::GrantId,
};
use std::{collections::BTreeMap, time::Duration};

/// Entries that a query of the log gives when it does not say how many.
pub(crate) const DEFAULT_ENTRIES: u32 = 1_000;

/// A batch as it will stand in the log.
pub(crate) struct LastLook {
    /// The records, those of withdrawn answers as refusals.
    pub(crate) records: Vec<Record>,
    /// For each record, why its answer must not leave.
    pub(crate) withdrawn: Vec<Option<Reason>>,
}

/// Whether an answer hangs on this record and on its grant.
pub(crate) fn looks(record: &Record) -> bool {
    record.ending == Ending::Answered && record.grant.is_some() && record.generation.is_some()
}

/// Compares each answer's decision with its grant's present state, generation and end.
pub(crate) fn last_look(batch: &[Record], grants: &BTreeMap<GrantId, (State, u64, Time)>, now: Time) -> LastLook {
    let withdrawn: Vec<_> = batch.iter().map(|record| moved(record, grants, now)).collect();
    let records = batch.iter().zip(&withdrawn).map(|(record, reason)| match reason {
        Some(Reason::SnapshotStale) => {
            record.clone().withdrawn(Reason::SnapshotStale, "the grant changed before the answer could leave")
        }
        Some(reason) => record.clone().withdrawn(*reason, "the grant ended before the answer could leave"),
        None => record.clone(),
    });
    LastLook { records: records.collect(), withdrawn }
}

fn moved(record: &Record, grants: &BTreeMap<GrantId, (State, u64, Time)>, now: Time) -> Option<Reason> {
    let (true, Some(id), Some(decided)) = (looks(record), record.grant, record.generation) else { return None };
    match grants.get(&id) {
        Some((State::Active, generation, not_after)) if now < *not_after => {
            (*generation != decided).then_some(Reason::SnapshotStale)
        }
        _ => Some(Reason::NotPermitted),
    }
}

/// What each waiter is told, for a batch that follows the entry `before`, given why its answers must not leave.
pub(crate) fn verdicts(before: u64, withdrawn: &[Option<Reason>]) -> Vec<Committed> {
    let verdict = |(sequence, reason): (u64, &Option<Reason>)| match reason {
        Some(reason) => Committed::Withdrawn { sequence, reason: *reason },
        None => Committed::Written { sequence },
    };
    (before + 1..).zip(withdrawn).map(verdict).collect()
}

/// The entries that records become behind `head`.
pub(crate) fn chain(head: Head, records: &[Record]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::with_capacity(records.len());
    for (sequence, record) in (head.sequence + 1..).zip(records) {
        let previous = entries.last().map_or(head.hash, |entry| entry.hash);
        entries.push(Entry::chain(&storable(record), sequence, previous));
    }
    entries
}

/// What a database can hold: one bad record must not keep a whole batch from being written.
fn storable(record: &Record) -> Record {
    const MOST: u64 = i64::MAX as u64;
    Record {
        address: one_line(&record.address),
        note: one_line(&record.note),
        rows: record.rows.min(MOST),
        bytes: record.bytes.min(MOST),
        latency: record.latency.min(Duration::from_micros(MOST)),
        ..record.clone()
    }
}

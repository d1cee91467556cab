//! Reading rows under either authority: where a chunk begins, how far it goes, and the second check on each row.

use crate::{Access, Chunk, StoreError};
use domain::{
    Time,
    decide::{CHUNK_BYTES, CHUNK_ROWS, SecondCheck},
    grant::Grant,
    item::{Item, StoredItem},
    operation::{Get, List, Operation},
    page::{BadToken, Position},
    rights::Rights,
    scope::Filter,
};

/// Which part of a list one chunk is.
pub(crate) struct Window {
    /// The row it begins after.
    pub(crate) after: Option<Position>,
    /// The most rows it holds.
    pub(crate) rows: u32,
}

impl Window {
    /// The window that the operation asks for, within what the authority allows.
    pub(crate) fn of(access: &Access<'_, List>) -> Result<Self, StoreError> {
        match access {
            Access::Granted(permit) => Ok(Self { after: permit.after(), rows: permit.chunk_rows() }),
            Access::Native { user, operation, .. } => {
                let after = operation.after(&user.to_string()).map_err(|_| BadToken)?;
                let answered = operation.progress.map_or(0, |progress| progress.rows);
                let left = operation.limit.map_or(CHUNK_ROWS, |limit| limit.saturating_sub(answered));
                Ok(Self { after, rows: left.min(CHUNK_ROWS) })
            }
        }
    }
}

/// An authority that judges rows of its operation.
pub(crate) trait Judged {
    /// What the scope lets through; none for a local user, whose rights alone decide. Void where the scope does not name the
    /// resource, which no permit can be about.
    fn filter(&self) -> Result<Option<&Filter>, SecondCheck>;
    /// The second check: the row as it may leave.
    fn judge(&self, rights: &Rights, stored: StoredItem) -> Result<Item, SecondCheck>;
}

impl Judged for Access<'_, List> {
    fn filter(&self) -> Result<Option<&Filter>, SecondCheck> {
        match self {
            Self::Granted(permit) => permit.filter().map(Some).ok_or(SecondCheck),
            Self::Native { .. } => Ok(None),
        }
    }

    fn judge(&self, rights: &Rights, stored: StoredItem) -> Result<Item, SecondCheck> {
        match self {
            Self::Granted(permit) => permit.check(rights, stored),
            Self::Native { .. } => natively(self, rights, stored),
        }
    }
}

impl Judged for Access<'_, Get> {
    fn filter(&self) -> Result<Option<&Filter>, SecondCheck> {
        match self {
            Self::Granted(permit) => permit.filter().map(Some).ok_or(SecondCheck),
            Self::Native { .. } => Ok(None),
        }
    }

    fn judge(&self, rights: &Rights, stored: StoredItem) -> Result<Item, SecondCheck> {
        match self {
            Self::Granted(permit) => permit.check(rights, stored),
            Self::Native { operation, .. } if stored.item.id != operation.id => Err(SecondCheck),
            Self::Native { .. } => natively(self, rights, stored),
        }
    }
}

fn natively<O: Operation<Ground = Grant>>(
    access: &Access<'_, O>,
    rights: &Rights,
    stored: StoredItem,
) -> Result<Item, SecondCheck> {
    let same = rights.user == access.user() && rights.workspace == access.workspace();
    let asked = access.operation().resource() == Some(&stored.item.resource);
    if same && asked && rights.admit(&stored) { Ok(stored.shown_in(None)) } else { Err(SecondCheck) }
}

/// Judges rows and cuts them to one chunk. `found` counts every row that follows the window's beginning, up to one more
/// than it may hold.
pub(crate) fn chunk(
    access: &Access<'_, List>,
    rights: &Rights,
    window: &Window,
    rows: Vec<StoredItem>,
    found: usize,
    as_of: Time,
) -> Result<Chunk, SecondCheck> {
    let mut items = Vec::with_capacity(rows.len());
    let mut bytes = 0;
    for stored in rows {
        let item = access.judge(rights, stored)?;
        bytes += item.size();
        let full = items.len() >= window.rows as usize || (bytes > CHUNK_BYTES && !items.is_empty());
        if full {
            break;
        }
        items.push(item);
    }
    let more = found > items.len();
    Ok(Chunk { items, more, as_of })
}

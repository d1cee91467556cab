//! Where a merged answer goes on: base64url of version, query hash, asker, oldest row shown, and each source with how far it has come; of
//! all there were, those alone that may have more.
//!
//! It goes into the address of a request, so it is packed: 256 links that are all under way take 36 KB with the longest names there are, and half of
//! that with usual ones. The bytes are in `packed`.
//!
//! A cursor holds positions, never rows. It is not signed: it gives nobody anything that its own user could not ask for, and
//! one that fits not exactly the same question and user is refused. It names its sources, so that an answer stays the same from page to page
//! whatever links are added meanwhile, and so that one which was removed is told of by the name that it had.

use crate::{Asker, HubError};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    answer::HERE,
    id::{GrantId, Name, QueryHash, UserId, WorkspaceId},
    page::Position,
};
use std::collections::BTreeSet;

mod packed;

const VERSION: u8 = 3;
/// Far above what a thousand sources need.
const MAX_TEXT: usize = 256 * 1024;

/// A source by what stays when links are renamed, and the name that it had: none is this instance itself.
pub(crate) type SourceId = Option<(GrantId, Name)>;

/// How far one source has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has not given a row yet.
    NotAsked,
    /// Its rows after this one were not shown yet.
    After(Position),
    /// It has nothing more to give.
    Done,
}

impl Progress {
    /// The row after which to ask.
    pub(crate) fn after(self) -> Option<Position> {
        match self {
            Self::After(position) => Some(position),
            Self::NotAsked | Self::Done => None,
        }
    }
}

/// What a cursor must not be moved between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    query: QueryHash,
    user: UserId,
    workspace: WorkspaceId,
}

impl Bound {
    pub(crate) fn new(query: QueryHash, asker: &Asker) -> Self {
        Self { query, user: asker.user, workspace: asker.workspace }
    }
}

/// How far a whole answer has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The oldest row of earlier pages: a newer one that comes now is late.
    pub(crate) shown: Option<Position>,
    /// Whether they are all that there were when the answer began, and not some that were named.
    pub(crate) all: bool,
    /// Every source of the answer, in its order.
    pub(crate) sources: Vec<(SourceId, Progress)>,
}

impl Cursor {
    /// The beginning of an answer from these sources.
    pub(crate) fn start(all: bool, sources: impl IntoIterator<Item = SourceId>) -> Self {
        Self { shown: None, all, sources: sources.into_iter().map(|id| (id, Progress::NotAsked)).collect() }
    }

    /// Whether any source may have more.
    pub(crate) fn is_open(&self) -> bool {
        self.sources.iter().any(|(_, progress)| *progress != Progress::Done)
    }

    /// The same without what these sources, by their names, may still have.
    pub(crate) fn without(mut self, names: &BTreeSet<&str>) -> Self {
        for (id, progress) in &mut self.sources {
            if names.contains(id.as_ref().map_or(HERE, |(_, name)| name.as_str())) {
                *progress = Progress::Done;
            }
        }
        self
    }

    /// The opaque text.
    pub(crate) fn encode(&self, bound: &Bound) -> String {
        URL_SAFE_NO_PAD.encode(packed::write(self, bound))
    }

    /// Reads a cursor that must belong to `bound`; whether its sources are those of the question is for whoever knows the links.
    pub(crate) fn decode(text: &str, bound: &Bound) -> Result<Self, HubError> {
        let bytes = (text.len() <= MAX_TEXT).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten();
        let (cursor, found) = bytes.and_then(|bytes| packed::read(&bytes)).ok_or_else(no_cursor)?;
        let ids = cursor.sources.iter().map(|(id, _)| id.as_ref().map(|(grant, _)| *grant));
        // A source that stood there twice would give its rows twice.
        if found != *bound || ids.collect::<BTreeSet<_>>().len() != cursor.sources.len() {
            return Err(HubError::Cursor);
        }
        Ok(cursor)
    }
}

fn no_cursor() -> HubError {
    let next = "take the whole of what an earlier page called `next`, or start again without a cursor";
    HubError::Question(format!("this is not a cursor; {next}"))
}

#[cfg(test)]
mod tests;

//! Where a merged answer goes on: base64url of JSON {version, query hash, asker, oldest row shown, every source with its state}.
//!
//! A cursor holds positions, never rows. It is not signed: it gives nobody anything that its own user could not ask for, and
//! one that fits not exactly the same question and user is refused. It names its sources, so that an answer stays the same from page to page
//! whatever links are added meanwhile, and so that one which was removed is told of by the name that it had.

use crate::{Asker, HubError};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    Time,
    answer::HERE,
    id::{GrantId, ItemId, Name, QueryHash, UserId, WorkspaceId},
    page::Position,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const VERSION: u32 = 2;
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

type Key = (i64, ItemId);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    v: u32,
    query: QueryHash,
    user: UserId,
    workspace: WorkspaceId,
    shown: Option<Key>,
    all: bool,
    sources: Vec<(SourceId, State)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    New,
    After(Key),
    Done,
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
        let text = Text {
            v: VERSION,
            query: bound.query,
            user: bound.user,
            workspace: bound.workspace,
            shown: self.shown.map(key),
            all: self.all,
            sources: self.sources.iter().map(|(id, progress)| (id.clone(), state(*progress))).collect(),
        };
        // Ids, hashes and numbers always serialise; an empty cursor would be refused like any foreign one.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&text).unwrap_or_default())
    }

    /// Reads a cursor that must belong to `bound`; whether its sources are those of the question is for whoever knows the links.
    pub(crate) fn decode(text: &str, bound: &Bound) -> Result<Self, HubError> {
        let read = read(text).ok_or_else(no_cursor)?;
        let found = Bound { query: read.query, user: read.user, workspace: read.workspace };
        let distinct: BTreeSet<_> = read.sources.iter().map(|(id, _)| id.as_ref().map(|(grant, _)| *grant)).collect();
        // A source that stood there twice would give its rows twice.
        if read.v != VERSION || found != *bound || distinct.len() != read.sources.len() {
            return Err(HubError::Cursor);
        }
        let sources = read.sources.into_iter().map(|(id, state)| (id, progress(&state))).collect();
        Ok(Self { shown: read.shown.map(position), all: read.all, sources })
    }
}

fn no_cursor() -> HubError {
    let next = "take the whole of what an earlier page called `next`, or start again without a cursor";
    HubError::Question(format!("this is not a cursor; {next}"))
}

fn read(text: &str) -> Option<Text> {
    let bytes = (text.len() <= MAX_TEXT).then(|| URL_SAFE_NO_PAD.decode(text).ok())??;
    serde_json::from_slice(&bytes).ok()
}

fn key(position: Position) -> Key {
    (position.created_at.micros(), position.id)
}

fn position((micros, id): Key) -> Position {
    Position { created_at: Time::from_micros(micros), id }
}

fn state(progress: Progress) -> State {
    match progress {
        Progress::NotAsked => State::New,
        Progress::After(position) => State::After(key(position)),
        Progress::Done => State::Done,
    }
}

fn progress(state: &State) -> Progress {
    match state {
        State::New => Progress::NotAsked,
        State::After(key) => Progress::After(position(*key)),
        State::Done => Progress::Done,
    }
}

#[cfg(test)]
mod tests;

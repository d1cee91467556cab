//! A cursor as bytes: the version, 32 of the query hash, 16 of the user, 16 of the workspace, flags (1: all sources there were, 2: rows were shown),
//! the oldest row shown, 2 for how many sources follow, then each: a mark (0 to 2 how far it has come, 4 for a link), of a link 16 of its grant and its name with
//! the length before, and the row after which it goes on. A row is 8 of its time, in microseconds, and 16 of its id; numbers are big-endian.

use super::{Bound, Cursor, Progress, SourceId, VERSION};
use domain::{
    Time,
    id::{GrantId, ItemId, QueryHash, UserId, WorkspaceId},
    page::Position,
};
use uuid::Uuid;

const ALL: u8 = 1;
const SHOWN: u8 = 2;
const LINK: u8 = 4;

/// The bytes of it.
pub(super) fn write(cursor: &Cursor, bound: &Bound) -> Vec<u8> {
    let Cursor { shown, all, sources } = cursor;
    let mut bytes = vec![VERSION];
    bytes.extend(bound.query.0);
    bytes.extend(bound.user.0.as_bytes());
    bytes.extend(bound.workspace.0.as_bytes());
    bytes.push(if *all { ALL } else { 0 } | if shown.is_some() { SHOWN } else { 0 });
    bytes.extend(shown.map(row).iter().flatten());
    // Those that were named are compared with the question's, also once they have nothing more to give.
    let told: Vec<_> = sources.iter().filter(|(_, progress)| !all || *progress != Progress::Done).collect();
    // More of them there are not: a cursor that says fewer than it names is refused when it is read.
    bytes.extend(u16::try_from(told.len()).unwrap_or(u16::MAX).to_be_bytes());
    for (id, progress) in told {
        write_source(id, *progress, &mut bytes);
    }
    bytes
}

fn write_source(id: &SourceId, progress: Progress, bytes: &mut Vec<u8>) {
    let state = match progress {
        Progress::NotAsked => 0,
        Progress::After(_) => 1,
        Progress::Done => 2,
    };
    bytes.push(state | if id.is_some() { LINK } else { 0 });
    if let Some((grant, name)) = id {
        bytes.extend(grant.0.as_bytes());
        // A name has 63 characters at most, of ASCII.
        bytes.push(u8::try_from(name.as_str().len()).unwrap_or(u8::MAX));
        bytes.extend(name.as_str().as_bytes());
    }
    bytes.extend(progress.after().map(row).iter().flatten());
}

fn row(position: Position) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&position.created_at.micros().to_be_bytes());
    bytes[8..].copy_from_slice(position.id.0.as_bytes());
    bytes
}

/// What they say, and what it is bound to; none where they are no cursor of this version.
pub(super) fn read(bytes: &[u8]) -> Option<(Cursor, Bound)> {
    let mut left = Left(bytes);
    let [version] = left.take()?;
    if version != VERSION {
        return None;
    }
    let query = QueryHash(left.take()?);
    let bound = Bound { query, user: UserId(left.uuid()?), workspace: WorkspaceId(left.uuid()?) };
    let [flags] = left.take()?;
    if flags & !(ALL | SHOWN) != 0 {
        return None;
    }
    let shown = if flags & SHOWN == 0 { None } else { Some(left.row()?) };
    let count = u16::from_be_bytes(left.take()?);
    let sources = (0..count).map(|_| left.source()).collect::<Option<Vec<_>>>()?;
    let is_whole = left.0.is_empty() && count > 0;
    is_whole.then_some((Cursor { shown, all: flags & ALL != 0, sources }, bound))
}

/// What is not read yet.
struct Left<'a>(&'a [u8]);

impl<'a> Left<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, left) = self.0.split_first_chunk()?;
        self.0 = left;
        Some(*taken)
    }

    fn text(&mut self, length: usize) -> Option<&'a str> {
        let (taken, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        str::from_utf8(taken).ok()
    }

    fn uuid(&mut self) -> Option<Uuid> {
        self.take().map(Uuid::from_bytes)
    }

    fn row(&mut self) -> Option<Position> {
        let created_at = Time::from_micros(i64::from_be_bytes(self.take()?));
        Some(Position { created_at, id: ItemId(self.uuid()?) })
    }

    fn source(&mut self) -> Option<(SourceId, Progress)> {
        let [mark] = self.take()?;
        let id = if mark & LINK == 0 {
            None
        } else {
            let (grant, [length]) = (GrantId(self.uuid()?), self.take()?);
            Some((grant, self.text(length.into())?.parse().ok()?))
        };
        let progress = match mark & !LINK {
            0 => Progress::NotAsked,
            1 => Progress::After(self.row()?),
            2 => Progress::Done,
            _ => return None,
        };
        Some((id, progress))
    }
}

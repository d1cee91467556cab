//! One ordered page out of many sources: newest first by (`created_at`, `id`), rows of one place by the order of the sources.
//!
//! A page ends at its limit, or where a source was cut short in good order: what that source holds next may be newer than
//! whatever the others still have. A source that failed holds nobody back; its rows come on a later page, flagged `late`.

use crate::cursor::Progress;
use domain::{Time, answer::Row, item::Item, page::Position};
use std::{cmp::Reverse, collections::BinaryHeap};

/// What follows after the rows that a source gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing: it came to its end.
    Nothing,
    /// More rows, older than the ones it gave.
    More,
    /// Unknown: it was late or failed, and is asked again for the next page.
    Late,
    /// Nothing that trying again could bring: it refused for good.
    Refused,
}

/// What one source gave to a page: rows newest first, with the time they were read.
#[derive(Clone, Debug)]
pub(crate) struct Gathered {
    /// `here`, or the link's name.
    pub(crate) source: String,
    /// Where it stood before.
    pub(crate) before: Progress,
    /// Whether it gave them a moment ago, and they were kept.
    pub(crate) cached: bool,
    /// Its rows, strictly newest first.
    pub(crate) rows: Vec<(Item, Time)>,
    /// What follows them.
    pub(crate) rest: Rest,
}

/// Where a source stands after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Rows it has on the page.
    pub(crate) rows: u64,
    /// How far it has come.
    pub(crate) progress: Progress,
    /// Whether it gave more rows than the page has room for: then nothing of it is missing there, however it ended.
    pub(crate) is_beyond: bool,
}

/// A page, and where every source of it stands now.
#[derive(Clone, Debug)]
pub(crate) struct Merged {
    /// In order.
    pub(crate) rows: Vec<Row>,
    /// For each source in the order given.
    pub(crate) sources: Vec<Standing>,
    /// The oldest row shown so far, over this page and earlier ones.
    pub(crate) shown: Option<Position>,
}

/// Merges at most `limit` rows. `shown` is the oldest row of earlier pages.
pub(crate) fn merge(sources: Vec<Gathered>, limit: usize, shown: Option<Position>) -> Merged {
    let mut lanes: Vec<Lane> = sources.into_iter().map(Lane::new).collect();
    let mut heads: BinaryHeap<_> = lanes.iter().enumerate().filter_map(|(at, lane)| lane.head(at)).collect();
    let mut rows = Vec::new();
    let mut oldest = shown;
    while rows.len() < limit
        && let Some((position, Reverse(at))) = heads.pop()
    {
        let late = shown.is_some_and(|shown| position > shown);
        oldest = Some(oldest.map_or(position, |oldest| oldest.min(position)));
        rows.extend(lanes[at].take(late));
        match lanes[at].head(at) {
            Some(head) => heads.push(head),
            None if lanes[at].rest == Rest::More => break,
            None => {}
        }
    }
    Merged { rows, sources: lanes.iter().map(Lane::standing).collect(), shown: oldest }
}

struct Lane {
    source: String,
    cached: bool,
    rows: std::vec::IntoIter<(Item, Time)>,
    rest: Rest,
    taken: u64,
    reached: Progress,
}

impl Lane {
    fn new(gathered: Gathered) -> Self {
        let Gathered { source, before, cached, rows, rest } = gathered;
        Self { source, cached, rows: rows.into_iter(), rest, taken: 0, reached: before }
    }

    fn head(&self, at: usize) -> Option<(Position, Reverse<usize>)> {
        self.rows.as_slice().first().map(|(item, _)| (item.position(), Reverse(at)))
    }

    fn take(&mut self, late: bool) -> Option<Row> {
        let (item, as_of) = self.rows.next()?;
        self.taken += 1;
        self.reached = Progress::After(item.position());
        Some(Row { source: self.source.clone(), as_of, late, cached: self.cached, item })
    }

    fn standing(&self) -> Standing {
        let is_beyond = self.rows.len() > 0;
        let over = matches!(self.rest, Rest::Nothing | Rest::Refused) && !is_beyond;
        Standing { rows: self.taken, progress: if over { Progress::Done } else { self.reached }, is_beyond }
    }
}

#[cfg(test)]
mod tests;

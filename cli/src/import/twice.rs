//! Whether rows that a first import from a place would add are here already, from another place: a copy of a folder, put back or moved
//! elsewhere, has keys of its own, and every row would be here twice. Told before anything is written, for no row can be deleted.

use super::{
    Common,
    after::Typed,
    progress::Progress,
    send::{Found, READ_AHEAD},
};
use crate::{
    exit::{Failure, Outcome},
    out::Out,
    rooms::asking,
};
use api::{client::Client, view};
use std::sync::Arc;
use tokio::{sync::mpsc, task::spawn_blocking};

/// So many rows are looked at: enough to know a copy, and as many as the daemon takes at once.
const SAMPLE: usize = 500;
/// So many are read for it, rows that are none counted: what comes of those is told by the import.
const LOOKED: usize = 2 * SAMPLE;

/// Where most of the rows are from that an import would add a second time.
#[derive(Debug, PartialEq, Eq)]
pub struct Twice {
    source: String,
    here: u64,
    asked: usize,
}

/// The other place that most of these rows are here from, if there is one and this place is new.
pub async fn look(found: Found, client: &Client, common: &Arc<Common>) -> Outcome<Option<Twice>> {
    let question = view::SourceQuestion { source: common.source.clone() };
    let known: view::SourceEntry = client.get(&asking("/v1/items/source", &question)?).await?;
    if known.rows > 0 {
        return Ok(None);
    }
    let rows = first(found, common).await?;
    let asked = rows.len();
    let question = view::AlikeQuestion { source: common.source.clone(), rows };
    let sources: Vec<view::AlikeSource> = client.post("/v1/items/alike", &question).await?;
    Ok(most(sources, asked))
}

/// The first rows that the files hold.
async fn first(found: Found, common: &Arc<Common>) -> Outcome<Vec<view::AlikeRow>> {
    let (rows, mut read) = mpsc::channel(READ_AHEAD);
    let shared = Arc::clone(common);
    let reader = spawn_blocking(move || found.read(&shared, Progress::none(), &rows));
    let (mut first, mut looked) = (Vec::new(), 0);
    while first.len() < SAMPLE
        && looked < LOOKED
        && let Some((_, row)) = read.recv().await
    {
        looked += 1;
        let item = row.ok().map(|row| row.item);
        first.extend(item.and_then(|item| {
            Some(view::AlikeRow { resource: item.resource, title: item.title, source_key: item.source_key? })
        }));
    }
    // Nobody takes the rest: the reader ends.
    drop(read);
    reader.await.map_err(Failure::of)?;
    Ok(first)
}

fn most(sources: Vec<view::AlikeSource>, asked: usize) -> Option<Twice> {
    let most = sources.into_iter().max_by_key(|one| one.rows)?;
    let is_most = most.rows.saturating_mul(2) > asked as u64;
    is_most.then_some(Twice { source: most.source, here: most.rows, asked })
}

impl Twice {
    /// What is here and would be here again, and the import that brings those rows up to date instead.
    pub fn said(&self, typed: &Typed, out: &Out) -> String {
        let Self { source, here, asked } = self;
        format!(
            "{here} of the {asked} rows looked at are here already, from {source}: this adds them a second time, and no row can be \
             deleted; {}",
            self.instead(typed, out)
        )
    }

    /// The import that is meant where these are the same rows.
    pub fn instead(&self, typed: &Typed, out: &Out) -> String {
        format!("to bring those up to date instead, type `{}`", out.reach.command(&self.command(typed)))
    }

    /// The same as a next command.
    pub fn command(&self, typed: &Typed) -> String {
        typed.of_source(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_most_rows_where_it_has_more_than_half() {
        let of = |rows: &[u64]| {
            let sources =
                rows.iter().enumerate().map(|(at, rows)| view::AlikeSource { source: format!("/{at}"), rows: *rows });
            most(sources.collect(), 10)
        };
        assert_eq!(of(&[2, 6, 1]), Some(Twice { source: "/1".to_owned(), here: 6, asked: 10 }));
        assert_eq!((of(&[5, 5]), of(&[])), (None, None));
    }
}

//! A row by the beginning of its id. There is no question for that on the wire, so the newest rows are read, and let go of.

use crate::{
    Asker, Hub, HubError, Question, Sources, Until,
    cursor::Cursor,
    flight::{Held, Places},
};
use domain::{
    answer::{Outcome, Page, SourceOutcome},
    id::{ItemId, Resource},
};
use std::collections::{BTreeMap, BTreeSet};

/// Pages that are read at most.
pub const PAGES: u32 = 25;
/// Rows of each.
const PAGE: u32 = 400;
/// The beginning of an id as tables show it: long enough that the first hit is taken, and no further rows are asked for.
const SHOWN: usize = 8;

/// What looking for the beginning of an id came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sought {
    /// The ids that begin so, each with the sources that have it.
    pub found: BTreeMap<ItemId, BTreeSet<String>>,
    /// How each source ended: the last time it answered, or the last time it did not.
    pub ended: BTreeMap<String, SourceOutcome>,
    /// Whether every row of those that answered was looked at.
    pub whole: bool,
}

impl Sought {
    /// Takes what a page has. Whether anything of its rows was kept.
    fn take(&mut self, page: &Page, start: &str) -> bool {
        let hits = page.rows.iter().filter(|row| row.item.id.to_string().starts_with(start));
        let before = self.found.len();
        for row in hits {
            self.found.entry(row.item.id).or_default().insert(row.source.clone());
        }
        for source in &page.sources {
            if source.outcome != Outcome::Ok || !self.ended.contains_key(&source.source) {
                self.ended.insert(source.source.clone(), source.clone());
            }
        }
        self.found.len() > before
    }

    /// Whether some source did not answer: the row may be there.
    pub fn is_uncertain(&self) -> bool {
        self.ended.values().any(|source| source.outcome != Outcome::Ok)
    }
}

impl Hub {
    /// Looks for rows whose ids begin with `start` among the newest. What is found is under way until it is let go of; where a grant
    /// that any of it came under ends meanwhile, it is forgotten and looked for anew.
    ///
    /// All of it is one answer, that is to be there by `until`: a source that did not answer for one page is not asked for the next one, which
    /// would cost its deadline once more and make nothing certain.
    pub async fn seek(
        &self,
        asker: &Asker,
        from: &Sources,
        resource: &Resource,
        (start, fresh): (&str, bool),
        until: Until,
    ) -> Result<Held<Sought>, HubError> {
        let (from, resource) = (from.clone(), resource.clone());
        let question =
            Question { from, resource, limit: PAGE, include_body: false, cursor: None, strict: false, fresh };
        let (mut sought, mut places, mut cursor) = (Sought::default(), Places::default(), None);
        for _ in 0..PAGES {
            let page = tokio::select! {
                biased;
                () = places.over() => {
                    (sought, places, cursor) = (Sought::default(), Places::default(), None);
                    continue;
                }
                page = self.page_after(asker, &question, (cursor.clone(), until)) => page?,
            };
            let (page, next) = page;
            let (page, held) = page.part();
            if sought.take(&page, start) {
                places.join(held);
            }
            let silent = page.sources.iter().filter(|source| is_silent(source)).map(|source| source.source.as_str());
            cursor = next.map(|next| next.without(&silent.collect())).filter(Cursor::is_open);
            sought.whole = cursor.is_none();
            let is_found = start.len() >= SHOWN && !sought.found.is_empty();
            if sought.whole || is_found || !self.deadlines.are_fair(until) {
                break;
            }
        }
        Ok(Held::within(sought, places))
    }

    async fn page_after(
        &self,
        asker: &Asker,
        question: &Question,
        (cursor, until): (Option<Cursor>, Until),
    ) -> Result<(Held<Page>, Option<Cursor>), HubError> {
        let lanes = match cursor {
            Some(cursor) => self.lanes_of(asker, &question.from, cursor).await?,
            None => self.first_lanes(asker, &question.from).await?,
        };
        self.page_of(asker, question, lanes, until).await
    }
}

/// Whether a source gave nothing of a page. One that broke off may give the rest of it.
fn is_silent(source: &SourceOutcome) -> bool {
    !matches!(source.outcome, Outcome::Ok | Outcome::Partial)
}

//! A row by the beginning of its id. There is no question for that on the wire, so the newest rows are read, and let go of.

use crate::{
    Asker, Hub, HubError, Question, Sources,
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
        self.whole = page.next.is_none();
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
    pub async fn seek(
        &self,
        asker: &Asker,
        from: &Sources,
        resource: &Resource,
        (start, fresh): (&str, bool),
    ) -> Result<Held<Sought>, HubError> {
        let (mut sought, mut places, mut cursor) = (Sought::default(), Places::default(), None);
        for _ in 0..PAGES {
            let (from, resource) = (from.clone(), resource.clone());
            let question = Question { from, resource, limit: PAGE, include_body: false, cursor, strict: false, fresh };
            let page = tokio::select! {
                biased;
                () = places.over() => {
                    (sought, places, cursor) = (Sought::default(), Places::default(), None);
                    continue;
                }
                page = self.page(asker, question) => page?,
            };
            let (page, held) = page.part();
            if sought.take(&page, start) {
                places.join(held);
            }
            cursor = page.next;
            if cursor.is_none() || (start.len() >= SHOWN && !sought.found.is_empty()) {
                break;
            }
        }
        Ok(Held::within(sought, places))
    }
}

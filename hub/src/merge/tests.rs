//! The merge against a plain sort, over many pages and sources that cut short, come late or both.

use super::*;
use domain::id::ItemId;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Instant and id; small ranges, so that both are often equal between sources.
type Key = (i64, u8);

fn item((at, id): Key) -> Item {
    Item {
        id: ItemId(Uuid::from_u128(u128::from(id))),
        resource: "tasks".parse().unwrap(),
        created_at: Time::from_seconds(at),
        updated_at: Time::from_seconds(at),
        title: None,
        body: None,
        team: None,
        project: None,
        owner: None,
        tags: BTreeSet::new(),
        attributes: serde_json::Map::new(),
    }
}

/// A source that answers at most `cap` rows at once and fails on the pages in `late`.
#[derive(Clone, Debug)]
struct Model {
    rows: BTreeSet<Key>,
    cap: usize,
    late: BTreeSet<usize>,
}

impl Model {
    fn answer(&self, name: usize, page: usize, limit: usize, before: Progress) -> Gathered {
        let after = before.after();
        let rows = self.rows.iter().rev().map(|key| item(*key));
        let mut rows: Vec<_> = rows.filter(|row| after.is_none_or(|after| row.position() < after)).collect();
        let all = rows.len();
        rows.truncate(limit.min(self.cap));
        let rest = if rows.len() < all { Rest::More } else { Rest::Nothing };
        let (rows, rest) = if self.late.contains(&page) { (Vec::new(), Rest::Late) } else { (rows, rest) };
        let rows = rows.into_iter().map(|row| (row, Time::default())).collect();
        Gathered { source: name.to_string(), before, cached: false, rows, rest }
    }
}

fn models() -> impl Strategy<Value = Vec<Model>> {
    let model = (
        prop::collection::btree_set((0..12_i64, 0..8_u8), 0..25),
        1..9_usize,
        prop::collection::btree_set(0..6_usize, 0..3),
    );
    prop::collection::vec(model.prop_map(|(rows, cap, late)| Model { rows, cap, late }), 1..5)
}

/// Every row of every page, and for each page the oldest row that was shown before it.
fn all_pages(models: &[Model], limit: usize) -> Vec<(Option<Position>, Vec<Row>)> {
    let mut standing = vec![Progress::NotAsked; models.len()];
    let (mut shown, mut pages) = (None, Vec::new());
    for page in 0..500 {
        let asked: Vec<_> = (0..models.len()).filter(|at| standing[*at] != Progress::Done).collect();
        if asked.is_empty() {
            return pages;
        }
        let gathered = asked.iter().map(|at| models[*at].answer(*at, page, limit, standing[*at])).collect();
        let merged = merge(gathered, limit, shown);
        for (at, Standing { progress, .. }) in asked.iter().zip(&merged.sources) {
            standing[*at] = *progress;
        }
        pages.push((shown, merged.rows));
        shown = merged.shown;
    }
    panic!("paging does not end");
}

fn oracle(models: &[Model]) -> Vec<(Position, usize)> {
    let rows =
        models.iter().enumerate().flat_map(|(at, model)| model.rows.iter().map(move |key| (item(*key).position(), at)));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|(position, at)| (Reverse(*position), *at));
    rows
}

fn keys(rows: &[Row]) -> Vec<(Position, usize)> {
    rows.iter().map(|row| (row.item.position(), row.source.parse().unwrap())).collect()
}

proptest! {
    #[test]
    fn pages_of_sources_that_answer_are_one_sorted_list(models in models(), limit in 1..20_usize) {
        let models: Vec<_> = models.into_iter().map(|model| Model { late: BTreeSet::new(), ..model }).collect();
        let rows: Vec<_> = all_pages(&models, limit).into_iter().flat_map(|(_, rows)| rows).collect();
        prop_assert_eq!(keys(&rows), oracle(&models));
        prop_assert!(rows.iter().all(|row| !row.late));
    }

    #[test]
    fn with_late_sources_each_page_is_sorted_and_every_row_comes_once_flagged_as_it_should(
        models in models(),
        limit in 1..20_usize,
    ) {
        let pages = all_pages(&models, limit);
        let mut count = BTreeMap::<_, usize>::new();
        for (shown, rows) in &pages {
            let order = keys(rows);
            prop_assert!(rows.len() <= limit);
            prop_assert!(order.is_sorted_by_key(|(position, at)| (Reverse(*position), *at)));
            for row in rows {
                prop_assert_eq!(row.late, shown.is_some_and(|shown| row.item.position() > shown));
            }
            for key in order {
                *count.entry(key).or_default() += 1;
            }
        }
        prop_assert_eq!(count.len(), oracle(&models).len());
        prop_assert!(count.values().all(|times| *times == 1));
    }
}

#[test]
fn a_source_that_refused_is_done_once_its_rows_are_shown() {
    let refused =
        |rows| Gathered { source: "x".into(), before: Progress::NotAsked, cached: false, rows, rest: Rest::Refused };
    assert_eq!(
        merge(vec![refused(Vec::new())], 5, None).sources,
        [Standing { rows: 0, progress: Progress::Done, is_beyond: false }]
    );
    let rows = vec![(item((2, 1)), Time::default()), (item((1, 1)), Time::default())];
    let progress = Progress::After(item((2, 1)).position());
    assert_eq!(merge(vec![refused(rows)], 1, None).sources, [Standing { rows: 1, progress, is_beyond: true }]);
}

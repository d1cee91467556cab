//! What the cases came to, for whoever reads the run.

use crate::judge::is_link;
use domain::answer::{One, Outcome, Page, SourceOutcome, Step};
use std::{collections::BTreeMap, fmt};
use tests::proxy::{Event, Kind, What};

/// Counts over many cases.
#[derive(Debug, Default)]
pub struct Tally {
    pub cases: usize,
    pub shapes: BTreeMap<&'static str, usize>,
    pub acts: BTreeMap<&'static str, usize>,
    pub struck: BTreeMap<Kind, usize>,
    pub pages: usize,
    pub rows: usize,
    pub late: usize,
    pub truncated: usize,
    pub withheld: usize,
    pub complete: usize,
    pub gaps: BTreeMap<Outcome, usize>,
    /// Cases that were asked again with longer deadlines, since a source was late to which nothing was done.
    pub again: usize,
}

fn add<K: Ord>(to: &mut BTreeMap<K, usize>, of: BTreeMap<K, usize>) {
    for (key, times) in of {
        *to.entry(key).or_default() += times;
    }
}

impl Tally {
    pub fn and(mut self, other: Self) -> Self {
        self.cases += other.cases;
        self.pages += other.pages;
        self.rows += other.rows;
        self.late += other.late;
        self.truncated += other.truncated;
        self.withheld += other.withheld;
        self.complete += other.complete;
        self.again += other.again;
        add(&mut self.shapes, other.shapes);
        add(&mut self.acts, other.acts);
        add(&mut self.struck, other.struck);
        add(&mut self.gaps, other.gaps);
        self
    }

    /// Faults that struck since the last case.
    pub fn struck(&mut self, events: &[Event]) {
        for event in events {
            if let What::Struck(fault) | What::Slowed(fault) = event.what {
                *self.struck.entry(fault.kind()).or_default() += 1;
            }
        }
    }

    pub fn page(&mut self, page: &Page) {
        self.pages += 1;
        self.rows += page.rows.len();
        self.late += page.rows.iter().filter(|row| row.late).count();
        self.complete += usize::from(page.verdict.complete);
        page.sources.iter().for_each(|end| self.end(end));
    }

    pub fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Row(_) => self.rows += 1,
                Step::End(end) => self.end(end),
                Step::Verdict(verdict) => self.complete += usize::from(verdict.complete),
            }
        }
    }

    pub fn one(&mut self, one: &One) {
        self.rows += usize::from(one.row.is_some());
        self.complete += usize::from(one.verdict.complete);
        one.sources.iter().for_each(|end| self.end(end));
    }

    fn end(&mut self, end: &SourceOutcome) {
        self.truncated += usize::from(end.truncated);
        self.withheld += usize::from(end.withheld.is_some());
        if is_link(end) && end.outcome != Outcome::Ok {
            *self.gaps.entry(end.outcome).or_default() += 1;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, shapes, acts, struck, pages, rows, late, truncated, withheld, complete, gaps, again } = self;
        write!(
            f,
            "{cases} cases {shapes:?}, {acts:?}; struck {struck:?}; {pages} pages, {rows} rows, {late} of them late; "
        )?;
        write!(
            f,
            "{complete} answers complete, gaps {gaps:?}, {truncated} truncated, {withheld} with fields withheld; "
        )?;
        write!(f, "{again} asked again with longer deadlines")
    }
}

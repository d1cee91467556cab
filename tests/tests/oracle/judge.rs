//! What an answer must be, by what lies at its sources, what their grants show and what was done to their connections: a pure rule over
//! values, that shares no code with the asking side.

use domain::{
    answer::{HERE, One, Outcome, Page, Row, SourceOutcome, Step, Verdict},
    id::ItemId,
    item::Item,
    page::Position,
};
use std::collections::{BTreeMap, BTreeSet};

/// A row as a reader is to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub position: Position,
    pub title: Option<String>,
    pub body: Option<String>,
    pub project: Option<String>,
    pub tags: BTreeSet<String>,
}

/// What one source has to give, newest first, under its grant.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub name: String,
    pub rows: Vec<Known>,
    /// Rows of one answer.
    pub cap: usize,
    /// Whether the grant shares the kind at all.
    pub shares: bool,
    /// Fields of the kind that the grant keeps back.
    pub withheld: Option<u32>,
}

/// What was done, up to when the answer was there; sources by name.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// Something struck a connection that this answer may have used.
    pub harmed: BTreeSet<String>,
    /// The grant had ended before the question.
    pub revoked: BTreeSet<String>,
    /// The link was removed before the question.
    pub removed: BTreeSet<String>,
}

/// Why an answer is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub text: String,
    /// Whether it is that a source was late to which nothing was done: with more time that must go away.
    pub is_late: bool,
}

pub type Judged = Result<(), Complaint>;

fn wrong<T>(text: String) -> Result<T, Complaint> {
    Err(Complaint { text, is_late: false })
}

fn check(holds: bool, text: impl FnOnce() -> String) -> Judged {
    if holds { Ok(()) } else { wrong(text()) }
}

impl Wanted {
    /// Whether the item is the `at`th row, as it is to be seen.
    fn is_row(&self, at: usize, item: &Item, body: bool) -> Judged {
        let Some(known) = self.rows.get(at) else {
            return wrong(format!("{} gave a row more than it shows: {item:?}", self.name));
        };
        let seen = Known {
            position: item.position(),
            title: item.title.clone(),
            body: item.body.clone(),
            project: item.project.as_ref().map(ToString::to_string),
            tags: item.tags.iter().map(ToString::to_string).collect(),
        };
        let known = if body { known.clone() } else { Known { body: None, ..known.clone() } };
        check(seen == known, || format!("row {at} of {} is {known:?}, not {seen:?}", self.name))
    }

    fn find(&self, id: ItemId) -> Option<usize> {
        self.rows.iter().position(|row| row.position.id == id).filter(|_| self.shares)
    }
}

/// How one source may end: judged the same for every shape of answer. `held_back` is set where it failed often enough to be left alone.
fn ending(wanted: &Wanted, end: &SourceOutcome, circumstances: &Circumstances, held_back: bool) -> Judged {
    let name = &wanted.name;
    let is = |set: &BTreeSet<String>| set.contains(name);
    check(end.withheld.is_none() || end.withheld == wanted.withheld, || format!("{name} keeps back {end:?}"))?;
    check((end.outcome == Outcome::Ok) == end.reason.is_none(), || {
        format!("a reason for ok, or none for another: {end:?}")
    })?;
    let (revoked, removed) = (is(&circumstances.revoked), is(&circumstances.removed));
    if revoked || removed || !wanted.shares {
        check(end.rows == 0, || format!("{name} shows rows, which it must not: {end:?}"))?;
    }
    let due = match () {
        () if removed || revoked => Outcome::Revoked,
        () if !wanted.shares => Outcome::Denied,
        () => Outcome::Ok,
    };
    if end.outcome == due {
        return Ok(());
    }
    check(!removed, || format!("{name} was removed, and that is not said: {end:?}"))?;
    // Somebody to whom harm was done may end otherwise, but never as one who refused, or as if nothing were missing.
    let may_be = [Outcome::Partial, Outcome::Timeout, Outcome::Offline, Outcome::Error].contains(&end.outcome);
    let excused = is(&circumstances.harmed) || held_back && end.retry_after_ms.is_some();
    if may_be && excused {
        return Ok(());
    }
    let is_late = [Outcome::Partial, Outcome::Timeout, Outcome::Offline].contains(&end.outcome) && may_be;
    Err(Complaint { text: format!("{name} is to be {due}, and nothing was done to it: {end:?}"), is_late })
}

/// Whether the verdict is what the ends say, and names every source that is not whole.
fn verdict(verdict: &Verdict, ends: &[&SourceOutcome]) -> Judged {
    let gaps: Vec<_> = ends.iter().filter(|end| end.outcome != Outcome::Ok).collect();
    check(verdict.complete == gaps.is_empty(), || format!("{verdict:?} of {ends:?}"))?;
    check(verdict.complete == verdict.missing.is_none(), || format!("{verdict:?}"))?;
    let said = verdict.missing.clone().unwrap_or_default();
    let unsaid = gaps.iter().find(|gap| !said.contains(&format!("{} ({})", gap.source, gap.outcome)));
    check(unsaid.is_none(), || format!("`{said}` does not name {unsaid:?}"))
}

/// An answer that is read page by page.
pub struct Paging<'a> {
    wanted: &'a [Wanted],
    limit: usize,
    body: bool,
    given: BTreeMap<&'a str, usize>,
    done: BTreeSet<&'a str>,
    /// Sources that ended otherwise than `ok` on the last page that told of them.
    gaps: BTreeSet<&'a str>,
    /// Failures in a row of each, as far as they say that it is out of reach.
    failures: BTreeMap<&'a str, u32>,
    oldest: Option<Position>,
}

impl<'a> Paging<'a> {
    pub fn of(wanted: &'a [Wanted], limit: usize, body: bool) -> Self {
        Self {
            wanted,
            limit,
            body,
            given: BTreeMap::new(),
            done: BTreeSet::new(),
            gaps: BTreeSet::new(),
            failures: BTreeMap::new(),
            oldest: None,
        }
    }

    /// Judges the next page.
    pub fn page(&mut self, page: &Page, circumstances: &Circumstances) -> Judged {
        let asked: Vec<&'a Wanted> = self.wanted.iter().filter(|one| !self.done.contains(one.name.as_str())).collect();
        let named: Vec<&str> = page.sources.iter().map(|end| end.source.as_str()).collect();
        let (set, all): (BTreeSet<_>, BTreeSet<_>) =
            (named.iter().copied().collect(), asked.iter().map(|one| one.name.as_str()).collect());
        check(set == all && named.len() == all.len(), || format!("asked {all:?}, and told of {named:?}"))?;
        check(page.rows.len() <= self.limit, || format!("{} rows, of at most {}", page.rows.len(), self.limit))?;
        let in_order = page.rows.windows(2).all(|pair| pair[0].item.position() >= pair[1].item.position());
        check(in_order, || "the page is out of order".to_owned())?;
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for row in &page.rows {
            let name = self.row(&asked, row)?;
            *counts.entry(name).or_default() += 1;
        }
        for (wanted, end) in asked.iter().flat_map(|one| page.sources.iter().map(move |end| (*one, end))) {
            if end.source == wanted.name {
                let rows = counts.get(end.source.as_str()).copied().unwrap_or(0);
                check(end.rows == rows, || format!("{rows} rows came of {end:?}"))?;
                self.end(wanted, end, page, circumstances)?;
            }
        }
        verdict(&page.verdict, &page.sources.iter().collect::<Vec<_>>())?;
        let positions = page.rows.iter().map(|row| row.item.position());
        self.oldest = positions.chain(self.oldest).min();
        let goes_on = self.done.len() < self.wanted.len() && !page.rows.is_empty();
        check(page.next.is_some() == goes_on, || format!("next is {:?}, with {:?} done", page.next, self.done))
    }

    fn row(&mut self, asked: &[&'a Wanted], row: &Row) -> Result<&'a str, Complaint> {
        let Some(wanted) = asked.iter().find(|one| one.name == row.source) else {
            return wrong(format!("a row of a source that was not asked: {row:?}"));
        };
        let given = self.given.entry(&wanted.name).or_default();
        wanted.is_row(*given, &row.item, self.body)?;
        *given += 1;
        let late = self.oldest.is_some_and(|oldest| row.item.position() > oldest);
        check(row.late == late && !row.cached, || format!("late: {late}, and the row says {row:?}"))?;
        Ok(&wanted.name)
    }

    fn end(&mut self, wanted: &'a Wanted, end: &SourceOutcome, page: &Page, circumstances: &Circumstances) -> Judged {
        let name = wanted.name.as_str();
        let failures = self.failures.entry(name).or_default();
        ending(wanted, end, circumstances, *failures >= 3)?;
        let is_of_reach = [Outcome::Timeout, Outcome::Offline, Outcome::Error].contains(&end.outcome);
        *failures = if is_of_reach { *failures + 1 } else { 0 };
        let given = self.given.get(name).copied().unwrap_or(0);
        if end.outcome != Outcome::Ok {
            check(!end.truncated, || format!("cut short in good order, and not ok: {end:?}"))?;
            check((end.outcome == Outcome::Partial) == (end.rows > 0), || format!("partial is some rows: {end:?}"))?;
            self.gaps.insert(name);
            if [Outcome::Denied, Outcome::Revoked].contains(&end.outcome) {
                self.done.insert(name);
            }
            return Ok(());
        }
        self.gaps.remove(name);
        let left = wanted.rows.get(given);
        check(end.truncated == left.is_some(), || format!("{given} of {} rows are shown: {end:?}", wanted.rows.len()))?;
        if let (Some(left), Some(last)) = (left, page.rows.last()) {
            let is_in_turn = left.position <= last.item.position();
            check(is_in_turn, || format!("{name} was passed over: {left:?} is newer than {:?}", last.item.position()))?;
        }
        if left.is_none() {
            self.done.insert(name);
        }
        Ok(())
    }

    /// After the last page: whoever lacks rows is a gap.
    pub fn end_of_all(&self) -> Judged {
        let lacks = |one: &&Wanted| self.given.get(one.name.as_str()).copied().unwrap_or(0) < one.rows.len();
        let unsaid = self.wanted.iter().filter(lacks).find(|one| !self.gaps.contains(one.name.as_str()));
        check(unsaid.is_none(), || format!("rows are missing, and nobody says so: {:?}", unsaid.map(|one| &one.name)))
    }
}

/// Judges a streamed answer.
pub fn stream(
    wanted: &[Wanted],
    (limit, body): (usize, bool),
    steps: &[Step],
    circumstances: &Circumstances,
) -> Judged {
    let mut given: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ends: Vec<&SourceOutcome> = Vec::new();
    let Some((Step::Verdict(last), steps)) = steps.split_last() else {
        return wrong("a stream without a verdict".to_owned());
    };
    for step in steps {
        let name = match step {
            Step::Row(row) => &row.source,
            Step::End(end) => &end.source,
            Step::Verdict(_) => return wrong("a second verdict".to_owned()),
        };
        check(ends.iter().all(|end| end.source != *name), || format!("{name} goes on after its end"))?;
        let Some(wanted) = wanted.iter().find(|one| one.name == *name) else {
            return wrong(format!("{name} was not asked"));
        };
        let given = given.entry(&wanted.name).or_default();
        match step {
            Step::Row(row) => {
                wanted.is_row(*given, &row.item, body)?;
                check(!row.late && !row.cached, || format!("{row:?}"))?;
                *given += 1;
            }
            Step::End(end) => {
                check(end.rows == *given as u64, || format!("{given} rows came of {end:?}"))?;
                ending(wanted, end, circumstances, false)?;
                let due = wanted.rows.len().min(limit).min(wanted.cap);
                let is_whole = *given == due && end.truncated == (due < wanted.rows.len());
                check(end.outcome != Outcome::Ok || is_whole, || format!("{given} rows of {due}: {end:?}"))?;
                ends.push(end);
            }
            Step::Verdict(_) => {}
        }
    }
    check(ends.len() == wanted.len(), || format!("not every source came to an end: {ends:?}"))?;
    verdict(last, &ends)
}

/// Judges the answer about one row.
pub fn one(wanted: &[Wanted], id: ItemId, one: &One, circumstances: &Circumstances) -> Judged {
    let of = |name: &str| wanted.iter().find(|one| one.name == name);
    for end in &one.sources {
        let Some(wanted) = of(&end.source) else { return wrong(format!("{end:?} was not asked")) };
        ending(wanted, end, circumstances, false)?;
        check(end.outcome != Outcome::Partial, || format!("a part of one row: {end:?}"))?;
        let has_it = wanted.find(id).is_some();
        let is_true = end.outcome != Outcome::Ok || end.rows == u64::from(has_it);
        check(is_true, || format!("has it: {has_it}, and says {end:?}"))?;
    }
    let Some(row) = &one.row else {
        check(one.sources.len() == wanted.len(), || format!("not all were asked: {:?}", one.sources))?;
        return verdict(&one.verdict, &one.sources.iter().collect::<Vec<_>>());
    };
    let found = of(&row.source).and_then(|one| Some((one, one.find(id)?)));
    let Some((wanted, at)) = found else { return wrong(format!("a row that nobody shows: {row:?}")) };
    wanted.is_row(at, &row.item, true)?;
    check(one.verdict.complete, || "the row is there, and something is missing".to_owned())
}

/// Whether this is a source over a link.
pub fn is_link(end: &SourceOutcome) -> bool {
    end.source != HERE
}

#[cfg(test)]
mod tests;

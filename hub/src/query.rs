//! QUERY as a page: every source is asked at once, each under its own deadline, and what came is merged in order.

use crate::{
    Asker, Hub, HubError,
    ask::Ask,
    cursor::{Bound, Cursor, Progress, SourceId},
    deadlines::{PAGE_BYTES, Until},
    flight::{Aboard, Held, Places},
    judge::Hold,
    merge::{Gathered, Merged, Rest, merge},
    outcome::Failure,
    question::{Lanes, Question, Source},
    record::Sum,
};
use domain::{
    Time,
    answer::{HERE, Outcome, Page, SourceOutcome, Verdict},
    item::Item,
    operation::{List, Operation},
};
use futures::{StreamExt, stream::FuturesUnordered};
use std::time::Duration;
use tokio::time::timeout_at;

impl Hub {
    /// One ordered page of rows out of every source, complete when each came to its end or its deadline.
    pub async fn page(&self, asker: &Asker, question: Question) -> Result<Held<Page>, HubError> {
        question.check()?;
        let bound = Bound::new(List { limit: None, ..question.list() }.query_hash(), asker);
        let lanes = self.lanes(asker, &question, &bound).await?;
        let (page, next) = self.page_of(asker, &question, lanes, self.deadlines.until()).await?;
        Ok(page.map(|page| Page { next: next.map(|next| next.encode(&bound)), ..page }))
    }

    /// The same of these sources, and where the next page begins.
    pub(crate) async fn page_of(
        &self,
        asker: &Asker,
        question: &Question,
        lanes: Lanes,
        until: Until,
    ) -> Result<(Held<Page>, Option<Cursor>), HubError> {
        let mut answers = self.gather_all(asker, (question, until), &lanes).await;
        let mut cursor = lanes.cursor;
        answers.sort_unstable_by_key(|answer| answer.at);
        let places: Vec<_> = answers.iter().filter_map(|answer| answer.place.clone()).collect();
        let (at, gathered, endings) = unzip(answers);
        let merged = merge(gathered, question.limit as usize, cursor.shown);
        let outcomes = settle(&mut cursor, &at, &merged, endings);
        let verdict = Verdict::of(&outcomes);
        if question.strict && !verdict.complete {
            return Err(HubError::Incomplete(outcomes));
        }
        // A page that showed nothing has no next one: the same cursor can be sent again, and a loop over pages ends.
        let next = (cursor.is_open() && !merged.rows.is_empty()).then_some(cursor);
        Ok((Held::new(Page { rows: merged.rows, sources: outcomes, next: None, verdict }, places), next))
    }

    async fn gather_all(
        &self,
        asker: &Asker,
        question: (&Question, Until),
        Lanes { sources, cursor }: &Lanes,
    ) -> Vec<Answered> {
        let budget = PAGE_BYTES / sources.len().max(1);
        let (mut lanes, mut answers) = (FuturesUnordered::new(), Vec::new());
        for (at, (source, (id, progress))) in sources.iter().zip(&cursor.sources).enumerate() {
            match source {
                _ if *progress == Progress::Done => {}
                Some(source) => lanes.push(self.gather(asker, question, (at, source), *progress, budget)),
                None => answers.push(Answered::removed(at, id, *progress)),
            }
        }
        loop {
            // A source may have ended well long before the slowest one does; if its grant ends meanwhile, its rows are let go of.
            let ended = answers.iter().position(Answered::is_over);
            if let Some(at) = ended {
                answers[at].let_go(&Failure::ended());
                continue;
            }
            tokio::select! {
                biased;
                () = any_over(&answers) => {}
                lane = lanes.next() => match lane {
                    Some(answer) => answers.push(answer),
                    None => break,
                },
            }
        }
        for answer in &mut answers {
            answer.leave();
        }
        answers
    }

    async fn gather(
        &self,
        asker: &Asker,
        (question, until): (&Question, Until),
        (at, source): (usize, &Source),
        before: Progress,
        budget: usize,
    ) -> Answered {
        let mut ask = Ask::new(self, asker, source, (question.list(), question.manner()), (before, until));
        let (place, started) = (ask.place(), ask.started);
        let mut rows = Vec::new();
        let answer = timeout_at(until.0, collect(&mut ask, &mut rows, budget)).await;
        let ended = answer.unwrap_or_else(|_| {
            // Its record may not have been written, so its rows must not be shown.
            rows.clear();
            Err(Failure::silent(started.elapsed()))
        });
        let (name, took) = (source.name().to_owned(), started.elapsed());
        let (rest, outcome) = rest_and_outcome(&name, &ended, &mut rows, took);
        let outcome = ask.facts().of(outcome);
        let hold = ask.hold();
        let cached = hold.as_ref().is_some_and(Hold::is_kept);
        let gathered = Gathered { source: name, before, cached, rows, rest };
        Answered { at, gathered, outcome, place, hold }
    }
}

/// What a source came to.
struct Answered {
    /// Which source of the question.
    at: usize,
    gathered: Gathered,
    outcome: SourceOutcome,
    /// Under way as long as its rows are held; none of this instance's own.
    place: Option<Aboard>,
    /// What lets its rows leave when the page is there; nothing holds this instance's own.
    hold: Option<Hold>,
}

impl Answered {
    /// A link that was removed after it had given some of its rows, or none.
    fn removed(at: usize, id: &SourceId, before: Progress) -> Self {
        let source = id.as_ref().map_or(HERE, |(_, name)| name.as_str()).to_owned();
        let outcome = Failure::removed().ending(&source, 0, Duration::ZERO);
        let gathered = Gathered { source, before, cached: false, rows: Vec::new(), rest: Rest::Refused };
        Self { at, gathered, outcome, place: None, hold: None }
    }

    fn is_over(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.over().is_so())
    }

    /// The page is there: what it gave goes on it, if that may be shown still. How it failed says nothing of its rows.
    fn leave(&mut self) {
        let gave = self.outcome.outcome.is_answer();
        if let Some(hold) = self.hold.as_ref().filter(|_| gave)
            && let Err(failure) = hold.leave(Ok(()))
        {
            self.let_go(&failure);
        }
    }

    fn let_go(&mut self, why: &Failure) {
        self.gathered.rows = Vec::new();
        self.gathered.rest = rest_after(why);
        let took = Duration::from_millis(self.outcome.took_ms);
        self.outcome = why.ending(&self.gathered.source, 0, took);
        (self.place, self.hold) = (None, None);
    }
}

async fn any_over(answers: &[Answered]) {
    Places::of(answers.iter().filter_map(|answer| answer.place.clone())).over().await;
}

/// Reads a source to its end and records it. Rows stay in `rows` also when it fails; nothing stays that was not recorded.
async fn collect(ask: &mut Ask<'_>, rows: &mut Vec<(Item, Time)>, budget: usize) -> Result<bool, Failure> {
    let mut sum = Sum::default();
    let ended = read_all(ask, rows, &mut sum, budget).await;
    ask.end(ended.as_ref().err());
    let recorded = match &ended {
        Ok(_) => ask.record(sum).await,
        Err(failure) if failure.spoils_rows() || rows.is_empty() => Err(ask.record_failure(failure.clone()).await),
        Err(failure) => ask.record_broken_off(sum, failure).await,
    };
    if recorded.is_err() {
        rows.clear();
    }
    recorded.and(ended)
}

async fn read_all(
    ask: &mut Ask<'_>,
    rows: &mut Vec<(Item, Time)>,
    sum: &mut Sum,
    budget: usize,
) -> Result<bool, Failure> {
    let mut held = 0;
    loop {
        let batch = ask.next().await?;
        sum.rows += batch.items.len() as u64;
        sum.bytes += batch.bytes;
        held += batch.items.iter().map(Item::size).sum::<usize>();
        rows.extend(batch.items.into_iter().map(|item| (item, batch.as_of)));
        match batch.end {
            Some(truncated) => return Ok(truncated),
            // Enough for one page's memory; the page ends there and the next one goes on.
            None if held >= budget => return Ok(true),
            None => {}
        }
    }
}

/// What follows the rows of a source, and its outcome as far as it is known before the merge.
fn rest_and_outcome(
    name: &str,
    ended: &Result<bool, Failure>,
    rows: &mut Vec<(Item, Time)>,
    took: Duration,
) -> (Rest, SourceOutcome) {
    match ended {
        Ok(truncated) => {
            let rest = if *truncated { Rest::More } else { Rest::Nothing };
            (rest, SourceOutcome::empty(name, Outcome::Ok, "", took))
        }
        Err(failure) => {
            if failure.spoils_rows() {
                rows.clear();
            }
            (rest_after(failure), failure.ending(name, rows.len() as u64, took))
        }
    }
}

fn rest_after(failure: &Failure) -> Rest {
    if failure.is_final() { Rest::Refused } else { Rest::Late }
}

fn unzip(answers: Vec<Answered>) -> (Vec<usize>, Vec<Gathered>, Vec<SourceOutcome>) {
    let parts = answers.into_iter().map(|answer| (answer.at, (answer.gathered, answer.outcome)));
    let (at, (gathered, endings)) = parts.unzip();
    (at, gathered, endings)
}

/// Moves the cursor to where the page ends, and completes the outcomes with what each source has on the page.
fn settle(cursor: &mut Cursor, at: &[usize], merged: &Merged, endings: Vec<SourceOutcome>) -> Vec<SourceOutcome> {
    cursor.shown = merged.shown;
    let ended = endings.into_iter().zip(at).zip(&merged.sources);
    ended
        .map(|((ending, at), stands)| {
            cursor.sources[*at].1 = stands.progress;
            let ending = if stands.is_beyond { unbroken(ending) } else { ending };
            let truncated = ending.outcome == Outcome::Ok && stands.progress != Progress::Done;
            SourceOutcome { rows: stands.rows, truncated, ..ending }
        })
        .collect()
}

/// What broke off beyond the end of the page is missing from no row of it; the next page asks for it again.
fn unbroken(ending: SourceOutcome) -> SourceOutcome {
    match ending.outcome {
        Outcome::Partial => SourceOutcome { outcome: Outcome::Ok, reason: None, retry_after_ms: None, ..ending },
        _ => ending,
    }
}

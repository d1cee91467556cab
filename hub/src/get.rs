//! QUERY for one row: this instance first, then all links at once; the first that has it answers.

use crate::{
    Asker, Hub, HubError,
    cache::{Keeping, Manner, Ticket, Turn},
    call::{Call, Facts},
    deadlines::{Until, message_bytes},
    flight::{Aboard, Held},
    judge::Hold,
    outcome::Failure,
    peer,
    question::{Source, Sources},
    record::{Asking, Sum},
    terms::Known,
};
use domain::{
    Reason, Time,
    answer::{One, Outcome, Row, SourceOutcome, Verdict},
    id::{Field, ItemId, Resource},
    item::Item,
    kind::Kinds,
    operation::{Get, Method, Operation},
    wire,
};
use futures::{StreamExt, stream::FuturesUnordered};
use prost::Message as _;
use proto::v1::{self, query_service_client::QueryServiceClient};
use std::time::Duration;
use store::{Access, LinkRecord};
use tokio::time::{Instant, timeout_at};

/// The row with the time it was read, if there is one.
type Found = Result<Option<Read>, Failure>;

/// A row as its source gave it.
struct Read {
    item: Item,
    as_of: Time,
    /// Whether it is of an answer that it gave a moment ago.
    cached: bool,
}

/// What came of asking a link, and what lets it leave.
struct Asked {
    found: Found,
    bytes: u64,
    hold: Hold,
}

/// A row, and the fields that its source's grant keeps back, where that was asked and is known.
type Shown = (Option<Row>, Option<Vec<Field>>);

impl Hub {
    /// One whole row, from whichever source has it. Links are asked only for what this instance has not; once the row is
    /// found nobody else is waited for, and only the sources that ended are told of. A source without it ends `ok` with no
    /// rows. `fresh`: links are asked also where what they answered a moment ago is kept.
    pub async fn get(
        &self,
        asker: &Asker,
        from: &Sources,
        (resource, id): (Resource, ItemId),
        fresh: bool,
    ) -> Result<Held<One>, HubError> {
        self.get_by(asker, from, (resource, id), (fresh, self.until())).await
    }

    /// When an answer is to be there that is asked for now: for whoever asks for one row by several questions.
    pub fn until(&self) -> Until {
        self.deadlines.until()
    }

    /// As [`Hub::get`], as a part of an answer that is to be there by then.
    pub async fn get_by(
        &self,
        asker: &Asker,
        from: &Sources,
        (resource, id): (Resource, ItemId),
        (fresh, until): (bool, Until),
    ) -> Result<Held<One>, HubError> {
        let sources = self.sources(asker, from).await?;
        let (get, manner) = (Get { resource, id }, if fresh { Manner::Fresh } else { Manner::Shared });
        let (here, links): (Vec<_>, Vec<_>) = sources.iter().partition(|source| matches!(source, Source::Here));
        let (mut row, mut withheld, mut ended, mut places) = (None, None, Vec::new(), Vec::new());
        for turn in [here, links] {
            let calls = turn.into_iter().map(|source| self.get_from(asker, source, (&get, manner, until)));
            let mut answers = calls.collect::<FuturesUnordered<_>>();
            while row.is_none()
                && let Some((found, outcome, place)) = answers.next().await
            {
                (row, withheld) = found;
                ended.push(outcome);
                places.extend(place.filter(|_| row.is_some()));
            }
        }
        let verdict = Verdict::of_one(row.is_some(), &ended);
        Ok(Held::new(One { row, withheld, sources: ended, verdict }, places))
    }

    async fn get_from(
        &self,
        asker: &Asker,
        source: &Source,
        (get, manner, until): (&Get, Manner, Until),
    ) -> (Shown, SourceOutcome, Option<Aboard>) {
        let started = Instant::now();
        let answer = timeout_at(until.with_records(), async {
            match source {
                Source::Here => Came::only(self.get_here(asker, get, until).await),
                Source::Link(link) => self.get_link(asker, link, (get, manner, until)).await,
            }
        });
        let late = |_| Came::only(Err(Failure::silent(started.elapsed())));
        let Came { found, kept_back, place, facts } = answer.await.unwrap_or_else(late);
        let (row, outcome) = present(source.name(), found, started.elapsed());
        ((row, kept_back), facts.of(outcome), place)
    }

    async fn get_here(&self, asker: &Asker, get: &Get, until: Until) -> Found {
        let Asker { workspace, user, .. } = *asker;
        let access = Access::Native { workspace, user, operation: get };
        let began = Instant::now();
        let found = timeout_at(self.deadlines.of_source(until), self.store.get(access)).await;
        let found = found.map_err(|_| Failure::silent(began.elapsed()))?.map_err(Failure::own)?;
        Ok(found.map(|(item, as_of)| Read { item, as_of, cached: false }))
    }

    async fn get_link(&self, asker: &Asker, link: &LinkRecord, (get, manner, until): (&Get, Manner, Until)) -> Came {
        let mut asking = Asking::new(self, asker, link, Method::Get).about(&get.resource, get.query_hash());
        let mut call = Call::question(self, link, (asker.door, asking.trail()), self.deadlines.of_source(until));
        let came = if self.deadlines.are_fair(until) {
            ask(&mut call, get, manner).await
        } else {
            Asked { found: Err(Failure::no_time()), bytes: 0, hold: call.hold(None) }
        };
        let Asked { found, bytes, hold } = came;
        if !hold.is_kept() {
            call.end(found.as_ref().err());
        }
        let recorded = match &found {
            Ok(row) => asking.answered(Sum { rows: u64::from(row.is_some()), bytes }, hold.is_kept()).await,
            Err(failure) if hold.is_kept() => asking.failed_of_kept(failure).await,
            Err(failure) => asking.failed(failure).await,
        };
        let kept_back = match (&recorded, &found) {
            (Ok(()), Ok(Some(read))) if looks_empty(&read.item) => withheld(&mut call, get).await,
            _ => None,
        };
        let found = hold.leave(recorded.and(found));
        // Of a row that is not shown it is not told what it lacks.
        let kept_back = kept_back.filter(|_| matches!(found, Ok(Some(_))));
        let facts = call.facts(&get.resource);
        Came { found, kept_back, place: Some(call.place()), facts }
    }
}

/// What came of asking one source.
struct Came {
    found: Found,
    kept_back: Option<Vec<Field>>,
    place: Option<Aboard>,
    facts: Facts,
}

impl Came {
    fn only(found: Found) -> Self {
        Self { found, kept_back: None, place: None, facts: Facts::default() }
    }
}

/// Whether a row came without what a reader looks for, which its grant may have kept back.
fn looks_empty(item: &Item) -> bool {
    let has_body = Kinds::builtin().get(&item.resource).is_some_and(|kind| kind.has("body"));
    item.title.is_none() || has_body && item.body.is_none()
}

/// The fields of its kind that the grant keeps back: as its session tells, as was said to this question before, or asked for. Whoever cannot be
/// asked that has given the row all the same.
async fn withheld(call: &mut Call<'_>, get: &Get) -> Option<Vec<Field>> {
    if let Known::Told(terms) = call.known() {
        return terms.kept_back(&get.resource);
    }
    let said = match call.take_said() {
        Some(said) => said,
        None => call.ask_terms().await.ok()?,
    };
    said?.terms().kept_back(&get.resource)
}

async fn ask(call: &mut Call<'_>, get: &Get, manner: Manner) -> Asked {
    let turn = call.turn(get.query_hash(), manner, call.deadline()).await;
    let hold = call.hold(None);
    let (found, bytes) = match turn {
        Ok(Turn::Kept(answer)) => {
            let hold = call.hold(Some(answer));
            return Asked { found: again(&hold, get).map(Some), bytes: 0, hold };
        }
        Ok(Turn::Failed(failure)) | Err(failure) => (Err(failure), 0),
        Ok(Turn::Ask(ticket)) => fetch(call, get, ticket).await,
    };
    Asked { found, bytes, hold }
}

async fn fetch(call: &mut Call<'_>, get: &Get, ticket: Option<Ticket>) -> (Found, u64) {
    let mut keeping = Keeping::new(ticket);
    let wire = v1::GetRequest { resource: get.resource.to_string(), id: get.id.to_string() };
    let answer = call.fetch(&wire, |channel, request| async move {
        QueryServiceClient::new(channel).max_decoding_message_size(message_bytes()).get(request).await
    });
    let answer = answer.await.and_then(|answer| answer.taken(call.judge()));
    match answer {
        Ok(answer) => {
            let bytes = answer.encoded_len() as u64;
            keeping.add(&answer);
            let read = read(answer, get, false);
            match &read {
                Ok(_) => keeping.whole(),
                Err(failure) => keeping.failed(failure),
            }
            (read.map(Some), bytes)
        }
        // That there is none may be told once more, but is not kept: it may come.
        Err(Failure { refusal: Some(Reason::NotFound), .. }) => (Ok(None), 0),
        Err(failure) => {
            keeping.failed(&failure);
            (Err(failure), 0)
        }
    }
}

/// A row that was given a moment ago, read anew.
fn again(hold: &Hold, get: &Get) -> Result<Read, Failure> {
    read(hold.message(0)?, get, true)
}

fn read(answer: v1::GetResponse, get: &Get, cached: bool) -> Result<Read, Failure> {
    let item = answer.item.ok_or_else(|| Failure::lie("the other side answered without a row"))?;
    let item = peer::read(item, &get.resource)?;
    let as_of = answer.as_of.ok_or_else(|| Failure::lie("the other side sent a row without its time"))?;
    if item.id == get.id {
        Ok(Read { item, as_of: wire::time(as_of), cached })
    } else {
        Err(Failure::lie("the other side sent another row than the one asked for"))
    }
}

fn present(name: &str, found: Found, took: Duration) -> (Option<Row>, SourceOutcome) {
    match found {
        Ok(found) => {
            let row = found.map(|read| {
                let Read { item, as_of, cached } = read;
                Row { source: name.to_owned(), as_of, late: false, cached, item }
            });
            let rows = u64::from(row.is_some());
            (row, SourceOutcome { rows, ..SourceOutcome::empty(name, Outcome::Ok, "", took) })
        }
        Err(failure) => (None, failure.ending(name, 0, took)),
    }
}

//! Rows, from here and from links, in one answer.

use super::{Queried, by_id, resource};
use crate::{
    Door, Problem,
    held::{self, Connection},
    ndjson,
    person::Person,
    problem::Kind,
    view,
};
use axum::{
    Extension, Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use domain::{
    answer::{One, Outcome, Row, SourceOutcome},
    id::{ItemId, Resource},
    scope::spec::MAX_ROWS,
};
use futures::StreamExt;
use hub::{Question, Sources};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The word for every source.
const ALL: &str = "all";
/// Rows on a page that does not say.
const PAGE: u32 = 50;
/// A shortened id is looked for among this many pages of [`SCAN_PAGE`] rows.
const SCAN_PAGES: usize = 25;
const SCAN_PAGE: u32 = 400;
/// The beginning of an id as tables show it: long enough that the first hit is taken, and no further rows are asked for.
const SHOWN: usize = 8;

/// Many rows, as one ordered page or as they arrive.
pub(super) async fn list(
    State(door): State<Arc<Door>>,
    person: Person,
    Extension(connection): Extension<Connection>,
    Path(kind): Path<String>,
    Queried(question): Queried<view::ListQuestion>,
) -> Result<Response, Problem> {
    let asked = Question {
        from: sources(question.from.as_deref())?,
        resource: resource(&kind)?,
        limit: limit(question.limit)?,
        include_body: question.body,
        cursor: question.cursor,
        strict: question.strict,
    };
    if question.stream {
        let steps = door.hub.stream(&person.asker(), asked).await?;
        return Ok(ndjson::response(steps.map(Ok::<_, Problem>)));
    }
    held::json(door.hub.page(&person.asker(), asked).await?, &connection)
}

/// One row, by its id or the beginning of it.
pub(super) async fn get(
    State(door): State<Arc<Door>>,
    person: Person,
    Extension(connection): Extension<Connection>,
    Path((kind, id)): Path<(String, String)>,
    Queried(question): Queried<view::GetQuestion>,
) -> Result<Response, Problem> {
    let resource = resource(&kind)?;
    let mut from = sources(question.from.as_deref())?;
    let id = if let Ok(id) = id.parse::<ItemId>() {
        id
    } else {
        let row = match scan(&door, &person, &resource, &from, &id).await? {
            Scanned::Found(row) => row,
            Scanned::Unanswered(sources) => {
                return Ok(Json(One { row: None, withheld: None, sources }).into_response());
            }
        };
        from = Sources::Some(vec![row.source]);
        row.item.id
    };
    held::json(door.hub.get(&person.asker(), &from, resource, id).await?, &connection)
}

fn sources(from: Option<&str>) -> Result<Sources, Problem> {
    let Some(from) = from else { return Ok(Sources::All) };
    let names: Vec<_> = from.split(',').map(|name| name.trim().to_owned()).collect();
    let invalid = |cause: &str| Problem::invalid(format!("`{from}` {cause}"));
    match &names[..] {
        [all] if all == ALL => Ok(Sources::All),
        names if names.iter().any(String::is_empty) => Err(invalid("names no source, or one without a name")
            .next("say all, or sources with commas between: here,LINK")),
        names if names.iter().any(|name| name == ALL) => {
            Err(invalid("names sources beside `all`, which means each of them").next("say all alone, or leave it out"))
        }
        _ => Ok(Sources::Some(names)),
    }
}

fn limit(wanted: Option<u32>) -> Result<u32, Problem> {
    let limit = wanted.unwrap_or(PAGE);
    let fits = (1..=MAX_ROWS).contains(&limit);
    let problem = || Problem::invalid(format!("limit is {limit}")).next(format!("say 1 to {MAX_ROWS}"));
    if fits { Ok(limit) } else { Err(problem()) }
}

/// What reading the newest rows came to.
enum Scanned {
    Found(Box<Row>),
    /// Nothing, but not all of these sources answered: the row may be with one that did not.
    Unanswered(Vec<SourceOutcome>),
}

/// The one row whose id begins with `start`. There is no question for that on the wire, so the newest rows are read.
async fn scan(
    door: &Door,
    person: &Person,
    resource: &Resource,
    from: &Sources,
    start: &str,
) -> Result<Scanned, Problem> {
    if start.len() < 4 || !start.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return Err(Problem::invalid(format!("`{start}` is no id"))
            .next(format!("type at least its first four characters, as `mosaic-fed list {resource}` shows them")));
    }
    let mut cursor = None;
    let (mut found, mut ended) = (Vec::new(), BTreeMap::<String, SourceOutcome>::new());
    for _ in 0..SCAN_PAGES {
        let question = Question {
            from: from.clone(),
            resource: resource.clone(),
            limit: SCAN_PAGE,
            include_body: false,
            cursor,
            strict: false,
        };
        // Nothing of these rows is shown: the one that is found is asked for anew.
        let page = door.hub.page(&person.asker(), question).await?.part().0;
        found.extend(by_id(&page.rows, start, |row| row.item.id.to_string()).into_iter().cloned());
        for source in page.sources {
            if source.outcome != Outcome::Ok || !ended.contains_key(&source.source) {
                ended.insert(source.source.clone(), source);
            }
        }
        cursor = page.next;
        if cursor.is_none() || (start.len() >= SHOWN && !found.is_empty()) {
            break;
        }
    }
    if found.is_empty() && ended.values().any(|source| source.outcome != Outcome::Ok) {
        return Ok(Scanned::Unanswered(ended.into_values().collect()));
    }
    only(found, start, resource, cursor.is_none()).map(|row| Scanned::Found(Box::new(row)))
}

fn only(mut found: Vec<Row>, start: &str, resource: &Resource, whole: bool) -> Result<Row, Problem> {
    let ids: BTreeSet<_> = found.iter().map(|row| row.item.id).collect();
    match (ids.len(), found.pop()) {
        (1, Some(row)) => Ok(row),
        (_, Some(_)) => {
            let cause = format!("{} rows' ids begin with `{start}`", ids.len());
            Err(Problem::new(Kind::Conflict, cause).next("type more of it"))
        }
        (_, None) if whole => Err(Problem::missing("no such row").next(format!("mosaic-fed list {resource}"))),
        (_, None) => {
            Err(Problem::missing(format!("no id among the newest rows begins with `{start}`"))
                .next("type the whole id"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stands_alone_and_every_source_has_a_name() {
        assert!(matches!(sources(None), Ok(Sources::All)));
        assert!(matches!(sources(Some("all")), Ok(Sources::All)));
        assert!(matches!(sources(Some("here, work")), Ok(Sources::Some(names)) if names == ["here", "work"]));
        for wrong in ["all,here", "here,all", "", "here,,work", ","] {
            let problem = sources(Some(wrong)).unwrap_err();
            assert!(problem.cause.contains(wrong) && problem.next.is_some(), "{problem:?}");
        }
    }
}

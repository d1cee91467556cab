//! Rows, from here and from links, in one answer.

use super::{Queried, resource};
use crate::{
    Door, Problem,
    accept::{self, Form},
    events,
    held::{self, Connection},
    person::Person,
    problem::Kind,
    tags, view,
};
use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, header::ETAG},
    response::{IntoResponse, Response},
};
use domain::{
    answer::{HERE, One, Verdict},
    id::{ItemId, Resource},
    scope::spec::MAX_ROWS,
};
use futures::StreamExt;
use hub::{Asks, Held, HubError, Question, Sought, Sources};
use std::sync::Arc;

/// The word for every source.
const ALL: &str = "all";
/// Rows on a page that does not say.
const PAGE: u32 = 50;

/// Many rows, as one ordered page or as they arrive.
pub(super) async fn list(
    State(door): State<Arc<Door>>,
    person: Person,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    Path(kind): Path<String>,
    Queried(question): Queried<view::ListQuestion>,
) -> Result<Response, Problem> {
    // Who takes events wants rows as they arrive.
    let usual = if question.stream { Form::Lines } else { Form::Json };
    let form = accept::chosen(&headers, &[usual, Form::Events])?;
    let asked = Question {
        from: sources(question.from.as_deref())?,
        resource: resource(&kind)?,
        limit: limit(question.limit)?,
        include_body: question.body,
        cursor: question.cursor,
        strict: question.strict,
        fresh: question.fresh,
    };
    if form != Form::Json {
        let steps = door.hub.stream(&person.asker(), asked).await?;
        return Ok(events::streamed(form, steps.map(Ok::<_, Problem>)));
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
    let from = sources(question.from.as_deref())?;
    // Other programs write ids in capitals.
    let id = id.to_ascii_lowercase();
    if let Ok(id) = id.parse::<ItemId>() {
        let found = door.hub.get(&person.asker(), &from, (resource, id), question.fresh).await?;
        return whole(found, &from, question.strict, &connection);
    }
    is_beginning(&id, &resource)?;
    // What was found keeps its places until the row itself, which is asked for anew, has its own.
    let until = door.hub.until();
    let sought = door.hub.seek(&person.asker(), &from, &resource, (&id, question.fresh), until).await?;
    let (sought, _places) = sought.part();
    if question.strict && sought.is_uncertain() {
        // Who did not answer may have another row whose id begins so.
        return Err(HubError::Incomplete(sought.ended.into_values().collect()).into());
    }
    if sought.found.is_empty() && sought.is_uncertain() {
        let sources: Vec<_> = sought.ended.into_values().collect();
        let verdict = Verdict::of_one(false, &sources);
        return Ok(Json(One { row: None, withheld: None, sources, verdict }).into_response());
    }
    let (id, from) = only(sought, &id, &resource)?;
    let found = door.hub.get_by(&person.asker(), &from, (resource, id), (question.fresh, until)).await?;
    whole(found, &from, question.strict, &connection)
}

/// The answer; where it has to be complete, only if it is. Where nobody but this instance was asked it has a tag: of the row, and not of when
/// that was read, so that the tag is weak.
fn whole(one: Held<One>, from: &Sources, strict: bool, connection: &Connection) -> Result<Response, Problem> {
    if strict && !one.verdict.complete {
        return Err(HubError::Incomplete(one.part().0.sources).into());
    }
    let is_own = matches!(from, Sources::Some(names) if names == &[HERE]);
    let tag = one.row.as_ref().filter(|_| is_own).map(|row| format!("W/{}", tags::of(&row.item)));
    let mut response = held::json(one, connection)?;
    response.headers_mut().extend(tag.and_then(|tag| Some((ETAG, HeaderValue::try_from(tag).ok()?))));
    Ok(response)
}

/// What a question would be given and cost.
pub(super) async fn explain(
    State(door): State<Arc<Door>>,
    person: Person,
    Path(kind): Path<String>,
    Queried(question): Queried<view::ExplainQuestion>,
) -> Result<Json<view::Explanation>, Problem> {
    let resource = resource(&kind)?;
    let from = sources(question.from.as_deref())?;
    let asks = match &question.id {
        None => Asks::Page,
        Some(id) if id.to_ascii_lowercase().parse::<ItemId>().is_ok() => Asks::Row,
        Some(id) => {
            is_beginning(id, &resource)?;
            Asks::Beginning
        }
    };
    let planned = door.hub.explain(&person.asker(), &from, &resource, asks).await?;
    let sources = planned.into_iter().map(view::ExplainedSource::new).collect();
    Ok(Json(view::Explanation { resource: resource.clone(), sources }))
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

fn is_beginning(start: &str, resource: &Resource) -> Result<(), Problem> {
    if start.len() >= 4 && start.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return Ok(());
    }
    Err(Problem::invalid(format!("`{start}` is no id"))
        .next(format!("type at least its first four characters, as `mosaic-fed list {resource}` shows them")))
}

/// The one id that begins with `start`, and who has the row.
fn only(sought: Sought, start: &str, resource: &Resource) -> Result<(ItemId, Sources), Problem> {
    let (count, mut found) = (sought.found.len(), sought.found.into_iter());
    match (count, found.next()) {
        (1, Some((id, sources))) => Ok((id, Sources::Some(sources.into_iter().collect()))),
        (_, Some(_)) => {
            let cause = format!("{count} rows' ids begin with `{start}`");
            Err(Problem::new(Kind::Conflict, cause).next("type more of it"))
        }
        (_, None) if sought.whole => Err(Problem::missing("no such row").next(format!("mosaic-fed list {resource}"))),
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

//! Writing rows, as the caller and under their own rights, and what a writer asks about them.

use super::{Asked, Queried};
use crate::{Door, Problem, person::Person, view};
use axum::{Json, extract::State};
use domain::item::NewItem;
use std::sync::Arc;
use store::After;

/// Rows in one request: a batch is one transaction, and others wait behind it.
const MAX_ITEMS: usize = 500;

/// Writes rows, or only checks them; one verdict for each, in order.
pub(super) async fn items(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::ItemsOrder>,
) -> Result<Json<Vec<view::Written>>, Problem> {
    at_once(order.items.len(), "items")?;
    let refusals: Vec<_> = order.items.iter().map(unfit).collect();
    let fit = order.items.into_iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
    let fit: Vec<_> = fit.map(|(item, _)| item).collect();
    let after = if order.check { After::Undo } else { After::Keep };
    let puts = door.store.put(person.workspace_id, person.user.id, fit, after).await?;
    let mut written = puts.into_iter().map(view::Written::from);
    let verdicts = refusals.into_iter().map_while(|refusal| refusal.or_else(|| written.next()));
    Ok(Json(verdicts.collect()))
}

/// How many rows the caller has of a source, and in which teams.
pub(super) async fn source(
    State(door): State<Arc<Door>>,
    person: Person,
    Queried(question): Queried<view::SourceQuestion>,
) -> Result<Json<view::SourceEntry>, Problem> {
    let teams = door.store.sourced(person.workspace_id, person.user.id, &question.source, None).await?;
    Ok(Json(teams.into()))
}

/// The same of those rows that have one of these keys.
pub(super) async fn keyed(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(question): Asked<view::SourceKeys>,
) -> Result<Json<view::SourceEntry>, Problem> {
    let view::SourceKeys { source, keys } = question;
    at_once(keys.len(), "keys")?;
    let teams = door.store.sourced(person.workspace_id, person.user.id, &source, Some(&keys)).await?;
    Ok(Json(teams.into()))
}

/// Which other sources have rows of the caller's like these.
pub(super) async fn alike(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(question): Asked<view::AlikeQuestion>,
) -> Result<Json<Vec<view::AlikeSource>>, Problem> {
    let view::AlikeQuestion { source, rows } = question;
    at_once(rows.len(), "rows")?;
    let rows: Vec<_> = rows.into_iter().filter_map(|row| row.of(&source)).collect();
    let found = door.store.alike(person.workspace_id, person.user.id, &source, &rows).await?;
    Ok(Json(found.into_iter().map(|(source, rows)| view::AlikeSource { source, rows }).collect()))
}

fn at_once(count: usize, what: &str) -> Result<(), Problem> {
    if count <= MAX_ITEMS {
        return Ok(());
    }
    let next = format!("send at most {MAX_ITEMS} in one request");
    Err(Problem::invalid(format!("{count} {what} are too many at once")).next(next))
}

/// A title of several lines would be cut by every table that shows it.
fn unfit(item: &NewItem) -> Option<view::Written> {
    let breaks = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
    item.title.contains(breaks).then(|| {
        let reason = "a title is one line, and this one has several; put what follows the first into the body";
        view::Written { verdict: view::PutVerdict::Refused, id: None, reason: Some(reason.to_owned()) }
    })
}

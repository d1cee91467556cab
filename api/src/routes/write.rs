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
    if order.items.len() > MAX_ITEMS {
        return Err(Problem::invalid(format!("{} items are too many at once", order.items.len()))
            .next(format!("send at most {MAX_ITEMS} in one request")));
    }
    let refusals: Vec<_> = order.items.iter().map(unfit).collect();
    let fit = order.items.into_iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
    let fit: Vec<_> = fit.map(|(item, _)| item).collect();
    let after = if order.check { After::Undo } else { After::Keep };
    let puts = door.store.put(person.workspace_id, person.user.id, fit, after).await?;
    let mut written = puts.into_iter().map(view::Written::from);
    let verdicts = refusals.into_iter().map_while(|refusal| refusal.or_else(|| written.next()));
    Ok(Json(verdicts.collect()))
}

/// How many rows the caller has of a source.
pub(super) async fn source(
    State(door): State<Arc<Door>>,
    person: Person,
    Queried(question): Queried<view::SourceQuestion>,
) -> Result<Json<view::SourceEntry>, Problem> {
    let rows = door.store.sourced(person.workspace_id, person.user.id, &question.source).await?;
    Ok(Json(view::SourceEntry { rows }))
}

/// A title of several lines would be cut by every table that shows it.
fn unfit(item: &NewItem) -> Option<view::Written> {
    let breaks = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
    item.title.contains(breaks).then(|| {
        let reason = "a title is one line, and this one has several; put what follows the first into the body";
        view::Written { verdict: view::PutVerdict::Refused, id: None, reason: Some(reason.to_owned()) }
    })
}

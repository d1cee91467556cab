//! Writing rows, as the caller and under their own rights.

use super::Asked;
use crate::{Door, Problem, person::Person, view};
use axum::{Json, extract::State};
use domain::item::NewItem;
use std::sync::Arc;

/// Rows in one request: a batch is one transaction, and others wait behind it.
const MAX_ITEMS: usize = 500;

/// Writes rows, or only tries to; one verdict for each, in order.
pub(super) async fn items(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::ItemsOrder>,
) -> Result<Json<Vec<view::Written>>, Problem> {
    if order.items.len() > MAX_ITEMS {
        return Err(Problem::invalid(format!("{} items at once; send at most {MAX_ITEMS}", order.items.len())));
    }
    let refusals: Vec<_> = order.items.iter().map(unfit).collect();
    let fit = order.items.into_iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
    let fit: Vec<_> = fit.map(|(item, _)| item).collect();
    let (workspace, user) = (person.workspace_id, person.user.id);
    let puts = if order.dry_run {
        door.store.try_put(workspace, user, fit).await?
    } else {
        door.store.put(workspace, user, fit).await?
    };
    let mut written = puts.into_iter().map(|put| verdict(put, order.dry_run));
    let verdicts = refusals.into_iter().map_while(|refusal| refusal.or_else(|| written.next()));
    Ok(Json(verdicts.collect()))
}

/// A row that would be added is none yet, and has no id.
fn verdict(put: store::Put, dry_run: bool) -> view::Written {
    let written = view::Written::from(put);
    let is_none = dry_run && written.verdict == view::PutVerdict::Added;
    view::Written { id: written.id.filter(|_| !is_none), ..written }
}

/// A title of several lines would be cut by every table that shows it.
fn unfit(item: &NewItem) -> Option<view::Written> {
    let breaks = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
    item.title.contains(breaks).then(|| {
        let reason = "a title is one line, and this one has several; put what follows the first into the body";
        view::Written { verdict: view::PutVerdict::Refused, id: None, reason: Some(reason.to_owned()) }
    })
}

//! Writing rows, as the caller and under their own rights.

use super::Asked;
use crate::{Door, Problem, person::Person, view};
use axum::{Json, extract::State};
use std::sync::Arc;

/// Rows in one request: a batch is one transaction, and others wait behind it.
const MAX_ITEMS: usize = 500;

/// Writes rows; one verdict for each, in order.
pub(super) async fn items(
    State(door): State<Arc<Door>>,
    person: Person,
    Asked(order): Asked<view::ItemsOrder>,
) -> Result<Json<Vec<view::Written>>, Problem> {
    if order.items.len() > MAX_ITEMS {
        return Err(Problem::invalid(format!("{} items at once; send at most {MAX_ITEMS}", order.items.len())));
    }
    let written = door.store.put(person.workspace_id, person.user.id, order.items).await?;
    Ok(Json(written.into_iter().map(Into::into).collect()))
}

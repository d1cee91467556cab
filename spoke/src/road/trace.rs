//! First layer: the call's id and span. The id is the asker's where it sent a well-formed one, so that both logs name it alike.

use super::Road;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use domain::id::RequestId;
use proto::REQUEST_ID;
use std::sync::Arc;
use tracing::Instrument;

/// Gives the call its id and walks on.
pub async fn trace(State(road): State<Arc<Road>>, mut request: Request, next: Next) -> Response {
    let sent = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()?.parse::<RequestId>().ok());
    let id = sent.unwrap_or_else(|| RequestId(road.world.uuid()));
    request.extensions_mut().insert(id);
    let span = tracing::debug_span!("federation.request", %id);
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = id.to_string().parse() {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

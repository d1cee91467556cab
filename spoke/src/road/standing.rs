//! Third layer: whether the caller's standing is good at this moment. Judged anew on each call; a good handshake an hour ago is
//! no answer to a revocation since.

use super::{Road, audit::Draft, held::until_sent, status};
use crate::snapshot::FAREWELL;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use domain::{Reason, Refusal, audit::Stage};
use link::Connection;
use std::sync::Arc;

/// Judges the caller and counts its call as in flight until the last byte of the answer.
pub async fn standing(State(road): State<Arc<Road>>, mut request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>().cloned();
    let judged = match connection.as_ref().and_then(Connection::presented) {
        Some(presented) => road.snapshots.judge(presented),
        // No connection reaches this door without a certificate; one that did has no standing.
        None => Err(Refusal::new(Reason::NotPermitted).because("no certificate")),
    };
    match judged {
        Ok(caller) => {
            if let Some(presented) = connection.as_ref().and_then(Connection::presented) {
                road.confirming.used(caller.ground(), presented);
            }
            let call = connection.as_ref().map(Connection::call);
            request.extensions_mut().insert(caller);
            let response = next.run(request).await;
            until_sent(response, call)
        }
        Err(refusal) => {
            if let Some(draft) = request.extensions().get::<Draft>() {
                draft.refuse(Stage::Standing, &refusal);
            }
            alarm(&road, connection.as_ref());
            if refusal.reason() == Reason::NotPermitted {
                // The refusal is flushed first; then the connection is of no use any more.
                if let Some(connection) = connection {
                    connection.close_after(FAREWELL);
                }
            }
            status::response(&refusal)
        }
    }
}

/// A certificate of our CA that no enrolment accounts for means that its key is in other hands; one that was replaced, that the
/// certificate's may be.
fn alarm(road: &Road, connection: Option<&Connection>) {
    let Some(presented) = connection.and_then(Connection::presented) else { return };
    if road.snapshots.is_replaced(presented.grant, &presented.serial) {
        road.faults.replaced_certificate(presented.grant, &presented.serial, presented.address);
    }
    if road.snapshots.is_unaccounted_for(presented) {
        road.faults.unknown_certificate(presented.grant, &presented.serial, presented.address);
    }
}

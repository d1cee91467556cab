//! First layer: the call's id, and its trail, which lasts until the answer is sent. The id is the asker's where it sent a well-formed one,
//! so that both logs name it alike; the trail goes on in the asker's trace, if it named one.

use super::{Road, held::until_sent};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use domain::{
    id::RequestId,
    operation::{Entrance, Method},
    trace::{TRACEPARENT, TraceParent},
};
use http::HeaderMap;
use link::{
    Connection,
    trail::{Begin, Side},
};
use proto::REQUEST_ID;
use std::sync::Arc;
use tracing::Instrument;

/// Gives the call its id and its trail, and walks on.
pub async fn trace(
    State((road, entrance)): State<(Arc<Road>, Entrance)>,
    mut request: Request,
    next: Next,
) -> Response {
    let sent = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()?.parse::<RequestId>().ok());
    let id = sent.unwrap_or_else(|| RequestId(road.world.uuid()));
    let begin = begin(id, entrance, &request);
    let trail = road.trails.begin(begin);
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(trail.clone());
    let mut response = next.run(request).instrument(trail.span().clone()).await;
    if let Ok(value) = id.to_string().parse() {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    match begin.method {
        // These last as long as their connections: told of is how they began.
        Some(Method::Session | Method::HealthWatch) => response,
        _ => until_sent(response, trail),
    }
}

fn begin(request: RequestId, entrance: Entrance, call: &Request) -> Begin {
    let method = Method::from_path(call.uri().path()).filter(|method| method.entrance() == entrance);
    let presented = call.extensions().get::<Connection>().and_then(Connection::presented);
    let (grant, peer) = (presented.map(|presented| presented.grant), presented.map(|presented| presented.peer));
    // Whoever has no certificate is in no trace of ours.
    let parent = presented.and_then(|_| parent(call.headers()));
    Begin { side: Side::Sharing, method, grant, peer, request, parent }
}

/// Said twice it is as good as not at all: nobody knows which was meant.
fn parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut said = headers.get_all(TRACEPARENT).iter();
    let (only, None) = (said.next()?, said.next()) else { return None };
    TraceParent::parse(only.to_str().ok()?)
}

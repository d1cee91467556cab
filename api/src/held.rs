//! Answers that came over links, on their way to a local reader. A reader may be slow, or read no further; when the grant of
//! such an answer ends, what the reader has not taken yet is let go of, and with it the connection it would have come over.

use crate::{Problem, problem::Kind};
use axum::{
    body::Body,
    http::{
        HeaderValue,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use hub::Held;
use serde::Serialize;
use std::{convert::Infallible, sync::Arc};
use tokio_util::sync::CancellationToken;

/// What is handed to the connection at a time: the rest is still ours.
const PIECE: usize = 16 * 1024;

/// The local connection that a request came over; cancelling it closes it at once.
#[derive(Clone, Debug)]
pub(crate) struct Connection(pub CancellationToken);

/// The answer as JSON, in pieces, over `connection`.
pub(crate) fn json<T: Serialize>(answer: Held<T>, connection: &Connection) -> Result<Response, Problem> {
    let (value, places) = answer.part();
    let text =
        Bytes::from(serde_json::to_vec(&value).map_err(|error| Problem::new(Kind::Internal, error.to_string()))?);
    let length = HeaderValue::from(text.len());
    let (cut, sent) = (connection.0.clone(), CancellationToken::new());
    let (until, places) = (sent.clone(), Arc::new(places));
    let watched = Arc::clone(&places);
    tokio::spawn(async move {
        tokio::select! {
            biased;
            // What the connection carries next is none of this answer's.
            () = until.cancelled() => {}
            () = watched.over() => cut.cancel(),
        }
    });
    // Dropped with what is left of the body, whether it was read to its end or not.
    let guard = (sent.drop_guard(), places);
    let pieces = stream::unfold((text, guard), |(mut text, guard)| async move {
        let piece = text.split_to(PIECE.min(text.len()));
        (!piece.is_empty()).then_some((Ok::<_, Infallible>(piece), (text, guard)))
    });
    let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(([json, (CONTENT_LENGTH, length)], Body::from_stream(pieces)).into_response())
}

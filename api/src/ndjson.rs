//! Answers that come piece by piece: one JSON value a line.

use axum::{
    body::Body,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Serialize;
use std::fmt;

/// A stream of values as one response. An error ends the response unfinished, which the reader sees.
pub(crate) fn response<T, E, S>(values: S) -> Response
where
    T: Serialize,
    E: fmt::Display + Send + 'static,
    S: Stream<Item = Result<T, E>> + Send + 'static,
{
    let lines = values.map(|value| value.map_err(|error| error.to_string()).and_then(|value| line(&value)));
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

fn line<T: Serialize>(value: &T) -> Result<Bytes, String> {
    let mut text = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    text.push(b'\n');
    Ok(text.into())
}

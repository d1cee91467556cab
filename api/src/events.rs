//! Answers that come piece by piece, as server-sent events (WHATWG HTML section 9.2): the same values that come line by line otherwise, each
//! with a word for what it is. What waits for a slow reader waits where it does for lines: here nothing is kept.

use crate::ndjson;
use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use domain::answer::Step;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use std::{fmt, io, time::Duration};

/// How long nothing comes before a comment shows that the connection lives.
const QUIET: Duration = Duration::from_secs(15);

/// Something that comes as an event.
pub(crate) trait Told {
    /// Whether the last of the values is `complete` by itself.
    const ENDS_ITSELF: bool = false;

    /// What it is.
    fn word(&self) -> &'static str;

    /// Its place in the log, from which a reader who was cut off goes on; none where there is no going on.
    fn place(&self) -> Option<u64> {
        None
    }
}

impl Told for Step {
    const ENDS_ITSELF: bool = true;

    fn word(&self) -> &'static str {
        match self {
            Self::Row(_) => "row",
            Self::End(_) => "end",
            Self::Verdict(_) => "complete",
        }
    }
}

impl Told for crate::view::AuditEntry {
    fn word(&self) -> &'static str {
        "entry"
    }

    fn place(&self) -> Option<u64> {
        Some(self.entry.sequence)
    }
}

impl Told for domain::audit::chain::Line {
    fn word(&self) -> &'static str {
        match self {
            Self::Entry(_) => "entry",
            Self::Head(_) => "head",
        }
    }
}

/// A stream of values as one response, and `complete` where it came to its end. An error ends the response unfinished, without that.
pub(crate) fn response<T, E, S>(values: S) -> Response
where
    T: Serialize + Told,
    E: fmt::Display + Send + 'static,
    S: Stream<Item = Result<T, E>> + Send + 'static,
{
    let events = values.map(|value| value.map_err(io_error).and_then(|value| event(&value)));
    let complete = (!T::ENDS_ITSELF).then(|| Ok(Event::default().event("complete").data("{}")));
    let complete = stream::iter(complete);
    Sse::new(events.chain(complete)).keep_alive(KeepAlive::new().interval(QUIET).text("")).into_response()
}

/// As `form` says: one value a line, or one an event.
pub(crate) fn streamed<T, E, S>(form: crate::accept::Form, values: S) -> Response
where
    T: Serialize + Told,
    E: fmt::Display + Send + 'static,
    S: Stream<Item = Result<T, E>> + Send + 'static,
{
    if form == crate::accept::Form::Events { response(values) } else { ndjson::response(values) }
}

fn event<T: Serialize + Told>(value: &T) -> Result<Event, io::Error> {
    let event = Event::default().event(value.word()).json_data(value).map_err(io_error)?;
    Ok(match value.place() {
        Some(place) => event.id(place.to_string()),
        None => event,
    })
}

fn io_error(error: impl fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use domain::answer::{Outcome, SourceOutcome, Verdict};
    use http_body_util::BodyExt;

    fn end() -> Step {
        Step::End(SourceOutcome::empty("here", Outcome::Ok, "", Duration::ZERO))
    }

    async fn text(body: Body) -> Result<String, axum::Error> {
        Ok(String::from_utf8(body.collect().await?.to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn each_value_is_an_event_and_complete_is_the_last() {
        let verdict = Step::Verdict(Verdict::of_one(true, &[]));
        let response = response(stream::iter([Ok::<_, io::Error>(end()), Ok(verdict.clone())]));
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let said = text(response.into_body()).await.unwrap();
        let [end, verdict] = [end(), verdict].map(|step| serde_json::to_string(&step).unwrap());
        assert_eq!(said, format!("event: end\ndata: {end}\n\nevent: complete\ndata: {verdict}\n\n"));
    }

    #[tokio::test]
    async fn what_broke_off_is_not_complete() {
        let broken = stream::iter([Ok(end()), Err(io::Error::other("away"))]);
        assert!(text(response(broken).into_body()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_comment_shows_that_a_quiet_connection_lives() {
        let quiet = stream::pending::<Result<Step, io::Error>>();
        let mut body = response(quiet).into_body();
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(frame.starts_with(b":") && frame.ends_with(b"\n\n"), "{frame:?}");
    }
}

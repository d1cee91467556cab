//! The one error of the door, in the form of RFC 9457: a stable type for programs, cause and next step for people. The only place that gives
//! them a status.

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use domain::id::RequestId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use store::{ReleaseError, StoreError};

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ProblemKind")]
pub enum Kind {
    /// At the HTTP port: there is no token that is good here.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// There is no such thing, or it is not the caller's to know of.
    Missing,
    /// Nothing is asked for at this path with this method.
    Method,
    /// The answer is not given in any form that is accepted.
    NotAcceptable,
    /// A name is taken, or the thing is not in a state that allows it.
    Conflict,
    /// What was to be changed is not as the caller saw it.
    Changed,
    /// The request cannot be understood.
    Invalid,
    /// The body is not said to be of a type that is read here.
    MediaType,
    /// The request is larger than this door takes.
    TooLarge,
    /// Too much at once from the same place; trying again later can help.
    Busy,
    /// Not every source that had to answer did.
    Incomplete,
    /// Something this needs is away; trying again can help.
    Unavailable,
    /// It took too long.
    Timeout,
    /// A fault of this daemon.
    Internal,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::Missing,
        Self::Method,
        Self::NotAcceptable,
        Self::Conflict,
        Self::Changed,
        Self::Invalid,
        Self::MediaType,
        Self::TooLarge,
        Self::Busy,
        Self::Incomplete,
        Self::Unavailable,
        Self::Timeout,
        Self::Internal,
    ];

    /// The HTTP status (RFC 9110 section 15).
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Missing => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Changed => StatusCode::PRECONDITION_FAILED,
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Incomplete => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Kind {
    /// The stable word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Missing => "missing",
            Self::Method => "method",
            Self::NotAcceptable => "not_acceptable",
            Self::Conflict => "conflict",
            Self::Changed => "changed",
            Self::Invalid => "invalid",
            Self::MediaType => "media_type",
            Self::TooLarge => "too_large",
            Self::Busy => "busy",
            Self::Incomplete => "incomplete",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
        }
    }

    /// The type by which programs know it: it stays what it is, and leads nowhere.
    pub fn urn(self) -> String {
        format!("urn:mosaic-fed:problem:{}", self.word())
    }

    /// What it is, the same each time.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Unauthorized => "There is no token that is good here",
            Self::Forbidden => "The caller may not do this",
            Self::Missing => "There is no such thing, or not for the caller",
            Self::Method => "Nothing is asked for here with this method",
            Self::NotAcceptable => "The answer has no form that is accepted",
            Self::Conflict => "This cannot be done from where things stand",
            Self::Changed => "What was to be changed is not as the caller saw it",
            Self::Invalid => "The request cannot be understood",
            Self::MediaType => "The body is of a type that is not read here",
            Self::TooLarge => "The request is too large",
            Self::Busy => "Too much at once",
            Self::Incomplete => "Not every source answered",
            Self::Unavailable => "Something that this needs is away",
            Self::Timeout => "It took too long",
            Self::Internal => "A fault of this daemon",
        }
    }
}

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Details", into = "Details")]
pub struct Problem {
    /// What kind.
    pub kind: Kind,
    /// What went wrong, one line.
    pub cause: String,
    /// What to do; absent where the cause says it.
    pub next: Option<String>,
    /// The request that was refused, where the log has it.
    pub request: Option<RequestId>,
}

/// A problem as JSON (RFC 9457).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Details {
    /// What kind, for programs: `urn:mosaic-fed:problem:` and the word of `error`.
    #[serde(rename = "type")]
    kind_urn: String,
    /// What kind, for people.
    title: String,
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What went wrong this time, one line.
    detail: String,
    /// The request, as the log names it: `urn:uuid:` and its id. Absent where the log does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// What kind, in a word.
    error: Kind,
    /// What to do; absent where the detail says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl From<Problem> for Details {
    fn from(Problem { kind, cause, next, request }: Problem) -> Self {
        Self {
            kind_urn: kind.urn(),
            title: kind.title().to_owned(),
            status: kind.status().as_u16(),
            detail: cause,
            instance: request.map(|request| format!("{URN_OF_A_UUID}{request}")),
            error: kind,
            next,
        }
    }
}

impl From<Details> for Problem {
    fn from(Details { detail, instance, error, next, .. }: Details) -> Self {
        let request = instance.and_then(|urn| urn.strip_prefix(URN_OF_A_UUID)?.parse().ok());
        Self { kind: error, cause: detail, next, request }
    }
}

const URN_OF_A_UUID: &str = "urn:uuid:";

/// The type of every problem (RFC 9457 section 3).
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

impl Problem {
    /// A problem whose cause says what to do.
    pub fn new(kind: Kind, cause: impl Into<String>) -> Self {
        Self { kind, cause: cause.into(), next: None, request: None }
    }

    /// The same with a next step.
    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    /// What a crate below says in one text, cause and command apart where it ends with one: the command line makes a next
    /// step reach the same instance, a cause it leaves alone.
    pub(crate) fn told(kind: Kind, text: &str) -> Self {
        match text.rsplit_once("; ").filter(|(_, next)| next.contains("`mosaic-fed ") && !next.contains("` printed")) {
            Some((cause, next)) => Self::new(kind, cause).next(bare(next)),
            None => Self::new(kind, text),
        }
    }

    /// There is no such thing.
    pub fn missing(cause: impl Into<String>) -> Self {
        Self::new(Kind::Missing, cause)
    }

    /// The request says something impossible.
    pub fn invalid(cause: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, cause)
    }

    /// The caller may not do this.
    pub fn forbidden(cause: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, cause)
    }
}

/// A command that is all of a next step stands without the marks that set it apart in a sentence: it is pasted as it is.
fn bare(next: &str) -> &str {
    let command = next.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    command.filter(|command| !command.contains('`')).unwrap_or(next)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let is_to_be_proven = self.kind == Kind::Unauthorized;
        let media = [(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))];
        let mut response = (self.kind.status(), media, Json(self)).into_response();
        if is_to_be_proven {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Unavailable(_) => {
                return Self::new(Kind::Unavailable, error.to_string()).next(
                    "mend that, or wait until `mosaic-fed status` says that the database answers; then try again",
                );
            }
            StoreError::SecondCheck(_) => Kind::Internal,
            StoreError::Missing(_) => Kind::Missing,
            StoreError::Conflict(_) => Kind::Conflict,
            StoreError::Denied(_) => Kind::Forbidden,
            StoreError::PageToken(_) => Kind::Invalid,
        };
        Self::told(kind, &error.to_string())
    }
}

impl From<ReleaseError> for Problem {
    fn from(error: ReleaseError) -> Self {
        Self::new(Kind::Unavailable, error.to_string())
            .next("nothing was done; see `mosaic-fed status` for the database, then try again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_as_rfc_9457_says_and_read_back() {
        let request = Some(RequestId(uuid::Uuid::from_u128(7)));
        let problem = Problem { request, ..Problem::missing("no such link `x`").next("mosaic-fed links") };
        let told = serde_json::to_value(&problem).unwrap();
        let wanted = serde_json::json!({
            "type": "urn:mosaic-fed:problem:missing", "title": "There is no such thing, or not for the caller", "status": 404,
            "detail": "no such link `x`", "instance": "urn:uuid:00000000-0000-0000-0000-000000000007", "error": "missing",
            "next": "mosaic-fed links",
        });
        assert_eq!(told, wanted);
        assert_eq!(serde_json::from_value::<Problem>(told).unwrap(), problem);
        assert_eq!(problem.into_response().headers()[CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn every_kind_has_a_word_and_a_status_that_are_its_own() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
            let same =
                Kind::ALL.iter().filter(|other| other.status() == kind.status() || other.title() == kind.title());
            assert_eq!(same.count(), 1, "{kind:?}");
            assert!(kind.status().is_client_error() || kind.status().is_server_error(), "{kind:?}");
        }
        let page = include_str!("../../docs/api/README.md");
        for kind in Kind::ALL {
            let row = format!("| `{}` | {} |", kind.word(), kind.status().as_u16());
            assert!(page.contains(&row), "docs/api/README.md lacks {row}");
        }
    }

    #[test]
    fn a_command_at_the_end_of_a_text_becomes_the_next_step() {
        let told = Problem::told(Kind::Missing, "there is no user `x`; see `mosaic-fed user list`");
        assert_eq!(
            (told.cause.as_str(), told.next.as_deref()),
            ("there is no user `x`", Some("see `mosaic-fed user list`"))
        );
        let alone = Problem::told(Kind::Conflict, "taken; `mosaic-fed user role x member`");
        assert_eq!(alone.next.as_deref(), Some("mosaic-fed user role x member"));
        let two = Problem::told(Kind::Conflict, "ended; `mosaic-fed grant list` or `mosaic-fed invite NAME`");
        assert_eq!(two.next.as_deref(), Some("`mosaic-fed grant list` or `mosaic-fed invite NAME`"));
        let whole = "this is no invite; paste the line that `mosaic-fed invite` printed";
        assert_eq!(Problem::told(Kind::Invalid, whole), Problem::new(Kind::Invalid, whole));
    }
}

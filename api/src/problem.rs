//! The one error of the door: a stable word for programs, cause and next step for people. The only place that gives them
//! a status.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use store::{ReleaseError, StoreError};

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ProblemKind")]
pub enum Kind {
    /// The caller may not do this.
    Forbidden,
    /// There is no such thing, or it is not the caller's to know of.
    Missing,
    /// A name is taken, or the thing is not in a state that allows it.
    Conflict,
    /// The request cannot be understood.
    Invalid,
    /// The request is larger than this door takes.
    TooLarge,
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
    pub const ALL: [Self; 9] = [
        Self::Forbidden,
        Self::Missing,
        Self::Conflict,
        Self::Invalid,
        Self::TooLarge,
        Self::Incomplete,
        Self::Unavailable,
        Self::Timeout,
        Self::Internal,
    ];

    /// The HTTP status (RFC 9110 section 15).
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Missing => StatusCode::NOT_FOUND,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Incomplete => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Why a request was not answered, in JSON as `{error, cause, next}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What kind.
    #[serde(rename = "error")]
    pub kind: Kind,
    /// What went wrong, one line.
    pub cause: String,
    /// What to do; absent where the cause says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Problem {
    /// A problem whose cause says what to do.
    pub fn new(kind: Kind, cause: impl Into<String>) -> Self {
        Self { kind, cause: cause.into(), next: None }
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
        (self.kind.status(), Json(self)).into_response()
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

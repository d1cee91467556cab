//! From sqlx's errors to the store's. Texts of the server are left out: they can quote values of rows.

use crate::StoreError;
use sqlx::Error;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self::Unavailable(describe(&error))
    }
}

/// Nobody was let in, and nobody else was in the way.
pub(super) fn away() -> StoreError {
    StoreError::Unavailable("PostgreSQL is away or starting; try again in a moment".into())
}

/// What went wrong, without any value of a row.
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            format!("PostgreSQL refused a statement ({code}, {})", meaning(&code))
        }
        Error::Io(error) => format!("the connection to PostgreSQL failed ({})", error.kind()),
        Error::Tls(_) => "TLS to PostgreSQL failed; check the certificate and sslmode".into(),
        Error::PoolTimedOut => "every connection to PostgreSQL is busy; try again".into(),
        Error::PoolClosed => "the store is closed".into(),
        Error::RowNotFound => "a row that must exist is missing".into(),
        Error::ColumnDecode { index, .. } => format!("column {index} holds a value of another type"),
        _ => "PostgreSQL answered something unexpected".into(),
    }
}

/// Classes of SQLSTATE (PostgreSQL documentation, appendix A) that an operator can do something about.
fn meaning(code: &str) -> &'static str {
    match code {
        "57014" => "it took too long",
        "57P01" | "57P02" | "57P03" => "the server is stopping or starting",
        "53300" => "too many connections; raise max_connections",
        "53100" => "the disk is full",
        "42501" => "a missing right or a policy",
        "28000" | "28P01" => "the login was refused",
        "3D000" => "there is no such database",
        _ if code.starts_with("23") => "a constraint",
        _ => "see its log",
    }
}

/// Whether an error on a connection from the pool says only that the connection had died before.
pub(super) fn is_stale(error: &Error) -> bool {
    match error {
        Error::Io(_) => true,
        Error::Database(error) => {
            error.code().is_some_and(|code| matches!(&*code, "57P01" | "57P02" | "25P03" | "57P05"))
        }
        _ => false,
    }
}

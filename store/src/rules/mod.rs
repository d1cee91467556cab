//! What holds in every store, as pure functions: PostgreSQL and the model of tests differ in how they keep rows, not in
//! what these say.

mod look;
mod read;
mod say;
mod write;

pub(crate) use look::{DEFAULT_ENTRIES, LastLook, chain, last_look, looks, verdicts};
pub(crate) use read::{Judged, Window, chunk};
pub use say::key_revoked;
pub(crate) use say::*;
pub(crate) use write::{Writer, content, kept_back, nowhere, undone};

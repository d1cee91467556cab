//! The database, and the only crate that knows it: PostgreSQL with row-level security, the embedded server, the audit writer.
//!
//! Map: `traits` is what others may ask; [`access`] is on whose authority rows are read; [`audit`] is the writer whose
//! receipt lets an answer leave; [`postgres`] is the real thing and `model` its stand-in for tests, held to one suite;
//! [`embedded`] runs a PostgreSQL of our own; [`mod@file`] is how whatever else must outlive a crash is written.
//!
//! Must not: decide. A row leaves here only under a permit that `domain::decide` made, or under a local user's own rights.

pub mod access;
pub mod audit;
mod calls;
mod ceiling;
pub mod embedded;
mod error;
pub mod file;
mod floors;
pub mod halt;
mod heard;
mod invited;
mod keys;
mod links;
#[cfg(feature = "model")]
pub mod model;
pub mod postgres;
mod rules;
mod standing;
mod tokens;
mod traits;
mod trust;

pub use access::Access;
pub use audit::{Auditor, ReleaseError, Released};
pub use calls::{Await, Calls};
pub use ceiling::{Ceilings, KeptCeiling, Narrowed};
pub use error::StoreError;
pub use floors::{END, Floor};
pub use heard::News;
pub use invited::{Enrolled, Enrolment, Handed, LastInvite, LinkEnd, LinkKey, MadeOf, NewInvite};
pub use keys::{KeptKey, KeyEnd, Keys};
pub use links::{LinkEntry, LinkRecord, Links, NextLeaf};
pub use rules::key_revoked;
pub use standing::{Held, Standing};
pub use tokens::Tokens;
pub use traits::*;
pub use trust::Trust;

//! The JSON shapes of what other crates declare and this door passes on: rows, scopes, entries of the log.
//!
//! Those crates know nothing of schemas, so their values are described here a second time, for the generated pages in `docs/api`
//! alone; nothing is ever made of these types. A test holds each to the value it describes: a field more or less there fails it.

mod log;
mod rows;
mod scope;
#[cfg(test)]
mod tests;

pub use log::{Ending, Entry, Head, Line, SignedHead, Stage};
pub use rows::{Item, NewItem, One, Outcome, Page, Row, SourceOutcome, Step, Verdict};
pub use scope::{Ceiling, Class, DoorWord, Filter, Rate, Role, Spec, Tags, Verb};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $about:literal, $schema:tt;)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("description".to_owned(), $about.into());
                schema
            }
        }
    )*};
}

texts! {
    /// The id of anything.
    Id = "A UUID in its one spelling.",
        { "type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$" };
    /// A point in time.
    Time = "RFC 3339, in UTC.", { "type": "string", "format": "date-time" };
    /// A name of a user, an instance, a grant, a link or a workspace.
    Name = "1 to 63 of a-z, 0-9 and -, not starting or ending with -.",
        { "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" };
    /// A team, a project or a tag.
    Label = "Text without control characters.", { "type": "string", "minLength": 1, "maxLength": 200 };
    /// A kind of row, or a field of one.
    Kind = "A kind of row, as `tasks`.", { "type": "string", "pattern": "^[a-z_]{1,63}$" };
    /// A SHA-256.
    Hash = "SHA-256, 64 lower-case hex digits.", { "type": "string", "pattern": "^[0-9a-f]{64}$" };
}

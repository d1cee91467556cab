//! Every fixed statement, by table group, each with a name: a test prepares all of them on a migrated database as the serving role.
//! The only statements built at run time are in `postgres/filter.rs`.

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
        /// All of this group, by name.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

pub mod audit;
pub mod calls;
pub mod grants;
pub mod items;
pub mod links;
pub mod people;
pub mod tokens;

/// Every fixed statement of the serving role, by name.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    [audit::ALL, calls::ALL, grants::ALL, items::ALL, links::ALL, people::ALL, tokens::ALL]
        .into_iter()
        .flatten()
        .copied()
}

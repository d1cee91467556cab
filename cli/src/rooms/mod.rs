//! The commands that speak to a running daemon, one file per room: call, then print the value that came back.

pub mod audit;
pub mod audit_verify;
pub mod grants;
pub mod links;
pub mod people;
pub mod rows;
pub mod scope_flags;
pub mod status;

use domain::Time;

/// A path segment: everything but letters, digits and `-._~` becomes `%XX` (RFC 3986 section 2.1).
pub fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A path with a query string.
pub fn asking(path: &str, query: &impl serde::Serialize) -> crate::exit::Outcome<String> {
    let query = serde_urlencoded::to_string(query).map_err(crate::exit::Failure::of)?;
    Ok(if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") })
}

/// Enough of an id to type.
pub fn short(id: &impl ToString) -> String {
    id.to_string().chars().take(8).collect()
}

/// A time to the minute, UTC.
pub fn minute(time: Time) -> String {
    time.to_string().chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// The text of something that may be absent.
pub fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// Names with commas between.
pub fn joined<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}

/// Milliseconds with what people can read of them.
pub fn millis(micros: u64) -> String {
    format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100)
}

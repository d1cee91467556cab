//! The commands that speak to a running daemon, one file per room: call, then print the value that came back.

pub mod agree;
pub mod audit;
mod audit_proof;
pub mod audit_verify;
pub mod calls;
pub mod can;
mod ended;
mod explain;
pub mod grants;
mod invited;
pub mod invitees;
pub mod keys;
pub mod limits;
pub mod links;
mod pasted;
pub mod people;
pub mod policy;
mod reach;
pub mod rows;
pub mod scope_flags;
pub mod sources;
pub mod status;
pub mod tokens;
pub mod unlink;
mod waiting;
mod watched;

use crate::{
    exit::{Exit, Failure, Outcome},
    nearness,
    out::Out,
};
use api::{client::Client, view};
use domain::{
    Time,
    id::{Resource, TeamId},
    kind::Kinds,
    rights::Role,
};

/// A path segment: everything but letters, digits and `-._~` becomes `%XX` (RFC 3986 section 2.1).
pub fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A path with a query string.
pub fn asking(path: &str, query: &impl serde::Serialize) -> Outcome<String> {
    let query = serde_urlencoded::to_string(query).map_err(crate::exit::Failure::of)?;
    Ok(if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") })
}

/// A name or the beginning of an id, as an argument.
pub fn named(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty; give a name, or the first characters of an id as tables show them".to_owned());
    }
    Ok(text.to_owned())
}

/// A kind of row, as an argument.
pub fn kind(text: &str) -> Result<Resource, String> {
    text.parse()
        .map_err(|_| format!("it is no kind of row{}; choose one of {}", meant(text), Kinds::builtin().listed()))
}

/// The kind that may be meant by one that does not exist, after it.
fn meant(kind: &str) -> String {
    let near = nearness::nearest(&kind.to_lowercase(), Kinds::builtin().names().map(Resource::as_str));
    near.map_or_else(String::new, |near| format!(" (`{near}` may be meant)"))
}

/// Refuses a kind that does not exist, before the daemon is asked for its rows.
pub fn known_kind(kind: &Resource) -> Outcome<()> {
    match Kinds::builtin().get(kind) {
        Some(_) => Ok(()),
        None => Err(no_kind(Exit::Missing, kind.as_str(), "name one that exists:")),
    }
}

/// How a kind that exists is named.
pub const NAME_ONE: &str = "name one that exists: --kind with one of";

/// That there is no such kind; `option` is how one that exists is named, as in `--kind with one of`.
pub fn no_kind(exit: Exit, kind: &str, option: &str) -> Failure {
    Failure::new(exit, format!("there is no kind `{kind}`{}", meant(kind)))
        .next(format!("{option} {}", Kinds::builtin().listed()))
}

/// A number from 1 to `most`, as an argument.
pub fn up_to(most: u32) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| format!("it is no number from 1 to {most}"))
    }
}

/// The next step that the caller's place allows; who they are is asked for only where people read.
pub async fn next_as(client: &Client, out: &Out, step: impl FnOnce(&view::Person) -> String) {
    if out.json {
        return;
    }
    // A daemon that cannot say who the caller is has no next step for them either.
    if let Ok(me) = client.get::<view::Person>("/v1/me").await {
        out.next(&step(&me));
    }
}

/// A next step for those who manage the workspace, or another one.
pub async fn next_for_managers(client: &Client, out: &Out, step: &str, otherwise: &str) {
    next_as(client, out, |me| if me.role.manages() { step } else { otherwise }.to_owned()).await;
}

/// A next step for those who may write and share, or another one.
pub async fn next_for_members(client: &Client, out: &Out, step: &str, otherwise: &str) {
    next_as(client, out, |me| if me.role > Role::Guest { step } else { otherwise }.to_owned()).await;
}

/// Refuses a team whose rows the caller may not write, naming those that they may.
pub async fn writable_team(client: &Client, team: &TeamId) -> Outcome<()> {
    let teams: Vec<view::TeamEntry> = client.get("/v1/teams").await?;
    if teams.iter().any(|entry| entry.team == *team) {
        return Ok(());
    }
    let cause = format!("there is no team `{team}` that you can write to");
    Err(Failure::new(Exit::Usage, cause).next(match &teams[..] {
        [] => "leave --team out: there is no team that you can write to".to_owned(),
        _ => {
            format!("name one that you can write to, --team with one of {}", joined(teams.iter().map(|one| &one.team)))
        }
    }))
}

/// "1 row", "2 rows".
pub fn counted(count: u64, one: &str) -> String {
    match (count, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) if !stem.ends_with('a') => format!("{count} {stem}ies"),
        _ => format!("{count} {one}s"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_thing_is_not_many() {
        let said = [(0, "row"), (1, "row"), (2, "day"), (1, "entry"), (3, "entry")].map(|(n, one)| counted(n, one));
        assert_eq!(said, ["0 rows", "1 row", "2 days", "1 entry", "3 entries"]);
    }
}

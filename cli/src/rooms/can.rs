//! What a grant may do, asked of the daemon that decides it.

use super::{
    counted,
    ended::{anew, explained, has_ended},
    joined, named, segment,
};
use crate::{
    config::shell_word,
    exit::{Exit, Outcome},
    out::Out,
};
use api::{client::Client, view};
use clap::Args;
use domain::scope::Verb;

/// The arguments of `can`.
#[derive(Args)]
pub struct CanArgs {
    /// The grant's name, or the beginning of its id
    #[arg(value_parser = named)]
    grant: String,
    /// capabilities, list or get
    #[arg(value_parser = verb)]
    verb: Verb,
    /// The kind of row
    kind: String,
}

fn verb(text: &str) -> Result<Verb, String> {
    let found = Verb::ALL.into_iter().find(|verb| verb.word() == text);
    // Scopes know one verb more, which no call of this version has.
    found.ok_or_else(|| format!("choose {}", joined(Verb::ALL.into_iter().filter(|verb| *verb != Verb::Search))))
}

/// `can`.
pub async fn can(args: CanArgs, client: &Client, out: &Out) -> Outcome {
    let CanArgs { grant, verb, kind } = args;
    let question = view::CanQuestion { verb, resource: kind };
    let verdict = client.post(&format!("/v1/grants/{}/can", segment(&grant)), &question).await;
    let verdict: view::VerdictView = match verdict {
        Ok(verdict) => verdict,
        Err(error) => return Err(explained(error.into(), client, &grant).await),
    };
    out.value(&verdict, |verdict| {
        let rows = verdict.rows.map_or_else(String::new, |rows| format!(" ({} now)", counted(rows, "row")));
        format!("{}: {}{rows}", if verdict.allowed { "yes" } else { "no" }, verdict.why)
    })?;
    let shown = format!("grant show {}", shell_word(&grant));
    if verdict.allowed {
        out.next(&shown);
        return Ok(Exit::Done);
    }
    let entry = client.get::<view::GrantEntry>(&format!("/v1/grants/{}", segment(&grant))).await;
    out.next(&entry.ok().filter(has_ended).map_or(shown, |entry| anew(&entry)));
    Ok(Exit::Failed)
}

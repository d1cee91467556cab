//! Tokens of programs: each acts as you, in one workspace, until its time is over.

use super::{minute, segment};
use crate::{
    exit::{Exit, Outcome},
    out::Out,
    table::Table,
};
use api::{client::Client, view};
use clap::Subcommand;
use domain::{
    id::Name,
    token::{DAYS, MOST_DAYS},
};

/// The commands of `token`.
#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token for a program, which acts as you in this workspace at the HTTP port (the setting `http`), and print it, once
    Add {
        /// What to call it
        name: Name,
        /// Days until it ends, 1 to 366
        #[arg(long, value_name = "DAYS", default_value_t = DAYS, value_parser = super::up_to(MOST_DAYS))]
        days: u32,
    },
    /// Your tokens; what they are is not kept
    List,
    /// End a token at once
    Remove {
        /// What it is called
        name: Name,
    },
}

/// `token`.
pub async fn run(command: TokenCommand, client: &Client, out: &Out) -> Outcome {
    match command {
        TokenCommand::Add { name, days } => add(name, days, client, out).await?,
        TokenCommand::List => {
            listed(&client.get("/v1/tokens").await?, out)?;
            out.next("token add NAME");
        }
        TokenCommand::Remove { name } => {
            listed(&client.delete(&format!("/v1/tokens/{}", segment(name.as_str()))).await?, out)?;
            out.next("token list");
        }
    }
    Ok(Exit::Done)
}

async fn add(name: Name, days: u32, client: &Client, out: &Out) -> Outcome<()> {
    let made: view::TokenMade = client.post("/v1/tokens", &view::TokenOrder { name, days }).await?;
    // Alone on its line, to be piped to where it is kept.
    out.value(&made, |made| made.token.clone())?;
    if !out.json {
        let view::TokenMade { name, user, workspace, not_after, .. } = &made;
        out.remark(&format!(
            "{name}: whoever shows it acts as {user} in {workspace}, until {} UTC; it is not shown again",
            minute(*not_after)
        ));
        match &made.http {
            Some(at) => out.remark(&format!("a program asks http://{at}, with the header authorization: Bearer TOKEN")),
            None => out.remark(
                "this instance has no HTTP port: its operator sets `http` in config.toml, as in http = \"127.0.0.1:7480\", and starts \
                 the daemon again",
            ),
        }
    }
    out.next("token list");
    Ok(())
}

fn listed(tokens: &Vec<view::TokenEntry>, out: &Out) -> Outcome<()> {
    out.table(tokens, |tokens| {
        let mut table =
            Table::new(&["NAME", "WORKSPACE", "ADDED (UTC)", "UNTIL (UTC)", "LAST USED (UTC)"], "no tokens");
        for token in tokens {
            let until = format!("{}{}", minute(token.not_after), if token.expired { ", over" } else { "" });
            let used = token.used_at.map_or_else(|| "never".to_owned(), |at| format!("{}h", &minute(at)[..13]));
            table.row([token.name.to_string(), token.workspace.to_string(), minute(token.added_at), until, used]);
        }
        table
    })
}

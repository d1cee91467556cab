//! Keys that somebody else may have, as when a machine was stolen: refused for ever.

use super::{agree::is_agreed, counted, ended::revoked, minute, next_as, or_dash};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::{Out, escaped},
    table::Table,
};
use api::{client::Client, view};
use clap::Subcommand;
use domain::{id::Spki, revoked::KeyReason};
use std::io::{self, IsTerminal};

/// The commands of `key`.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Refuse a key for ever, and end every grant that is held with it: its machine was stolen, say. There is no way back. For the operator, and
    /// for those who manage every workspace
    Revoke {
        /// Its fingerprint, as `mosaic-fed grant show` and `mosaic-fed link --prepare` print it
        #[arg(value_name = "FINGERPRINT")]
        key: Spki,
        /// Why, in one line; it is kept in the log
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: KeyReason,
        /// Do not ask before it is revoked
        #[arg(short, long)]
        yes: bool,
    },
    /// The keys that are refused
    List,
}

/// `key`.
pub async fn run(command: KeyCommand, client: &Client, out: &Out) -> Outcome {
    match command {
        KeyCommand::Revoke { key, reason, yes } => revoke(key, &reason, yes, client, out).await,
        KeyCommand::List => list(client, out).await,
    }
}

async fn revoke(key: Spki, reason: &KeyReason, yes: bool, client: &Client, out: &Out) -> Outcome {
    if !yes
        && io::stdin().is_terminal()
        && !is_agreed(&format!(
            "The key {key} will be refused for ever, and every grant that is held with it ends. Go on?"
        ))?
    {
        let kept = Failure::new(Exit::Interrupted, format!("the key {key} stays as it is"));
        return Err(kept.next("see which grants are held with it: mosaic-fed grant list"));
    }
    let order = view::KeyOrder { key, reason: reason.as_str().to_owned() };
    let report: view::KeyReport = client.post("/v1/keys", &order).await?;
    out.value(&report, shown)?;
    if !out.json {
        told(&report, out);
    }
    next_as(client, out, |me| if me.operator { "key list" } else { "grant list" }.to_owned()).await;
    Ok(Exit::Done)
}

fn shown(report: &view::KeyReport) -> String {
    let ended = match report.grants.len() as u64 {
        0 => "no grant is held with it, so none ended".to_owned(),
        ended => format!("{} ended with it", counted(ended, "grant")),
    };
    let first = format!("the key {} is refused here from now on, for ever; {ended}", report.key.key);
    std::iter::once(first).chain(report.grants.iter().map(revoked)).collect::<Vec<_>>().join("\n")
}

/// What is left to do.
fn told(report: &view::KeyReport, out: &Out) {
    for grant in &report.grants {
        let name = &grant.grant.name;
        out.remark(&format!(
            "whoever held {name} needs a new grant, with a key of a machine that is theirs: have them type `mosaic-fed link --prepare` there"
        ));
    }
    if report.grants.is_empty() && report.links.is_empty() && report.invites.is_empty() && !report.forgotten {
        out.remark("where a grant was meant, its key has another fingerprint: `mosaic-fed grant show NAME` says which one holds it now");
    }
    for grant in &report.invites {
        out.remark(&format!(
            "the open invite of {grant} was for this key alone and is of no more use: `mosaic-fed grant invite {grant} --key FINGERPRINT` \
             makes one for another"
        ));
    }
    if report.forgotten {
        out.remark("it was kept here for an invite, and is forgotten: `mosaic-fed link --prepare` makes another");
    }
    for view::KeyLink { name, owner } in &report.links {
        out.remark(&format!(
            "the link {name} of {owner} uses this key, or was made with it: whoever has it can ask there as this instance until the other side \
             ends it. Tell its owner, who types `mosaic-fed key revoke {}` there; then {owner} types `mosaic-fed unlink {name}` and links anew. \
             `mosaic-fed renew {name}` makes a new key, and takes nothing from whoever has this one if they were quicker",
            report.key.key
        ));
    }
}

async fn list(client: &Client, out: &Out) -> Outcome {
    let keys: Vec<view::KeyEntry> = client.get("/v1/keys").await?;
    out.table(&keys, |keys| {
        let mut table = Table::new(&["KEY", "SINCE (UTC)", "BY", "REASON"], "no key was revoked");
        for key in keys {
            let since = key.at.map_or_else(|| "-".to_owned(), minute);
            table.row([key.key.to_string(), since, or_dash(key.by.as_ref()), or_dash(key.reason.as_ref())]);
        }
        table
    })?;
    for key in keys.iter().filter(|key| key.doubt.is_some() && !out.json) {
        out.remark(&escaped(&format!(
            "{}: somebody else changed what the database says of it, or put it back to an earlier state; it stays refused. \
             `mosaic-fed key revoke {}` writes it anew",
            key.key, key.key
        )));
    }
    out.next("grant list");
    Ok(Exit::Done)
}

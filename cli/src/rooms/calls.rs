//! Links whose other side cannot be reached: who waits to be called, and grants whose invite is brought there.

use super::{grants::shown_now, invited::invite_again, joined, minute, named, segment, short, waiting::to_confirm};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::Out,
    table::Table,
};
use api::{client::Client, view};
use clap::{Args, Subcommand};
use domain::id::Name;
use std::time::Duration;
use tokio::time::sleep;

/// How often it is looked at whether somebody called.
const LOOK: Duration = Duration::from_millis(500);

/// What `link` does besides linking.
#[derive(Subcommand)]
pub enum LinkCommand {
    /// Wait to be called by an instance that cannot be reached: prints a text for its owner, who types `mosaic-fed invite --call` there
    Await(AwaitArgs),
}

/// The arguments of `link await`.
#[derive(Args)]
pub struct AwaitArgs {
    /// What to call the link; what the other instance calls itself if not given
    #[arg(long)]
    name: Option<Name>,
    /// A host under which the other instance reaches this one, with the port of `listen_calls` or another behind it; may be repeated. What
    /// `advertise` says, or this machine's own addresses, if not given
    #[arg(long = "address", value_name = "HOST[:PORT]")]
    addresses: Vec<String>,
    /// Print the text, then wait until the link is there
    #[arg(long)]
    wait: bool,
    /// Whose calls you wait for, and what came of it
    #[arg(long, conflicts_with_all = ["name", "addresses", "wait"])]
    list: bool,
    /// Wait no longer for this one, by the beginning of its id; a link that came of it stays
    #[arg(long, value_name = "ID", value_parser = named, conflicts_with_all = ["name", "addresses", "wait", "list"])]
    end: Option<String>,
}

/// `link await`.
pub async fn wait(args: AwaitArgs, client: &Client, out: &Out) -> Outcome {
    let AwaitArgs { name, addresses, wait, list, end } = args;
    if list || end.is_some() {
        let entries: Vec<view::AwaitEntry> = match end {
            Some(id) => client.delete(&format!("/v1/awaits/{}", segment(&id))).await?,
            None => client.get("/v1/awaits").await?,
        };
        return listed(&entries, out);
    }
    let made = client.post("/v1/awaits", &view::AwaitOrder { name, addresses }).await;
    let settings = out.reach.settings();
    let made: view::AwaitMade = made.map_err(|error| Failure::from(error).naming_settings(settings.as_deref()))?;
    if !out.json {
        out.remark(&format!("the other instance calls this one at {}", joined(&made.addresses)));
        out.remark(&format!(
            "the text below is a secret for one link, good until {} UTC; hand it to the other side's owner: whoever has it can have rows of \
             their own shown here in place of theirs",
            minute(made.expires_at)
        ));
    }
    out.value(&made, |made| made.call.clone())?;
    if !out.json {
        out.remark(
            "next, on the other instance: mosaic-fed invite NAME --for USER --share KINDS --call -, or for a grant that is there already: \
             mosaic-fed grant invite NAME --call -; it asks for the text, or reads it from stdin",
        );
    }
    if wait {
        return until_linked(&made, client, out).await;
    }
    out.next("link await --list");
    Ok(Exit::Done)
}

async fn until_linked(made: &view::AwaitMade, client: &Client, out: &Out) -> Outcome {
    let mut told = None;
    loop {
        let entries: Vec<view::AwaitEntry> = client.get("/v1/awaits").await?;
        let Some(entry) = entries.into_iter().find(|entry| entry.id == made.id) else {
            return Err(Failure::new(Exit::Conflict, "this call is waited for no longer").next("mosaic-fed link await"));
        };
        if let Some(link) = &entry.link {
            out.remark(&format!("{link} is linked"));
            out.next(&format!("ping {link}"));
            return Ok(Exit::Done);
        }
        if entry.state == hub::AwaitState::Expired.word() {
            return Err(Failure::new(Exit::Conflict, "nobody called in time").next("mosaic-fed link await"));
        }
        if entry.reason != told {
            told.clone_from(&entry.reason);
            if let Some(reason) = &told {
                out.remark(&format!("a call came to no link: {reason}"));
            }
        }
        sleep(LOOK).await;
    }
}

fn listed(entries: &[view::AwaitEntry], out: &Out) -> Outcome {
    out.table(&entries, |entries| {
        let mut table = Table::new(&["ID", "LINK", "STATE", "CALLED AT", "UNTIL (UTC)"], "you wait for no calls");
        for entry in *entries {
            let name = entry.link.as_ref().or(entry.name.as_ref());
            table.row([
                short(&entry.id),
                super::or_dash(name),
                entry.state.clone(),
                joined(&entry.addresses),
                minute(entry.expires_at),
            ]);
        }
        table
    })?;
    for (entry, reason) in entries.iter().filter_map(|entry| Some((entry, entry.reason.as_ref()?))) {
        out.remark(&format!("{}: the last call came to no link: {reason}", short(&entry.id)));
    }
    out.next(if entries.iter().any(|entry| entry.link.is_some()) { "links" } else { "link await" });
    Ok(Exit::Done)
}

/// `invite --call` and `grant invite --call`, once the daemon has called.
pub async fn brought(path: &str, order: &impl serde::Serialize, client: &Client, out: &Out) -> Outcome {
    let made = client.post(path, order).await;
    let settings = out.reach.settings();
    let made: view::CallMade = made.map_err(|error| Failure::from(error).naming_settings(settings.as_deref()))?;
    out.value(&made, shown)?;
    if let Some(reason) = &made.call.reason {
        out.remark(&format!("the call did not come through: {reason}"));
        if let (Some(until), false) = (made.call.until, out.json) {
            out.remark(&format!(
                "the daemon goes on calling until {} UTC; `grant show` says how it goes",
                minute(until)
            ));
        }
    }
    if made.confirm {
        out.remark(&to_confirm(made.grant.name.as_str()));
    }
    out.next(&format!("grant show {}", made.grant.name));
    Ok(Exit::Done)
}

fn shown(made: &view::CallMade) -> String {
    let grant = view::GrantEntry { call: Some(made.call.clone()), ..made.grant.clone() };
    format!("grant {}: shows {} now; {}", grant.name, shown_now(&made.rows), line(&grant).unwrap_or_default())
}

/// How it stands with the calls of a grant, in half a line; none where its holder dials.
pub fn line(grant: &view::GrantEntry) -> Option<String> {
    let call = grant.call.as_ref()?;
    let at = joined(&call.addresses);
    Some(match call.state.as_str() {
        "up" => format!("this instance calls {at}, where it is linked"),
        "parked" if grant.waiting => format!("this instance calls {at}, which waits to be let in"),
        "parked" => format!("this instance calls {at}, which takes the calls and has asked nothing yet"),
        "brought" => format!("this instance has called {at}, which reads the invite"),
        "failing" => format!("this instance calls {at}, which did not work yet"),
        "too_late" => {
            format!("the invite for {at} was not used in time: make another with `{}`", invite_again(grant))
        }
        _ => format!("this instance calls {at}"),
    })
}

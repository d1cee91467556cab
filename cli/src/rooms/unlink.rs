//! Ending a link.

use super::{agree::agreed, joined, links::directory, named, segment};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::Out,
};
use api::{client::Client, view};
use clap::Args;

/// The arguments of `unlink`.
#[derive(Args)]
pub struct UnlinkArgs {
    /// The link's name, or the beginning of its id
    #[arg(value_parser = named)]
    link: String,
    /// Erase it at once; the other side is told once, in the background, for some seconds, and not again if it is away
    #[arg(long)]
    now: bool,
    /// Somebody else's link, by the beginning of its id; for owners and admins
    #[arg(long, conflicts_with = "now")]
    any: bool,
    /// Do not ask before it is ended
    #[arg(short, long)]
    yes: bool,
}

/// The link that is meant: nobody is asked about one that does not exist.
async fn own(link: &str, client: &Client) -> Outcome<view::LinkEntry> {
    let links: Vec<view::LinkEntry> = client.get("/v1/links").await?;
    if let Some(named) = links.iter().find(|one| one.name.as_str() == link) {
        return Ok(named.clone());
    }
    match links.iter().filter(|one| begins(&one.id.to_string(), link)).collect::<Vec<_>>()[..] {
        [one] => Ok(one.clone()),
        [] => Err(no_such_link(link, &links)),
        [..] => {
            let cause = format!("several links' ids begin with `{link}`");
            Err(Failure::new(Exit::Conflict, cause).next("type more of it"))
        }
    }
}

fn no_such_link(link: &str, own: &[view::LinkEntry]) -> Failure {
    let next = if own.is_empty() {
        "you have none, so that there is nothing to end".to_owned()
    } else {
        format!("name one of {}, as `mosaic-fed links` shows them", joined(own.iter().map(|link| &link.name)))
    };
    Failure::new(Exit::Missing, format!("no such link `{link}`")).next(next)
}

/// Whether a beginning of an id is meant: the door takes one of four characters and more.
fn begins(id: &str, start: &str) -> bool {
    start.len() >= 4 && id.starts_with(&start.to_ascii_lowercase())
}

/// Somebody's link, which only those who manage the workspace are told of.
async fn anybodys(link: &str, client: &Client) -> Outcome<()> {
    let all: Vec<view::DirectoryEntry> = client.get("/v1/directory").await?;
    if all.iter().any(|entry| begins(&entry.id.to_string(), link)) {
        return Ok(());
    }
    let cause = format!("`{link}` is not the beginning of one link's id");
    Err(Failure::new(Exit::Missing, cause).next("mosaic-fed links --all"))
}

/// What becomes of the grant at the other side, and who can make another.
fn outcome_there(link: &view::LinkEntry) -> &'static str {
    let is = |state: hub::LinkState| link.state == state.word();
    if is(hub::LinkState::Revoked) {
        "the other side has ended its grant already: only its owner there can"
    } else if is(hub::LinkState::Expired) {
        "with a certificate that has ended the other side cannot be told, and its grant stays until its owner there ends it, who alone can"
    } else if is(hub::LinkState::Waiting) {
        "it was not let in, and the other side's grant waits on until its owner there ends it, who alone can"
    } else {
        "the other side's grant ends with it: only its owner there can"
    }
}

/// Only the other side's owner can bring back what goes: a script says that it means that, too.
fn ended_for_ever(name: &str, other: &str, out: &Out) -> Outcome<()> {
    let what = format!("the link {name} goes, with its key; {other} make a new one with a new invite");
    agreed(("this end", "End it for ever?"), &what, "nothing was changed".to_owned(), out)
}

/// `unlink --any`.
async fn unlink_any(args: &UnlinkArgs, client: &Client, out: &Out) -> Outcome {
    anybodys(&args.link, client).await?;
    if !args.yes {
        ended_for_ever(&args.link, "its owner can", out)?;
    }
    let removed: Vec<view::DirectoryEntry> = client.delete(&format!("/v1/directory/{}", segment(&args.link))).await?;
    out.table(&removed, |removed| directory(removed))?;
    out.next("links --all");
    Ok(Exit::Done)
}

/// `unlink`.
pub async fn unlink(args: &UnlinkArgs, client: &Client, out: &Out) -> Outcome {
    if args.any {
        return unlink_any(args, client, out).await;
    }
    let link = own(&args.link, client).await?;
    if !args.yes {
        ended_for_ever(link.name.as_str(), outcome_there(&link), out)?;
    }
    let path = format!("/v1/links/{}/unlink", segment(&link.id.to_string()));
    let report: view::UnlinkReport = client.post(&path, &view::UnlinkOrder { now: args.now }).await?;
    out.value(&report, |report| {
        if let Some(reason) = report.reason.as_ref().filter(|_| report.never_let_in) {
            return format!("{} is gone here, with its key, before it was let in: {reason}", report.link);
        }
        let told = match &report.reason {
            _ if report.told => "the other side ended the grant".to_owned(),
            _ if report.ended_before => "the other side has ended the grant already".to_owned(),
            Some(reason) => format!("the other side did not confirm it: {reason}"),
            None => "the other side did not confirm it".to_owned(),
        };
        format!("{} is gone here, with its key; {told}", report.link)
    })?;
    out.next("links");
    Ok(Exit::Done)
}

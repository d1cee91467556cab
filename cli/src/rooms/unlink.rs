//! Ending a link.

use super::{agree::agreed, links::directory, named, segment};
use crate::{
    exit::{Exit, Outcome},
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

/// The grant at the other side ends with the link, and only its owner can make a new one: a script says that it means that, too.
fn ended_for_ever(args: &UnlinkArgs, out: &Out) -> Outcome<()> {
    if args.yes {
        return Ok(());
    }
    let link = &args.link;
    let other =
        if args.any { "its owner can" } else { "the other side's grant ends with it: only its owner there can" };
    let what = format!("the link {link} goes, with its key; {other} make a new one with a new invite");
    agreed(("this end", "End it for ever?"), &what, format!("{link} is linked as before"), out)
}

/// `unlink`.
pub async fn unlink(args: &UnlinkArgs, client: &Client, out: &Out) -> Outcome {
    ended_for_ever(args, out)?;
    if args.any {
        let removed: Vec<view::DirectoryEntry> =
            client.delete(&format!("/v1/directory/{}", segment(&args.link))).await?;
        out.table(&removed, |removed| directory(removed))?;
        out.next("links --all");
        return Ok(Exit::Done);
    }
    let path = format!("/v1/links/{}/unlink", segment(&args.link));
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

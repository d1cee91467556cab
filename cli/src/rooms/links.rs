//! The asking side: your links.

use super::{
    agree::is_agreed,
    calls::{self, LinkCommand},
    joined, minute, named,
    pasted::{Meant, Pasted, pasted},
    rows::rows_table,
    segment, sources, watched,
};
use crate::{
    config::shell_word,
    exit::{Exit, Failure, Outcome},
    out::Out,
    table::Table,
};
use api::{client::Client, view};
use clap::Args;
use domain::{
    Time,
    answer::{Outcome as Ended, again_in},
    id::Name,
    invite::{BadInvite, Invite},
};
use std::{
    io::{self, IsTerminal},
    path::Path,
};

/// The arguments of `link`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LinkArgs {
    #[command(subcommand)]
    command: Option<LinkCommand>,
    /// What the other side's `mosaic-fed invite` printed. Better left out, or - : it is asked for or read from stdin then, and a
    /// command line is seen by everybody on this machine
    #[arg(default_value = "-", hide_default_value = true)]
    invite: String,
    /// What to call the link; what the other instance calls itself if not given
    #[arg(long)]
    name: Option<Name>,
    /// Do not ask before linking
    #[arg(short, long)]
    yes: bool,
    /// Make and keep a key, and print its fingerprint for whoever invites you: an invite that is bound to it is of use to nobody else
    #[arg(long, conflicts_with_all = ["invite", "name", "yes"])]
    prepare: bool,
}

/// `link`.
pub async fn link(args: LinkArgs, client: &Client, out: &Out) -> Outcome {
    let LinkArgs { command, invite, name, yes, prepare } = args;
    if let Some(LinkCommand::Await(args)) = command {
        return calls::wait(args, client, out).await;
    }
    if prepare {
        return prepared(client, out).await;
    }
    let Pasted { came, text: invite, piped } = pasted(invite, Meant::Invite)?;
    let offer = client.post("/v1/links/offer", &view::InviteText { invite: invite.clone() }).await;
    let offer: view::OfferView = offer.map_err(|error| no_invite(error.into(), &came, &invite))?;
    if !out.json {
        offered(&offer, out);
    }
    if !yes {
        agreed(piped)?;
    }
    let made = client.post("/v1/links", &view::LinkOrder { invite, name: name.clone() }).await;
    let made: view::LinkMade = made.map_err(|error| keeping_name(error.into(), name.as_ref()))?;
    out.value(&made, |made| shown(made, out))?;
    if made.link.words.is_some() {
        out.remark(made.link.reason.as_deref().unwrap_or_default());
        out.next(&format!("ping {}", made.link.name));
        return Ok(Exit::Done);
    }
    if !out.json {
        out.remark(&format!(
            "its four words are {}; the other side's owner sees the same with `grant show`",
            made.words
        ));
    }
    if made.ping.outcome != Ended::Ok {
        return Ok(unanswered_first(&made, client, out).await);
    }
    first_next(&made, out);
    Ok(Exit::Done)
}

/// How to go on with a link that did not answer its first question. Where it has ended nothing of it comes back.
async fn unanswered_first(made: &view::LinkMade, client: &Client, out: &Out) -> Exit {
    let (link, outcome) = (&made.link.name, made.ping.outcome);
    let why = why(&made.ping).unwrap_or_else(|| "no reason given".to_owned());
    if outcome != Ended::Revoked || !made.already {
        out.remark(&format!("the link stays, but its first question was not answered: {outcome} ({why})"));
        return Exit::Incomplete;
    }
    out.remark(&format!("this invite made the link {link}, which does not stand any more: {outcome} ({why})"));
    let known = sources::Known::ask(client).await;
    if known.is_expired(link.as_str()) {
        out.next(&sources::afresh(known.is_calling(link.as_str())));
    } else {
        sources::relink(link.as_str(), known.is_calling(link.as_str()), out);
        out.next(&sources::unlink(link.as_str()));
    }
    Exit::Incomplete
}

/// The command for the rows of which the first were shown, and what else there is.
fn first_next(made: &view::LinkMade, out: &Out) {
    let shown = made.asked.last().filter(|_| made.first.as_ref().is_some_and(|page| !page.rows.is_empty()));
    let kind = shown.or(made.ping.resources.first()).map_or("tasks", |resource| resource.as_str());
    let others: Vec<_> =
        made.ping.resources.iter().filter(|other| shown.is_some_and(|shown| shown != *other)).collect();
    if let Some(other) = others.first().filter(|_| !out.json) {
        let list = out.reach.command(&format!("list {other} --from here,{}", made.link.name));
        out.remark(&format!("it shares {} as well: `{list}`", joined(&others)));
    }
    out.next(&format!("list {kind} --from here,{}", made.link.name));
}

/// The same command again calls the link what this one did.
fn keeping_name(failure: Failure, name: Option<&Name>) -> Failure {
    let Some(name) = name else { return failure };
    let next = failure.next.map(|next| next.replace("mosaic-fed link`", &format!("mosaic-fed link --name {name}`")));
    Failure { next, ..failure }
}

/// Makes a key and says what to do with its fingerprint, which alone is on stdout.
async fn prepared(client: &Client, out: &Out) -> Outcome {
    let prepared: view::PreparedKey = client.post("/v1/links/prepare", &()).await?;
    if !out.json {
        out.remark(&format!(
            "the fingerprint of a key that is kept here for you until {} UTC; it is no secret, but what is told to the other \
             side's owner must be this one: compare it by telephone, say",
            minute(prepared.not_after)
        ));
    }
    out.value(&prepared, |prepared| prepared.key.to_string())?;
    if !out.json {
        out.remark(&format!(
            "next, on the other instance: mosaic-fed invite NAME --for USER --share KINDS --key {key}, or for a grant that is there \
             already: mosaic-fed grant invite NAME --key {key}",
            key = prepared.key
        ));
        out.remark("then, here: mosaic-fed link, which asks for that invite");
    }
    Ok(Exit::Done)
}

/// What helps with a text that is no invite: a path was meant, it goes the other way, or not all of it came.
fn no_invite(failure: Failure, came: &str, text: &str) -> Failure {
    if failure.exit != Exit::Usage || failure.next.is_some() {
        return failure;
    }
    if Path::new(came).is_file() {
        let next = format!("mosaic-fed link - --yes < {}", shell_word(came));
        return Failure::new(Exit::Usage, format!("`{came}` is a file, and an invite is read from stdin")).next(next);
    }
    let (cause, advice) = failure.cause.split_once("; ").unwrap_or((failure.cause.as_str(), ""));
    let next = if matches!(Invite::decode(text), Err(BadInvite::Call)) {
        advice.to_owned()
    } else {
        "paste the whole line that `mosaic-fed invite` printed; if that is lost, ask its owner for a new one, who types \
         `mosaic-fed grant invite NAME` there"
            .to_owned()
    };
    let cause = cause.to_owned();
    Failure { cause, ..failure }.next(next)
}

fn offered(offer: &view::OfferView, out: &Out) {
    out.remark(&format!("{} ({}) at {}", offer.instance_name, offer.instance, joined(&offer.addresses)));
    out.remark(&format!(
        "its fingerprint is {}; its owner sees the same with `mosaic-fed id`: compare the two by another way, as by telephone, \
         where others could have changed the invite",
        offer.fingerprint
    ));
    out.remark(&format!(
        "when it was made, this invite offered {} of its workspace {}, as {} sees it, until {} UTC",
        joined(&offer.resources),
        offer.workspace,
        offer.subject,
        minute(offer.not_after)
    ));
}

/// Asks the person; where nobody can be asked, nothing is sent anywhere.
fn agreed(piped: bool) -> Outcome<()> {
    if piped || !io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "nobody is there to agree to this link").next("add --yes if you do"));
    }
    if is_agreed("Link to it?")? {
        return Ok(());
    }
    Err(Failure::new(Exit::Interrupted, "not linked; the invite was not used"))
}

fn shown(made: &view::LinkMade, out: &Out) -> String {
    let link = &made.link;
    let waits = || format!("waits to be let in by the owner of {}", link.peer_name);
    let how = match (made.already, made.replaced, link.words.is_some()) {
        (true, _, true) => format!("linked already as {}, which {}", link.name, waits()),
        (true, _, false) => format!("linked already as {}", link.name),
        (false, true, true) => format!("{} has a new certificate and {}", link.name, waits()),
        (false, true, false) => format!("{} has a new certificate", link.name),
        (false, false, true) => format!("{} {}", link.name, waits()),
        (false, false, false) => format!("{} is linked", link.name),
    };
    let first = made.first.as_ref().map(|page| match (&page.rows[..], made.asked.last()) {
        ([_, ..], Some(kind)) => format!("\nits newest {kind}:\n{}", out.drawn(&rows_table(&page.rows, ""))),
        _ if page.verdict.complete => format!("\nno rows of {} yet", joined(&made.asked)),
        _ => "\nno rows came".to_owned(),
    });
    let until = minute(made.link.certificate_not_after);
    format!("{how} (certificate until {until} UTC){}{}", shares(&made.ping), first.unwrap_or_default())
}

/// What the grant gives by its present words, which its invite may be behind; nothing where they are not known.
fn shares(ping: &view::PingReport) -> String {
    if ping.resources.is_empty() {
        return String::new();
    }
    let until = ping.not_after.map_or_else(String::new, |end| format!(" until {} UTC", minute(end)));
    format!(", shares {}{until}", joined(&ping.resources))
}

/// The arguments of `links`.
#[derive(Args)]
pub struct LinksArgs {
    /// Everybody's links, as bare facts; for owners and admins
    #[arg(long)]
    all: bool,
    /// Go on: drawn anew every two seconds at a terminal, else a line for each link that has changed
    #[arg(long, conflicts_with = "all")]
    watch: bool,
}

/// `links`.
pub async fn links(args: &LinksArgs, client: &Client, out: &Out) -> Outcome {
    if args.all {
        let entries: Vec<view::DirectoryEntry> = client.get("/v1/directory").await?;
        out.table(&entries, |entries| directory(entries))?;
        out.next(if entries.is_empty() { "link" } else { "unlink ID --any" });
        return Ok(Exit::Done);
    }
    if args.watch {
        return watched::watch(client, out).await;
    }
    let links: Vec<view::LinkEntry> = client.get("/v1/links").await?;
    out.table(&links, |links| watched::table(links))?;
    let waiting = links.iter().filter(|link| link.words.is_some());
    for (link, reason) in waiting.filter_map(|link| Some((link, link.reason.as_ref()?))) {
        out.remark(&format!("{}: {reason}", link.name));
    }
    for (link, failure) in links.iter().filter_map(|link| Some((link, link.renewal_failure.as_ref()?))) {
        out.remark(&not_renewed(link.name.as_str(), link.certificate_not_after, &failure.reason, Some(failure.next)));
    }
    let unwell = links.iter().filter(|link| link.words.is_none());
    for (link, reason) in unwell.filter_map(|link| Some((link, link.reason.as_ref()?))) {
        out.remark(&format!("{}: {} ({reason})", link.name, link.state));
        if has_ended(link) {
            sources::relink(link.name.as_str(), link.calls, out);
        } else if !out.json && !sources::has_expired(link) {
            sources::silent(link, out);
        }
    }
    if let Some(next) = after(&links) {
        out.next(&next);
    }
    Ok(Exit::Done)
}

/// The command after a table of links; none where one is silent, of whom everything is said.
fn after(links: &[view::LinkEntry]) -> Option<String> {
    let waiting = links.iter().find(|link| link.words.is_some());
    let silent = links.iter().any(|link| link.reason.is_some() && link.words.is_none());
    let expired = links.iter().find(|link| sources::has_expired(link));
    match (links.iter().find(|link| has_ended(link)), expired) {
        (Some(ended), _) => Some(sources::unlink(ended.name.as_str())),
        (None, Some(expired)) => Some(sources::afresh(expired.calls)),
        (None, None) if links.is_empty() => Some("link".to_owned()),
        (None, None) if silent => None,
        (None, None) => waiting.map(|link| format!("ping {}", link.name)).or_else(|| links.iter().find_map(rows_of)),
    }
}

/// The command for the rows of a link whose owner lets them be shown here.
fn rows_of(link: &view::LinkEntry) -> Option<String> {
    if sources::is_elsewhere(link) {
        return None;
    }
    let told = link.terms.as_ref().and_then(|terms| terms.fields.keys().next()).map(ToString::to_string);
    let kind = told.or_else(|| link.resources.first().cloned())?;
    Some(format!("list {kind} --from {}", link.name))
}

/// That a link will end with its certificate, why, and when it is tried again.
pub(super) fn not_renewed(link: &str, end: Time, reason: &str, next: Option<Time>) -> String {
    let next = next.map_or_else(String::new, |next| {
        format!("; next try {} UTC, or at once: `mosaic-fed renew {link}`", minute(next))
    });
    format!("the certificate of {link} ends {} UTC and could not be renewed: {reason}{next}", minute(end))
}

/// Only the other side can end a link, and asking it again changes nothing.
fn has_ended(link: &view::LinkEntry) -> bool {
    link.state == hub::LinkState::Revoked.word()
}

pub(super) fn directory(entries: &[view::DirectoryEntry]) -> Table {
    let mut table = Table::new(&["LINK", "OF", "TO", "SINCE (UTC)", "ID"], "no links");
    for entry in entries {
        let (link, owner, peer) = (entry.name.to_string(), entry.owner.to_string(), entry.peer_name.to_string());
        table.row([link, owner, peer, minute(entry.added_at), entry.id.to_string()]);
    }
    table
}

/// The arguments of `ping`.
#[derive(Args)]
pub struct PingArgs {
    /// The link's name, or the beginning of its id
    #[arg(value_parser = named)]
    link: String,
}

/// `ping`.
pub async fn ping(args: &PingArgs, client: &Client, out: &Out) -> Outcome {
    let report: view::PingReport = client.post(&format!("/v1/links/{}/ping", segment(&args.link)), &()).await?;
    out.value(&report, |report| format!("{}{}", pinged(report), stepped(&report.steps)))?;
    if report.outcome == Ended::Revoked {
        let known = sources::Known::ask(client).await;
        if known.is_expired(&report.link) {
            out.next(&sources::afresh(known.is_calling(&report.link)));
            return Ok(Exit::Incomplete);
        }
        sources::relink(&report.link, known.is_calling(&report.link), out);
        out.next(&sources::unlink(&report.link));
        return Ok(Exit::Incomplete);
    }
    if report.words.is_some() {
        out.next(&format!("ping {}", report.link));
        return Ok(Exit::Incomplete);
    }
    if report.outcome != Ended::Ok {
        unanswered(&report, client, out).await?;
        return Ok(Exit::Incomplete);
    }
    next_of_answering(&report, client, out).await;
    Ok(if report.steps.iter().any(view::PingStep::has_failed) { Exit::Failed } else { Exit::Done })
}

/// The rows of a link that answers; where its owner wants them shown elsewhere, that.
async fn next_of_answering(report: &view::PingReport, client: &Client, out: &Out) {
    let links: Vec<view::LinkEntry> = client.get("/v1/links").await.unwrap_or_default();
    let link = links.iter().find(|link| link.name.as_str() == report.link);
    if let Some(terms) = link.filter(|link| sources::is_elsewhere(link)).and_then(|link| link.terms.as_ref()) {
        let doors = joined(terms.doors.iter().map(|door| door.word()));
        let doors = if doors.is_empty() { "no door that this version has".to_owned() } else { doors };
        out.remark(&format!(
            "{}: its owner lets its rows be shown through {doors}, and not on the command line",
            report.link
        ));
        return;
    }
    let kind = report.resources.first().map_or("tasks", |resource| resource.as_str());
    out.next(&format!("list {kind} --from {}", report.link));
}

fn pinged(report: &view::PingReport) -> String {
    if let (Some(_), Some(reason)) = (&report.words, &report.reason) {
        return format!("{}: {reason}", report.link);
    }
    let reason = why(report).map_or_else(String::new, |why| format!(" ({why})"));
    let peer = report.peer_name.as_ref().map_or_else(String::new, |name| format!(", it calls itself {name}"));
    let clock = report.clock_offset_ms.map_or_else(String::new, clock);
    let (link, outcome, took, shares) = (&report.link, report.outcome, report.took_ms, shares(report));
    format!("{link}: {outcome}{reason} after {took} ms{peer}{clock}{shares}")
}

/// Why it was not answered, and when trying again can help.
fn why(report: &view::PingReport) -> Option<String> {
    let reason = report.reason.clone()?;
    Some(report.retry_after_ms.map_or_else(|| reason.clone(), |wait| format!("{reason}; {}", again_in(wait))))
}

/// A line for each step; of the one that failed the cause is said above, but where the answer came all the same.
fn stepped(steps: &[view::PingStep]) -> String {
    let line = |step: &view::PingStep| {
        let took = step.took_ms.map_or_else(String::new, |took| format!(" after {took} ms"));
        let why = step.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        format!("\n  {:<10} {}{took}{why}", step.step, step.result.replace('_', " "))
    };
    steps.iter().map(line).collect()
}

/// How to go on with a link that did not answer; one whose limit is used up does, a little later, and asking it before costs another call.
async fn unanswered(report: &view::PingReport, client: &Client, out: &Out) -> Outcome<()> {
    if out.json {
        return Ok(());
    }
    if !matches!(report.outcome, Ended::Offline | Ended::Timeout | Ended::Error) {
        out.next("links");
        return Ok(());
    }
    let links: Vec<view::LinkEntry> = client.get("/v1/links").await?;
    links.iter().filter(|link| link.name.as_str() == report.link).for_each(|link| sources::silent(link, out));
    Ok(())
}

/// How far two clocks are apart at least for people to hear of it, in milliseconds: less is what any two have.
const APART: u64 = 2_000;

fn clock(offset: i64) -> String {
    let (apart, way) = (offset.unsigned_abs(), if offset < 0 { "behind" } else { "ahead" });
    if apart < APART { String::new() } else { format!(", its clock is {} s {way}", apart / 1_000) }
}

/// The arguments of `renew`.
#[derive(Args)]
pub struct RenewArgs {
    /// The link's name, or the beginning of its id
    #[arg(value_parser = named)]
    link: String,
}

/// `renew`.
pub async fn renew(args: &RenewArgs, client: &Client, out: &Out) -> Outcome {
    let link: view::LinkEntry = client.post(&format!("/v1/links/{}/renew", segment(&args.link)), &()).await?;
    out.value(&link, |link| {
        format!("{} has a new key and certificate, until {} UTC", link.name, minute(link.certificate_not_after))
    })?;
    out.next(&format!("ping {}", link.name));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_by_less_than_two_seconds_are_not_told_of() {
        assert!([0, 6, -6, 1_999, -1_999].into_iter().all(|offset| clock(offset).is_empty()));
        assert_eq!(clock(2_000), ", its clock is 2 s ahead");
        assert_eq!(clock(-61_400), ", its clock is 61 s behind");
    }
}

//! The sharing side: invites and grants.

use super::{
    agree::is_agreed, counted, joined, limits, limits::until, millis, minute, named, next_as, next_for_members,
    or_dash, policy, scope_flags::ScopeFlags, segment, short,
};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::{Out, escaped},
    table::Table,
};
use api::{client::Client, view};
use clap::{Args, Subcommand};
use domain::{
    id::{Name, Resource, Spki},
    kind::{Kinds, Origin},
    scope::{Context, Spec, Verb},
    world::World,
};
use std::io::{self, IsTerminal};

/// The arguments of `invite`.
#[derive(Args)]
pub struct InviteArgs {
    /// What to call the grant, as in alice-home
    name: Name,
    /// The user of this instance whose view is shared; you if not given. The personal rows of anybody else stay out:
    /// only they can share them
    #[arg(long = "for", value_name = "USER")]
    subject: Option<Name>,
    #[command(flatten)]
    scope: ScopeFlags,
    /// Only the holder of this key can use the invite, which then lives 7 days: what `mosaic-fed link --prepare` printed there
    #[arg(long, value_name = "FINGERPRINT")]
    key: Option<Spki>,
    /// Whoever uses the invite waits until you typed the four words that they see, with `mosaic-fed grant confirm`
    #[arg(long)]
    confirm: bool,
    /// Only say how many rows it would show
    #[arg(long)]
    dry_run: bool,
}

/// `invite`.
pub async fn invite(args: InviteArgs, client: &Client, out: &Out) -> Outcome {
    let InviteArgs { name, subject, scope, key, confirm, dry_run } = args;
    let me: view::Person = client.get("/v1/me").await?;
    let (personal, sensitive, narrow, now) = (scope.personal, scope.sensitive, scope.narrow, World::system().now());
    let order = view::InviteOrder {
        subject: subject.unwrap_or_else(|| me.user.clone()),
        scope: scope.make(&me.workspace, now)?,
        name,
        personal,
        sensitive,
        narrow,
        key,
        confirm,
    };
    if dry_run {
        let rows: view::Counted = client.post("/v1/grants/preview", &order).await?;
        out.value(&rows, |rows| format!("would show {} now", shown_now(rows)))?;
        let context =
            Context { kinds: Kinds::builtin(), now, personal: order.subject == me.user || personal, sensitive };
        if !out.json
            && let Some((scope, lost)) = policy::within(order.scope, context, client).await?
        {
            for lost in lost {
                out.remark(&format!("this instance's ceiling narrows it: {lost}"));
            }
            shared(&scope.to_spec(), Some(&order.subject), out);
        }
        out.remark("nothing was made; leave out --dry-run to make it");
        return Ok(Exit::Done);
    }
    let made = client.post("/v1/grants", &order).await;
    let settings = out.reach.settings();
    let made: view::InviteMade = made.map_err(|error| Failure::from(error).naming_settings(settings.as_deref()))?;
    print_invite(&made, out)?;
    if confirm {
        out.remark(&to_confirm(made.grant.name.as_str()));
    }
    Ok(Exit::Done)
}

/// What the owner of a grant that waits, or will, has to do.
fn to_confirm(grant: &str) -> String {
    format!(
        "whoever links waits until you let them in: have them read their four words to you, by telephone say, and type \
         `mosaic-fed grant confirm {grant} WORD WORD WORD WORD`"
    )
}

/// Which rows it lets through, on whose behalf and until when: what the one who invites must know before it is handed over.
fn shared(scope: &Spec, subject: Option<&Name>, out: &Out) {
    let subject = or_dash(subject);
    let end = scope.not_after.map_or_else(String::new, |end| format!(", until {} UTC", minute(end)));
    out.remark(&format!("it shares {}, as {subject} sees them{end}", limits::of(scope)));
    if let Some(idle) = limits::idle(scope) {
        out.remark(&idle);
    }
    let (shared, kept): (Vec<_>, Vec<_>) = personal(scope).partition(|(_, shared)| *shared);
    if !kept.is_empty() {
        let kinds = joined(kept.iter().map(|(kind, _)| kind));
        out.remark(&format!(
            "{subject}'s personal {kinds}, those of no team, stay out; only {subject} can share them, with --personal"
        ));
    }
    if !shared.is_empty() {
        let kinds = joined(shared.iter().map(|(kind, _)| kind));
        out.remark(&format!(
            "{subject}'s personal {kinds}, those of no team, are among them; --no-personal keeps them out"
        ));
    }
}

/// The kinds that have personal rows, and whether these are shared.
fn personal(scope: &Spec) -> impl Iterator<Item = (&String, bool)> {
    let kinds = Kinds::builtin();
    let owned = |kind: &str| {
        let kind = kind.parse().ok().and_then(|kind: Resource| kinds.get(&kind).map(|kind| kind.origin));
        kind == Some(Origin::Items)
    };
    let kinds = scope.filters.iter().filter(move |(kind, _)| owned(kind));
    kinds.filter_map(|(kind, filter)| Some((kind, filter.include_personal?)))
}

fn print_invite(made: &view::InviteMade, out: &Out) -> Outcome {
    let grant = &made.grant;
    if !out.json {
        out.remark(&format!("grant {}: shows {} now", grant.name, shown_now(&made.rows)));
        policy::lost(grant, out);
        shared(&grant.scope, grant.subject.as_ref(), out);
        if let Some(holder) = &grant.peer_name {
            out.remark(&format!(
                "{} is held by {holder}: only that instance can use this invite; another one needs a grant of its own",
                grant.name
            ));
        }
        out.remark(&format!("others reach this instance at {}", joined(&made.addresses)));
        let until = minute(made.expires_at);
        out.remark(&match &made.key {
            Some(key) => format!(
                "the invite below is of use to the holder of the key {key} alone, until {until} UTC; send it to them"
            ),
            None => format!(
                "the invite below is a secret for one use, good until {until} UTC; hand it to the other side's owner"
            ),
        });
    }
    // The text itself, alone on stdout, so that it can be piped and is never wrapped.
    out.value(made, |made| made.invite.clone())?;
    if !out.json {
        out.remark("next, on the other instance: mosaic-fed link, which asks for the invite");
    }
    Ok(Exit::Done)
}

fn shown_now(rows: &view::Counted) -> String {
    if rows.is_empty() {
        "no rows".to_owned()
    } else {
        joined(rows.iter().map(|(kind, count)| format!("{} of {kind}", counted(*count, "row"))))
    }
}

/// The commands of `grant`.
#[derive(Subcommand)]
pub enum GrantCommand {
    /// Every grant, ended ones too
    List,
    /// One grant with its whole scope
    Show {
        /// Its name, or the beginning of its id
        #[arg(value_parser = named)]
        grant: String,
    },
    /// Put another scope in force; the next call is judged by it
    Edit {
        /// Its name, or the beginning of its id
        #[arg(value_parser = named)]
        grant: String,
        #[command(flatten)]
        scope: ScopeFlags,
        /// Do not ask before kinds are taken away
        #[arg(short, long)]
        yes: bool,
    },
    /// Let in the holder of a grant that waits: the four words that `link` showed them. At the third time of others it ends
    Confirm {
        /// Its name, or the beginning of its id
        #[arg(value_parser = named)]
        grant: String,
        /// The words, in their order
        #[arg(required = true, num_args = 1.., value_name = "WORD")]
        words: Vec<String>,
    },
    /// End a grant for ever, and wait until its calls are gone
    Revoke {
        /// Its name, or the beginning of its id
        #[arg(value_parser = named)]
        grant: String,
    },
    /// A fresh invite for a grant, for example for a new machine of the same holder
    Invite {
        /// Its name, or the beginning of its id
        #[arg(value_parser = named)]
        grant: String,
    },
}

/// `grant`.
pub async fn run(command: GrantCommand, client: &Client, out: &Out) -> Outcome {
    let (done, grant) = match command {
        GrantCommand::List => return list(client, out).await,
        GrantCommand::Show { grant } => (show(client, out, &grant).await, grant),
        GrantCommand::Edit { grant, scope, yes } => (edit(client, out, &grant, scope, yes).await, grant),
        GrantCommand::Confirm { grant, words } => (confirm(client, out, &grant, words).await, grant),
        GrantCommand::Revoke { grant } => (revoke(client, out, &grant).await, grant),
        GrantCommand::Invite { grant } => (invite_again(client, out, &grant).await, grant),
    };
    match done {
        Err(failure) => Err(explained(failure, client, &grant).await),
        done => done,
    }
}

async fn confirm(client: &Client, out: &Out, grant: &str, words: Vec<String>) -> Outcome {
    let path = format!("/v1/grants/{}/confirm", segment(grant));
    let entry: view::GrantEntry = client.post(&path, &view::ConfirmOrder { words }).await?;
    print_grant(&entry, out)?;
    let kind = entry.scope.resources.first().map_or("KIND", |kind| kind);
    out.next(&format!("can {} list {kind}", entry.name));
    Ok(Exit::Done)
}

async fn invite_again(client: &Client, out: &Out, grant: &str) -> Outcome {
    let made = client.post(&format!("/v1/grants/{}/invite", segment(grant)), &()).await;
    let settings = out.reach.settings();
    let made: view::InviteMade = made.map_err(|error| Failure::from(error).naming_settings(settings.as_deref()))?;
    print_invite(&made, out)?;
    if made.grant.peer.is_none() && !out.json {
        out.remark("whoever uses it first holds the grant: it is bound to no key, also where an earlier invite was");
    }
    Ok(Exit::Done)
}

/// The next step that the failure of a command on one grant leaves open: an ended one is made anew under its name, and one
/// that was named by its user, holder or state is named by its own.
async fn explained(failure: Failure, client: &Client, grant: &str) -> Failure {
    let all = client.get::<Vec<view::GrantEntry>>("/v1/grants").await.unwrap_or_default();
    let is_meant = |entry: &&view::GrantEntry| entry.name.as_str() == grant || entry.id.to_string().starts_with(grant);
    let others = || all.iter().filter(|entry| is_about(entry, grant)).map(|entry| &entry.name);
    match (failure.exit, &all.iter().filter(is_meant).collect::<Vec<_>>()[..]) {
        (Exit::Conflict, [entry]) if has_ended(entry) => {
            Failure::new(Exit::Conflict, format!("grant {} is {} and does not come back", entry.name, entry.state))
                .next(format!("make a new one: mosaic-fed {}", anew(entry)))
        }
        (Exit::Missing, []) => match others().next() {
            Some(first) => failure.next(format!(
                "a grant is called by its own name, and `{grant}` is said of {}: mosaic-fed grant show {first}",
                joined(others())
            )),
            None => failure,
        },
        _ => failure,
    }
}

fn is_about(entry: &view::GrantEntry, text: &str) -> bool {
    let named = [entry.subject.as_ref(), entry.peer_name.as_ref()];
    entry.state == text || named.into_iter().flatten().any(|name| name.as_str() == text)
}

fn has_ended(entry: &view::GrantEntry) -> bool {
    matches!(entry.state.as_str(), "revoked" | "expired")
}

/// The command that makes a grant of the same name on the same behalf. What it shares is to be said again, where flags can say
/// it with the limits of the old one, which must not be lost by pasting.
fn anew(entry: &view::GrantEntry) -> String {
    let subject = entry.subject.as_ref().map_or_else(String::new, |subject| format!(" --for {subject}"));
    format!("invite {}{subject} {}", entry.name, limits::flags(&entry.scope))
}

async fn list(client: &Client, out: &Out) -> Outcome {
    let grants: Vec<view::GrantEntry> = client.get("/v1/grants").await?;
    out.table(&grants, |grants| {
        let mut table = Table::new(&["GRANT", "STATE", "FOR", "HELD BY", "SHARES", "UNTIL (UTC)", "ID"], "no grants");
        for grant in grants {
            let scope = &grant.scope;
            table.row([
                grant.name.to_string(),
                grant.state.clone(),
                or_dash(grant.subject.as_ref()),
                or_dash(grant.peer_name.as_ref()),
                limits::of(scope),
                scope.not_after.map_or_else(|| "-".to_owned(), minute),
                short(&grant.id),
            ]);
        }
        table
    })?;
    match grants.first() {
        Some(grant) => out.next(&format!("grant show {}", grant.name)),
        None => next_for_members(client, out, "invite NAME --share tasks,notes", "list tasks").await,
    }
    Ok(Exit::Done)
}

async fn show(client: &Client, out: &Out, grant: &str) -> Outcome {
    let entry: view::GrantEntry = client.get(&format!("/v1/grants/{}", segment(grant))).await?;
    print_grant(&entry, out)?;
    let name = &entry.name;
    match entry.state.as_str() {
        "pending" if entry.waiting => {
            out.remark(&to_confirm(name.as_str()));
            out.next(&format!("grant confirm {name} WORD WORD WORD WORD"));
        }
        "pending" => {
            out.remark(&format!("nobody has used the invite of {name} yet; if it is lost, make another"));
            out.next(&format!("grant invite {name}"));
        }
        "active" => {
            let kind = entry.scope.resources.first().map_or("KIND", |kind| kind);
            out.next(&format!("can {name} list {kind}"));
        }
        _ => out.next("grant list"),
    }
    Ok(Exit::Done)
}

fn print_grant(entry: &view::GrantEntry, out: &Out) -> Outcome<()> {
    out.value(entry, |entry| {
        let mut lines = vec![
            format!("grant        {} ({})", entry.name, entry.id),
            format!("state        {}", entry.state),
            format!("for          {}", or_dash(entry.subject.as_ref())),
            format!("held by      {}", or_dash(entry.peer_name.as_ref())),
            format!("certificate  {}", entry.certificate_not_after.map_or_else(|| "-".to_owned(), until)),
        ];
        lines.extend(entry.session.as_ref().map(|session| {
            let heard = millis(session.heard_ms.saturating_mul(1_000));
            format!("connected    since {}, last heard {heard} ago", session.since)
        }));
        lines.extend(entry.words.as_ref().map(|words| format!("words        {words}")));
        lines.extend(limits::lines(&entry.scope));
        lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("\n")
    })?;
    if let Some(idle) = limits::idle(&entry.scope).filter(|_| !out.json) {
        out.remark(&idle);
    }
    Ok(())
}

async fn edit(client: &Client, out: &Out, grant: &str, flags: ScopeFlags, yes: bool) -> Outcome {
    if flags.say_nothing() {
        let next = "say what: --share, --team, --project, --tag, --since, --personal, --no-personal, --days, --rows, \
                    --rate, or --scope with all of it";
        return Err(Failure::new(Exit::Usage, format!("nothing is to change in {grant}")).next(next));
    }
    let path = format!("/v1/grants/{}", segment(grant));
    let entry: view::GrantEntry = client.get(&path).await?;
    let (sensitive, narrow) = (flags.sensitive, flags.narrow);
    let (generation, before) = (entry.generation, entry.scope.resources.clone());
    let scope = flags.change(entry.scope, World::system().now())?;
    if !yes {
        not_taken_away(&entry.name, &before, &scope.resources)?;
    }
    let edited: view::GrantEntry = client.put(&path, &view::EditOrder { generation, scope, sensitive, narrow }).await?;
    print_grant(&edited, out)?;
    if let Some(changed) = changed(&before, &edited.scope.resources).filter(|_| !out.json) {
        out.remark(&format!("{}: {changed}", edited.name));
    }
    policy::lost(&edited, out);
    let kind = edited.scope.resources.first().map_or("KIND", |kind| kind);
    out.next(&format!("can {} list {kind}", edited.name));
    Ok(Exit::Done)
}

/// The kinds of one list that the other has not.
fn but<'a>(kinds: &'a [String], others: &[String]) -> Vec<&'a String> {
    kinds.iter().filter(|kind| !others.contains(kind)).collect()
}

/// Asks at a terminal before kinds are taken away: `--share` says all kinds anew, and who adds one may have forgotten the others.
/// A script has said what it means.
fn not_taken_away(grant: &Name, before: &[String], wanted: &[String]) -> Outcome<()> {
    let gone = joined(but(before, wanted));
    if gone.is_empty() || !io::stdin().is_terminal() {
        return Ok(());
    }
    if is_agreed(&format!("{grant} will no longer share {gone}. Go on?"))? {
        return Ok(());
    }
    let all = before.iter().chain(but(wanted, before)).map(String::as_str).collect::<Vec<_>>().join(",");
    Err(Failure::new(Exit::Interrupted, format!("{grant} shares {} as before", joined(before)))
        .next(format!("name all kinds that it is to share, as in mosaic-fed grant edit {grant} --share {all}")))
}

/// What came and went by an edit; nothing where the kinds are the same.
fn changed(before: &[String], after: &[String]) -> Option<String> {
    let (added, gone) = (joined(but(after, before)), joined(but(before, after)));
    let added = (!added.is_empty()).then(|| format!("shares {added} as well"));
    let gone = (!gone.is_empty()).then(|| format!("no longer shares {gone}"));
    let said: Vec<_> = added.into_iter().chain(gone).collect();
    (!said.is_empty()).then(|| said.join(", and "))
}

async fn revoke(client: &Client, out: &Out, grant: &str) -> Outcome {
    let report: view::RevokeReport = client.post(&format!("/v1/grants/{}/revoke", segment(grant)), &()).await?;
    out.value(&report, |report| {
        let ended = if report.drained { "all ended" } else { "not all were seen to end" };
        format!(
            "{} is {} since {}: {} cut, {} in flight, {ended} within {}\n{}",
            report.grant.name,
            report.grant.state,
            report.at,
            counted(report.connections, "connection"),
            counted(report.calls, "call"),
            millis(report.took_us),
            escaped(&receipt(&report.receipt, &or_dash(report.grant.peer_name.as_ref())))
        )
    })?;
    // The log is for those who manage every workspace, and for the operator as long as they act as nobody else.
    let itself = out.reach.acting_as.is_none();
    // By its id: a name may have been that of an earlier grant.
    let log = format!("audit query --grant {}", short(&report.grant.id));
    next_as(client, out, |me| if me.operator && itself { log } else { "grant list".to_owned() }).await;
    Ok(Exit::Done)
}

/// What is known of the side that asked under a grant that has ended; `peer` is what it calls itself.
pub(super) fn receipt(receipt: &view::Receipt, peer: &str) -> String {
    match receipt {
        view::Receipt::Unused => "nobody ever used its invite".to_owned(),
        view::Receipt::Acknowledged { after_us } => format!(
            "{peer} has acknowledged it after {}: its calls have ended, and it keeps and shows nothing of it",
            millis(*after_us)
        ),
        view::Receipt::Silent => format!(
            "{peer} was told and has not acknowledged it; nothing leaves any more, but what it was given before it may still show"
        ),
        view::Receipt::Away { until } => format!(
            "{peer} was not connected: nothing leaves any more, and what it may still show of earlier answers ends by {until} if it \
             keeps to the protocol"
        ),
    }
}

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
    let shown = format!("grant show {}", crate::config::shell_word(&grant));
    if verdict.allowed {
        out.next(&shown);
        return Ok(Exit::Done);
    }
    let entry = client.get::<view::GrantEntry>(&format!("/v1/grants/{}", segment(&grant))).await;
    out.next(&entry.ok().filter(has_ended).map_or(shown, |entry| anew(&entry)));
    Ok(Exit::Failed)
}

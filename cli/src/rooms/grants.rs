//! The sharing side: invites and grants.

use super::{
    agree::is_agreed,
    calls, counted,
    ended::{again, explained, has_ended, revoke, told},
    invited::{denied_by_list, going_on, has_no_invite, invite_again, open_invite},
    invitees::{self, ManyArgs},
    joined, limits,
    limits::until,
    millis, minute, named, next_for_members, or_dash,
    pasted::{Meant, pasted},
    policy, reach,
    scope_flags::ScopeFlags,
    segment, short,
    waiting::{self, to_confirm},
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
    scope::{Context, Spec},
    world::World,
};
use std::io::{self, IsTerminal};

/// The arguments of `invite`.
#[derive(Args)]
pub struct InviteArgs {
    /// What to call the grant, as in alice-home
    #[arg(required_unless_present = "from")]
    name: Option<Name>,
    /// The user of this instance whose view is shared; you if not given. The personal rows of anybody else stay out:
    /// only they can share them
    #[arg(long = "for", value_name = "USER")]
    subject: Option<Name>,
    #[command(flatten)]
    scope: ScopeFlags,
    /// Only the holder of this key can use the invite, which then lives 7 days: what `mosaic-fed link --prepare` printed there
    #[arg(long, value_name = "FINGERPRINT")]
    key: Option<Spki>,
    /// Bring the invite to an instance that waits to be called, because this one cannot be reached: what `mosaic-fed link await` printed there.
    /// Better - : it is asked for or read from stdin then. From then on this instance opens the connections
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["key", "dry_run"])]
    call: Option<String>,
    /// Whoever uses the invite waits until you typed the four words that they see, with `mosaic-fed grant confirm`
    #[arg(long)]
    confirm: bool,
    /// Only say how many rows it would show
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    many: ManyArgs,
}

/// `invite`.
pub async fn invite(args: InviteArgs, client: &Client, out: &Out) -> Outcome {
    let InviteArgs { name, subject, scope, key, call, confirm, dry_run, many } = args;
    if let Some(many) = many.asked()? {
        return invitees::invite(many, scope, confirm, client, out).await;
    }
    let name = name.ok_or_else(|| Failure::new(Exit::Usage, "the grant has no name").next("mosaic-fed invite NAME"))?;
    let call = call.map(|typed| pasted(typed, Meant::Call)).transpose()?;
    let me: view::Person = client.get("/v1/me").await?;
    let (personal, sensitive, narrow, now) = (scope.personal, scope.sensitive, scope.narrow, World::system().now());
    let order = view::InviteOrder {
        subject: subject.unwrap_or_else(|| me.user.clone()),
        scope: scope.make(&me.workspace, now)?,
        name: name.clone(),
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
    if let Some(call) = call {
        let order = view::CallOrder { invite: order, call: call.text };
        return match calls::brought("/v1/grants/call", &order, client, out).await {
            Err(failure) => Err(going_on(failure, &name, true, client).await),
            done => done,
        };
    }
    let made = client.post("/v1/grants", &order).await;
    let settings = out.reach.settings();
    let made: Result<view::InviteMade, _> =
        made.map_err(|error| Failure::from(error).naming_settings(settings.as_deref()));
    match made {
        Ok(made) => print_invite(&made, out),
        Err(failure) => Err(going_on(failure, &name, false, client).await),
    }
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
        out.remark(&format!("the invite says that this instance is at {}", joined(&made.addresses)));
        for line in reach::of_invite(&made.reach) {
            out.remark(&line);
        }
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
    if made.confirm {
        out.remark(&to_confirm(grant.name.as_str()));
    }
    Ok(Exit::Done)
}

pub(super) fn shown_now(rows: &view::Counted) -> String {
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
    /// A fresh invite for a grant, for example for a new machine of the same holder. It is for the same key as the one before it, unless
    /// that was used, and its user waits to be let in where that one's did
    Invite {
        /// Its name, or the beginning of its id
        #[arg(value_parser = named)]
        grant: String,
        /// Only the holder of this key can use it, which then lives 7 days: what `mosaic-fed link --prepare` printed there
        #[arg(long, value_name = "FINGERPRINT")]
        key: Option<Spki>,
        /// It is bound to no key, also where the one before it was
        #[arg(long, conflicts_with = "key")]
        no_key: bool,
        /// Whoever uses it waits until you typed the four words that they see, with `mosaic-fed grant confirm`
        #[arg(long)]
        confirm: bool,
        /// Bring it to an instance that waits to be called: what `mosaic-fed link await` printed there.
        /// Better - : it is asked for or read from stdin then
        #[arg(long, value_name = "TEXT", conflicts_with_all = ["key", "no_key"])]
        call: Option<String>,
    },
}

/// `grant`.
pub async fn run(command: GrantCommand, client: &Client, out: &Out) -> Outcome {
    let (done, grant) = match command {
        GrantCommand::List => return list(client, out).await,
        GrantCommand::Show { grant } => (show(client, out, &grant).await, grant),
        GrantCommand::Edit { grant, scope, yes } => (edit(client, out, &grant, scope, yes).await, grant),
        GrantCommand::Confirm { grant, words } => return confirm(client, out, &grant, words).await,
        GrantCommand::Revoke { grant } => (revoke(client, out, &grant).await, grant),
        GrantCommand::Invite { grant, confirm, call: Some(call), .. } => {
            let order = view::CallAgain { call: pasted(call, Meant::Call)?.text, confirm };
            let path = format!("/v1/grants/{}/call", segment(&grant));
            (calls::brought(&path, &order, client, out).await, grant)
        }
        GrantCommand::Invite { grant, key, no_key, confirm, call: None } => {
            (fresh_invite(client, out, &grant, view::FreshInvite { key, no_key, confirm }).await, grant)
        }
    };
    match done {
        Err(failure) => Err(explained(failure, client, &grant).await),
        done => done,
    }
}

async fn confirm(client: &Client, out: &Out, grant: &str, words: Vec<String>) -> Outcome {
    let path = format!("/v1/grants/{}", segment(grant));
    let before = client.get::<view::GrantEntry>(&path).await.ok();
    let entry = client.post(&format!("{path}/confirm"), &view::ConfirmOrder { words }).await;
    let entry: view::GrantEntry = match entry {
        Ok(entry) => entry,
        Err(error) => return Err(not_let_in(error.into(), client, grant, before).await),
    };
    print_grant(&entry, out)?;
    let kind = entry.scope.resources.first().map_or("KIND", |kind| kind);
    out.next(&format!("can {} list {kind}", entry.name));
    Ok(Exit::Done)
}

/// Words that ended the grant just now are the cause, and no grant that was over before.
async fn not_let_in(failure: Failure, client: &Client, grant: &str, before: Option<view::GrantEntry>) -> Failure {
    let Some(before) = before.filter(|before| !has_ended(before)) else {
        return explained(failure, client, grant).await;
    };
    let after = client.get::<view::GrantEntry>(&format!("/v1/grants/{}", before.id)).await;
    match after.ok().filter(has_ended) {
        Some(after) => failure.next(again(&after)),
        None => failure,
    }
}

async fn fresh_invite(client: &Client, out: &Out, grant: &str, order: view::FreshInvite) -> Outcome {
    let before = client.get::<view::GrantEntry>(&format!("/v1/grants/{}", segment(grant))).await.ok();
    let made = client.post(&format!("/v1/grants/{}/invite", segment(grant)), &order).await;
    let settings = out.reach.settings();
    let made: view::InviteMade = made.map_err(|error| Failure::from(error).naming_settings(settings.as_deref()))?;
    print_invite(&made, out)?;
    if out.json {
        return Ok(Exit::Done);
    }
    if before.is_some_and(|before| before.call.is_some()) {
        out.remark("this instance called its holder until now; from now on its holder dials this instance");
    }
    if made.key.is_none() && made.grant.peer.is_none() {
        out.remark("whoever uses it first holds the grant: it is bound to no key; --key binds it to one");
    }
    if !made.confirm {
        out.remark("whoever uses it is let in at once: no words are asked for; --confirm asks for them");
    }
    Ok(Exit::Done)
}

async fn list(client: &Client, out: &Out) -> Outcome {
    let grants: Vec<view::GrantEntry> = client.get("/v1/grants").await?;
    out.table(&grants, |grants| {
        let mut table = Table::new(&["GRANT", "STATE", "FOR", "HELD BY", "SHARES", "UNTIL (UTC)", "ID"], "no grants");
        for grant in grants {
            let scope = &grant.scope;
            table.row([
                grant.name.to_string(),
                if waits(grant) { "waiting".to_owned() } else { grant.state.clone() },
                or_dash(grant.subject.as_ref()),
                or_dash(grant.peer_name.as_ref()),
                limits::of(scope),
                scope.not_after.map_or_else(|| "-".to_owned(), minute),
                short(&grant.id),
            ]);
        }
        table
    })?;
    let waiting: Vec<_> = grants.iter().filter(|grant| waits(grant)).collect();
    for grant in waiting.iter().filter(|_| !out.json) {
        let view::GrantEntry { name: grant, peer_name: holder, .. } = (*grant).clone();
        out.remark(&waiting::waits(&view::WaitingGrant { grant, holder }));
    }
    for grant in grants.iter().filter(|grant| !out.json && !has_ended(grant)) {
        if grant.denied_by_list {
            out.remark(&denied_by_list(grant));
        }
        if let Some(reason) = grant.call.as_ref().and_then(|call| call.reason.as_ref()) {
            out.remark(&format!("{}: its holder is called and not reached: {reason}", grant.name));
        }
    }
    match waiting.first().copied().or(grants.first()) {
        Some(grant) if waits(grant) => out.next(&waiting::confirm(grant.name.as_str())),
        Some(grant) => out.next(&format!("grant show {}", grant.name)),
        None => next_for_members(client, out, "invite NAME --share tasks,notes", "list tasks").await,
    }
    Ok(Exit::Done)
}

/// Whether its holder waits to be let in.
pub(super) fn waits(grant: &view::GrantEntry) -> bool {
    grant.waiting && !has_ended(grant)
}

async fn show(client: &Client, out: &Out, grant: &str) -> Outcome {
    let entry: view::GrantEntry = client.get(&format!("/v1/grants/{}", segment(grant))).await?;
    print_grant(&entry, out)?;
    let name = &entry.name;
    match entry.state.as_str() {
        _ if waits(&entry) => {
            out.remark(&to_confirm(name.as_str()));
            out.next(&waiting::confirm(name.as_str()));
        }
        "pending" if has_no_invite(&entry) => {
            out.remark(&format!(
                "there is no invite for {name}: it broke off before one was made. Where this instance is to call its holder, add `--call -` \
                 to what follows, and paste the text of `link await`"
            ));
            out.next(&invite_again(&entry));
        }
        "pending" => {
            let another = if entry.call.is_some() {
                "this instance brings it; for another one ask for a new text of `link await`"
            } else {
                "if it is lost, make another"
            };
            out.remark(&format!("nobody has used the invite of {name} yet; {another}"));
            out.next(&invite_again(&entry));
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
            format!(
                "state        {}{}{}",
                entry.state,
                if entry.denied_by_list { ", but its holder's certificate is denied by a list" } else { "" },
                if waits(entry) { ", and whoever used its last invite waits to be let in" } else { "" }
            ),
            format!("for          {}", or_dash(entry.subject.as_ref())),
            format!("held by      {}", or_dash(entry.peer_name.as_ref())),
            format!("certificate  {}", entry.certificate_not_after.map_or_else(|| "-".to_owned(), until)),
            format!("key          {}", or_dash(entry.key.as_ref())),
        ];
        lines.extend(entry.session.as_ref().map(|session| {
            let heard = millis(session.heard_ms.saturating_mul(1_000));
            format!("connected    since {}, last heard {heard} ago", session.since)
        }));
        lines.extend(calls::line(entry).map(|line| format!("calls        {line}")));
        lines.extend(entry.words.as_ref().map(|words| format!("words        {words}")));
        lines.extend(entry.ended.as_ref().map(|end| format!("ended        {}", told(end))));
        let unused = entry.invite.as_ref().filter(|invite| !invite.used && !has_ended(entry));
        lines.extend(unused.map(|invite| open_invite(invite, entry.call.is_some(), World::system().now())));
        lines.extend(limits::lines(&entry.scope));
        lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("\n")
    })?;
    if let Some(reason) = entry.call.as_ref().and_then(|call| call.reason.as_ref()).filter(|_| !out.json) {
        out.remark(&format!("the last call did not come through: {reason}"));
    }
    if entry.denied_by_list && !out.json {
        out.remark(&denied_by_list(entry));
    }
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

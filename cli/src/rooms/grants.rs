//! The sharing side: invites and grants.

use super::{
    counted, joined, limits, millis, minute, named, next_as, next_for_members, or_dash, scope_flags::ScopeFlags,
    segment, short,
};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::Out,
    table::Table,
};
use api::{client::Client, view};
use clap::{Args, Subcommand};
use domain::{id::Name, scope::Verb, world::World};

/// The arguments of `invite`.
#[derive(Args)]
pub struct InviteArgs {
    /// What to call the grant, as in alice-home
    name: Name,
    /// The user of this instance whose view is shared; you if not given
    #[arg(long = "for", value_name = "USER")]
    subject: Option<Name>,
    #[command(flatten)]
    scope: ScopeFlags,
    /// Only say how many rows it would show
    #[arg(long)]
    dry_run: bool,
}

/// `invite`.
pub async fn invite(args: InviteArgs, client: &Client, out: &Out) -> Outcome {
    let InviteArgs { name, subject, scope, dry_run } = args;
    let me: view::Person = client.get("/v1/me").await?;
    let (personal, sensitive) = (scope.personal, scope.sensitive);
    let order = view::InviteOrder {
        subject: subject.unwrap_or(me.user),
        scope: scope.make(&me.workspace, World::system().now())?,
        name,
        personal,
        sensitive,
    };
    if dry_run {
        let rows: view::Counted = client.post("/v1/grants/preview", &order).await?;
        out.value(&rows, |rows| format!("would show {} now", shown_now(rows)))?;
        out.remark("nothing was made; leave out --dry-run to make it");
        return Ok(Exit::Done);
    }
    let made: view::InviteMade = client.post("/v1/grants", &order).await?;
    print_invite(&made, out)
}

fn print_invite(made: &view::InviteMade, out: &Out) -> Outcome {
    let grant = &made.grant;
    if !out.json {
        let subject = or_dash(grant.subject.as_ref());
        out.remark(&format!("grant {} on behalf of {subject}: shows {} now", grant.name, shown_now(&made.rows)));
        out.remark(&format!("others reach this instance at {}", joined(&made.addresses)));
        out.remark(&format!(
            "the invite below is a secret for one use, good until {} UTC; hand it to the other side's owner",
            minute(made.expires_at)
        ));
    }
    // The text itself, alone on stdout, so that it can be piped and is never wrapped.
    out.value(made, |made| made.invite.clone())?;
    if !out.json {
        out.remark("next, on the other instance: mosaic-fed link INVITE");
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
    match command {
        GrantCommand::List => list(client, out).await,
        GrantCommand::Show { grant } => show(client, out, &grant).await,
        GrantCommand::Edit { grant, scope } => edit(client, out, &grant, scope).await,
        GrantCommand::Revoke { grant } => revoke(client, out, &grant).await,
        GrantCommand::Invite { grant } => {
            let made: view::InviteMade = client.post(&format!("/v1/grants/{}/invite", segment(&grant)), &()).await?;
            print_invite(&made, out)
        }
    }
}

async fn list(client: &Client, out: &Out) -> Outcome {
    let grants: Vec<view::GrantEntry> = client.get("/v1/grants").await?;
    out.table(&grants, |grants| {
        let mut table = Table::new(&["GRANT", "STATE", "FOR", "HELD BY", "SHARES", "UNTIL", "ID"], "no grants");
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
    let scope = serde_json::to_string_pretty(&entry.scope).map_err(crate::exit::Failure::of)?;
    out.value(entry, |entry| {
        format!(
            "grant        {} ({})\nstate        {}\nfor          {}\nheld by      {}\ncertificate  until {}\nscope        {scope}",
            entry.name,
            entry.id,
            entry.state,
            or_dash(entry.subject.as_ref()),
            or_dash(entry.peer_name.as_ref()),
            entry.certificate_not_after.map_or_else(|| "-".to_owned(), minute),
        )
    })
}

async fn edit(client: &Client, out: &Out, grant: &str, flags: ScopeFlags) -> Outcome {
    if flags.say_nothing() {
        let next = "say what: --share, --team, --project, --tag, --since, --personal, --no-personal, --days, --rows, \
                    --rate, or --scope with all of it";
        return Err(Failure::new(Exit::Usage, format!("nothing is to change in {grant}")).next(next));
    }
    let path = format!("/v1/grants/{}", segment(grant));
    let entry: view::GrantEntry = client.get(&path).await?;
    let sensitive = flags.sensitive;
    let scope = flags.change(entry.scope, World::system().now())?;
    let edited: view::GrantEntry = client.put(&path, &view::EditOrder { scope, sensitive }).await?;
    print_grant(&edited, out)?;
    out.next(&format!("grant show {}", edited.name));
    Ok(Exit::Done)
}

async fn revoke(client: &Client, out: &Out, grant: &str) -> Outcome {
    let report: view::RevokeReport = client.post(&format!("/v1/grants/{}/revoke", segment(grant)), &()).await?;
    out.value(&report, |report| {
        let ended = if report.drained { "all ended" } else { "not all were seen to end" };
        format!(
            "{} is {} after {}: {} cut, {} in flight, {ended}",
            report.grant.name,
            report.grant.state,
            millis(report.took_us),
            counted(report.connections, "connection"),
            counted(report.calls, "call")
        )
    })?;
    // The log is for those who manage every workspace, and for the operator as long as they act as nobody else.
    let itself = out.reach.acting_as.is_none();
    let log = format!("audit query --grant {}", report.grant.name);
    next_as(client, out, |me| if me.operator && itself { log } else { "grant list".to_owned() }).await;
    Ok(Exit::Done)
}

/// The arguments of `can`.
#[derive(Args)]
pub struct CanArgs {
    /// The grant's name, or the beginning of its id
    #[arg(value_parser = named)]
    grant: String,
    /// capabilities, list, get or search
    #[arg(value_parser = verb)]
    verb: Verb,
    /// The kind of row
    kind: String,
}

fn verb(text: &str) -> Result<Verb, String> {
    let found = Verb::ALL.into_iter().find(|verb| verb.word() == text);
    found.ok_or_else(|| format!("choose {}", joined(Verb::ALL)))
}

/// `can`.
pub async fn can(args: CanArgs, client: &Client, out: &Out) -> Outcome {
    let CanArgs { grant, verb, kind } = args;
    let question = view::CanQuestion { verb, resource: kind };
    let verdict: view::VerdictView = client.post(&format!("/v1/grants/{}/can", segment(&grant)), &question).await?;
    out.value(&verdict, |verdict| {
        let rows = verdict.rows.map_or_else(String::new, |rows| format!(" ({} now)", counted(rows, "row")));
        format!("{}: {}{rows}", if verdict.allowed { "yes" } else { "no" }, verdict.why)
    })?;
    out.next(&format!("grant show {}", crate::config::shell_word(&grant)));
    Ok(if verdict.allowed { Exit::Done } else { Exit::Failed })
}

//! `invite --from`: invites for the people of a file, on the same terms. The whole file is judged before anything is made, and a run that
//! broke off is gone on with by typing it again: what is there already is told from what stands in the way.

mod folder;
mod list;

use super::{counted, limits, minute, policy, scope_flags::ScopeFlags, waiting::to_confirm};
use crate::{
    daemon::serve::told_to_stop,
    exit::{Exit, Failure, Outcome},
    out::{Out, escaped},
};
use api::{
    client::Client,
    shape,
    view::{self, Invitee, InviteeVerdict},
};
use clap::Args;
use domain::{
    Time,
    id::{Name, Spki},
    scope::Spec,
    world::World,
};
use folder::Folder;
use futures::FutureExt;
use list::Bad;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The options of `invite` that are about a file of people.
#[derive(Args)]
pub struct ManyArgs {
    /// Invite everybody in a CSV file, or - for stdin, on the same terms. Its first line names the columns: `for` (a user of this instance),
    /// `name` (what to call the grant; USER-home where it is empty) and `key` (as --key). All of it is judged before anything is made,
    /// and what an earlier run made is left as it is
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "subject", "key", "call", "dry_run"])]
    from: Option<PathBuf>,
    /// Write each invite of --from to NAME.invite in this directory, which is made, and yours alone; without it they are printed as CSV
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only judge the file of --from, and make nothing
    #[arg(long)]
    check: bool,
}

/// Invites for a file of people.
pub struct Many {
    file: PathBuf,
    out: Option<PathBuf>,
    check: bool,
}

impl ManyArgs {
    /// What they ask for, if it is that.
    pub fn asked(self) -> Outcome<Option<Many>> {
        let Self { from, out, check } = self;
        // The parser requires no option that excludes another one which is there.
        let alone = if out.is_some() { Some("--out") } else { check.then_some("--check") };
        match (from, alone) {
            (Some(file), _) => Ok(Some(Many { file, out, check })),
            (None, None) => Ok(None),
            (None, Some(option)) => Err(Failure::new(Exit::Usage, format!("`{option}` is for the people of a file"))
                .next("name the file in place of a grant: --from FILE; a single invite can be checked with --dry-run")),
        }
    }
}

/// What became of a line.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Invited {
    /// Its number in the file, from 1.
    line: u64,
    /// The grant's name.
    #[schemars(with = "shape::Name")]
    name: Name,
    /// On whose behalf rows are read.
    #[serde(rename = "for")]
    #[schemars(with = "shape::Name")]
    subject: Name,
    /// made; there, where an earlier run made it; or with --check good, where nothing stands in its way.
    outcome: &'static str,
    /// The only key that may use the invite.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    key: Option<Spki>,
    /// The text to hand over, where it was made and written to no file. It is a secret and is shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    invite: Option<String>,
    /// The file that it was written to, or was by an earlier run.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    /// When the invite stops working.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Time>")]
    expires_at: Option<Time>,
    /// What the instance calls itself that holds the grant already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::Name>")]
    holder: Option<Name>,
    /// The command that makes a fresh invite, where the grant is there and nobody holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Invited {
    fn new((line, invitee): &(u64, Invitee), outcome: &'static str) -> Self {
        let Invitee { name, subject, key } = invitee.clone();
        let (invite, file, expires_at, holder, next) = (None, None, None, None, None);
        Self { line: *line, name, subject, outcome, key, invite, file, expires_at, holder, next }
    }
}

/// `invite --from`.
pub async fn invite(many: Many, scope: ScopeFlags, confirm: bool, client: &Client, out: &Out) -> Outcome {
    let Many { file, out: folder, check } = many;
    if [Some(&file), scope.scope.as_ref()].iter().all(|path| path.is_some_and(|path| path.as_os_str() == "-")) {
        let cause = "`--from -` and `--scope -` would both be read from stdin";
        return Err(Failure::new(Exit::Usage, cause).next("name a file for one of them"));
    }
    let list = list::read(&file)?;
    let folder = folder.as_deref().map(Folder::look).transpose()?;
    let me: view::Person = client.get("/v1/me").await?;
    let (personal, sensitive, narrow) = (scope.personal, scope.sensitive, scope.narrow);
    let scope = scope.make(&me.workspace, World::system().now())?;
    let people = list.people.iter().map(|(_, invitee)| invitee.clone()).collect();
    let order = view::InviteesOrder { people, scope, personal, sensitive, narrow, confirm };
    // Where nothing can be understood there is nobody to ask about, and every line to be told of.
    let verdicts: Vec<InviteeVerdict> =
        if order.people.is_empty() { Vec::new() } else { client.post("/v1/invitees", &order).await? };
    let run = Run { people: &list.people, order: &order, folder, client, out };
    let there = run.judged(list.bad, &verdicts, &list::called(&file))?;
    if check {
        return run.checked(&there);
    }
    run.make(&there).await
}

/// What a line whose grant is there already is told as; none of one that is to be made.
type There = Vec<Option<Invited>>;

struct Run<'a> {
    people: &'a [(u64, Invitee)],
    order: &'a view::InviteesOrder,
    folder: Option<Folder>,
    client: &'a Client,
    out: &'a Out,
}

impl Run<'_> {
    /// Tells every line that is wrong, and refuses the file if there is one.
    fn judged(&self, mut bad: Vec<Bad>, verdicts: &[InviteeVerdict], file: &str) -> Outcome<There> {
        let mut there = Vec::new();
        for (person, verdict) in self.people.iter().zip(verdicts) {
            let (line, invitee) = person;
            let blame = |cause: String, next: String| Bad { line: *line, cause, next };
            match verdict {
                InviteeVerdict::Refused { cause, next } => {
                    bad.push(blame(cause.clone(), next.clone().unwrap_or_default()));
                }
                InviteeVerdict::There { .. } => {}
                InviteeVerdict::Good => {
                    let taken = self.folder.as_ref().filter(|folder| folder.has(&invitee.name));
                    bad.extend(taken.map(|folder| {
                        let path = folder.file(&invitee.name).display().to_string();
                        blame(format!("{path} is there already"), "move it away, or name another directory".to_owned())
                    }));
                }
            }
            there.push(self.there(person, verdict));
        }
        if bad.is_empty() {
            return Ok(there);
        }
        bad.sort_by_key(|bad| bad.line);
        for Bad { line, cause, next } in &bad {
            let next = if next.is_empty() { String::new() } else { format!("; {}", self.out.reach.rewrite(next)) };
            self.out.remark(&format!("{file}:{line}: {cause}{next}"));
        }
        bad.dedup_by_key(|bad| bad.line);
        let cause = format!("{} of {file} cannot be taken, and nothing was made", counted(bad.len() as u64, "line"));
        Err(Failure::new(Exit::Usage, cause).next("put right what is said of each, then type the same again"))
    }

    fn there(&self, person: &(u64, Invitee), verdict: &InviteeVerdict) -> Option<Invited> {
        let InviteeVerdict::There { held, holder, expires_at } = verdict else { return None };
        let line = Invited { expires_at: *expires_at, holder: holder.clone(), ..Invited::new(person, "there") };
        if *held {
            return Some(Invited { expires_at: None, ..line });
        }
        let file = self.folder.as_ref().filter(|folder| folder.has(&line.name)).map(|folder| folder.file(&line.name));
        // One that is there says itself for whom it is; where none is, that has to be said.
        let key = line.key.filter(|_| expires_at.is_none()).map_or_else(String::new, |key| format!(" --key {key}"));
        let confirm = if self.order.confirm && expires_at.is_none() { " --confirm" } else { "" };
        let next = self.out.reach.command(&format!("grant invite {}{key}{confirm}", line.name));
        Some(Invited { file, next: Some(next), ..line })
    }

    fn checked(&self, there: &There) -> Outcome {
        for (person, there) in self.people.iter().zip(there) {
            if let Some(line) = there {
                self.tell_there(line)?;
                continue;
            }
            let line = Invited::new(person, "good");
            self.out.line(&line, |line| format!("{} for {}: nothing is in its way", line.name, line.subject))?;
        }
        self.out.remark("nothing was made; leave out --check to make them");
        Ok(Exit::Done)
    }

    /// Makes what is not there, one after the other as `invite` does. Ctrl-C waits for the one that was asked for: nobody would have its
    /// invite.
    async fn make(&self, there: &There) -> Outcome {
        let mut stop = told_to_stop()?;
        if let Some(folder) = &self.folder {
            folder.make()?;
        }
        self.head(there)?;
        let (all, mut made) = (there.iter().filter(|there| there.is_none()).count(), 0);
        for (person, there) in self.people.iter().zip(there) {
            if let Some(line) = there {
                self.tell_there(line)?;
                continue;
            }
            let one = match (&mut stop).now_or_never() {
                Some(()) => Err(Failure::new(Exit::Interrupted, "it was ended")),
                None => self.one(person, made == 0).await,
            };
            one.map_err(|failure| broken_off(failure, made, all))?;
            made += 1;
        }
        self.end(made, there.len() - all);
        Ok(Exit::Done)
    }

    async fn one(&self, person: &(u64, Invitee), first: bool) -> Outcome<()> {
        let (Invitee { name, subject, key }, order) = (person.1.clone(), self.order);
        let grant = name.clone();
        let &view::InviteesOrder { personal, sensitive, narrow, confirm, .. } = order;
        let order =
            view::InviteOrder { name, subject, scope: order.scope.clone(), personal, sensitive, narrow, key, confirm };
        let settings = self.out.reach.settings();
        let made: Result<view::InviteMade, _> = self.client.post("/v1/grants", &order).await;
        let made = made.map_err(|error| Failure::from(error).naming_settings(settings.as_deref()))?;
        if first {
            self.first(&made);
        }
        let line = Invited { expires_at: Some(made.expires_at), ..Invited::new(person, "made") };
        let Some(folder) = &self.folder else {
            return self.out.line(&Invited { invite: Some(made.invite), ..line }, row);
        };
        let file = folder.write(&grant, &made.invite).map_err(|failure| {
            let cause = format!("{}; the grant is made, and its invite is lost", failure.cause);
            Failure { cause, ..failure }
        })?;
        self.out.line(&Invited { file: Some(file), ..line }, written)
    }

    /// What holds for all, said with the first.
    fn first(&self, made: &view::InviteMade) {
        if self.out.json {
            return;
        }
        let scope: &Spec = &made.grant.scope;
        let end = scope.not_after.map_or_else(String::new, |end| format!(", until {} UTC", minute(end)));
        self.out.remark(&format!("each shares {}, as its own user sees them{end}", limits::of(scope)));
        policy::lost(&made.grant, self.out);
    }

    /// The names of the columns, where invites are printed as CSV.
    fn head(&self, there: &There) -> Outcome<()> {
        if self.out.json || self.folder.is_some() || there.iter().all(Option::is_some) {
            return Ok(());
        }
        self.out.raw(b"name,for,invite,key,expires_at\n")
    }

    /// On stdout as JSON or beside files; what is printed as CSV holds invites and nothing else.
    fn tell_there(&self, line: &Invited) -> Outcome<()> {
        if self.out.json || self.folder.is_some() {
            return self.out.line(line, already);
        }
        self.out.remark(&already(line));
        Ok(())
    }

    fn end(&self, made: usize, there: usize) {
        if self.out.json {
            return;
        }
        let already = if there == 0 { String::new() } else { format!(", {there} were there already") };
        self.out.remark(&format!("{} made{already}", counted(made as u64, "invite")));
        if made > 0 {
            self.out.remark(
                "each invite is a secret for one use; hand each to its own user, by a way that nobody else reads: who uses one that is \
                 bound to no key first holds its grant",
            );
            self.out.remark("next, on each other instance: mosaic-fed link, which asks for the invite");
            if self.order.confirm {
                self.out.remark(&to_confirm("NAME"));
            }
        }
        self.out.next("grant list");
    }
}

/// That it ended before it was done, and how to go on.
fn broken_off(failure: Failure, made: usize, all: usize) -> Failure {
    if failure.is_unread() {
        return failure;
    }
    let cause = format!("{}; {made} of {} were made", failure.cause, counted(all as u64, "invite"));
    let again = "type the same again: it goes on after what was made";
    let next = failure.next.as_ref().map_or_else(|| again.to_owned(), |next| format!("{next}; then {again}"));
    Failure { cause, ..failure }.next(next)
}

fn written(line: &Invited) -> String {
    let file = line.file.as_deref().unwrap_or_else(|| Path::new("")).display().to_string();
    let until = line.expires_at.map_or_else(String::new, |end| format!(", until {} UTC", minute(end)));
    let key = line.key.map_or_else(String::new, |key| format!(", for the key {key} alone"));
    escaped(&format!("{} for {}: {file}{key}{until}", line.name, line.subject))
}

/// A row of CSV. Nothing in it needs quote marks: names, hex digits, times and what an invite is written in have none of its own signs.
fn row(line: &Invited) -> String {
    let end = line.expires_at.map(|end| end.to_string()).unwrap_or_default();
    let key = line.key.map(|key| key.to_string()).unwrap_or_default();
    format!("{},{},{},{key},{end}", line.name, line.subject, line.invite.as_deref().unwrap_or_default())
}

fn already(line: &Invited) -> String {
    let how = match (&line.next, &line.holder, &line.file) {
        (None, Some(holder), _) => format!(", held by {holder}"),
        (None, None, _) => ", and held".to_owned(),
        (Some(_), _, Some(file)) => format!(", its invite in {}", file.display()),
        (Some(_), _, None) => ", and nobody has used its invite".to_owned(),
    };
    let next = line.next.as_ref().map_or_else(String::new, |next| format!("; a fresh one: {next}"));
    escaped(&format!("{} for {}: already there{how}{next}", line.name, line.subject))
}

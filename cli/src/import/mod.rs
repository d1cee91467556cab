//! `mosaic-fed import`: people's own files, read on this side of the door and written through it. A second run changes
//! nothing; what cannot be taken is reported with its place, and the rest goes in.
//!
//! [`walk`] finds files, [`open`] opens them and [`mod@format`] says what they are; [`reading`] has them read by [`markdown`] (with [`front_matter`] and
//! [`vault`]), [`jsonl`] (with [`item_line`], which `export` writes), [`calendar`], [`taskwarrior`] or [`todo_txt`]; [`teams`] sees
//! that rows stay where they are shared and [`twice`] that they are not here from elsewhere, [`send`] brings them to the daemon, [`report`] tells what became of them, [`after`] what to do next, [`watch`] does it again for the files that change.

mod after;
mod attributes;
mod calendar;
pub mod format;
mod front_matter;
mod item_line;
mod jsonl;
mod keys;
pub mod markdown;
mod open;
mod progress;
mod reading;
pub mod report;
mod send;
mod taskwarrior;
mod teams;
mod text;
mod todo_txt;
mod twice;
mod vault;
mod walk;
mod watch;

use crate::{
    exit::{Exit, Failure, Outcome, PERMIT},
    out::Out,
    rooms::{NAME_ONE, agree::is_agreed, no_kind, writable_team},
};
use after::Typed;
use api::client::Client;
use chrono::{Datelike, Days, NaiveDate};
use clap::Args;
use domain::{
    id::{Project, Resource, TeamId},
    kind::Kinds,
    world::World,
};
use format::Format;
pub use front_matter::ROW;
pub use item_line::ItemLine;
use progress::Progress;
use report::Report;
use send::{Done, Found, Import};
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::Arc,
};
use twice::Twice;
use walk::Walk;

/// What a file becomes that does not say.
const NOTES: &str = "notes";
/// Days after today until which a series without an end is followed.
const AHEAD: u64 = 366;

/// The arguments of `import`.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that a person types")]
pub struct ImportArgs {
    /// A folder, or a file: Markdown, .ics, JSON lines, todo.txt, Taskwarrior's export
    path: PathBuf,
    /// What a Markdown file becomes, and a JSON line that does not say
    #[arg(long, default_value = NOTES, value_parser = crate::rooms::kind)]
    kind: Resource,
    /// What a file is whose name does not say it; of a folder, the only files to take
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The team whose rows they are, where they do not say; yours alone if not given
    #[arg(long)]
    team: Option<TeamId>,
    /// Take rows that are here already out of the team they are in, where --team is another one or absent
    #[arg(long = "move")]
    moves: bool,
    /// The project they belong to, where they do not say
    #[arg(long)]
    project: Option<Project>,
    /// A name for where they come from, so that the folder may move and still be known; the path if not given
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The last day of a series without an end, as in 2027-06-30; 366 days from today if not given
    #[arg(long, value_name = "DAY", value_parser = day)]
    until: Option<NaiveDate>,
    /// How times of a calendar that name no zone are read, as in Europe/Berlin; UTC if not given
    #[arg(long, value_name = "NAME", value_parser = zone)]
    time_zone: Option<chrono_tz::Tz>,
    /// Follow links that lead out of the folder; without it they are refused
    #[arg(long)]
    follow_links: bool,
    /// Write nothing, and say what would be added and updated
    #[arg(long, conflicts_with = "watch")]
    check: bool,
    /// Do not ask before rows are added that are here already from another place
    #[arg(short, long)]
    yes: bool,
    /// Go on until Ctrl-C or SIGTERM, and import again whenever files change
    #[arg(long, conflicts_with = "strict")]
    watch: bool,
    /// Fail if anything is refused; the rest goes in all the same
    #[arg(long)]
    strict: bool,
}

fn day(text: &str) -> Result<NaiveDate, String> {
    // Further years than rows can name would be no horizon at all.
    let day = text.parse().ok().filter(|day: &NaiveDate| (1..=9999).contains(&day.year()));
    day.ok_or_else(|| "it is no day; write it as in 2027-06-30".to_owned())
}

fn zone(text: &str) -> Result<chrono_tz::Tz, String> {
    text.parse().map_err(|_| "it is no time zone; write its IANA name, as in Europe/Berlin".to_owned())
}

/// What every item of an import has in common.
#[derive(Debug)]
pub struct Common {
    kind: Resource,
    team: Option<TeamId>,
    project: Option<Project>,
    source: String,
    zone: calendar::Zone,
    zone_name: String,
    horizon: NaiveDate,
}

impl Common {
    /// For text that is read as if it were a file of `kind`, from nowhere.
    pub fn bare(kind: Resource) -> Self {
        let (zone, zone_name) = (calendar::Zone::Iana(chrono_tz::UTC), chrono_tz::UTC.name().to_owned());
        Self { kind, team: None, project: None, source: String::new(), zone, zone_name, horizon: NaiveDate::MAX }
    }

    #[cfg(test)]
    fn of_tests(kind: &str) -> Self {
        let horizon = NaiveDate::from_ymd_opt(2027, 12, 31).unwrap();
        Self { source: "src".into(), horizon, ..Self::bare(kind.parse().unwrap()) }
    }
}

/// The kind of the rows that only tasks can be.
#[expect(clippy::expect_used, reason = "the word is a kind's name, and a test reads it")]
fn tasks() -> Resource {
    "tasks".parse().expect("a name of a kind")
}

/// The kind of the rows that calendars are full of.
#[expect(clippy::expect_used, reason = "the word is a kind's name, and a test reads it")]
fn events() -> Resource {
    "events".parse().expect("a name of a kind")
}

/// What is to be imported, from where.
struct Order {
    /// As it was typed.
    path: PathBuf,
    /// Without links.
    root: PathBuf,
    format: Option<Format>,
    follow_links: bool,
    common: Arc<Common>,
    /// Whether rows may come into another team.
    moves: bool,
    check: bool,
}

impl Order {
    async fn of(args: ImportArgs, client: &Client) -> Outcome<Self> {
        let ImportArgs {
            path, kind, format, team, project, source, until, time_zone, moves, check, follow_links, ..
        } = args;
        if Kinds::builtin().get(&kind).is_none() {
            return Err(no_kind(Exit::Missing, kind.as_str(), NAME_ONE));
        }
        let root = importable(&path, format)?;
        // Judged once, before anything is read: each line by itself would be refused for the same reason.
        if let Some(team) = &team {
            writable_team(client, team).await?;
        }
        let source = source.map_or_else(|| name_of(origin(&root, format)), Ok)?;
        let zone = time_zone.unwrap_or(chrono_tz::UTC);
        let (horizon, zone_name) = (until.unwrap_or_else(horizon), zone.name().to_owned());
        let common = Common { kind, team, project, source, zone: calendar::Zone::Iana(zone), zone_name, horizon };
        Ok(Self { path, root, format, follow_links, common: Arc::new(common), moves, check })
    }

    /// The way through its files.
    fn walk(&self) -> Walk {
        Walk::new(&self.root, self.format, self.follow_links)
    }

    /// Imports these files, unless rows would come into another team that nobody meant them to.
    async fn import(&self, found: Found, client: &Client, progress: Progress) -> Outcome<Done> {
        if !self.moves {
            teams::stay(&found, client, &self.common).await?;
        }
        Import::new(client, &self.common, self.check, progress).all(found).await
    }
}

fn horizon() -> NaiveDate {
    let today = chrono::DateTime::from_timestamp(World::system().now().seconds(), 0).unwrap_or_default().date_naive();
    today.checked_add_days(Days::new(AHEAD)).unwrap_or(today)
}

/// `import`.
pub async fn run(args: ImportArgs, client: &Client, out: &Out) -> Outcome {
    let (watched, strict, yes, typed) = (args.watch, args.strict, args.yes, Typed::of(&args));
    let order = Order::of(args, client).await?;
    let twice = match twice::look(Found::Way(order.walk()), client, &order.common).await {
        // A watch waits for a daemon that is away.
        Err(_) if watched => None,
        looked => looked?,
    };
    if let Some(twice) = &twice {
        meant(twice, &typed, order.check || yes, out)?;
    }
    if watched {
        return watch::run(&order, client, out).await;
    }
    let mut walk = order.walk();
    let progress = Progress::of(|| walk.bytes(), out);
    let done = order.import(Found::Way(walk), client, progress.clone()).await;
    progress.end();
    let Done { mut report, kind, .. } = done?;
    // People have read it before anything was written.
    report.remarks.extend(twice.as_ref().filter(|_| out.json).map(|twice| twice.said(&typed, out)));
    out.value(&report, Report::line)?;
    tell(&report, out);
    out.next(&match &twice {
        Some(twice) if order.check => twice.command(&typed),
        _ => after::next(&typed, &order.root, &report, kind.as_ref().unwrap_or(&order.common.kind), out),
    });
    Ok(if strict && !report.refused.is_empty() { Exit::Incomplete } else { Exit::Done })
}

/// Says that rows would be here twice, and asks at a terminal whether that is meant. A script has said what it means.
fn meant(twice: &Twice, typed: &Typed, yes: bool, out: &Out) -> Outcome<()> {
    if !out.json {
        out.remark(&twice.said(typed, out));
    }
    if yes || !io::stdin().is_terminal() || is_agreed("Add them a second time?")? {
        return Ok(());
    }
    Err(Failure::new(Exit::Interrupted, "nothing was written").next(twice.instead(typed, out)))
}

/// What people read beside the counts; a program has it in the report.
fn tell(report: &Report, out: &Out) {
    if out.json {
        return;
    }
    report.remarks.iter().for_each(|remark| out.remark(remark));
    report.refusals().for_each(|refused| out.remark(&refused));
    if report.lacks_team() {
        let (add, join) = (out.reach.command("team add TEAM"), out.reach.command("team join TEAM USER"));
        out.remark(&format!(
            "who manages the workspace makes a team with `{add}`, and puts people into it with `{join}`"
        ));
    }
}

/// Where rows come from if nothing else is said. A file whose rows are known by its folder comes from there, so that they are
/// the same rows as when that folder is imported whole; the keys of other files' rows belong to their file.
fn origin(root: &Path, format: Option<Format>) -> &Path {
    match format.or_else(|| Format::of(root)) {
        Some(format) if root.is_file() && format.is_of_its_folder() => root.parent().unwrap_or(root),
        _ => root,
    }
}

/// A path as the name of a source, of which two may not be alike.
fn name_of(path: &Path) -> Outcome<String> {
    path.to_str().map(ToOwned::to_owned).ok_or_else(|| {
        let cause = format!("the name of {} is no UTF-8, and rows are known by it", path.display());
        Failure::new(Exit::Usage, cause).next("rename it, or say --source NAME")
    })
}

/// The path without links, if it is one that an import reads.
fn importable(path: &Path, format: Option<Format>) -> Outcome<PathBuf> {
    // A pipe is there, and the name that the system has for it is no path.
    let nowhere = |error| if path.exists() { open::irregular() } else { error };
    let root = path.canonicalize().map_err(|error| unusable(path, &nowhere(error)))?;
    let opened = if root.is_dir() { std::fs::read_dir(&root).map(drop) } else { open::regular(&root).map(drop) };
    opened.map_err(|error| unusable(path, &error))?;
    // A link is judged by its own name as well as by that of what it leads to.
    if root.is_dir() || format.is_some() || Format::of(&root).is_some() {
        return Ok(root);
    }
    let cause = format!("what {} is cannot be told by its name", path.display());
    let next = format!("import {}; or say what it is with --format", format::IMPORTABLE);
    Err(Failure::new(Exit::Usage, cause).next(next))
}

/// Whether there is a file to import in a folder.
pub fn is_worth_it(folder: &Path) -> bool {
    Walk::new(folder, None, false).files().any(|file| file.is_ok())
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    match (Failure::input(path, error), error.kind()) {
        (failure, io::ErrorKind::PermissionDenied) => failure,
        (failure, _) => failure.next(format!("check the path; import {}", format::IMPORTABLE)),
    }
}

/// Why a file below a folder could not be read, and what to do.
fn unread(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{error}; {PERMIT}"),
        io::ErrorKind::Unsupported => format!("{error}; remove it, or put a file in its place"),
        io::ErrorKind::NotFound => format!("{error}; it went away meanwhile, or is a link to nothing: remove it"),
        _ => format!("{error}; try again without it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_be_read_has_cause_next_step_and_exit_code() {
        let cases = [(io::ErrorKind::NotFound, Exit::Missing), (io::ErrorKind::PermissionDenied, Exit::Forbidden)];
        for (kind, exit) in cases {
            let failure = unusable(Path::new("notes"), &kind.into());
            assert_eq!(failure.exit, exit);
            assert!(failure.cause.contains("notes") && failure.next.is_some(), "{failure:?}");
            assert!(unread(&kind.into()).contains("; "));
        }
    }

    #[test]
    fn the_kinds_that_formats_make_exist() {
        assert!([tasks(), events()].iter().all(|kind| Kinds::builtin().get(kind).is_some()));
    }
}

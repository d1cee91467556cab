//! `bench`: what a link costs, as ratios against a bare tonic server with mutual TLS on the same machine.
//!
//! Map: [`args`] is the command line; [`parts`] has one file for each thing that is measured; [`server`] is the sharing side, in
//! a child process, with the floor and the log that keeps nothing; [`asker`] and [`load`] are the asking side, [`hold`] one that
//! only holds links, [`session`] a link with its control session; [`words`] and [`child`] are how parent and children speak; [`process`] reads processor time and memory from
//! outside; [`plan`] interleaves and [`statistics`] compares; [`goals`] judges, [`report`] prints; [`rows`] and [`generate`]
//! make rows.
//!
//! Must not: be seen by any other crate, or measure anything but what a daemon is made of.
#![cfg_attr(test, expect(clippy::float_cmp, reason = "the tests' figures are exact in binary"))]

mod args;
mod asker;
mod child;
mod fill;
mod found;
mod generate;
mod goals;
mod hold;
mod load;
mod parts;
mod plan;
mod process;
mod report;
mod rows;
mod server;
mod session;
mod statistics;
mod words;

use anyhow::{Context, Result};
use args::{Args, Command, MeasureArgs, Part, Scale};
use clap::Parser;
use found::{Found, Machine};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parts::{LINKS, SCOPE, Sharing};
use std::{fs, io::Write, path::Path, process::ExitCode, time::Duration};

fn main() -> ExitCode {
    pki::install_provider();
    let args = Args::parse();
    match begin(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(tell(&format!("bench: {error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn begin(args: &Args) -> Result<()> {
    // A thousand links are more descriptors than an ordinary session has.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match &args.command {
            Some(Command::Generate(generate)) => generate::generate(generate),
            Some(Command::Serve(serve)) => server::serve(serve).await,
            Some(Command::Hold) => hold::hold().await,
            None => measure(&args.measure).await,
        }
    })
}

async fn measure(args: &MeasureArgs) -> Result<()> {
    let scale = args.scale()?;
    let mut found = Found { machine: Machine::now((scale.rounds, scale.long.as_secs_f64())), ..Found::default() };
    let measured = every_part(&scale, &mut found).await;
    // What was found before something went wrong took minutes and is worth reading; it is not worth keeping.
    let report = report::report(&found);
    print(&report)?;
    measured?;
    if args.write { write(&report) } else { Ok(()) }
}

async fn every_part(scale: &Scale, found: &mut Found) -> Result<()> {
    on_one_instance(scale, found).await?;
    if scale.has(Part::Memory) {
        tell(&format!("memory: {} links", scale.links))?;
        found.memory = Some(parts::memory::measure(scale.links).await?);
    }
    if scale.has(Part::Ends) {
        let (live, each) = scale.ends;
        tell(&format!("ends: among {live} live sessions, which are made first"))?;
        found.ends = Some(parts::ends::measure(scale.rounds, live, each).await?);
    }
    if scale.has(Part::Fan) {
        let (sizes, rounds) = &scale.fan;
        found.fan = Some(parts::fan::measure(sizes, *rounds, &mut tell).await?);
    }
    if scale.has(Part::Pages) {
        tell(&format!("pages: among {} rows, which are made first", scale.items))?;
        found.pages = Some(parts::pages::measure(scale.items, scale.pages).await?);
    }
    if scale.has(Part::Telemetry) {
        found.telemetry = Some(parts::telemetry::measure(scale.rounds, scale.telemetry, &mut tell).await?);
    }
    Ok(())
}

/// What shares one instance. Decisions come last: they leave thousands of grants behind.
async fn on_one_instance(scale: &Scale, found: &mut Found) -> Result<()> {
    let together = [Part::Calls, Part::Chunks, Part::Cuts, Part::Decisions, Part::Profile];
    if !together.into_iter().any(|part| scale.has(part)) {
        return Ok(());
    }
    tell(&format!("starting an instance with {} rows", scale.rows))?;
    let mut sharing = Sharing::start(scale.rows).await?;
    found.machine.postgres.clone_from(&sharing.ready.postgres);
    let links = sharing.links(SCOPE, LINKS).await?;
    let doors = sharing.doors(&links).await?;
    if scale.has(Part::Calls) {
        let often = (scale.rounds, scale.long);
        found.calls = Some(parts::calls::measure(&mut sharing, &doors, &scale.callers, often, &mut tell).await?);
    }
    if scale.has(Part::Chunks) {
        tell("chunks")?;
        found.chunks = Some(parts::chunks::measure(&sharing, &doors, scale.rounds, scale.long).await?);
    }
    if scale.has(Part::Profile) {
        tell("profile")?;
        found.profiles = parts::profile::measure(&sharing, &doors, 64, PROFILE.max(scale.long)).await?;
    }
    for (streams, trials) in scale.cuts.iter().filter(|_| scale.has(Part::Cuts)) {
        tell(&format!("cuts: {streams} streams, {trials} times"))?;
        found.cuts.push(parts::cuts::measure(&mut sharing, *streams, *trials).await?);
    }
    if scale.has(Part::Decisions) {
        tell(&format!("decisions: among {} grants", scale.grants))?;
        found.decided = Some(parts::decisions::measure(&mut sharing, scale.grants, scale.decisions).await?);
    }
    drop(doors);
    sharing.child.end().await
}

/// Long enough for some thousands of samples.
const PROFILE: Duration = Duration::from_secs(8);

fn write(report: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let page = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let page = report::between_marks(&page, report);
    let page = page.with_context(|| format!("{} has no marks to put the report between", path.display()))?;
    fs::write(&path, page).with_context(|| format!("{} cannot be written", path.display()))
}

/// Results.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// How far it has come.
fn tell(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stderr().lock(), "{line}")?)
}

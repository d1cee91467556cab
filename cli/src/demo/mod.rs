//! `mosaic-fed demo`: a script over the public command line, run as child processes of this very program. It prints each
//! command before it runs it and what it printed after; every claim it makes is checked, and it fails if one does not hold.
//!
//! Map: [`script`] is what is typed, in order; [`shell`] runs one command; [`stage`] is the directory, the two daemons and
//! the cleaning up.

mod script;
pub mod shell;
mod stage;

use crate::{
    daemon::serve::told_to_stop,
    exit::{Exit, Failure, Outcome},
    out::Out,
};
use clap::Args;
use stage::Stage;
use std::{
    path::{Path, PathBuf},
    time::Instant,
};
use tokio::sync::watch;

/// The arguments of `demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// A folder of your own Markdown for the office to share, instead of the sample
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Leave both instances running, with their data
    #[arg(long)]
    keep: bool,
}

/// Runs the demo. Whatever happens, nothing of it stays behind unless it is to be kept.
pub async fn run(args: DemoArgs, out: &Out) -> Outcome {
    let DemoArgs { data, keep } = args;
    let data = data.map(|path| folder(&path)).transpose()?;
    let began = Instant::now();
    let (stop, stopped) = watch::channel(false);
    let signal = told_to_stop()?;
    let watching = tokio::spawn(async move {
        signal.await;
        stop.send_replace(true);
    });
    let mut stage = Stage::set(out.clone(), stopped)?;
    let played = script::play(&mut stage, data.as_deref()).await;
    watching.abort();
    let kept = keep && played.is_ok();
    if kept {
        stage.keep()?;
    } else {
        stage.strike().await;
    }
    // Not every expectation was looked at.
    played.map_err(
        |failure| if failure.is_unread() { Failure::new(Exit::Interrupted, failure.cause) } else { failure },
    )?;
    let seconds = began.elapsed().as_secs_f64();
    stage.say(&format!("{} commands in {seconds:.1} s, every expectation met", stage.commands()))?;
    Ok(Exit::Done)
}

/// The folder without links, known to be one before anything is made.
fn folder(path: &Path) -> Outcome<PathBuf> {
    const NEXT: &str = "name a folder of Markdown files, as in --data ~/notes; or leave --data out for the sample";
    let found = path.canonicalize().map_err(|error| Failure::input(path, &error).next(NEXT))?;
    let cause = match (found.is_dir(), crate::import::is_worth_it(&found)) {
        (true, true) => return Ok(found),
        (true, false) => format!("{} holds no file that `import` takes", path.display()),
        (false, _) => format!("{} is no folder", path.display()),
    };
    Err(Failure::new(Exit::Usage, cause).next(NEXT))
}

//! `mosaic-fed`, the only binary a person runs: parse, call, print.
//!
//! Map: [`args`] is the list of commands; [`rooms`] has one file per room of the daemon, each command calling the local door
//! and printing the value it got; [`daemon`] makes (`init`) and runs (`serve`) an instance and hands out its CA (`ca export`); [`import`] reads people's files
//! and [`export`] writes them; [`demo`] is a script over these very commands; [`mcp`] is an assistant's way to the same door. [`place`] is the data directory, [`config`] its settings (and [`variables`] those of the environment), [`exit`] how a
//! command ends, [`out`] and [`table`] what is seen of it, [`reach`] how a next command begins, [`mod@misread`] what is said of a
//! command line that is none.
//!
//! Must not: decide anything that the daemon decides, or read an instance's database but in `init`, `serve` and `ca export`.

mod args;
mod config;
mod daemon;
mod demo;
mod exit;
mod export;
mod import;
mod life;
mod mcp;
mod misread;
mod nearness;
mod out;
mod place;
#[cfg(test)]
mod printed;
mod private;
mod reach;
#[cfg(test)]
mod reference;
mod rooms;
mod table;
mod variables;

use args::{Cli, Command};
use clap::Parser;
use exit::{Failure, Outcome};
use out::Out;
use reach::Reach;
use std::{alloc::System, process::ExitCode};
use zeroizing_alloc::ZeroAlloc;

/// Rows of other instances pass through buffers of many libraries, of which none wipes what it lets go of: all memory is wiped as it is freed.
#[global_allocator]
static WIPED: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    pki::install_provider();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misread(&error),
    };
    let out = cli.global.out();
    let exit = known_environment().and_then(|()| run(cli, &out)).unwrap_or_else(|failure| {
        out.failure(&failure);
        failure.exit
    });
    ExitCode::from(exit as u8)
}

/// Before anything is done: a mistyped directory is another instance's, or none.
fn known_environment() -> Outcome<()> {
    variables::all_known(std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()))?;
    variables::session().map(drop)
}

/// Help and the version go where the parser puts them; everything else is a failure like any other.
fn misread(error: &clap::Error) -> ExitCode {
    let typed: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let Some(failure) = misread::failure(error, &typed) else { error.exit() };
    Out::new(typed.iter().any(|word| word == "--json"), Reach::default()).failure(&failure);
    ExitCode::from(failure.exit as u8)
}

fn run(cli: Cli, out: &Out) -> Outcome {
    let Cli { global, command } = cli;
    // One short call needs no pool of threads.
    let mut builder = match command {
        Command::Serve(_) | Command::Init(_) | Command::Ca(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build().map_err(Failure::of)?;
    let done = runtime.block_on(command.run(&global, out));
    // A blocking read of a terminal must not hold up the end.
    runtime.shutdown_background();
    done
}

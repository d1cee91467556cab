//! What the daemon says of itself while it runs: to stderr, as text for people or as JSON, never with a secret or a row.

use crate::{
    config::{Config, LogFormat},
    exit::{Exit, Failure, Outcome},
};
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// Starts the log.
pub fn start(config: &Config) -> Outcome<()> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| {
        Failure::new(Exit::Usage, format!("`log` is no filter: {error}")).next("as in `info` or `warn,spoke=debug`")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match config.log_format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    started.map_err(Failure::of)
}

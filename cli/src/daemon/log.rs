//! What the daemon says of itself while it runs: to stderr, as text for people or as JSON, never with a secret or a row.

use crate::{
    config::{Config, LogFormat},
    exit::{Exit, Failure, Outcome},
};
use std::io::{self, IsTerminal};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Whose words can be asked for by name; others (libraries) only with a level.
const PARTS: [&str; 9] = ["mosaic_fed", "api", "domain", "hub", "link", "pki", "proto", "spoke", "store"];

/// Starts the log.
pub fn start(config: &Config) -> Outcome<()> {
    let filter = filter(&config.log)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match config.log_format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    started.map_err(Failure::of)
}

/// A word alone that is no level would be taken for the name of a part: a misspelt level would silence the daemon.
fn filter(text: &str) -> Outcome<EnvFilter> {
    let refused = |cause: String| {
        Failure::new(Exit::Usage, format!("`log` is no filter: {cause}")).next("as in `info` or `warn,spoke=debug`")
    };
    let known = |word: &str| {
        let part = word.split("::").next().unwrap_or_default();
        word.contains(['=', '[']) || word.parse::<LevelFilter>().is_ok() || PARTS.contains(&part)
    };
    if let Some(word) = text.split(',').map(str::trim).find(|word| word.is_empty() || !known(word)) {
        return Err(refused(format!(
            "`{word}` is no level (off, error, warn, info, debug, trace) and no part of it ({})",
            PARTS.join(", ")
        )));
    }
    EnvFilter::try_new(text).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_would_silence_the_daemon_by_a_slip_is_refused_with_an_example() {
        for sensible in ["info", "WARN", "off", "warn,spoke=debug", "info,store::postgres=trace", "h2=info", "hub"] {
            assert!(filter(sensible).is_ok(), "{sensible}");
        }
        for senseless in ["inof", "", "info,", "banana", "spoke=loud", "info,debgu", "=", "spoke[=debug"] {
            let failure = filter(senseless).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{senseless}");
            assert!(failure.next.unwrap().contains("warn,spoke=debug"), "{senseless}");
        }
    }
}

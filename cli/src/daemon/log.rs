//! What the daemon says of itself while it runs: to stderr, as text for people or as JSON, never with a secret or a row.

use super::otlp::Exporting;
use crate::{
    config::{Config, LogFormat},
    exit::{Exit, Failure, Outcome},
    nearness::nearest,
};
use link::trail::SPAN;
use std::io::{self, IsTerminal};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{LevelFilter, filter_fn},
    fmt,
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Whose words can be asked for by name; others (libraries) only with a level.
const PARTS: [&str; 9] = ["mosaic_fed", "api", "domain", "hub", "link", "pki", "proto", "spoke", "store"];

/// Says of a connection that a stopping server took away what the store knows and says itself where it matters; a filter that
/// names it wins.
const HUSHED: &str = "sqlx_core::pool=off";

/// Starts the log; spans of requests go to `exporting` as well, whatever is logged.
pub fn start(config: &Config, exporting: Option<&Exporting>) -> Outcome<()> {
    let filter = filter(&config.log)?;
    // A line that could not be written (a closed terminal) is lost; to complain of it there would end the daemon.
    let log = fmt::layer().with_writer(io::stderr).log_internal_errors(false);
    let log = match config.log_format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    let started = match exporting {
        // One filter for all: what it leaves out costs nothing.
        None => Registry::default().with(log).with(filter).try_init(),
        Some(exporting) => Registry::default().with(log.with_filter(filter)).with(spans(exporting)).try_init(),
    };
    started.map_err(Failure::of)
}

/// The spans of requests alone: no line of the log, and nothing of a library, whose words are not ours.
fn spans<S>(exporting: &Exporting) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(exporting.tracer())
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.name() == SPAN))
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
    // Of a library any name may be meant, but not one that is a slip away from a part of ours.
    let of_ours = |word: &str| {
        let target =
            word.split(['=', '[']).next().unwrap_or_default().split("::").next().unwrap_or_default().to_owned();
        Some((nearest(&target, PARTS).filter(|_| !PARTS.contains(&target.as_str()))?, target))
    };
    if let Some((near, target)) = text.split(',').map(str::trim).find_map(of_ours) {
        return Err(refused(format!("it names no part `{target}` (`{near}` may be meant)")));
    }
    EnvFilter::try_new(format!("{HUSHED},{text}")).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_would_silence_the_daemon_by_a_slip_is_refused_with_an_example() {
        for slip in ["spoek=debug", "info,stroe::postgres=trace", "hubs=info", "mosaic-fed=debug"] {
            assert!(filter(slip).unwrap_err().cause.contains("may be meant"), "{slip}");
        }
        for sensible in [
            "sqlx=info,tokio=warn,hyper=info,tower=info,rustls=debug",
            "info",
            "WARN",
            "off",
            "warn,spoke=debug",
            "info,store::postgres=trace",
            "h2=info",
            "hub",
        ] {
            assert!(filter(sensible).is_ok(), "{sensible}");
        }
        for senseless in ["inof", "", "info,", "banana", "spoke=loud", "info,debgu", "=", "spoke[=debug"] {
            let failure = filter(senseless).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{senseless}");
            assert!(failure.next.unwrap().contains("warn,spoke=debug"), "{senseless}");
        }
    }

    #[test]
    fn a_library_does_not_complain_of_connections_that_a_clean_stop_took_away() {
        let heard = |text: &str| {
            let registry = Registry::default().with(filter(text).unwrap());
            tracing::subscriber::with_default(registry, || {
                let pool = tracing::enabled!(target: "sqlx_core::pool::connection", tracing::Level::WARN);
                (pool, tracing::enabled!(target: "store::postgres", tracing::Level::WARN))
            })
        };
        assert_eq!(heard("info"), (false, true));
        assert_eq!(heard("info,sqlx_core::pool=warn"), (true, true));
    }
}

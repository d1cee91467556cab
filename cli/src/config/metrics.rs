//! The part of the settings about numbers: where they are read, and what counts as slow.

use super::Config;
use crate::{
    exit::{Exit, Failure, Outcome},
    life::counted,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr, time::Duration};

/// How long a request may take before the log tells of it; 0 for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow(pub Duration);

impl Default for Slow {
    fn default() -> Self {
        Self(Duration::from_secs(1))
    }
}

impl FromStr for Slow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let millis = if text == "0" { Some(0) } else { counted(text, &[("ms", 1), ("s", 1_000)]) };
        let wrong = || "it is no span of time up to an hour; write it as in 500ms or 2s, or 0 for never".to_owned();
        millis.filter(|millis| *millis <= 3_600_000).map(|millis| Self(Duration::from_millis(millis))).ok_or_else(wrong)
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1_000) { write!(f, "{}s", millis / 1_000) } else { write!(f, "{millis}ms") }
    }
}

impl Serialize for Slow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text of a span of time in the settings; of numbers 0 alone needs no unit, and with it no quotation marks.
pub(super) fn span_of_time<'de, D: Deserializer<'de>>(deserializer: D, key: &str) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Number(i64),
        Text(String),
    }
    let how = "write it as in \"500ms\" or \"2s\", or 0 for never";
    match Said::deserialize(deserializer) {
        Ok(Said::Text(text)) => Ok(text),
        Ok(Said::Number(0)) => Ok("0".to_owned()),
        Ok(Said::Number(bare)) => {
            Err(D::Error::custom(format!("`{key}` is the bare number {bare}, without a unit: {how}")))
        }
        Err(_) => Err(D::Error::custom(format!("`{key}` is no text: {how}"))),
    }
}

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = span_of_time(deserializer, "slow_request")?;
        text.parse().map_err(|why| D::Error::custom(format!("`slow_request` is `{}`: {why}", text.escape_debug())))
    }
}

pub(super) fn checked(config: &Config) -> Outcome<()> {
    let Some(listen) = config.metrics_listen else { return Ok(()) };
    let wrong = |cause: String, next: &str| Err(Failure::new(Exit::Usage, cause).next(next));
    if !listen.ip().is_loopback() && !config.metrics_open {
        let cause = format!(
            "`metrics_listen` is {listen}, which other machines reach, and nobody who asks there proves who they are: they would see how busy \
             this instance is, with how many others, and what is amiss"
        );
        return wrong(
            cause,
            "listen at 127.0.0.1, or set `metrics_open = true` where only your Prometheus reaches that address",
        );
    }
    let doors = [config.listen, config.listen_enrolment, config.listen_calls];
    let taken = doors.into_iter().chain(config.crl_listen).chain(config.http);
    if listen.port() != 0 && taken.into_iter().any(|other| other == listen) {
        return wrong(
            format!("`metrics_listen` is {listen}, where something else is served"),
            "give it a port of its own",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_on_this_machine_unless_others_are_let_in() {
        assert!(Config::default().metrics_listen.is_none(), "off unless it is set");
        let read = |at: &str, metrics_open| {
            checked(&Config { metrics_listen: Some(at.parse().unwrap()), metrics_open, ..Config::default() })
        };
        assert!(read("127.0.0.1:9464", false).is_ok() && read("[::1]:9464", false).is_ok());
        assert!(read("0.0.0.0:9464", true).is_ok());
        for open in ["0.0.0.0:9464", "[::]:9464", "192.0.2.7:9464", "[::ffff:127.0.0.1]:9464"] {
            let failure = read(open, false).unwrap_err();
            assert!(failure.cause.contains("other machines") && failure.next.unwrap().contains("metrics_open"));
        }
        assert!(read("[::]:7443", true).unwrap_err().cause.contains("something else"));
    }

    #[test]
    fn what_is_slow_is_a_span_of_time() {
        for (text, millis) in [("0", 0), ("500ms", 500), ("2s", 2_000), ("3600s", 3_600_000)] {
            let slow: Slow = text.parse().unwrap();
            assert_eq!((slow.0.as_millis(), slow.to_string().parse()), (millis, Ok(slow)), "{text}");
        }
        let read = |value: &str| {
            toml::from_str::<Config>(&format!("slow_request = {value}")).map(|config| config.slow_request)
        };
        for never in ["0", "\"0\"", "\"0s\""] {
            assert!(read(never).unwrap().0.is_zero(), "{never}");
        }
        for (bare, words) in
            [("5", "bare number 5"), ("-1", "bare number"), ("0.5", "no text"), ("true", "no text"), ("[]", "no text")]
        {
            assert!(read(bare).unwrap_err().message().contains(words), "{bare}");
        }
        for text in ["", "1", "s", "ms", "-1s", "1.5s", "1h", "3601s", "99999999999999999999s"] {
            assert!(text.parse::<Slow>().unwrap_err().contains("; write it as in 500ms"), "{text}");
        }
    }
}

//! The part of the settings about second tries.

use super::metrics::span_of_time;
use crate::life::counted;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr, time::Duration};

/// A second try that comes sooner would come with nearly every question.
const LEAST: Duration = Duration::from_millis(10);
/// One that comes later has no time left.
const MOST: Duration = Duration::from_secs(4);

/// After how long without an answer a question for rows is asked once more; 0 for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HedgeAfter(pub Duration);

impl FromStr for HedgeAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let millis = counted(text, &[("ms", 1), ("s", 1_000)]);
        let after = millis.map(Duration::from_millis).filter(|after| (LEAST..=MOST).contains(after));
        let wrong = || "it is no span of time from 10ms to 4s; write it as in 250ms or 1s, or 0 for never".to_owned();
        after.map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for HedgeAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() { f.write_str("0") } else { write!(f, "{}ms", self.0.as_millis()) }
    }
}

impl Serialize for HedgeAfter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HedgeAfter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = span_of_time(deserializer, "hedge_after")?;
        text.parse().map_err(|why| D::Error::custom(format!("`hedge_after` is `{}`: {why}", text.escape_debug())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_try_comes_after_a_while_that_is_not_too_short_and_not_too_long_or_never() {
        for (text, millis) in [("0", 0), ("10ms", 10), ("250ms", 250), ("4s", 4_000)] {
            let after: HedgeAfter = text.parse().unwrap();
            assert_eq!((after.0.as_millis(), after.to_string().parse()), (millis, Ok(after)), "{text}");
        }
        for text in ["", "1", "s", "ms", "-1s", "9ms", "0ms", "4001ms", "5s", "99999999999999999999s"] {
            assert!(text.parse::<HedgeAfter>().unwrap_err().contains("; write it as in 250ms"), "{text}");
        }
        let failure = toml::from_str::<crate::config::Config>("hedge_after = \"soon\"").unwrap_err().to_string();
        assert!(failure.contains("`hedge_after` is `soon`"), "{failure}");
        let never = toml::from_str::<crate::config::Config>("hedge_after = 0").unwrap().hedge_after;
        assert_eq!(never, Some(HedgeAfter(Duration::ZERO)));
    }
}

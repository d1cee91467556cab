//! How long the certificates that this instance gives out live, as people write it: `30m`, `24h`, `7d`.

use pki::profile::{MAX_LIFE, MIN_LIFE};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr, time::Duration};

/// From 5 minutes to 90 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life(pub Duration);

impl Default for Life {
    fn default() -> Self {
        Self(domain::renewal::LIFE)
    }
}

const UNITS: [(&str, u64); 3] = [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60)];
const NEXT: &str = "write 5 minutes to 90 days, as in 30m, 24h or 7d";

/// How many of the smallest of these units a text such as `30m` is; none where it is no number with one of them.
pub fn counted(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, size) = units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse::<u64>().ok()?.checked_mul(*size) } else { None }
}

impl FromStr for Life {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let life =
            counted(text, &UNITS).map(Duration::from_secs).ok_or_else(|| format!("it is no span of time; {NEXT}"))?;
        if (MIN_LIFE..=MAX_LIFE).contains(&life) {
            Ok(Self(life))
        } else {
            Err(format!("no certificate lives as short or as long; {NEXT}"))
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        // A day is written as hours, as it is spoken of; more days as days.
        let whole = |(unit, size): &(&str, u64)| seconds.is_multiple_of(*size) && (*unit != "d" || seconds > *size);
        let (unit, size) = UNITS.into_iter().find(whole).unwrap_or(("m", 60));
        write!(f, "{}{unit}", seconds / size)
    }
}

impl Serialize for Life {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Life {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|why| D::Error::custom(format!("`certificate_life` is `{}`: {why}", text.escape_debug())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_read_as_it_is_written_and_no_other() {
        for text in ["5m", "90m", "24h", "36h", "2d", "7d", "90d"] {
            assert_eq!(text.parse::<Life>().unwrap().to_string(), text);
        }
        assert_eq!(("1d".parse::<Life>(), Life::default().to_string().as_str()), (Ok(Life::default()), "24h"));
        for bad in ["", "h", "24", "24 h", "-24h", "4m", "91d", "0d", "1w", "18446744073709551615d", "1.5h", "24H"] {
            assert!(bad.parse::<Life>().unwrap_err().ends_with(NEXT), "{bad}");
        }
    }
}

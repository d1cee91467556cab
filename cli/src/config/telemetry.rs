//! The part of the settings about what is told of requests to other programs: spans to a collector, if one is named.

use super::Config;
use crate::exit::{Exit, Failure, Outcome};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::{net::IpAddr, path::PathBuf};

/// Where spans go, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// The collector, as in `http://127.0.0.1:4318`.
    #[serde(rename = "otlp_endpoint")]
    pub endpoint: String,
    /// A file with the one root certificate that its TLS certificate must be of, PEM.
    #[serde(rename = "otlp_root", skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// A file with headers for it, one `name: value` a line, mode 0600.
    #[serde(rename = "otlp_headers_file", skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<PathBuf>,
    /// Which part of all requests is told of, 0 to 1.
    #[serde(rename = "otlp_share", deserialize_with = "share")]
    pub share: f64,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { endpoint: String::new(), root: None, headers_file: None, share: 1.0 }
    }
}

/// A collector's place: where, and whether it is spoken to over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub tls: bool,
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// As the collector is asked for it.
    pub authority: String,
    pub path: String,
}

const NEXT: &str = "write it as in http://127.0.0.1:4318 or https://collector.example:4318";
/// The port of OTLP over HTTP, and its path (OTLP specification, section "OTLP/HTTP Request").
const PORT: u16 = 4318;
const PATH: &str = "/v1/traces";

impl Endpoint {
    /// Reads a URL. One without a path means the usual one below it. Cause and next step where it is none.
    pub fn parse(url: &str) -> Result<Self, (String, &'static str)> {
        let uri: http::Uri = url.parse().map_err(|_| ("it is no URL".to_owned(), NEXT))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(("it does not begin with http:// or https://".to_owned(), NEXT)),
        };
        let authority = uri.authority().filter(|all| !all.as_str().contains('@') && !all.host().is_empty());
        let Some(authority) = authority.filter(|_| uri.query().is_none()) else {
            let cause = "it has a password or parameters, or no host".to_owned();
            return Err((cause, "write what the collector asks for into the file of `otlp_headers_file`"));
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !tls && !is_here {
            let cause = format!("{host} is another machine, and who asks whom for what would pass in the clear");
            return Err((cause, "write https://, or run a collector on this machine and name that"));
        }
        let path = if matches!(uri.path(), "" | "/") { PATH } else { uri.path() };
        let port = authority.port_u16().unwrap_or(PORT);
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Ok(Self { tls, host, port, authority, path: path.to_owned() })
    }
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Number(f64),
        Text(String),
    }
    let number = match Said::deserialize(deserializer)? {
        Said::Number(number) => Some(number),
        Said::Text(text) => text.parse().ok(),
    };
    let share = number.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| D::Error::custom("`otlp_share` is a number from 0 to 1, as in 0.1 for every tenth request"))
}

pub(super) fn checked(config: &Config) -> Outcome<()> {
    let Some(telemetry) = &config.telemetry else { return Ok(()) };
    let wrong = |cause: String, next: &str| Err(Failure::new(Exit::Usage, cause).next(next));
    if telemetry.endpoint.is_empty() {
        let cause = "`[telemetry]` has no `otlp_endpoint`".to_owned();
        return wrong(cause, "write it, as in otlp_endpoint = \"http://127.0.0.1:4318\", or take `[telemetry]` away");
    }
    let endpoint = match Endpoint::parse(&telemetry.endpoint) {
        Ok(endpoint) => endpoint,
        Err((why, next)) => return wrong(format!("`otlp_endpoint` of `[telemetry]`: {why}"), next),
    };
    match (endpoint.tls, &telemetry.root) {
        (true, None) => wrong(
            "`otlp_endpoint` of `[telemetry]` begins with https:// and there is no `otlp_root`".to_owned(),
            "set `otlp_root` to a file with the root certificate, PEM, that the collector's certificate is of",
        ),
        (false, Some(_)) => wrong(
            "`otlp_root` of `[telemetry]` is set and `otlp_endpoint` begins with http://: nothing would be checked by it".to_owned(),
            "write https://, or take `otlp_root` away",
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(telemetry: Telemetry) -> Outcome<()> {
        checked(&Config { telemetry: Some(telemetry), ..Config::default() })
    }

    #[test]
    fn spans_go_to_this_machine_or_over_tls_and_nowhere_until_that_is_said() {
        assert!(Config::default().telemetry.is_none(), "off unless it is set");
        let at = |url: &str| Telemetry { endpoint: url.to_owned(), ..Telemetry::default() };
        for good in
            ["http://127.0.0.1:4318", "http://localhost", "http://[::1]:4318/", "http://127.0.0.1:1/a/v1/traces"]
        {
            assert!(read(at(good)).is_ok(), "{good}");
        }
        let root = |url: &str| Telemetry { root: Some("/r.pem".into()), ..at(url) };
        assert!(read(root("https://collector.example")).is_ok());
        for (bad, cause) in [
            (at(""), "no `otlp_endpoint`"),
            (at("collector"), "http://"),
            (at("ftp://127.0.0.1"), "http://"),
            (at("http://user:hunter2@127.0.0.1"), "password"),
            (at("http://127.0.0.1/?key=hunter2"), "password"),
            (at("http://collector.example:4318"), "in the clear"),
            (at("http://0.0.0.0:4318"), "in the clear"),
            (at("https://collector.example"), "no `otlp_root`"),
            (root("http://127.0.0.1"), "nothing would be checked"),
        ] {
            let failure = read(bad).unwrap_err();
            assert!(failure.cause.contains(cause) && !failure.cause.contains("hunter2"), "{}", failure.cause);
            assert!(failure.next.is_some(), "{}", failure.cause);
        }
    }

    #[test]
    fn the_usual_port_and_path_need_not_be_written() {
        let endpoint = Endpoint::parse("http://[::1]").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.path.as_str()), ("::1", 4318, "/v1/traces"));
        assert_eq!(endpoint.authority, "[::1]:4318");
    }

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        let read = |text: &str| toml::from_str::<Telemetry>(&format!("otlp_share = {text}"));
        for (text, share) in [("1", 1.0), ("0.1", 0.1), ("\"0.25\"", 0.25), ("0", 0.0)] {
            assert!((read(text).unwrap().share - share).abs() < f64::EPSILON, "{text}");
        }
        for text in ["2", "-1", "nan", "\"much\"", "\"NaN\""] {
            assert!(read(text).unwrap_err().message().contains("otlp_share"), "{text}");
        }
    }
}

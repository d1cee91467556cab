//! The settings: `config.toml` in the data directory, each key also as `MOSAIC_FED_KEY` in the environment, which wins.
//! `docs/configuration.md` has a row for every key.

mod ca;
pub mod dialling;
mod hedge;
pub mod http;
pub mod lists;
pub mod metrics;
mod proxy;
pub mod telemetry;
mod unread;

pub use ca::Ca;
pub use hedge::HedgeAfter;
pub use metrics::Slow;
pub use proxy::Proxy;
pub use telemetry::Telemetry;

use crate::{
    exit::{Exit, Failure, Outcome},
    life::Life,
    variables::{self, PREFIX, known_key},
};
use link::dial::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// What an instance can be told. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where links are served.
    #[serde(deserialize_with = "read_address")]
    pub listen: SocketAddr,
    /// Where invites are taken.
    #[serde(deserialize_with = "read_address")]
    pub listen_enrolment: SocketAddr,
    /// Where calls of instances that cannot be reached are taken, once somebody waits for one.
    #[serde(deserialize_with = "read_address")]
    pub listen_calls: SocketAddr,
    /// Hosts that invites name, without port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advertise: Vec<String>,
    /// Whether this instance tries addresses for those whose links it has.
    pub try_addresses: bool,
    /// Networks that are dialled though they lead to this machine, its wire or its cloud.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "dialling::networks")]
    pub dial_allow: Vec<IpNet>,
    /// DNS names in the server certificate besides the instance's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub public_names: Vec<String>,
    /// Where the list of revoked certificates is served, over plain HTTP; none means nowhere.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lists::read_address")]
    pub crl_listen: Option<SocketAddr>,
    /// A list of revoked certificates to be heeded: a URL or a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crl_source: Option<String>,
    /// How long the certificates live that this instance gives out.
    pub certificate_life: Life,
    /// The second socket, for users with a uid of their own; outside the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Where programs with a token are answered; none means nowhere.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lists::read_address")]
    pub http: Option<SocketAddr>,
    /// Under which name a TLS proxy in front passes requests on to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_tls_name: Option<String>,
    /// The role that owns the database, as `postgres://…`; none means a PostgreSQL of the daemon's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres: Option<String>,
    /// The role that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres_app: Option<String>,
    /// The directory of `postgres` and `initdb`, where they are not to be found or fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres_programs: Option<PathBuf>,
    /// The key that seals every other key, where it does not lie in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kek_file: Option<PathBuf>,
    /// Where Prometheus reads numbers; none means nowhere.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lists::read_address")]
    pub metrics_listen: Option<SocketAddr>,
    /// Whether that may be where other machines reach it.
    pub metrics_open: bool,
    /// What takes longer is told of in the log.
    pub slow_request: Slow,
    /// After how long a question for rows is asked once more over another connection; none means never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge_after: Option<HedgeAfter>,
    /// A command that is told what must not stay so, with its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alert_command: Vec<String>,
    /// What is logged, as in `info` or `warn,spoke=debug`.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// The step-ca that issues certificates; the embedded CA does where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<Ca>,
    /// The HTTP proxy through which other instances are dialled; none means directly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// Where spans of requests are sent; none means nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<Telemetry>,
}

/// How the daemon logs to stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON value a line.
    Json,
}

/// The keys whose value is a list: in the environment, items with commas between them.
const LISTS: [&str; 6] = ["advertise", "dial_allow", "public_names", "alert_command", "proxy.except", "proxy.names"];
/// The keys whose value is true or false.
const FLAGS: [&str; 2] = ["try_addresses", "metrics_open"];

/// Every key, in the order of the documentation.
pub const KEYS: [&str; 36] = [
    "listen",
    "listen_enrolment",
    "listen_calls",
    "advertise",
    "try_addresses",
    "dial_allow",
    "public_names",
    "crl_listen",
    "crl_source",
    "certificate_life",
    "socket",
    "http",
    "http_tls_name",
    "postgres",
    "postgres_app",
    "postgres_programs",
    "kek_file",
    "metrics_listen",
    "metrics_open",
    "slow_request",
    "hedge_after",
    "alert_command",
    "log",
    "log_format",
    "ca.url",
    "ca.root",
    "ca.provisioner",
    "ca.key_file",
    "proxy.url",
    "proxy.except",
    "proxy.names",
    "proxy.auth_file",
    "telemetry.otlp_endpoint",
    "telemetry.otlp_root",
    "telemetry.otlp_headers_file",
    "telemetry.otlp_share",
];

impl Default for Config {
    fn default() -> Self {
        let any = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        Self {
            listen: any(7443),
            listen_enrolment: any(7444),
            listen_calls: any(7446),
            advertise: Vec::new(),
            try_addresses: true,
            dial_allow: Vec::new(),
            public_names: Vec::new(),
            crl_listen: None,
            crl_source: None,
            certificate_life: Life::default(),
            socket: None,
            http: None,
            http_tls_name: None,
            postgres: None,
            postgres_app: None,
            postgres_programs: None,
            kek_file: None,
            metrics_listen: None,
            metrics_open: false,
            slow_request: Slow::default(),
            hedge_after: None,
            alert_command: Vec::new(),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            ca: None,
            proxy: None,
            telemetry: None,
        }
    }
}

impl Config {
    /// Reads the file, then the variables; either may be absent.
    pub fn read(path: &Path, variables: impl Iterator<Item = (String, String)>) -> Outcome<Self> {
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|error| unread::no_text(path, &error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::file("read", path, &error)),
        };
        let refused = |error: toml::de::Error| unread::refused(path, &text, &error);
        // By itself first: what is wrong with it has a line there.
        let written = toml::from_str::<Self>(&text).map_err(refused)?;
        let mut table: toml::Table = toml::from_str(&text).map_err(refused)?;
        let variables: Vec<_> = variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
        variables::all_known(variables.iter().map(|(name, _)| name.clone()))?;
        for (name, value) in variables {
            overlay(&mut table, &name, value);
            // One by one, so that the failure names the one that does not fit. Its value may be a password.
            table.clone().try_into::<Self>().map_err(|error| {
                Failure::new(Exit::Usage, format!("{name} in the environment does not fit: {}", error.message()))
                    .next("unset it, or write it as docs/configuration.md says")
            })?;
        }
        let config: Self = table.try_into().map_err(Failure::of)?;
        // What is right in the file by itself was made wrong by a variable.
        let place = match written.checked() {
            Ok(_) => "the environment".to_owned(),
            Err(_) => path.display().to_string(),
        };
        config.checked().map_err(|failure| Failure { cause: format!("{place}: {}", failure.cause), ..failure })
    }

    fn checked(self) -> Outcome<Self> {
        if let Some((advertised, why)) = self.advertise.iter().find_map(|text| Some((text, host(text).err()?))) {
            let (why, next) = why.split_once("; ").unwrap_or((&why, "write a host without port"));
            return Err(Failure::new(Exit::Usage, format!("`advertise` has `{advertised}`: {why}")).next(next));
        }
        if self.postgres.is_some() != self.postgres_app.is_some() {
            let cause = "`postgres` and `postgres_app` belong together: one owns the tables, the other serves";
            return Err(
                Failure::new(Exit::Usage, cause).next("set both, or neither for a PostgreSQL of the daemon's own")
            );
        }
        let doors =
            [("listen", self.listen), ("listen_enrolment", self.listen_enrolment), ("listen_calls", self.listen_calls)];
        for (one, other) in [(0, 1), (0, 2), (1, 2)].map(|(one, other)| (doors[one], doors[other])) {
            if one.1 == other.1 && one.1.port() != 0 {
                let cause = format!("`{}` and `{}` are both {}", one.0, other.0, one.1);
                return Err(Failure::new(Exit::Usage, cause).next("give each a port of its own"));
            }
        }
        lists::checked(&self)?;
        http::checked(&self)?;
        telemetry::checked(&self)?;
        metrics::checked(&self)?;
        self.ca.iter().try_for_each(Ca::checked)?;
        self.proxy.iter().try_for_each(Proxy::checked)?;
        Ok(self)
    }

    /// As the text of `config.toml`.
    pub fn to_text(&self) -> Outcome<String> {
        let keys = toml::to_string(self).map_err(Failure::of)?;
        Ok(format!("# Settings of this mosaic-fed instance; docs/configuration.md says what each means.\n{keys}"))
    }

    /// What database it is, without a secret, and where its files lie if it is the daemon's own.
    pub fn database(&self, version: &str, files: Option<&Path>) -> String {
        let files = files.map_or_else(String::new, |files| format!(" in {}", files.display()));
        match &self.postgres {
            Some(url) => format!("PostgreSQL at {}", without_secrets(url)),
            None => format!("embedded PostgreSQL {version}{files}"),
        }
    }
}

fn read_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    address(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// An address with a port to listen at.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| match text.trim_start_matches(':').parse::<u16>() {
        Ok(port) => format!("it is a port alone; write an address before it, as in 127.0.0.1:{port} or [::]:{port}"),
        Err(_) => "it is no IP address with a port; write it as in 127.0.0.1:24601, or [::]:24601 for all".to_owned(),
    })
}

/// A host that invites name: the ports that go with it are those of the two listeners, so that one of its own can only be
/// wrong. Cause and next step where it is none.
pub fn host(text: &str) -> Result<String, String> {
    const NEXT: &str = "write a name or an IP address, as in office.example or 192.0.2.7";
    if let Ok(ip) = text.parse::<IpAddr>() {
        let nowhere = format!("nobody can reach {ip}; {NEXT}");
        return if ip.is_unspecified() { Err(nowhere) } else { Ok(text.to_owned()) };
    }
    if let Some((alone, port)) = text.rsplit_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && !text.contains("//")
    {
        let alone = alone.trim_matches(['[', ']']);
        let alone = if alone.is_empty() { "office.example" } else { alone };
        return Err(format!(
            "it names a port, but invites name those of `listen` and `listen_enrolment`; write the host alone, as in {alone}"
        ));
    }
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    // A last label of digits alone makes it an IPv4 address that is none (RFC 1123 section 2.1).
    let number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if name.len() <= 253 && name.split('.').all(label) && !number {
        return Ok(text.to_owned());
    }
    Err(format!("it is no host; {NEXT}"))
}

fn overlay(table: &mut toml::Table, variable: &str, value: String) {
    let Some(key) = known_key(variable) else { return };
    let items = || value.split(',').map(str::trim).filter(|item| !item.is_empty());
    let value = match value.parse() {
        _ if LISTS.contains(&key) => toml::Value::Array(items().map(toml::Value::from).collect()),
        Ok(flag) if FLAGS.contains(&key) => toml::Value::Boolean(flag),
        _ => toml::Value::String(value),
    };
    // What is no table stays as it is, and is refused with its place when the whole is read.
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), value)),
        Some((outer, inner)) => {
            let within = table.entry(outer).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            within.as_table_mut().map(|within| within.insert(inner.to_owned(), value));
        }
    }
}

/// Host, port and database of a URL; user, password and parameters left out.
fn without_secrets(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    rest.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// The text as one word of a shell.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:@=+%[]".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests;

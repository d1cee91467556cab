//! Places that a setting names: a name with all below it, an address, a network, or everything.

use ipnet::IpNet;
use std::{fmt, net::IpAddr, str::FromStr};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `*`: all.
    All,
    /// A name, and every name that ends with it after a dot; in small letters, without a dot at either end.
    Name(String),
    /// A network, or one address.
    Net(IpNet),
}

impl Place {
    /// Whether this name is there.
    pub(super) fn has_name(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        match self {
            Self::All => true,
            Self::Name(end) => {
                name.strip_suffix(end.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Net(_) => false,
        }
    }

    /// Whether this address is there.
    pub(super) fn has_ip(&self, ip: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Name(_) => false,
            Self::Net(net) => net.contains(&ip.to_canonical()),
        }
    }
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const NONE: &str =
            "is no place; write a name, an address or a network, as in intern.example, 10.0.0.7 or 10.0.0.0/8";
        if text == "*" {
            return Ok(Self::All);
        }
        let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
        if let Some(net) = text.parse::<IpNet>().ok().or_else(alone) {
            return Ok(Self::Net(net.trunc()));
        }
        // As other programs write it: with a dot or a star before it.
        let name = text.strip_prefix('*').unwrap_or(text);
        let name = name.strip_prefix('.').unwrap_or(name);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        match format!("{name}:1").parse::<domain::reach::Address>() {
            Ok(domain::reach::Address { host: domain::reach::Host::Name(_), .. }) => Ok(Self::Name(name)),
            _ => Err(NONE),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Net(net) => net.fmt(f),
        }
    }
}

//! Where this instance opens connections to: the one judge of addresses, for everything that somebody else names.
//!
//! The other side of a link says where it is, by an invite or by what its name leads to at the moment, so it could have this instance
//! knock at what only this instance reaches. Networks of private addresses are where most links go, and allowed; loopback, link-local and a
//! cloud's metadata are not, unless the operator's settings name them; nobody's addresses and this instance's own doors never are.
//! `docs/adr/0013` says why.

use domain::reach::{Range, innermost};
use ipnet::IpNet;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Of the addresses that are refused, so many are named.
const NAMED: usize = 3;

/// What may be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialPolicy {
    /// Networks that the operator allows besides: `dial_allow`.
    pub allow: Vec<IpNet>,
    /// Where this instance itself listens.
    pub own: Vec<SocketAddr>,
    /// The file that the setting belongs into, for whoever is refused.
    pub settings: String,
}

impl Default for DialPolicy {
    fn default() -> Self {
        Self { allow: Vec::new(), own: Vec::new(), settings: "config.toml".to_owned() }
    }
}

/// An address that was judged and may be dialled. Only a policy makes one, and only such a one is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked(SocketAddr);

impl Checked {
    /// The address.
    pub const fn address(self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why an address is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is loopback.
    Machine,
    /// It is link-local.
    Wire,
    /// It is where a cloud tells its machines their secrets.
    Metadata,
    /// It is no machine's: unspecified, multicast, broadcast, reserved.
    Nobody,
    /// This instance itself listens there.
    Own,
}

impl Why {
    /// Whether the settings can allow it.
    const fn can_be_allowed(self) -> bool {
        matches!(self, Self::Machine | Self::Wire | Self::Metadata)
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Machine => "this machine itself (loopback)",
            Self::Wire => "link-local",
            Self::Metadata => "where a cloud tells its machines their secrets",
            Self::Nobody => "no machine's address",
            Self::Own => "where this very instance listens",
        }
    }
}

/// An address that is not dialled, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub why: Why,
}

impl DialPolicy {
    /// For instances that are tried out beside each other on one machine: loopback is allowed.
    pub fn this_machine() -> Self {
        let loopback = [IpNet::from(IpAddr::V4(Ipv4Addr::LOCALHOST)), IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))];
        let v4 = IpNet::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8).unwrap_or(loopback[0]);
        Self { allow: vec![v4, loopback[1]], ..Self::default() }
    }

    /// Judges one address; `machine` are the addresses of this machine's interfaces.
    pub fn judge(&self, address: SocketAddr, machine: &[IpAddr]) -> Result<Checked, Forbidden> {
        let refused = |why| Err(Forbidden { address, why });
        let why = match Range::of(address.ip()) {
            _ if self.is_own(address, machine) => return refused(Why::Own),
            None => return refused(Why::Nobody),
            Some(Range::World | Range::Network) => return Ok(Checked(address)),
            Some(Range::Machine) => Why::Machine,
            Some(Range::Wire) => Why::Wire,
            Some(Range::Metadata) => Why::Metadata,
        };
        // By the address that is dialled, not by where it leads: who allows 127.0.0.0/8 has not allowed a translator to lead there.
        let ip = address.ip().to_canonical();
        if self.allow.iter().any(|net| net.contains(&ip)) { Ok(Checked(address)) } else { refused(why) }
    }

    fn is_own(&self, address: SocketAddr, machine: &[IpAddr]) -> bool {
        let ip = innermost(address.ip());
        let here = || Range::of(ip) == Some(Range::Machine) || machine.contains(&ip);
        self.own.iter().filter(|own| own.port() == address.port()).any(|own| {
            let at = own.ip().to_canonical();
            at == ip || (at.is_unspecified() && here())
        })
    }

    /// Those that may be dialled, in their order, and the others.
    pub(super) fn sift(&self, found: Vec<SocketAddr>) -> (Vec<Checked>, Vec<Forbidden>) {
        let machine = if self.own.is_empty() { Vec::new() } else { crate::hosts::interfaces() };
        let (mut checked, mut forbidden) = (Vec::new(), Vec::new());
        for address in found {
            match self.judge(address, &machine) {
                Ok(address) => checked.push(address),
                Err(refused) => forbidden.push(refused),
            }
        }
        (checked, forbidden)
    }

    /// What is told to whoever asked for `tried`, of which nothing is left: which and why, and what allows it.
    pub(super) fn told(&self, tried: &str, forbidden: &[Forbidden]) -> String {
        let each = forbidden
            .iter()
            .take(NAMED)
            .map(|Forbidden { address, why }| format!("{} is {}", address.ip(), why.words()));
        let mut each: Vec<_> = each.collect();
        each.dedup();
        let cause = format!("{tried} is not dialled: {}", each.join(", "));
        let mut lifted = forbidden.iter().filter(|refused| refused.why.can_be_allowed()).peekable();
        if lifted.peek().is_none() {
            return format!(
                "{cause}; no setting allows that: ask the other side's owner for an invite with an address of theirs"
            );
        }
        let mut nets: Vec<_> = self.allow.clone();
        nets.extend(lifted.take(NAMED).map(|refused| IpNet::from(refused.address.ip().to_canonical())));
        nets.dedup();
        let nets: Vec<_> = nets.iter().map(|net| format!("\"{net}\"")).collect();
        format!(
            "{cause}; if that is meant, write dial_allow = [{}] at the top of {}, in the place of any other, and start `mosaic-fed serve` \
             again",
            nets.join(", "),
            self.settings
        )
    }
}

#[cfg(test)]
mod tests;

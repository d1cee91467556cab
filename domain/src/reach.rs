//! Addresses that an asking side tries for the other side of a link: their form, how many, how often, and how far they may lead.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

/// Of one request, at most.
pub const ADDRESSES: usize = 4;
/// A name that leads to several machines is tried at so many of them.
pub const MACHINES: usize = 2;
/// The answer comes so long after the request, whatever came of it and however soon: its time says nothing.
pub const ANSWER: Duration = Duration::from_secs(3);
/// Requests that the other side of one link may make in [`AGAIN`].
pub const REQUESTS: usize = 4;
/// See [`REQUESTS`].
pub const AGAIN: Duration = Duration::from_mins(1);

/// `host:port`, as an invite names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The machine.
    pub host: Host,
    /// The port, never 0.
    pub port: u16,
}

/// A machine, as an invite names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// By an address.
    Ip(IpAddr),
    /// By a DNS name.
    Name(String),
}

/// The text is no `host:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no `host:port`")]
pub struct BadAddress;

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(BadAddress)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port > 0).ok_or(BadAddress)?;
        let host = match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
            Some(inner) => Host::Ip(inner.and_then(|inner| inner.parse::<Ipv6Addr>().ok()).ok_or(BadAddress)?.into()),
            None => match host.parse::<Ipv4Addr>() {
                Ok(ip) => Host::Ip(ip.into()),
                Err(_) if is_name(host) => Host::Name(host.to_owned()),
                Err(_) => return Err(BadAddress),
            },
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-');
    let name = text.strip_suffix('.').unwrap_or(text);
    // A last label of digits alone is the end of an IPv4 address, which would be one in a form of its own (RFC 1123 section 2.1).
    let number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= 253 && name.split('.').all(label) && !number
}

/// How far away an address can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Only the machine itself has it: loopback.
    Machine,
    /// Only who is on the same wire reaches it: link-local.
    Wire,
    /// Only who is in the same network reaches it: RFC 1918, RFC 6598, RFC 4193.
    Network,
    /// A cloud answers there, and tells whoever asks from within one of its machines that machine's secrets.
    Metadata,
    /// Anybody may reach it.
    World,
}

impl Range {
    /// None of what is nobody's address: unspecified, multicast, broadcast, reserved.
    pub fn of(ip: IpAddr) -> Option<Self> {
        match innermost(ip) {
            ip if METADATA.contains(&ip) => Some(Self::Metadata),
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Option<Self> {
        let [first, second, ..] = ip.octets();
        match (first, second) {
            // "This network" (RFC 791), which Linux takes for the machine itself, and all from multicast on.
            (0 | 224.., _) => None,
            (127, _) => Some(Self::Machine),
            (169, 254) => Some(Self::Wire),
            (10, _) | (172, 16..=31) | (192, 168) | (100, 64..=127) => Some(Self::Network),
            _ => Some(Self::World),
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Option<Self> {
        match ip.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Some(Self::Machine),
            // The deprecated form of an IPv4 address in an IPv6 one (RFC 4291 2.5.5.1); among them the unspecified one.
            [0, 0, 0, 0, 0, 0, ..] | [0xff00..=0xffff, ..] => None,
            [0xfe80..=0xfebf, ..] => Some(Self::Wire),
            // The first is a translator of one's own (RFC 8215), wherever it leads from there.
            [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Some(Self::Network),
            _ => Some(Self::World),
        }
    }
}

/// The services of clouds that give out a machine's secrets, or rule it, by the address alone: of AWS, GCP and Azure (and whoever took over
/// the first of them), of AWS for containers, of Azure, Alibaba and Oracle, and those with IPv6 of AWS, GCP and Scaleway.
const METADATA: [IpAddr; 11] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
];

/// Where an address leads in the end: the IPv4 address in one of IPv6 that is another form of it (RFC 4291 2.5.5.2), or leads to it
/// through a translator (RFC 6052; of one's own, RFC 8215; SIIT, RFC 2765) or a tunnel (6to4, RFC 3056; Teredo, RFC 4380); else itself.
pub fn innermost(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip.to_canonical() else { return ip.to_canonical() };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            v4(high, low).into()
        }
        // A translator of one's own may put the rest of its prefix anywhere; where the end of it names something near, it leads there.
        [0x64, 0xff9b, 1, .., high, low] if is_dangerous(v4(high, low)) => v4(high, low).into(),
        [0x2001, 0, .., high, low] => v4(!high, !low).into(),
        _ => v6.into(),
    }
}

fn is_dangerous(ip: Ipv4Addr) -> bool {
    METADATA.contains(&ip.into()) || matches!(Range::of_v4(ip), Some(Range::Machine | Range::Wire))
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_the_forms_of_an_invite_and_in_no_other() {
        for text in ["office.example:7443", "192.0.2.7:1", "[2001:db8::7]:65535", "localhost:80", "a_b.c-d.:7"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let long = format!("{}:1", "a.".repeat(127) + "a");
        for text in [
            "",
            "office.example",
            "office.example:0",
            "office.example:65536",
            "office.example:+80",
            ":80",
            "[::1]",
            "::1:80",
            "[::1%eth0]:80",
            "[127.0.0.1]:80",
            "[::1:80",
            "a b:80",
            "a\n:80",
            "-a:80",
            "a..b:80",
            "127.1:80",
            "1.2.3.4.5:80",
            "http://a:80",
            "a:80/x",
            "a:80 ",
            "ü.example:80",
            "user@a:80",
            &long,
        ] {
            assert_eq!(text.parse::<Address>(), Err(BadAddress), "{text}");
        }
    }

    #[test]
    fn how_far_an_address_can_be_is_known_also_where_it_is_wrapped() {
        let range = |text: &str| Range::of(text.parse().unwrap());
        for (range_of, texts) in [
            (
                Some(Range::Machine),
                &[
                    "127.0.0.1",
                    "127.255.0.9",
                    "::1",
                    "::ffff:127.0.0.1",
                    "64:ff9b::7f00:1",
                    "64:ff9b:1::7f00:1",
                    "::ffff:0:127.0.0.1",
                    "2001::80ff:fffe",
                ][..],
            ),
            (Some(Range::Wire), &["169.254.0.1", "fe80::1", "febf::1", "::ffff:169.254.0.1", "64:ff9b::a9fe:1"]),
            (
                Some(Range::Metadata),
                &[
                    "169.254.169.254",
                    "::ffff:169.254.169.254",
                    "64:ff9b::a9fe:a9fe",
                    "64:ff9b:1::a9fe:a9fe",
                    "2002:a9fe:a9fe::1",
                    "169.254.170.2",
                    "168.63.129.16",
                    "100.100.100.200",
                    "192.0.0.192",
                    "fd00:ec2::254",
                    "fd20:ce::254",
                    "fd00:42::42",
                    "fe80::a9fe:a9fe",
                ],
            ),
            (
                Some(Range::Network),
                &[
                    "10.0.0.1",
                    "172.16.0.1",
                    "172.31.9.9",
                    "192.168.1.1",
                    "100.64.0.1",
                    "fd00::1",
                    "64:ff9b::a00:1",
                    "64:ff9b:1::c000:207",
                    "2002:a00:1::",
                ],
            ),
            (Some(Range::World), &["192.0.2.7", "172.32.0.1", "100.128.0.1", "2001:db8::7", "64:ff9b::c000:207"]),
            (
                None,
                &["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "::127.0.0.1", "ff02::1"],
            ),
        ] {
            for text in texts {
                assert_eq!(range(text), range_of, "{text}");
            }
        }
    }
}

//! Under which addresses other machines reach this one, for what is handed over to them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// `host:port` of the hosts in `advertise`, else of this machine, for what listens on `bound`.
pub fn reached_at(advertise: &[String], bound: SocketAddr) -> Vec<String> {
    let port = bound.port();
    if !advertise.is_empty() {
        return advertise.iter().map(|host| with_port(host, port)).collect();
    }
    if !bound.ip().is_unspecified() {
        return vec![bound.to_string()];
    }
    let own = own_addresses().into_iter().map(|ip| SocketAddr::new(ip, port).to_string()).collect::<Vec<_>>();
    if own.is_empty() { vec![SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port).to_string()] } else { own }
}

/// The same of hosts that may name a port of their own, as where another machine passes it on to this one.
pub fn named(hosts: &[String], bound: SocketAddr) -> Vec<String> {
    let has_port = |host: &str| {
        let port = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
        port.is_some_and(|(name, _)| !name.contains(':') || name.ends_with(']'))
    };
    hosts.iter().map(|host| if has_port(host) { host.clone() } else { with_port(host, bound.port()) }).collect()
}

/// An IPv6 address is bracketed; a name and an IPv4 address are not.
fn with_port(host: &str, port: u16) -> String {
    host.parse::<IpAddr>().map_or_else(|_| format!("{host}:{port}"), |ip| SocketAddr::new(ip, port).to_string())
}

/// The addresses of this machine's interfaces, without loopback and link-local ones, which nobody else can use.
fn own_addresses() -> Vec<IpAddr> {
    interfaces().into_iter().filter(|ip| !ip.is_loopback() && !is_link_local(*ip)).collect()
}

/// The addresses of this machine's interfaces.
pub(crate) fn interfaces() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let found = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    found.collect()
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_names_hosts_in_a_form_that_can_be_dialled() {
        assert_eq!(with_port("work.example.org", 7443), "work.example.org:7443");
        assert_eq!(with_port("10.1.2.3", 7443), "10.1.2.3:7443");
        assert_eq!(with_port("2001:db8::1", 7443), "[2001:db8::1]:7443");
    }

    #[test]
    fn a_port_that_is_named_stays_and_one_that_is_not_is_that_of_the_listener() {
        let bound = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 7445);
        let hosts = ["home.example.org", "home.example.org:443", "10.1.2.3", "2001:db8::1", "[2001:db8::1]:443"];
        let expected = [
            "home.example.org:7445",
            "home.example.org:443",
            "10.1.2.3:7445",
            "[2001:db8::1]:7445",
            "[2001:db8::1]:443",
        ];
        assert_eq!(named(&hosts.map(str::to_owned), bound), expected);
    }
}

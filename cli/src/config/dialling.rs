//! The part of the settings about where connections are opened to.

use super::{Config, proxy};
use crate::exit::Outcome;
use link::{DialPolicy, Ways, dial::IpNet};
use std::{net::IpAddr, path::Path};

/// Networks as text.
pub mod networks {
    use super::{IpNet, network};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    /// Each as text.
    pub fn serialize<S: Serializer>(nets: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(nets.iter().map(ToString::to_string))
    }

    /// From text, each with what is wrong with it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| network(text).map_err(D::Error::custom)).collect()
    }
}

/// A network, or an address alone.
fn network(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let net = text.parse::<IpNet>().ok().or_else(alone);
    net.map(|net| net.trunc()).ok_or_else(|| {
        format!("`dial_allow` has `{text}`, which is no network; write it as in 127.0.0.0/8, ::1/128 or 169.254.7.9")
    })
}

/// What is dialled, and through what: whoever is refused is told of the file `settings`.
pub fn ways(config: &Config, settings: &Path) -> Outcome<Ways> {
    let listeners = [config.listen, config.listen_enrolment, config.listen_calls]
        .into_iter()
        .chain(config.crl_listen)
        .chain(config.http)
        .chain(config.metrics_listen);
    let policy = DialPolicy {
        allow: config.dial_allow.clone(),
        own: listeners.filter(|listener| listener.port() != 0).collect(),
        settings: settings.display().to_string(),
    };
    Ok(Ways::new(policy).through(proxy::opened(config.proxy.as_ref())?))
}

/// What a new instance allows: whoever has others come to an address of loopback has both instances on this machine.
pub fn of_new(advertise: &[String]) -> Vec<IpNet> {
    let is_here = |host: &String| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if advertise.iter().any(is_here) { DialPolicy::this_machine().allow } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_with_and_without_its_length_and_what_is_none_is_named() {
        for (text, net) in [
            ("127.0.0.0/8", "127.0.0.0/8"),
            ("127.0.0.1/8", "127.0.0.0/8"),
            ("169.254.7.9", "169.254.7.9/32"),
            ("::1", "::1/128"),
            ("fe80::/10", "fe80::/10"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), net);
        }
        for bad in ["", "localhost", "127.0.0.0/33", "127.0.0.1:80", "10.0.0.0-10.0.0.9"] {
            assert!(network(bad).unwrap_err().contains(&format!("`{bad}`, which is no network")));
        }
    }

    #[test]
    fn who_advertises_loopback_may_dial_it_and_nobody_else() {
        let of = |hosts: &[&str]| of_new(&hosts.iter().map(ToString::to_string).collect::<Vec<_>>()).len();
        assert_eq!([of(&["127.0.0.1"]), of(&["::1"]), of(&["a.example", "localhost"])], [2, 2, 2]);
        assert_eq!([of(&[]), of(&["10.0.0.7", "office.example"]), of(&["127.example"])], [0, 0, 0]);
    }

    #[test]
    fn this_instances_own_doors_are_known() {
        let config = Config {
            crl_listen: Some(([127, 0, 0, 1], 7445).into()),
            metrics_listen: Some(([127, 0, 0, 1], 9464).into()),
            ..Config::default()
        };
        let shown = format!("{:?}", ways(&config, Path::new("/x/config.toml")).unwrap());
        for port in ["7443", "7444", "7445", "7446", "9464", "/x/config.toml"] {
            assert!(shown.contains(port), "{shown}");
        }
    }
}

//! The part of the settings about the HTTP port: on this machine alone, or behind a TLS proxy whose name was said.

use super::Config;
use crate::exit::{Exit, Failure, Outcome};

pub(super) fn checked(config: &Config) -> Outcome<()> {
    let wrong = |cause: String, next: &str| Err(Failure::new(Exit::Usage, cause).next(next));
    if let Some(name) = &config.http_tls_name
        && !is_name(name)
    {
        let cause = format!("`http_tls_name` is `{name}`, which is no name of a host");
        return wrong(cause, "write a name as clients ask it, with a port where that is not 443, as in door.example");
    }
    let Some(listen) = config.http else {
        let alone = "`http_tls_name` is set and `http` is not: nothing is answered under that name".to_owned();
        return if config.http_tls_name.is_some() {
            wrong(alone, "set `http` too, as in http = \"127.0.0.1:7480\", or take it out")
        } else {
            Ok(())
        };
    };
    if !listen.ip().is_loopback() && config.http_tls_name.is_none() {
        let cause = format!(
            "`http` is {listen}, which other machines reach, and the port speaks no TLS: tokens and rows would pass in the clear"
        );
        return wrong(
            cause,
            "listen at 127.0.0.1, or put a TLS proxy in front and set `http_tls_name` to the name under which clients ask it",
        );
    }
    let taken = [config.listen, config.listen_enrolment, config.listen_calls].into_iter().chain(config.crl_listen);
    if listen.port() != 0 && taken.into_iter().any(|other| other == listen) {
        return wrong(format!("`http` is {listen}, where something else is served"), "give it a port of its own");
    }
    Ok(())
}

/// A host, with a port or without one; no address, which no certificate of a proxy in front would be for.
fn is_name(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    is_port && name.parse::<std::net::IpAddr>().is_err() && super::host(name).is_ok()
}

/// Where programs are to be answered, if anywhere.
pub fn order(config: &Config) -> Option<api::Http> {
    config.http.map(|listen| api::Http { listen, tls_name: config.http_tls_name.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(http: Option<&str>, name: Option<&str>) -> Outcome<()> {
        let http = http.map(|text| text.parse().unwrap());
        checked(&Config { http, http_tls_name: name.map(str::to_owned), ..Config::default() })
    }

    #[test]
    fn the_port_is_off_or_of_this_machine_or_behind_a_named_tls_proxy() {
        assert!(Config::default().http.is_none(), "off unless it is set");
        for (http, name) in [
            (None, None),
            (Some("127.0.0.1:7480"), None),
            (Some("[::1]:7480"), None),
            (Some("127.0.0.1:0"), Some("door.example")),
            (Some("0.0.0.0:7480"), Some("door.example:8443")),
        ] {
            assert!(read(http, name).is_ok(), "{http:?} {name:?}");
        }
        for open in ["0.0.0.0:7480", "[::]:7480", "192.0.2.7:7480", "[::ffff:127.0.0.1]:7480"] {
            let failure = read(Some(open), None).unwrap_err();
            assert!(failure.cause.contains("in the clear") && failure.next.unwrap().contains("http_tls_name"));
        }
        for name in ["", "door.example:0", "door.example:x", "192.0.2.7", "https://door.example", "a b", "x/y"] {
            assert!(read(Some("127.0.0.1:7480"), Some(name)).unwrap_err().next.is_some(), "{name}");
        }
        assert!(read(None, Some("door.example")).unwrap_err().cause.contains("`http` is not"));
        assert!(read(Some("[::]:7443"), Some("door.example")).unwrap_err().cause.contains("something else"));
    }
}

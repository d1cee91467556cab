//! Whether a request may be looked at, by its head alone.
//!
//! Sources: RFC 9112 3.2 (one `Host`, absolute-form), RFC 6454 7.3 and the Fetch standard (`Origin`), RFC 6750 2.1 (bearer tokens; the form in a
//! query string, 2.3, is refused here), RFC 9110 11.6.1 (a 401 names its scheme).

use crate::{Problem, problem::Kind};
use axum::http::{
    HeaderMap, HeaderName,
    header::{AUTHORIZATION, HOST, ORIGIN},
    request::Parts,
};
use domain::token::ProgramToken;
use std::net::{IpAddr, SocketAddr};

/// Which requests are for this port.
pub(super) struct Guard {
    port: u16,
    tls_name: Option<String>,
}

/// Why one is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is for another host, for none, or for two.
    Host,
    /// It comes of a page of another origin.
    Origin,
    /// It shows no token.
    NoToken,
    /// It shows one that is none of this instance's.
    WrongToken,
    /// It shows one that is over.
    ExpiredToken,
}

impl Refused {
    /// As the log says it.
    pub(super) const fn note(self) -> &'static str {
        match self {
            Self::Host => "for another host",
            Self::Origin => "of another origin",
            Self::NoToken => "no token",
            Self::WrongToken => "wrong token",
            Self::ExpiredToken => "expired token",
        }
    }

    /// As whoever is refused is told: of tokens nothing but that there is to be one.
    pub(super) fn problem(self, example: &str) -> Problem {
        match self {
            Self::Host => Problem::forbidden("the request is not addressed to this port").next(format!(
                "send exactly one `host`, with an address of this machine and the port, as in {example}"
            )),
            Self::Origin => Problem::forbidden("the request comes from a page of another origin")
                .next("ask from a program: web pages of other origins are not answered"),
            Self::NoToken | Self::WrongToken | Self::ExpiredToken => {
                Problem::new(Kind::Unauthorized, "the request shows no token that is good here")
                    .next("send `authorization: Bearer TOKEN`, with a token that `mosaic-fed token add NAME` printed")
            }
        }
    }
}

impl Guard {
    pub(super) fn new(port: u16, tls_name: Option<String>) -> Self {
        Self { port, tls_name: tls_name.map(|name| name.to_ascii_lowercase()) }
    }

    /// Whom to ask, as people write it.
    pub(super) fn example(&self) -> String {
        self.tls_name.clone().unwrap_or_else(|| format!("127.0.0.1:{}", self.port))
    }

    /// Whether a request is for this port, and of no other origin.
    pub(super) fn addressed(&self, parts: &Parts) -> Result<(), Refused> {
        let host = only(&parts.headers, &HOST)?.ok_or(Refused::Host)?;
        let scheme = self.scheme(host).ok_or(Refused::Host)?;
        // What a request line says of its host comes before the header, so that both have to be ours.
        if let Some(authority) = parts.uri.authority()
            && !authority.as_str().eq_ignore_ascii_case(host)
        {
            return Err(Refused::Host);
        }
        match only(&parts.headers, &ORIGIN).map_err(|_| Refused::Origin)? {
            None => Ok(()),
            Some(origin) if origin.eq_ignore_ascii_case(&format!("{scheme}://{host}")) => Ok(()),
            Some(_) => Err(Refused::Origin),
        }
    }

    /// How this host is asked, if it is ours: the name that was set, over TLS, or a literal address of loopback with our port.
    fn scheme(&self, host: &str) -> Option<&'static str> {
        if self.tls_name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(host)) {
            return Some("https");
        }
        let literal = host.parse::<SocketAddr>().map(|at| (at.ip(), at.port()));
        let (ip, port) = literal.ok().or_else(|| Some((bare(host)?, 80)))?;
        (ip.is_loopback() && port == self.port).then_some("http")
    }
}

/// An address without a port, which is 80 then.
fn bare(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

/// The one value of a header; several are as bad as one that is no text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refused> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => one.to_str().map(Some).map_err(|_| Refused::Host),
        (Some(_), Some(_)) => Err(Refused::Host),
    }
}

/// The token of a request. One that stands in its address as well was written down by whoever saw that, and is none here.
pub(super) fn token(parts: &Parts) -> Option<ProgramToken> {
    if ProgramToken::is_in(&parts.uri.to_string()) {
        return None;
    }
    let value = only(&parts.headers, &AUTHORIZATION).ok()??;
    let (scheme, token) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") { ProgramToken::parse(token.trim_start_matches(' ')) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use domain::{
        Time,
        world::{FakeClock, SeededRng, World},
    };
    use std::sync::Arc;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request =
            headers.iter().fold(Request::builder().uri(uri), |built, (name, value)| built.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn judged(guard: &Guard, headers: &[(&str, &str)]) -> Result<(), Refused> {
        guard.addressed(&parts("/v1/me", headers))
    }

    #[test]
    fn only_a_literal_of_loopback_with_our_port_is_our_host() {
        let guard = Guard::new(7_480, None);
        for host in ["127.0.0.1:7480", "127.9.9.9:7480", "[::1]:7480"] {
            assert_eq!(judged(&guard, &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:7480",
            "localhost:7480",
            "127.0.0.1",
            "127.0.0.1:7481",
            "127.0.0.1:80",
            "10.0.0.1:7480",
            "0.0.0.0:7480",
            "[::]:7480",
            "[::ffff:127.0.0.1]:7480",
            "127.1:7480",
            "2130706433:7480",
            "127.0.0.1.evil.example:7480",
            "dana@127.0.0.1:7480",
            "127.0.0.1:7480.",
            "127.0.0.1:07480x",
            "",
            "::1",
            "[::1]",
        ] {
            assert_eq!(judged(&guard, &[("host", host)]), Err(Refused::Host), "{host}");
        }
        let eighty = Guard::new(80, None);
        for host in ["127.0.0.1", "[::1]", "127.0.0.1:80"] {
            assert_eq!(judged(&eighty, &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(judged(&guard, &[]), Err(Refused::Host), "none at all");
        let two = [("host", "127.0.0.1:7480"), ("host", "127.0.0.1:7480")];
        assert_eq!(judged(&guard, &two), Err(Refused::Host), "two of them");
    }

    #[test]
    fn the_name_of_a_proxy_in_front_is_asked_over_tls_only() {
        let guard = Guard::new(7_480, Some("Door.example".to_owned()));
        assert_eq!(judged(&guard, &[("host", "door.example")]), Ok(()));
        assert_eq!(judged(&guard, &[("host", "door.example"), ("origin", "https://door.example")]), Ok(()));
        let plain = [("host", "door.example"), ("origin", "http://door.example")];
        assert_eq!(judged(&guard, &plain), Err(Refused::Origin));
        assert_eq!(judged(&guard, &[("host", "door.example:7480")]), Err(Refused::Host));
    }

    #[test]
    fn an_origin_is_ours_or_there_is_none() {
        let guard = Guard::new(7_480, None);
        let origin = |origin| judged(&guard, &[("host", "127.0.0.1:7480"), ("origin", origin)]);
        assert_eq!(origin("http://127.0.0.1:7480"), Ok(()));
        for foreign in
            ["null", "", "https://evil.example", "http://127.0.0.1:8080", "https://127.0.0.1:7480", "http://[::1]:7480"]
        {
            assert_eq!(origin(foreign), Err(Refused::Origin), "{foreign}");
        }
        let ours = ("origin", "http://127.0.0.1:7480");
        assert_eq!(judged(&guard, &[("host", "127.0.0.1:7480"), ours, ours]), Err(Refused::Origin));
    }

    #[test]
    fn a_request_line_names_no_other_host_than_the_header() {
        let guard = Guard::new(7_480, None);
        let asked = |uri| guard.addressed(&parts(uri, &[("host", "127.0.0.1:7480")]));
        assert_eq!(asked("http://127.0.0.1:7480/v1/me"), Ok(()));
        for other in
            ["http://evil.example/v1/me", "http://[::1]:7480/", "http://dana@127.0.0.1:7480/", "evil.example:443"]
        {
            assert_eq!(asked(other), Err(Refused::Host), "{other}");
        }
    }

    #[test]
    fn a_token_is_taken_of_its_one_header_alone() {
        let world = World::new(Arc::new(FakeClock::new(Time::from_seconds(1))), Arc::new(SeededRng::new(1)));
        let made = ProgramToken::generate(&world);
        let text = made.encode().expose().clone();
        let bearer = format!("Bearer {text}");
        let shown = |uri: &str, headers: &[(&str, &str)]| token(&parts(uri, headers)).map(|token| token.id());
        assert_eq!(shown("/", &[("authorization", &bearer)]), Some(made.id()));
        assert_eq!(shown("/", &[("authorization", &format!("bearer {text}"))]), Some(made.id()));
        for headers in [
            &[("authorization", text.as_str())][..],
            &[("authorization", &format!("Basic {text}"))],
            &[("authorization", &bearer), ("authorization", &bearer)],
            &[("cookie", &format!("token={text}"))],
            &[("authorization", &format!("{bearer},"))],
            &[],
        ] {
            assert_eq!(shown("/", headers), None, "{headers:?}");
        }
        assert_eq!(shown(&format!("/?access_token={text}"), &[]), None);
        assert_eq!(shown(&format!("/?access_token={text}"), &[("authorization", &bearer)]), None);
    }
}

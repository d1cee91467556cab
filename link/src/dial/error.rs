//! Why a dial failed, with the next step for the person who waits.

use super::{
    Failure, OurCertificate,
    proxy::ProxyError,
    ways::{Miss, Ways},
};
use pki::Flaw;
use rustls::Error;
use std::io;

/// A connection was not established. To the person all of these but the two certificates are "offline".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// What this side keeps about the link cannot be used.
    #[error("this link's {0} cannot be used; remove the link and use a new invite")]
    Target(&'static str),
    /// Where it is may not be dialled: which address and why, and what would allow it.
    #[error("{0}")]
    Forbidden(String),
    /// Nobody can be reached there.
    #[error("{tried} cannot be reached: {cause}; check the network, the name and the address in the invite")]
    Unreachable {
        /// The addresses.
        tried: String,
        /// The operating system's reason.
        cause: String,
    },
    /// A machine is there, nobody listens.
    #[error("{tried} refused the connection; is mosaic-fed running there, and is this its port?")]
    Refused {
        /// The addresses.
        tried: String,
    },
    /// No answer to the connection in time.
    #[error("{tried} did not answer in time; is the machine on, and does a firewall let this port through?")]
    ConnectTimeout {
        /// The addresses.
        tried: String,
    },
    /// The proxy gave no connection.
    #[error("{0}")]
    Proxy(ProxyError),
    /// It is the other side that opens connections, and there is none.
    #[error(
        "the other side has not called: it opens the connections itself, to {at}; is mosaic-fed running there, and does a firewall here \
         let this port through?"
    )]
    NotCalled {
        /// Where it calls.
        at: String,
    },
    /// A connection, then silence.
    #[error(
        "the other side took the connection and then said nothing; it may be stopped or busy, or the address is not that of a mosaic-fed instance"
    )]
    HandshakeTimeout,
    /// Who answers is not the instance of the invite.
    #[error("who answers there is not the instance of the invite: {0}; do not go on before its owner explained it")]
    TheirCertificate(Flaw),
    /// Who answers through the proxy is not the instance of the invite.
    #[error(
        "who answers through the proxy {proxy} is not the instance of the invite: {flaw}; where the proxy opens TLS, have whoever runs it \
         leave these connections alone, and do not go on before the instance's owner explained anything else"
    )]
    Intercepted {
        /// The proxy.
        proxy: String,
        /// What is wrong with its certificate.
        flaw: Flaw,
    },
    /// The other side does not accept our certificate.
    #[error("{}", our_certificate(*.0))]
    OurCertificate(OurCertificate),
    /// TLS or HTTP/2 failed otherwise.
    #[error("no secure connection came about: {0}; is the address that of a mosaic-fed instance of this version?")]
    Broken(String),
    /// The connection was lost before the first word.
    #[error("the connection was lost at once ({0}); the other side may be busy or stopping: try again in a minute")]
    Lost(io::ErrorKind),
}

impl DialError {
    /// Whether the other side could not be reached at all: the outcome `offline`. Not so when one of the two refused the
    /// other's certificate, this side's own record is damaged, or its settings forbid the address, nor where a proxy says no: trying again does not mend that.
    pub const fn is_offline(&self) -> bool {
        match self {
            Self::Proxy(error) => error.may_pass(),
            Self::Target(_)
            | Self::Forbidden(_)
            | Self::TheirCertificate(_)
            | Self::Intercepted { .. }
            | Self::OurCertificate(_) => false,
            _ => true,
        }
    }

    /// The same of a connection through `proxy`, if through one: a certificate that is not the instance's may be the proxy's.
    pub(super) fn behind(self, proxy: Option<String>) -> Self {
        match (self, proxy) {
            (Self::TheirCertificate(flaw), Some(proxy)) => Self::Intercepted { proxy, flaw },
            (error, _) => error,
        }
    }

    /// Whether it is this side's own record that is damaged, or the right instance that said so: another socket changes nothing.
    pub(super) const fn is_of_the_instance(&self) -> bool {
        matches!(self, Self::Target(_) | Self::OurCertificate(_))
    }

    pub(super) fn of_search(addresses: &[String], misses: &[Miss], ways: &Ways) -> Self {
        if misses.is_empty() {
            return Self::Target("list of addresses");
        }
        let tried = addresses.join(", ");
        if let Some(told) = ways.forbidden(&tried, misses) {
            return Self::Forbidden(told);
        }
        let at_proxy = misses.iter().find_map(|miss| match miss {
            Miss::Proxy(error) => Some(error.clone()),
            _ => None,
        });
        if let Some(error) = at_proxy {
            return Self::Proxy(error);
        }
        let failed = misses.iter().find_map(|miss| match miss {
            Miss::Failed(cause) => Some(cause.clone()),
            _ => None,
        });
        match failed {
            Some(cause) => Self::Unreachable { tried, cause },
            None => Self::Refused { tried },
        }
    }
}

/// The error of a handshake that did not end well. `flaw` is what our verifier found.
pub(super) fn of_handshake(error: &io::Error, flaw: Option<Flaw>) -> DialError {
    if let Some(flaw) = flaw {
        return DialError::TheirCertificate(flaw);
    }
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::AlertReceived(alert)) => DialError::Broken(format!("the other side sent the alert {alert:?}")),
        Some(Error::InvalidMessage(_)) => DialError::Broken("the other side does not speak TLS".to_owned()),
        Some(other) => DialError::Broken(other.to_string()),
        None => DialError::Lost(error.kind()),
    }
}

impl From<Failure> for DialError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::OurCertificate(why) => Self::OurCertificate(why),
            Failure::Tls(why) => Self::Broken(why),
            Failure::Lost(kind) => Self::Lost(kind),
        }
    }
}

const fn our_certificate(why: OurCertificate) -> &'static str {
    match why {
        OurCertificate::Expired => {
            "the other side says that our certificate has expired; check both clocks, then ask its owner for a new invite"
        }
        OurCertificate::Revoked => {
            "the other side revoked this link's certificate; ask its owner for a new invite if that was not meant"
        }
        OurCertificate::UnknownIssuer => {
            "the other side does not know its own certificate in our hand; was it set up anew? Ask its owner for a new invite"
        }
        OurCertificate::Missing => "the other side needs a certificate and this link has none; link with a new invite",
        OurCertificate::Refused => {
            "the other side does not accept our certificate; ask its owner, who finds the reason in its audit log"
        }
    }
}

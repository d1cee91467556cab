//! An HTTP proxy that is asked for connections where this machine has no way out of its own: `CONNECT`, one answer, and from then on it carries
//! bytes. `docs/adr/0015` says why so and no more.
//!
//! Nothing that it says is believed but that it connected. TLS, its name and its root are the link's own from end to end; any answer but 200
//! ends the socket before a byte of the link went over it.

mod answer;
mod places;

pub use places::Place;

use super::policy::Checked;
use base64::{Engine, prelude::BASE64_STANDARD};
use domain::{
    reach::{Address, Host, Range},
    secret::Secret,
};
use std::{fmt, io, net::SocketAddr, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// From the start to the end of its answer: shorter than a dial has for its sockets, so that it is known who kept it waiting.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// An HTTP proxy, and for what it is asked.
#[derive(Clone)]
pub struct Proxy {
    at: Address,
    except: Vec<Place>,
    names: Vec<Place>,
    credentials: Option<Credentials>,
    patience: Duration,
}

/// A name and a password, as they are sent.
#[derive(Clone)]
pub struct Credentials(Secret<String>);

impl Credentials {
    /// Reads `NAME:PASSWORD`, one line. What is wrong with it never repeats it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        match line.split_once(':') {
            _ if line.chars().any(char::is_control) => Err("it is more than one line"),
            Some((name, _)) if !name.is_empty() => Ok(Self(Secret::new(BASE64_STANDARD.encode(line)))),
            _ => Err("it is no NAME:PASSWORD"),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { except, names, credentials, .. } = self;
        let (at, given) = (self.to_string(), credentials.is_some());
        let mut shown = f.debug_struct("Proxy");
        shown.field("at", &at).field("except", except).field("names", names).field("credentials", &given);
        shown.finish_non_exhaustive()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.at)
    }
}

impl Proxy {
    /// Reads `http://host:port`. Cause and next step where it is none.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        const NEXT: &str = "it is no proxy; write it as in http://proxy.example:3128";
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => {
                return Err(
                    "a proxy is spoken to without TLS, since all that it carries is TLS already; write http://",
                );
            }
            Some(_) => return Err("only HTTP proxies are spoken to; write it as in http://proxy.example:3128"),
            None => return Err(NEXT),
        };
        if rest.contains('@') {
            return Err("a name and a password do not belong there; write them into a file and name it as `auth_file`");
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let at = rest.parse().map_err(|_| NEXT)?;
        Ok(Self { at, except: Vec::new(), names: Vec::new(), credentials: None, patience: PATIENCE })
    }

    /// The same; what is in `except` is dialled from here.
    #[must_use]
    pub fn except(self, except: Vec<Place>) -> Self {
        Self { except, ..self }
    }

    /// The same; what is in `names` it looks up itself.
    #[must_use]
    pub fn looking_up(self, names: Vec<Place>) -> Self {
        Self { names, ..self }
    }

    /// The same, with a name and a password.
    #[must_use]
    pub fn with(self, credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), ..self }
    }

    /// The same, waiting for its answer so long.
    #[must_use]
    pub fn waiting(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Whether it is asked for this address, to which `host` led. What is nearer than a network is another machine's from there.
    pub(super) fn carries(&self, host: &Host, at: Checked) -> bool {
        let ip = at.address().ip();
        let is_near = matches!(Range::of(ip), Some(Range::Machine | Range::Wire | Range::Metadata));
        let is_excepted = |place: &Place| place.has_ip(ip) || matches!(host, Host::Name(name) if place.has_name(name));
        !is_near && !self.except.iter().any(is_excepted)
    }

    /// Whether it is asked for this name as it is. Not for one that means the machine that looks it up, or hides an address.
    pub(super) fn looks_up(&self, name: &str) -> bool {
        let last = name.strip_suffix('.').unwrap_or(name).rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        let is_odd = last == "localhost" || last.starts_with("0x");
        let in_one = |places: &[Place]| places.iter().any(|place| place.has_name(name));
        !is_odd && in_one(&self.names) && !in_one(&self.except)
    }

    /// A connection to `asked`, of which nothing was read yet.
    pub(super) async fn connect(&self, asked: &str) -> io::Result<TcpStream> {
        let end = Instant::now() + self.patience;
        let fault = match timeout_at(end, self.tunnel(asked)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(fault)) => fault,
            Err(_) => Fault::Silent,
        };
        let refusal = ProxyError { proxy: self.to_string(), asked: asked.to_owned(), fault };
        tracing::debug!(%refusal, "no connection through the proxy");
        Err(io::Error::other(refusal))
    }

    async fn tunnel(&self, asked: &str) -> Result<TcpStream, Fault> {
        let unreached = |error: io::Error| Fault::Unreached(error.to_string());
        let mut socket = TcpStream::connect(self.at.to_string()).await.map_err(unreached)?;
        socket.set_nodelay(true).map_err(unreached)?;
        let lost = |_| Fault::Closed;
        socket.write_all(self.request(asked).expose().as_bytes()).await.map_err(lost)?;
        socket.flush().await.map_err(lost)?;
        match answer::read(&mut socket).await? {
            200 => Ok(socket),
            // The second is what tinyproxy says to a wrong password.
            status @ (407 | 401) => Err(Fault::WantsName { status, given: self.credentials.is_some() }),
            status => Err(Fault::Status(status)),
        }
    }

    fn request(&self, asked: &str) -> Secret<String> {
        let mut request = format!("CONNECT {asked} HTTP/1.1\r\nHost: {asked}\r\n");
        if let Some(Credentials(encoded)) = &self.credentials {
            request += "Proxy-Authorization: Basic ";
            request += encoded.expose();
            request += "\r\n";
        }
        request += "\r\n";
        Secret::new(request)
    }
}

/// How a judged address is written for a proxy.
pub(super) fn written(at: Checked) -> String {
    let address = at.address();
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

/// What went wrong at a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be reached itself.
    Unreached(String),
    /// It did not answer in time.
    Silent,
    /// It closed the connection before its answer was whole.
    Closed,
    /// Its answer is longer than any is.
    TooLong,
    /// What it says is no answer of an HTTP proxy.
    NotHttp,
    /// It wants a name and a password, or others.
    WantsName {
        /// 407, or 401 of those that take it for that.
        status: u16,
        /// Whether it was given one.
        given: bool,
    },
    /// Any other status than 200.
    Status(u16),
}

/// Why a proxy gave no connection. The text is cause and next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyError {
    /// `http://host:port`
    pub proxy: String,
    /// What it was asked for.
    pub asked: String,
    /// What went wrong.
    pub fault: Fault,
}

impl std::error::Error for ProxyError {}

impl ProxyError {
    /// Whether this says something of what it was asked for: that it tried, and nobody was there. All else is about the proxy.
    pub const fn is_of_there(&self) -> bool {
        matches!(self.fault, Fault::Status(500..=599))
    }

    /// Whether asking again can help with nothing else done.
    pub const fn may_pass(&self) -> bool {
        matches!(self.fault, Fault::Unreached(_) | Fault::Silent | Fault::Closed | Fault::Status(500..=599))
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { proxy, asked, fault } = self;
        match fault {
            Fault::Unreached(cause) => {
                write!(
                    f,
                    "the proxy {proxy} cannot be reached: {cause}; is it running, and is `url` of `[proxy]` right?"
                )
            }
            Fault::Silent => write!(
                f,
                "the proxy {proxy} gave no connection to {asked} in time; is the machine there on, and does the proxy reach it?"
            ),
            Fault::Closed => write!(
                f,
                "the proxy {proxy} closed the connection instead of connecting to {asked}; ask whoever runs it whether it allows CONNECT"
            ),
            Fault::TooLong => {
                write!(
                    f,
                    "the proxy {proxy} answered more than any proxy does; is `url` of `[proxy]` that of an HTTP proxy?"
                )
            }
            Fault::NotHttp => {
                write!(f, "the proxy {proxy} does not answer as one; is `url` of `[proxy]` that of an HTTP proxy?")
            }
            Fault::WantsName { status, given: false } => write!(
                f,
                "the proxy {proxy} wants a name and a password ({status}); write NAME:PASSWORD into a file of mode 0600 and name it as \
                 `auth_file` of `[proxy]`"
            ),
            Fault::WantsName { status, given: true } => write!(
                f,
                "the proxy {proxy} does not take the name and password of `auth_file` ({status}); correct them, and start `mosaic-fed serve` again"
            ),
            Fault::Status(status @ 300..=399) => {
                write!(
                    f,
                    "the proxy {proxy} points elsewhere ({status}), which is not followed; is `url` of `[proxy]` right?"
                )
            }
            Fault::Status(status @ (403 | 405)) => write!(
                f,
                "the proxy {proxy} does not allow a connection to {asked} ({status}); ask whoever runs it to allow CONNECT to that host and port"
            ),
            Fault::Status(status @ 500..=599) => write!(
                f,
                "the proxy {proxy} came to no connection with {asked} ({status}); is the machine there on, and does the proxy reach it?"
            ),
            Fault::Status(status) => write!(
                f,
                "the proxy {proxy} gave no connection to {asked}, but the answer {status}; ask whoever runs it what that means"
            ),
        }
    }
}

#[cfg(test)]
mod tests;

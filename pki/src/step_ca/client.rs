//! The HTTPS calls to a step-ca: one connection each, TLS 1.3 to the pinned root and nothing of the system, five seconds for
//! the whole, bodies bounded, redirects not followed.

use crate::{clock::TlsClock, crl::CrlError, provider};
use bytes::Bytes;
use domain::{Time, world::World};
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, ServerName},
};
use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// For the whole of a call, its retries included.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// How often a call is tried at most.
pub const TRIES: u32 = 3;
/// The longest answer that is read, unless it is a list of revoked certificates.
pub const MAX_ANSWER: usize = 64 * 1024;
/// The first pause between tries lasts up to this long, each further one up to three times the last.
const PAUSE: Duration = Duration::from_millis(300);

/// Where a CA is: `https://host[:port]`, no path.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    name: ServerName<'static>,
}

impl Address {
    /// Reads a URL. The text of an error says what is wrong with it and how to write one.
    pub fn parse(url: &str) -> Result<Self, String> {
        const NEXT: &str = "write it as in https://ca.example:9000";
        let uri: Uri = url.parse().map_err(|_| format!("it is no URL; {NEXT}"))?;
        if uri.scheme_str() != Some("https") {
            return Err(format!("it does not begin with https://; {NEXT}"));
        }
        let plain = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
        let authority = uri.authority().filter(|all| plain && !all.as_str().contains('@'));
        let authority = authority.ok_or_else(|| format!("it has more than host and port; {NEXT}"))?;
        let host = authority.host().to_owned();
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(|_| format!("`{host}` is no host; {NEXT}"))?;
        Ok(Self { host, port: authority.port_u16().unwrap_or(443), name })
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The whole URL of a path, as a token's audience names it.
    pub fn url(&self, path: &str) -> String {
        format!("https://{self}{path}")
    }

    pub(crate) fn name(&self) -> &ServerName<'static> {
        &self.name
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A step-ca did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum CaError {
    #[error(
        "the certificate authority at {at} cannot be reached ({cause}); start step-ca, or correct `url` in [ca] of \
         config.toml. Links stay up until their certificates end"
    )]
    Away { at: Address, cause: String },
    #[error(
        "the certificate authority at {at} did not answer within {} s; look at step-ca's log. Links stay up until their certificates end",
        DEADLINE.as_secs()
    )]
    Slow { at: Address },
    #[error(
        "who answers at {at} does not prove to be the certificate authority ({cause}); check `url` and `root` in [ca] of \
         config.toml, and `root` and `dnsNames` in ca.json"
    )]
    Untrusted { at: Address, cause: String },
    #[error("the certificate authority at {at} refused {path} ({status}: {said}); {}", remedy(*.status))]
    Refused { at: Address, path: &'static str, status: StatusCode, said: String },
    #[error(
        "the certificate authority at {at} answered {path} with something that cannot be read ({why}); is it a step-ca?"
    )]
    Unreadable { at: Address, path: &'static str, why: &'static str },
    #[error("no one-time token could be made: {0}")]
    Token(String),
    #[error(
        "the list of revoked certificates at {at} cannot be used: {flaw}; ca.json needs \
         `\"crl\": {{\"enabled\": true, \"generateOnRevoke\": true}}`"
    )]
    Crl { at: Address, flaw: CrlError },
}

impl CaError {
    /// Whether it did nothing that it was asked for and may do it later: it is away, another answers in its place, or it is ill.
    fn is_silence(&self) -> bool {
        match self {
            Self::Away { .. } | Self::Slow { .. } | Self::Untrusted { .. } => true,
            Self::Refused { status, .. } => status.is_server_error(),
            Self::Unreadable { .. } | Self::Token(_) | Self::Crl { .. } => false,
        }
    }
}

fn remedy(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => "redirects are not followed: write the CA's own address as `url` in [ca] of config.toml",
        401 => {
            "`key_file` in [ca] of config.toml must be the key of the provisioner in ca.json, and the two clocks within a \
             minute of each other"
        }
        403 => "look at step-ca's log, then at claims and template of the provisioner in ca.json",
        404 => "is it switched on in ca.json?",
        _ => "look at step-ca's log",
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// The certificate that the server showed; its chain was verified.
    pub(crate) server: CertificateDer<'static>,
}

/// How one try ended without an answer.
enum Failed {
    /// May be tried again.
    Passing(CaError),
    Final(CaError),
}

/// One CA.
pub(crate) struct Client {
    at: Address,
    tls: TlsConnector,
    world: World,
    /// Since when calls are not answered, and why the last one was not.
    away: Mutex<Option<(Time, String)>>,
}

impl Client {
    /// A client for the CA at `at` that trusts `root` (X.509 DER) and nothing else.
    pub(crate) fn new(at: Address, root: CertificateDer<'static>, world: &World) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let clock = Arc::new(TlsClock::new(world.clock()));
        let mut tls = ClientConfig::builder_with_details(provider(), clock)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.resumption = Resumption::disabled();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { at, tls: TlsConnector::from(Arc::new(tls)), world: world.clone(), away: Mutex::default() })
    }

    pub(crate) fn at(&self) -> &Address {
        &self.at
    }

    /// Since when calls are not answered, and why the last one was not; none while the last one was, be it with a refusal.
    pub(crate) fn away(&self) -> Option<(Time, String)> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note<T>(&self, answer: &Result<T, CaError>) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        *away = match answer {
            Err(error) if error.is_silence() => {
                let since = away.as_ref().map_or_else(|| self.world.now(), |(since, _)| *since);
                Some((since, error.to_string()))
            }
            _ => None,
        };
    }

    /// GETs a path, with a query or none; at most `limit` bytes.
    pub(crate) async fn get(&self, path: &'static str, query: &str, limit: usize) -> Result<Answer, CaError> {
        self.call(Method::GET, path, query, &|| Ok(Bytes::new()), limit).await
    }

    /// POSTs JSON. `body` is made anew for each try: a one-time token is used up even when its answer is lost.
    pub(crate) async fn post(
        &self,
        path: &'static str,
        body: &(dyn Fn() -> Result<Bytes, CaError> + Sync),
    ) -> Result<Answer, CaError> {
        self.call(Method::POST, path, "", body, MAX_ANSWER).await
    }

    async fn call(
        &self,
        method: Method,
        path: &'static str,
        query: &str,
        body: &(dyn Fn() -> Result<Bytes, CaError> + Sync),
        limit: usize,
    ) -> Result<Answer, CaError> {
        let tries = async {
            let mut pause = PAUSE;
            for _ in 1..TRIES {
                match self.once(&method, path, query, body()?, limit).await {
                    Ok(answer) => return Ok(answer),
                    Err(Failed::Final(error)) => return Err(error),
                    Err(Failed::Passing(_)) => {}
                }
                tokio::time::sleep(self.jittered(pause)).await;
                pause *= 3;
            }
            let last = self.once(&method, path, query, body()?, limit).await;
            last.map_err(|(Failed::Passing(error) | Failed::Final(error))| error)
        };
        let timed = tokio::time::timeout(DEADLINE, tries).await;
        let answer = timed.unwrap_or_else(|_| Err(CaError::Slow { at: self.at.clone() }));
        self.note(&answer);
        answer
    }

    /// A third of `pause` to all of it, so that many instances do not come back at once.
    fn jittered(&self, pause: Duration) -> Duration {
        let [dice] = self.world.bytes::<1>();
        pause / 3 + (pause * 2 / 3) * u32::from(dice) / 255
    }

    async fn once(
        &self,
        method: &Method,
        path: &'static str,
        query: &str,
        body: Bytes,
        limit: usize,
    ) -> Result<Answer, Failed> {
        let (stream, server) = self.connected().await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.unreached(&error))?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}{query}"))
            .header(header::HOST, self.at.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(body))
            .map_err(|error| Failed::Final(CaError::Token(error.to_string())))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| self.unreached(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), limit).collect().await;
            let body = body.map(http_body_util::Collected::to_bytes).map_err(|error| self.cut(path, &*error))?;
            self.judged(path, status, body)
        };
        Ok(Answer { body: driven(connection, exchange).await?, server })
    }

    /// A connection to whoever proves to be the CA, with the certificate that it showed.
    async fn connected(&self) -> Result<(TlsStream<TcpStream>, CertificateDer<'static>), Failed> {
        let socket =
            TcpStream::connect((self.at.host(), self.at.port)).await.map_err(|error| self.unreached(&error))?;
        let stream = self.tls.connect(self.at.name.clone(), socket).await.map_err(|error| self.handshake(&error))?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let server = shown.map(|leaf| leaf.clone().into_owned());
        server.map(|server| (stream, server)).ok_or_else(|| self.unreached(&"it shows no certificate"))
    }

    fn unreached(&self, cause: &dyn fmt::Display) -> Failed {
        Failed::Passing(CaError::Away { at: self.at.clone(), cause: cause.to_string() })
    }

    fn judged(&self, path: &'static str, status: StatusCode, body: Bytes) -> Result<Bytes, Failed> {
        if status.is_success() {
            return Ok(body);
        }
        let error = CaError::Refused { at: self.at.clone(), path, status, said: said(&body) };
        Err(if status.is_server_error() { Failed::Passing(error) } else { Failed::Final(error) })
    }

    fn cut(&self, path: &'static str, error: &(dyn std::error::Error + Send + Sync + 'static)) -> Failed {
        if error.is::<http_body_util::LengthLimitError>() {
            let why = "it is longer than any answer of a step-ca";
            return Failed::Final(CaError::Unreadable { at: self.at.clone(), path, why });
        }
        self.unreached(&error)
    }

    /// A certificate that does not verify will not verify the next time either.
    fn handshake(&self, error: &io::Error) -> Failed {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(_)) => {
                Failed::Final(CaError::Untrusted { at: self.at.clone(), cause: error.to_string() })
            }
            _ => self.unreached(error),
        }
    }
}

/// What comes of `exchange`, while the connection's own future moves the bytes.
async fn driven<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    tokio::pin!(connection);
    tokio::pin!(exchange);
    let mut open = true;
    loop {
        tokio::select! {
            done = &mut exchange => return done,
            _ = &mut connection, if open => open = false,
        }
    }
}

/// The `message` of step-ca's error, as one short line. One that repeats a token, which begins as any JSON in base64 does, is
/// left out.
fn said(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        message: String,
    }
    let said = serde_json::from_slice::<Said>(body).ok().map(|said| said.message);
    let said = said.filter(|said| !said.contains("eyJ")).unwrap_or_else(|| "no reason given".to_owned());
    said.chars().take(300).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_with_a_host_and_nothing_behind_it() {
        for (url, shown) in [
            ("https://ca.example:9000", "ca.example:9000"),
            ("https://ca.example/", "ca.example:443"),
            ("https://127.0.0.1:1", "127.0.0.1:1"),
            ("https://[::1]:9000", "[::1]:9000"),
        ] {
            assert_eq!(Address::parse(url).unwrap().to_string(), shown);
        }
        assert_eq!(Address::parse("https://[::1]:9").unwrap().host(), "::1");
        for bad in
            ["", "ca.example", "http://ca.example", "https://", "https://u:p@ca", "https://ca/x", "https://a_b c"]
        {
            assert!(Address::parse(bad).unwrap_err().contains("; write it as in https://"), "{bad}");
        }
    }

    #[test]
    fn what_a_ca_says_is_one_short_line() {
        assert_eq!(said(br#"{"status":401,"message":"no\u001b[31m\nway"}"#), "no\\u{1b}[31m\\nway");
        assert_eq!(said(b"<html>"), "no reason given");
        assert_eq!(said(br#"{"message":"token eyJhbGciOiJFUzI1NiJ9.e30.x is bad"}"#), "no reason given");
        assert_eq!(said(format!(r#"{{"message":"{}"}}"#, "x".repeat(5_000)).as_bytes()).len(), 300);
    }
}

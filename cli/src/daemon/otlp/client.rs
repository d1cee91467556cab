//! The way to a collector: one HTTP/1.1 request for each batch, on a connection of its own, five seconds for the whole. Redirects are not
//! followed, and nothing of the environment is read.

use crate::config::telemetry::Endpoint;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::pki_types::ServerName;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Handle,
};
use tokio_rustls::TlsConnector;

/// For the whole of an exchange.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest answer that is read: it says which spans were not taken, in a line.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends batches. Who asks it to need not be on the runtime.
#[derive(Clone, Debug)]
pub(super) struct Client {
    runtime: Handle,
    way: Arc<Way>,
}

pub(super) struct Way {
    pub(super) endpoint: Endpoint,
    pub(super) tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Marked as sensitive, each.
    pub(super) headers: HeaderMap,
    /// Whether the last batch was not taken: said once, not at every batch.
    pub(super) failing: AtomicBool,
}

// Headers are secrets.
impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint.authority)
    }
}

impl Client {
    pub(super) fn new(way: Way) -> Self {
        Self { runtime: Handle::current(), way: Arc::new(way) }
    }
}

#[async_trait]
impl HttpClient for Client {
    /// Of the request only the body is taken: where it goes and with what is this instance's setting.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (way, body) = (Arc::clone(&self.way), request.into_body());
        let sent = self.runtime.spawn(async move {
            let sent = tokio::time::timeout(DEADLINE, way.send(body)).await;
            let sent = sent.unwrap_or_else(|_| Err(format!("no answer within {} s", DEADLINE.as_secs()).into()));
            way.note(&sent);
            sent
        });
        sent.await?
    }
}

impl Way {
    async fn send(&self, body: Bytes) -> Result<Response<Bytes>, HttpError> {
        let socket = TcpStream::connect((self.endpoint.host.as_str(), self.endpoint.port)).await?;
        match &self.tls {
            Some((connector, name)) => self.exchange(connector.connect(name.clone(), socket).await?, body).await,
            None => self.exchange(socket, body).await,
        }
    }

    async fn exchange<S>(&self, stream: S, body: Bytes) -> Result<Response<Bytes>, HttpError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the exchange: what drives it is dropped with its sender.
        tokio::spawn(connection);
        let mut request = Request::post(&self.endpoint.path)
            .header(header::HOST, &self.endpoint.authority)
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::CONNECTION, "close")
            .body(Full::new(body))?;
        request.headers_mut().extend(self.headers.clone());
        let (parts, body) = sender.send_request(request).await?.into_parts();
        if !parts.status.is_success() {
            return Err(format!("it answers {}", parts.status).into());
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }

    fn note(&self, sent: &Result<Response<Bytes>, HttpError>) {
        let failed_before = self.failing.swap(sent.is_err(), Ordering::Relaxed);
        let at = &self.endpoint.authority;
        match sent {
            Err(error) if !failed_before => tracing::warn!(
                %at, error = domain::audit::one_line(&error.to_string()),
                "spans cannot be sent and are dropped; start the collector, or correct `[telemetry]` in config.toml"
            ),
            Ok(_) if failed_before => tracing::info!(%at, "spans are sent again"),
            _ => {}
        }
    }
}

//! The way to a collector: one HTTP/1.1 request for each batch, on a connection of its own, five seconds for the whole. Redirects are not
//! followed, and nothing of the environment is read.

use super::fault::Fault;
use crate::config::telemetry::Endpoint;
use api::Collector;
use async_trait::async_trait;
use bytes::Bytes;
use domain::world::Clock;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::pki_types::ServerName;
use std::{fmt, sync::Arc, time::Duration};
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
    /// Where it is noted whether batches are taken.
    pub(super) collector: Arc<Collector>,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether others are dialled through a proxy: a collector is not, and whoever expects it is told.
    pub(super) is_beside_proxy: bool,
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
            let sent = sent.unwrap_or_else(|_| Err(Fault::silence(DEADLINE.as_secs())));
            way.note(sent.as_ref().err());
            sent.map_err(|fault| HttpError::from(fault.cause))
        });
        sent.await?
    }
}

impl Way {
    async fn send(&self, body: Bytes) -> Result<Response<Bytes>, Fault> {
        let is_tls = self.tls.is_some();
        let answer = self.ask(body).await.map_err(|error| Fault::of(&error, is_tls))?;
        if answer.status().is_success() { Ok(answer) } else { Err(Fault::status(answer.status(), is_tls)) }
    }

    async fn ask(&self, body: Bytes) -> Result<Response<Bytes>, HttpError> {
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
            // What it says about it is for nobody here.
            return Ok(Response::from_parts(parts, Bytes::new()));
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }

    /// Said once, not at every batch.
    fn note(&self, fault: Option<&Fault>) {
        let (at, now) = (&self.endpoint.authority, self.clock.now());
        let Some(fault) = fault else {
            if self.collector.took(now) {
                tracing::info!(%at, "spans are sent again");
            }
            return;
        };
        let beside = if self.is_beside_proxy { "; it is dialled directly, not through `[proxy]`" } else { "" };
        let error = domain::audit::one_line(&format!("{}{beside}", fault.cause));
        if !self.collector.failed(now, format!("{error}; {}", fault.next)) {
            tracing::warn!(%at, error, next = fault.next, "spans cannot be sent and are dropped: see `[telemetry]` in config.toml");
        }
    }
}

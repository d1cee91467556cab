//! Asking sides: the honest dialler, and raw TLS for what an honest one would not do.

use super::sharing::{Opened, Sharing};
use http::{HeaderMap, Request};
use link::{ClientCredential, DialPolicy, Dialled, Dialler, Ways, tls};
use pki::ServerVerifier;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::body::Body;
use tower::{Service, ServiceExt};

impl Sharing {
    pub fn dialler(&self) -> Dialler {
        Dialler::new(Arc::clone(&self.clock) as _, Ways::new(DialPolicy::this_machine()))
    }

    /// An honest client's TLS configuration, to be made less honest.
    pub fn config(&self, credential: Option<&ClientCredential>) -> ClientConfig {
        let instance = self.authority.instance();
        let clock = Arc::clone(&self.clock);
        let verifier = ServerVerifier::new(self.authority.root_der(), instance, Arc::clone(&clock) as _).unwrap();
        let credential = credential.map(|own| (own.certificate.as_slice(), &own.key));
        tls::client(Arc::new(verifier), credential, clock).unwrap()
    }

    /// A TLS connection that has heard the other side's first byte, or why it did not.
    pub async fn connect(&self, opened: &Opened, config: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(opened.address).await?;
        let name = ServerName::try_from(pki::spiffe::tls_name(self.authority.instance())).unwrap();
        let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, socket).await?;
        stream.write_all(PREFACE).await?;
        stream.read_u8().await?;
        Ok(stream)
    }
}

/// The client's connection preface with empty settings (RFC 9113 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What `/who` says about the caller.
pub async fn who(dialled: &Dialled) -> Result<HeaderMap, tonic::transport::Error> {
    get(dialled, "/who").await
}

pub async fn get(dialled: &Dialled, path: &str) -> Result<HeaderMap, tonic::transport::Error> {
    let request = Request::builder().uri(path).body(Body::default()).unwrap();
    let mut channel = dialled.channel.clone();
    Ok(channel.ready().await?.call(request).await?.headers().clone())
}

//! The floor: what tonic with mutual TLS costs when nothing is asked of anybody. It judges no grant, reads no row and keeps no
//! record; certificates are checked by rustls' own verifier, HTTP/2 has tonic's own settings.

use anyhow::Result;
use futures::stream::{self, BoxStream, StreamExt};
use pki::{InstanceIdentity, provider};
use proto::v1::{
    self,
    query_service_server::{QueryService, QueryServiceServer},
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::Connected},
};

/// The floor, open.
pub struct Floor {
    /// Where.
    pub address: SocketAddr,
    canned: Arc<RwLock<v1::ListResponse>>,
}

impl Floor {
    /// Opens it on loopback with an instance's own certificate, for certificates below `root`.
    pub async fn open(identity: &InstanceIdentity, root: &[u8]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let acceptor = TlsAcceptor::from(Arc::new(config(identity, root)?));
        let (ready, incoming) = mpsc::channel(64);
        tokio::spawn(accept(listener, acceptor, ready));
        let canned = Arc::default();
        let service = QueryServiceServer::new(Bare(Arc::clone(&canned)));
        let serving = Server::builder().add_service(service).serve_with_incoming(ReceiverStream::new(incoming));
        tokio::spawn(serving);
        Ok(Self { address, canned })
    }

    /// Answers every List with `message` from now on.
    pub fn can(&self, message: v1::ListResponse) {
        *self.canned.write().unwrap_or_else(PoisonError::into_inner) = message;
    }
}

fn config(identity: &InstanceIdentity, root: &[u8]) -> Result<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root.to_vec()))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
    let chain = vec![CertificateDer::from(identity.certificate.clone())];
    let key = PrivatePkcs8KeyDer::from(identity.key.expose().clone()).into();
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, ready: mpsc::Sender<io::Result<Shaken>>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        tokio::spawn(async move {
            let shaken = match socket.set_nodelay(true) {
                Ok(()) => acceptor.accept(socket).await,
                Err(error) => Err(error),
            };
            // Whoever does not pass is not served; a bench has no other callers.
            if let Ok(stream) = shaken {
                drop(ready.send(Ok(Shaken(stream))).await);
            }
        });
    }
}

/// A TLS stream as tonic takes it.
struct Shaken(TlsStream<TcpStream>);

impl Connected for Shaken {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Shaken {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Shaken {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Answers with what it has: a word, or the canned rows.
struct Bare(Arc<RwLock<v1::ListResponse>>);

#[tonic::async_trait]
#[expect(
    clippy::disallowed_methods,
    reason = "the floor has no gate, which is what it is for; it holds no rows of anybody"
)]
impl QueryService for Bare {
    type ListStream = BoxStream<'static, Result<v1::ListResponse, Status>>;

    async fn capabilities(
        &self,
        _: Request<v1::CapabilitiesRequest>,
    ) -> Result<Response<v1::CapabilitiesResponse>, Status> {
        Ok(Response::new(v1::CapabilitiesResponse { grant_name: "hello".to_owned(), ..Default::default() }))
    }

    async fn list(&self, _: Request<v1::ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        let canned = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Response::new(stream::once(async { Ok(canned) }).boxed()))
    }

    async fn get(&self, _: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        Err(Status::unimplemented("the floor answers Capabilities and List"))
    }
}

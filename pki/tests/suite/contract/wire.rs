//! One HTTPS request as anybody could make it, with a certificate of one's own or none.

use super::program::Program;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pki::provider;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject},
};
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A certificate and its key, PKCS #8.
pub type Shown<'a> = Option<(&'a [u8], &'a [u8])>;

/// POSTs `body`, as the holder of `shown`.
pub async fn post(program: &Program, path: &str, body: &Value, shown: Shown<'_>) -> (u16, Value) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(program.read("root_ca.crt").as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    let config = match shown {
        Some((certificate, key)) => {
            let key = PrivatePkcs8KeyDer::from(key.to_vec());
            config.with_client_auth_cert(vec![certificate.to_vec().into()], key.into()).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    let socket = TcpStream::connect(program.socket()).await.unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request =
        http::Request::post(path).header("host", "127.0.0.1").body(Full::new(Bytes::from(body.to_string()))).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// A certificate request as step-ca wants it.
pub fn csr_pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n")
}

/// The certificate of step-ca's answer, DER.
pub fn certificate(answer: &Value) -> Vec<u8> {
    CertificateDer::from_pem_slice(answer["crt"].as_str().unwrap().as_bytes()).unwrap().to_vec()
}

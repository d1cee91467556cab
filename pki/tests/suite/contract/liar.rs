//! A server in the place of a step-ca that answers whatever a test wants, over real TLS. It stands in the frozen world of
//! [`Forge`], whose key it signs with.

use crate::forge::{DAY, Forge, ISSUER, NOW, grant_params};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use pki::{
    provider,
    step_ca::{Address, ProvisionerKey, Settings, StepCa},
};
use rcgen::{CertificateSigningRequestParams, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// What becomes of a request.
#[derive(Clone)]
pub enum Reply {
    Answer(u16, String),
    /// Of a status that is well.
    Bytes(Vec<u8>),
    /// The connection ends without a word.
    Cut,
    /// It stays open without a word.
    Silence,
}

/// A request that came: path and body.
pub type Asked = (String, Value);
type Answers = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A server that lies.
pub struct Liar {
    pub asked: Arc<Mutex<Vec<Asked>>>,
    port: u16,
    _tasks: JoinSet<()>,
}

impl Liar {
    /// `answers` says what is answered; the server's own certificate is `forge`'s.
    pub async fn start(forge: &Forge, answers: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::default()));
        let (tls, answers): (_, Answers) = (acceptor(forge), Arc::new(answers));
        let (mut tasks, heard) = (JoinSet::new(), Arc::clone(&asked));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, tls.clone(), Arc::clone(&answers), Arc::clone(&heard)));
            }
        });
        Self { asked, port, _tasks: tasks }
    }

    /// What orders from it: its TLS certificate must be of `pinned`, its leaves of `forge`.
    pub fn issuer(&self, forge: &Forge, pinned: &Forge) -> StepCa {
        let settings = Settings {
            address: Address::parse(&format!("https://127.0.0.1:{}", self.port)).unwrap(),
            root_pem: pem("CERTIFICATE", pinned.authority.root_der()),
            provisioner: "mosaic-fed".to_owned(),
            key: ProvisionerKey::generate().unwrap().0,
            anchor: forge.authority.root_der().to_vec(),
        };
        let rng = Arc::new(domain::world::SeededRng::new(11));
        let world = domain::world::World::new(Arc::clone(&forge.clock) as _, rng);
        StepCa::new(settings, &world).unwrap()
    }

    /// The tokens that were shown, in order.
    pub fn tokens(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(_, body)| body["ott"].as_str().unwrap().to_owned()).collect()
    }
}

async fn serve(socket: TcpStream, tls: TlsAcceptor, answers: Answers, asked: Arc<Mutex<Vec<Asked>>>) {
    let Ok(stream) = tls.accept(socket).await else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
        async move {
            let path = request.uri().to_string();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let request = (path, serde_json::from_slice(&body).unwrap_or_default());
            asked.lock().unwrap().push(request.clone());
            match answers(&request) {
                Reply::Answer(status, body) => {
                    let response = Response::builder().status(status).header("location", "/health");
                    Ok(response.body(Full::new(Bytes::from(body))).unwrap())
                }
                Reply::Bytes(body) => Ok(Response::new(Full::new(Bytes::from(body)))),
                // An error of the service ends the connection.
                Reply::Cut => Err("cut"),
                Reply::Silence => std::future::pending().await,
            }
        }
    });
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

fn acceptor(forge: &Forge) -> TlsAcceptor {
    let mut params = grant_params();
    params.custom_extensions.clear();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    let key = KeyPair::generate().unwrap();
    let chain = vec![forge.sign(&params, &key).into()];
    let config =
        ServerConfig::builder_with_details(provider(), Arc::new(pki::clock::TlsClock::new(forge.clock.clone())));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(key.serialized_der().to_vec());
    TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key.into()).unwrap()))
}

/// The answer of a step-ca that issued `certificate`.
pub fn issued(certificate: &[u8]) -> Reply {
    Reply::Answer(
        201,
        serde_json::json!({"crt": pem("CERTIFICATE", certificate), "ca": "", "certChain": []}).to_string(),
    )
}

/// The key of the request that came.
pub fn key_of(asked: &Asked) -> CertificateSigningRequestParams {
    CertificateSigningRequestParams::from_pem(asked.1["csr"].as_str().unwrap()).unwrap()
}

pub fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
}

/// An honest instance certificate's making, in the frozen world.
pub fn instance_params(names: &[&str]) -> rcgen::CertificateParams {
    let mut params = grant_params();
    params.custom_extensions.clear();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let id = crate::forge::uri(&pki::spiffe::instance_id(ISSUER, ISSUER));
    let names = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
    params.subject_alt_names = std::iter::once(id).chain(names).collect();
    params.not_after = (NOW + 30 * DAY).to_offset();
    params
}

//! A collector of our own: what is sent to it, decoded.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivatePkcs8KeyDer};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

/// One batch as it came.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The request line and the headers, in lower case.
    pub head: Vec<String>,
    pub body: Vec<u8>,
}

/// A span, with what of it is of use here.
#[derive(Clone, Debug)]
pub struct Told {
    /// Whose it is: `service.instance.id`.
    pub instance: String,
    pub span: Span,
    pub attributes: BTreeMap<String, String>,
}

/// Takes batches at a port of its own until the test ends.
pub struct Collector {
    pub port: u16,
    batches: Arc<Mutex<Vec<Batch>>>,
}

impl Collector {
    pub fn start() -> Self {
        Self::taking(|stream| Box::new(stream))
    }

    /// One that speaks TLS, and the root of its certificate, PEM.
    pub fn over_tls() -> (Self, String) {
        let (config, root) = tls();
        let over = move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            Box::new(StreamOwned::new(connection, stream)) as Box<dyn Stream>
        };
        (Self::taking(over), root)
    }

    fn taking(over: impl Fn(TcpStream) -> Box<dyn Stream> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, batches) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&batches);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(over(stream));
                // Kept before that is said: whoever hears it may end at once.
                if let Some(batch) = read(&mut reader) {
                    kept.lock().unwrap().push(batch);
                    let stream = reader.get_mut();
                    drop(stream.write_all(TAKEN.as_bytes()).and_then(|()| stream.flush()));
                }
            }
        });
        Self { port, batches }
    }

    pub fn batches(&self) -> MutexGuard<'_, Vec<Batch>> {
        self.batches.lock().unwrap()
    }

    /// Every span that came so far.
    pub fn told(&self) -> Vec<Told> {
        self.batches().iter().flat_map(spans).collect()
    }

    /// What came, once that is as `enough` says.
    pub fn until(&self, enough: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        let end = Instant::now() + Duration::from_mins(1);
        loop {
            let told = self.told();
            if enough(&told) {
                return told;
            }
            assert!(Instant::now() < end, "{told:#?}");
            super::super::harness::pause();
        }
    }
}

const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// What bytes come and go over.
trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// A certificate for `localhost`, of a CA that nobody else has, and its root.
fn tls() -> (Arc<ServerConfig>, String) {
    let mut about = CertificateParams::new(Vec::new()).unwrap();
    about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = about.self_signed(&key).unwrap().pem();
    let (ca, own) = (Issuer::new(about, key), KeyPair::generate().unwrap());
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&own, &ca).unwrap();
    let config = ServerConfig::builder_with_provider(pki::provider()).with_safe_default_protocol_versions().unwrap();
    let key = PrivatePkcs8KeyDer::from(own.serialize_der());
    let config = config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key.into());
    (Arc::new(config.unwrap()), root)
}

/// One request.
fn read(reader: &mut BufReader<Box<dyn Stream>>) -> Option<Batch> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_lowercase()),
        }
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Batch { head, body })
}

fn spans(batch: &Batch) -> Vec<Told> {
    let read = ExportTraceServiceRequest::decode(&batch.body[..]).unwrap();
    let mut all = Vec::new();
    for resource in read.resource_spans {
        let of = attributes(&resource.resource.unwrap_or_default().attributes);
        let instance = of.get("service.instance.id").cloned().unwrap_or_default();
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        all.extend(spans.map(|span| {
            let attributes = attributes(&span.attributes);
            Told { instance: instance.clone(), span, attributes }
        }));
    }
    all
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| match value.value.clone().and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    list.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

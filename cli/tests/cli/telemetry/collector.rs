//! A collector of our own: what is sent to it, decoded.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, batches) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&batches);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                // Kept before that is said: whoever hears it may end at once.
                if let Some(batch) = read(&mut reader) {
                    kept.lock().unwrap().push(batch);
                    drop(reader.get_mut().write_all(TAKEN.as_bytes()));
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

/// One request.
fn read(reader: &mut BufReader<TcpStream>) -> Option<Batch> {
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

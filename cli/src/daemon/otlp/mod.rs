//! Spans to a collector, if one is named (`[telemetry]`): OTLP over HTTP, protobuf. Only the spans of requests over links go there, never a line
//! of the log or a span of a library.
//!
//! Nobody waits for it. Spans wait in a queue of a fixed length, and are dropped when it is full or the collector is away; at the end of
//! the daemon what waits has a few seconds to leave.

mod client;

use crate::{
    config::telemetry::{Endpoint, Telemetry},
    exit::{Exit, Failure, Outcome},
};
use client::{Client, Way};
use domain::{id::InstanceId, secret::Secret};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc, time::Duration};
use tokio_rustls::TlsConnector;

/// Spans that wait, at most; what comes beyond them is dropped.
const QUEUE: usize = 2_048;
/// Spans in a batch, at most.
const BATCH: usize = 512;
/// How long a batch waits to become full.
const DELAY: Duration = Duration::from_secs(1);
/// How long what waits at the end may take to leave.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// What sends spans until the daemon ends.
pub struct Exporting(SdkTracerProvider);

impl Exporting {
    /// Begins to send spans there.
    pub fn begin(telemetry: &Telemetry, instance: InstanceId) -> Outcome<Self> {
        let endpoint = Endpoint::parse(&telemetry.endpoint)
            .map_err(|(cause, next)| Failure::new(Exit::Usage, cause).next(next))?;
        let tls = telemetry.root.as_deref().map(|root| tls(root, &endpoint)).transpose()?;
        let headers = telemetry.headers_file.as_deref().map(headers).transpose()?.unwrap_or_default();
        let url = format!("{}://{}{}", if tls.is_some() { "https" } else { "http" }, endpoint.authority, endpoint.path);
        let client = Client::new(Way { endpoint, tls, headers, failing: false.into() });
        let exporter = SpanExporter::builder().with_http().with_http_client(client).with_endpoint(url).build();
        let exporter = exporter.map_err(Failure::of)?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            // By the trace's id alone: whether the other side recorded its part neither makes us record ours nor keeps us from it.
            .with_sampler(Sampler::TraceIdRatioBased(telemetry.share))
            .with_resource(resource(instance));
        Ok(Self(provider.build()))
    }

    /// Where spans are told.
    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer("mosaic-fed")
    }

    /// Sends what waits, and no longer than a few seconds.
    pub async fn end(self) {
        // It waits for a thread of its own.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_SPANS)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last spans may not have been sent");
        }
    }
}

/// Nothing of the environment, and nothing of the machine.
fn resource(instance: InstanceId) -> Resource {
    let attributes = [
        KeyValue::new("service.name", "mosaic-fed"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance.to_string()),
    ];
    Resource::builder_empty().with_attributes(attributes).build()
}

fn tls(root: &Path, endpoint: &Endpoint) -> Outcome<(TlsConnector, ServerName<'static>)> {
    let pem = fs::read(root).map_err(|error| Failure::input(root, &error))?;
    let unusable = |why: &str| {
        Failure::new(Exit::Usage, format!("{}: {why}", root.display()))
            .next("write the root certificate that the collector's certificate is of there, as PEM")
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let Ok([certificate]) = certificates.as_deref() else {
        return Err(unusable("it holds not exactly one certificate"));
    };
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).map_err(|_| unusable("it holds no certificate"))?;
    let config = ClientConfig::builder_with_provider(pki::provider()).with_safe_default_protocol_versions();
    let config = config.map_err(Failure::of)?.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(endpoint.host.clone()).map_err(Failure::of)?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Reads them from a file that nobody else may read. What is wrong is told by its line, never by its text.
fn headers(path: &Path) -> Outcome<HeaderMap> {
    let found = fs::metadata(path).map_err(|error| Failure::input(path, &error))?;
    if found.mode() & 0o077 != 0 {
        let cause = format!("others may read the collector's headers {}", path.display());
        return Err(Failure::new(Exit::Forbidden, cause).next(format!("chmod 600 {}", path.display())));
    }
    let text = fs::read_to_string(path).map(Secret::new).map_err(|error| Failure::input(path, &error))?;
    let mut headers = HeaderMap::new();
    for (number, line) in text.expose().lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let header = line.split_once(':').and_then(|(name, value)| {
            let name: HeaderName = name.trim().parse().ok()?;
            let mut value: HeaderValue = value.trim().parse().ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        let Some((name, value)) = header else {
            let cause = format!("{}, line {}: it is no header", path.display(), number + 1);
            return Err(Failure::new(Exit::Usage, cause).next("write one a line, as in authorization: Bearer …"));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn read(text: &str, mode: u32) -> Outcome<HeaderMap> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("headers");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        headers(&path)
    }

    #[test]
    fn headers_come_from_a_file_of_ones_own_and_are_repeated_nowhere() {
        let read_ones = read("authorization: Bearer hunter2\n\nx-tenant:a\n", 0o600).unwrap();
        assert_eq!((read_ones.len(), read_ones["x-tenant"].to_str().unwrap()), (2, "a"));
        assert!(!format!("{read_ones:?}").contains("hunter2"));
        assert_eq!(read("x-tenant: a", 0o644).unwrap_err().exit, Exit::Forbidden);
        for wrong in ["x: a\nhunter2", "hun ter2: x", "x: hunter2\u{7f}\0"] {
            let failure = read(wrong, 0o600).unwrap_err();
            assert!(failure.cause.contains("line") && !failure.cause.contains("hunter2"), "{}", failure.cause);
            assert!(failure.next.is_some());
        }
    }
}

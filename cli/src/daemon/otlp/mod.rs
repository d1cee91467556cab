//! Spans to a collector, if one is named (`[telemetry]`): OTLP over HTTP, protobuf. Only the spans of requests over links go there, never a line
//! of the log or a span of a library.
//!
//! Nobody waits for it. Spans wait in two queues of a fixed length (`queue`), and are dropped when theirs is full or the collector is away; at the end of
//! the daemon what waits has a few seconds to leave.

mod client;
mod fault;
mod queue;

use crate::{
    config::{
        Config,
        telemetry::{Endpoint, Telemetry},
    },
    exit::{Exit, Failure, Outcome},
    private,
};
use api::Collector;
use client::{Client, Way};
use domain::{id::InstanceId, world::World};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{fs, io, path::Path, sync::Arc, time::Duration};
use tokio_rustls::TlsConnector;

/// How long what waits in a queue may take to leave at the end; they leave one after the other.
const LAST_SPANS: Duration = Duration::from_millis(1_500);

/// What sends spans until the daemon ends.
pub struct Exporting {
    provider: SdkTracerProvider,
    /// How it goes.
    pub collector: Arc<Collector>,
}

impl Exporting {
    /// Begins to send spans where the settings say, if they do.
    pub fn begin(config: &Config, instance: InstanceId) -> Outcome<Option<Self>> {
        config.telemetry.as_ref().map(|telemetry| Self::of(telemetry, config.proxy.is_some(), instance)).transpose()
    }

    fn of(telemetry: &Telemetry, is_beside_proxy: bool, instance: InstanceId) -> Outcome<Self> {
        let endpoint = Endpoint::parse(&telemetry.endpoint)
            .map_err(|(cause, next)| Failure::new(Exit::Usage, cause).next(next))?;
        let tls = telemetry.root.as_deref().map(|root| tls(root, &endpoint)).transpose()?;
        let headers = telemetry.headers_file.as_deref().map(headers).transpose()?.unwrap_or_default();
        let url = format!("{}://{}{}", if tls.is_some() { "https" } else { "http" }, endpoint.authority, endpoint.path);
        let (collector, clock) = (Arc::new(Collector::new(url.clone())), World::system().clock());
        let client =
            Client::new(Way { endpoint, tls, headers, collector: Arc::clone(&collector), clock, is_beside_proxy });
        let exporter = || {
            let http = SpanExporter::builder().with_http().with_http_client(client.clone());
            http.with_endpoint(&url).build().map_err(Failure::of)
        };
        let provider = queue::both(SdkTracerProvider::builder(), [exporter()?, exporter()?])
            // By the trace's id alone: whether the other side recorded its part neither makes us record ours nor keeps us from it.
            .with_sampler(Sampler::TraceIdRatioBased(telemetry.share))
            .with_resource(resource(instance));
        Ok(Self { provider: provider.build(), collector })
    }

    /// Where spans are told.
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("mosaic-fed")
    }

    /// Sends what waits, and no longer than a few seconds.
    pub async fn end(self) {
        // It waits for a thread of its own.
        let ended = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_SPANS)).await;
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
    let pem = fs::read(root).map_err(|error| Failure::input(root, &error).set_by("`otlp_root` of `[telemetry]`"))?;
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
    let unreadable = |error: &io::Error| Failure::input(path, error).set_by("`otlp_headers_file` of `[telemetry]`");
    let text = private::text(path, "the collector's headers", unreadable)?;
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

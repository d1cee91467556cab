//! Why a collector took no spans, in words that say what to do.

use http::StatusCode;
use opentelemetry_http::HttpError;
use std::io;

/// Cause and next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) cause: String,
    pub(super) next: &'static str,
}

const ADDRESS: &str = "start the collector there, or correct `otlp_endpoint`";
const NO_SUCH_TLS: &str = "name the port at which it does, or write http:// if it is on this machine";
/// What it comes to where somebody goes away who cannot read what came.
const HUNG_UP: [io::ErrorKind; 3] =
    [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
const NO_TLS: &str = "a port for TLS, or for OTLP over gRPC (4317), answers so: name that of OTLP over HTTP, and write https:// and `otlp_root` where it \
    speaks TLS";

impl Fault {
    fn new(cause: impl Into<String>, next: &'static str) -> Self {
        Self { cause: cause.into(), next }
    }

    pub(super) fn silence(seconds: u64) -> Self {
        Self::new(format!("no answer within {seconds} s"), ADDRESS)
    }

    /// Another answer than that they were taken.
    pub(super) fn status(status: StatusCode, is_tls: bool) -> Self {
        let next = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "see which headers it asks for, and write them into `otlp_headers_file`"
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                "write the path that it takes traces at into `otlp_endpoint`"
            }
            // Some programs say so, in words of HTTP, at a port where they speak TLS.
            StatusCode::BAD_REQUEST if !is_tls => NO_TLS,
            _ => "see the collector's own log",
        };
        Self::new(format!("it answers {status}"), next)
    }

    /// No answer.
    pub(super) fn of(error: &HttpError, is_tls: bool) -> Self {
        let io = error.downcast_ref::<io::Error>();
        let tls = io.and_then(|error| error.get_ref()?.downcast_ref::<rustls::Error>());
        let http = error.downcast_ref::<hyper::Error>();
        match (tls, http) {
            (Some(rustls::Error::InvalidMessage(_)), _) => {
                Self::new("what answers there does not speak TLS", NO_SUCH_TLS)
            }
            (Some(rustls::Error::InvalidCertificate(why)), _) => Self::new(
                format!("its certificate is not believed ({why:?})"),
                "let `otlp_root` hold the root that it is of, and name in `otlp_endpoint` the host that it is for",
            ),
            (None, _) if is_tls && io.is_some_and(|error| HUNG_UP.contains(&error.kind())) => Self::new(
                "what answers there broke off the TLS handshake: it does not speak TLS, or not with this instance",
                NO_SUCH_TLS,
            ),
            (Some(other), _) => Self::new(format!("no connection over TLS: {other}"), "see the collector's own log"),
            (None, Some(error)) if !is_tls && (error.is_parse() || error.is_incomplete_message()) => {
                Self::new(format!("what answers there does not speak HTTP/1.1: {error}"), NO_TLS)
            }
            _ => Self::new(error.to_string(), ADDRESS),
        }
    }
}

//! Where a list comes from: a file, or plain HTTP. It is signed itself, so the way adds nothing, and takes nothing but time. Where an answer
//! points to another place, nobody goes there.

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use link::Ways;
use pki::crl::MAX_CRL_BYTES;
use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr, time::Duration, time::SystemTime};
use tokio::{io::AsyncReadExt, time::timeout};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of this machine.
    File(PathBuf),
    /// `http://host[:port]/path`
    Url(Uri),
}

/// A text that is no source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    /// https: a list is signed itself, and this program knows no public roots.
    #[error("a list is signed itself and fetched without TLS; write http://")]
    Https,
    /// Something else.
    #[error("it is neither http://host/path nor the path of a file from /; write it as in http://ca.example/crl.der")]
    Other,
}

impl FromStr for Source {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        if text.starts_with('/') {
            return Ok(Self::File(text.into()));
        }
        let uri: Uri = text.parse().map_err(|_| BadSource::Other)?;
        match (uri.scheme_str(), uri.authority()) {
            (Some("https"), _) => Err(BadSource::Https),
            // A name and password before the host would be shown by `status`.
            (Some("http"), Some(host)) if !host.as_str().contains('@') => Ok(Self::Url(uri)),
            _ => Err(BadSource::Other),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => fmt::Display::fmt(&path.display(), f),
            Self::Url(uri) => fmt::Display::fmt(uri, f),
        }
    }
}

impl Source {
    /// How it is reached: an address that is written in it is the operator's own word, what a name leads to is its owner's.
    fn ways(&self, ways: &Ways) -> Ways {
        let host = match self {
            Self::Url(uri) => uri.host().map(|host| host.trim_matches(['[', ']']).parse::<IpAddr>()),
            Self::File(_) => None,
        };
        host.and_then(Result::ok).map_or_else(|| ways.clone(), |ip| ways.clone().allowing(ip))
    }

    /// The list, DER, of at most [`MAX_CRL_BYTES`]; why not, in words.
    pub async fn fetch(&self, ways: &Ways) -> Result<Vec<u8>, String> {
        let fetched = async {
            match self {
                Self::File(path) => file(path).await,
                Self::Url(uri) => url(uri, &self.ways(ways)).await,
            }
        };
        timeout(PATIENCE, fetched).await.unwrap_or_else(|_| Err(format!("it did not come within {PATIENCE:?}")))
    }

    /// When a file was changed last; nothing is known of what lies elsewhere.
    pub(super) async fn changed_at(&self) -> Option<SystemTime> {
        match self {
            Self::File(path) => tokio::fs::metadata(path).await.and_then(|about| about.modified()).ok(),
            Self::Url(_) => None,
        }
    }
}

/// At most one byte more than may be: what is longer is refused for that, and not read to its end.
async fn file(path: &PathBuf) -> Result<Vec<u8>, String> {
    let read = async {
        let mut bytes = Vec::new();
        let file = tokio::fs::File::open(path).await?;
        file.take(MAX_CRL_BYTES as u64 + 1).read_to_end(&mut bytes).await?;
        Ok(bytes)
    };
    read.await.map_err(|error: std::io::Error| error.to_string())
}

async fn url(uri: &Uri, ways: &Ways) -> Result<Vec<u8>, String> {
    let said = |error: &dyn fmt::Display| error.to_string();
    let host = format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
    let socket = ways.socket(&host).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(|error| said(&error))?;
    // Ends with the sender: one request is all there is.
    let connection = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path).header(header::HOST, uri.authority().map_or("", |host| host.as_str()));
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| said(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| said(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(format!("the server answered {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), MAX_CRL_BYTES).collect().await.map_err(|error| said(&error));
    connection.abort();
    Ok(body?.to_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_plain_http_or_a_file_from_the_root() {
        for good in
            ["http://ca.example/crl.der", "http://[::1]:7445/crl.der", "http://ca.example", "/var/lib/ca/crl.der"]
        {
            assert!(good.parse::<Source>().is_ok_and(|source| source.to_string().starts_with(good)), "{good}");
        }
        assert_eq!("https://ca.example/crl.der".parse::<Source>(), Err(BadSource::Https));
        for bad in ["", "crl.der", "ftp://ca.example/crl.der", "http://", "http://me:secret@ca.example/", "http:// /"] {
            assert_eq!(bad.parse::<Source>(), Err(BadSource::Other), "{bad}");
        }
    }
}

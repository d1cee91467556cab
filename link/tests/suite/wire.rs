//! The effective HTTP/2 limits, read back from the wire: a limit wired to the wrong setting is no limit.

use super::{
    caller::{PREFACE, who},
    sharing::{GRANT, Sharing},
};
use link::Limits;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

/// Type, stream and payload of the next frame (RFC 9113 4.1).
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u8, u32, Vec<u8>)> {
    let length = stream.read_u24_().await?;
    let kind = stream.read_u8().await?;
    let _flags = stream.read_u8().await?;
    let id = stream.read_u32().await?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok((kind, id, payload))
}

trait Read24 {
    async fn read_u24_(&mut self) -> std::io::Result<usize>;
}

impl<S: AsyncRead + Unpin> Read24 for S {
    async fn read_u24_(&mut self) -> std::io::Result<usize> {
        let mut bytes = [0; 3];
        self.read_exact(&mut bytes).await?;
        Ok(usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]))
    }
}

async fn raw(sharing: &Sharing) -> (TlsStream<TcpStream>, super::sharing::Opened) {
    let opened = sharing.federation().await;
    let (_, credential) = sharing.issue(GRANT);
    let config = Arc::new(sharing.config(Some(&credential)));
    let socket = TcpStream::connect(opened.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(pki::spiffe::tls_name(sharing.authority.instance())).unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(config).connect(name, socket).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    (stream, opened)
}

#[tokio::test]
async fn the_settings_on_the_wire_are_the_limits() {
    let sharing = Sharing::new(Sharing::patient());
    let (mut stream, _opened) = raw(&sharing).await;
    let (kind, id, payload) = frame(&mut stream).await.unwrap();
    assert_eq!((kind, id), (4, 0), "SETTINGS come first");
    let settings: HashMap<u16, u32> = payload
        .chunks_exact(6)
        .map(|s| (u16::from_be_bytes([s[0], s[1]]), u32::from_be_bytes([s[2], s[3], s[4], s[5]])))
        .collect();
    let Limits { streams, stream_window, frame: frame_limit, headers, connection_window, .. } = Limits::default();
    assert_eq!(settings.get(&3), Some(&streams), "MAX_CONCURRENT_STREAMS");
    assert_eq!(settings.get(&4), Some(&stream_window), "INITIAL_WINDOW_SIZE");
    assert_eq!(settings.get(&5).copied().unwrap_or(16_384), frame_limit, "MAX_FRAME_SIZE");
    assert_eq!(settings.get(&6), Some(&headers), "MAX_HEADER_LIST_SIZE");
    loop {
        let (kind, id, payload) = frame(&mut stream).await.unwrap();
        if kind == 8 {
            let more = u32::from_be_bytes(payload.try_into().unwrap());
            assert_eq!((id, more + 65_535), (0, connection_window));
            break;
        }
    }
}

#[test]
fn the_numbers_are_those_of_the_architecture() {
    let limits = Limits::default();
    let seconds = Duration::from_secs;
    assert_eq!((limits.handshake, limits.connection_age), (seconds(5), Duration::from_hours(1)));
    assert_eq!((limits.unproven, limits.unproven_per_address), (512, 16));
    assert_eq!((limits.address_rate, limits.address_burst), (20, 40));
    assert_eq!((limits.streams, limits.in_flight), (100, 64));
    assert_eq!((limits.message, limits.headers), (4 << 20, 16 << 10));
    assert!(limits.keepalive_interval + limits.keepalive_timeout <= seconds(60));
    assert!(limits.connection_grace < limits.connection_age);
    let dial = link::dial::DialLimits::default();
    assert_eq!(dial.connect, seconds(3));
    assert!(dial.established < seconds(5), "offline is known before the source's deadline");
}

/// HEADERS of `GET https /` without an authority, ended; all three from the static table.
fn headers(id: u32) -> Vec<u8> {
    [&[0, 0, 3, 1, 5], id.to_be_bytes().as_slice(), &[0x82, 0x87, 0x84]].concat()
}

#[tokio::test]
async fn h2_rapid_reset() {
    let sharing = Sharing::new(Sharing::patient());
    let (mut stream, opened) = raw(&sharing).await;
    let mut flood = Vec::new();
    for n in 0..5_000_u32 {
        let id = 2 * n + 1;
        flood.extend(headers(id));
        flood.extend([&[0, 0, 4, 3, 0], id.to_be_bytes().as_slice(), &[0, 0, 0, 8]].concat());
    }
    // The other side may hang up in the middle of it.
    drop(stream.write_all(&flood).await);
    drop(stream.flush().await);
    let ended = timeout(Duration::from_secs(10), async {
        while let Ok((kind, ..)) = frame(&mut stream).await {
            if kind == 7 {
                return "GOAWAY";
            }
        }
        "closed"
    });
    assert!(ended.await.is_ok(), "the connection was ended");
    let (_, credential) = sharing.issue(GRANT);
    let healthy = sharing.dialler().dial(&sharing.target(&opened, Some(credential))).await.unwrap();
    who(&healthy).await.unwrap();
}

#[tokio::test]
async fn a_header_list_above_the_limit_reaches_no_handler() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let (_, credential) = sharing.issue(GRANT);
    let dialled = sharing.dialler().dial(&sharing.target(&opened, Some(credential))).await.unwrap();
    let call = async |bytes: usize| {
        let request = http::Request::builder().uri("/who").header("x", "a".repeat(bytes));
        let request = request.body(tonic::body::Body::default()).unwrap();
        let mut channel = dialled.channel.clone();
        let channel = tower::ServiceExt::ready(&mut channel).await.unwrap();
        tower::Service::call(channel, request).await.is_ok_and(|answer| answer.status().is_success())
    };
    assert!(call(15 * 1024).await);
    assert!(!call(16 * 1024 + 1).await);
    assert_eq!(sharing.calls.begun.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn only_so_many_calls_of_one_connection_are_in_work_and_the_others_wait() {
    let sharing = Sharing::new(Sharing::patient());
    let (mut stream, _opened) = raw(&sharing).await;
    // :path /hang as a literal without indexing, name from the static table.
    let hang = [&[0x82_u8, 0x87, 0x04, 0x05], b"/hang".as_slice()].concat();
    for n in 0..100_u32 {
        let head = [&[0, 0, u8::try_from(hang.len()).unwrap(), 1, 5], (2 * n + 1).to_be_bytes().as_slice()].concat();
        stream.write_all(&[head, hang.clone()].concat()).await.unwrap();
    }
    stream.flush().await.unwrap();
    let limit = sharing.limits.in_flight;
    super::sharing::eventually("64 calls work", || sharing.registry.calls(GRANT) == limit).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sharing.registry.calls(GRANT), limit);
}

//! The effective HTTP/2 limits, read back from the wire: a limit wired to the wrong setting is no limit.

use super::{
    frames::{Heard, call, frame, next, stream},
    sharing::{GRANT, Sharing},
};
use link::Limits;
use std::{collections::HashMap, time::Duration};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::client::TlsStream;

async fn raw(sharing: &Sharing) -> (TlsStream<TcpStream>, super::sharing::Opened) {
    let opened = sharing.federation().await;
    let (_, credential) = sharing.issue(GRANT);
    (sharing.raw(&opened, &credential).await, opened)
}

#[tokio::test]
async fn the_settings_on_the_wire_are_the_limits() {
    let sharing = Sharing::new(Sharing::patient());
    let (mut stream, _opened) = raw(&sharing).await;
    let (kind, id, payload) = next(&mut stream).await.unwrap();
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
        let (kind, id, payload) = next(&mut stream).await.unwrap();
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
    for n in 0..100 {
        stream.write_all(&call(self::stream(n), "/hang", true)).await.unwrap();
    }
    stream.flush().await.unwrap();
    let limit = sharing.limits.in_flight;
    super::sharing::eventually("64 calls work", || sharing.registry.calls(GRANT) == limit).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sharing.registry.calls(GRANT), limit);
}

/// What came back on a connection until it was asked whether it lives.
async fn heard_of(pieces: Vec<Vec<u8>>) -> Heard {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let (_, credential) = sharing.issue(GRANT);
    let mut wire = sharing.wire(&opened, &credential).await;
    wire.flood(pieces).await;
    wire.end().await
}

#[tokio::test]
async fn a_hundred_streams_are_open_at_once_and_the_next_is_reset() {
    let most = Limits::default().streams as usize;
    for (open, resets) in [(most, 0), (most + 1, 1)] {
        let heard = heard_of((0..open).map(|n| call(stream(n), "/hang", true)).collect()).await;
        assert_eq!((heard.resets, heard.lives), (resets, true), "{open}: {heard:?}");
    }
}

#[tokio::test]
async fn a_frame_of_the_longest_length_is_read_and_a_longer_one_ends_the_connection() {
    const UNKNOWN: u8 = 0xee;
    const FRAME_SIZE_ERROR: u32 = 6;
    let most = Limits::default().frame as usize;
    let heard = heard_of(vec![frame(UNKNOWN, 0, 0, &vec![0; most])]).await;
    assert!(heard.lives, "{heard:?}");
    let heard = heard_of(vec![frame(UNKNOWN, 0, 0, &vec![0; most + 1])]).await;
    assert_eq!((heard.lives, heard.goaway), (false, Some(FRAME_SIZE_ERROR)), "{heard:?}");
}

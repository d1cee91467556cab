//! The proxy against a listener that says everything back.

use super::*;
use std::io::ErrorKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);
/// So long nothing may come where nothing is ever to come.
const SILENCE: Duration = Duration::from_millis(200);

/// A proxy to a listener that says back what it hears, and closes when it heard `x`.
async fn proxy() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start().unwrap();
    proxy.lead_to(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 4_096];
                while let Ok(count @ 1..) = socket.read(&mut heard).await {
                    let done = socket.write_all(&heard[..count]).await.is_err() || heard[..count].contains(&b'x');
                    if done {
                        return;
                    }
                }
            });
        }
    });
    proxy
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// Everything until the end, and how that came.
async fn rest(socket: &mut TcpStream) -> (usize, Option<ErrorKind>) {
    let mut all = Vec::new();
    let ended = timeout(PATIENCE, socket.read_to_end(&mut all)).await.expect("an end");
    (all.len(), ended.err().map(|error| error.kind()))
}

async fn is_silent(socket: &mut TcpStream) -> bool {
    timeout(SILENCE, socket.read(&mut [0; 16])).await.is_err()
}

fn struck(proxy: &Proxy) -> Vec<(Option<(Way, u64)>, Fault)> {
    let events = proxy.log().events().into_iter();
    events
        .filter_map(|event| if let What::Struck(fault) = event.what { Some((event.at, fault)) } else { None })
        .collect()
}

#[tokio::test]
async fn what_is_not_harmed_comes_whole_also_if_it_is_slow() {
    let proxy = proxy().await;
    let slow = [None, Some(Fault::Delay(Duration::from_millis(2))), Some(Fault::Drip(7, Duration::from_millis(1)))];
    proxy.arm(slow);
    for _ in slow {
        let mut socket = connect(&proxy).await;
        socket.write_all(&[b'a'; 999]).await.unwrap();
        socket.write_all(b"x").await.unwrap();
        assert_eq!(rest(&mut socket).await, (1_000, None));
    }
    assert!(struck(&proxy).is_empty() && !proxy.log().has_harmed_since(0), "{:?}", proxy.log());
}

#[tokio::test]
async fn a_cut_and_a_reset_come_after_exactly_so_many_bytes() {
    let proxy = proxy().await;
    for (way, at) in [(Way::Answered, 0), (Way::Answered, 10), (Way::Asked, 10)] {
        let cut = Fault::Cut(way, at);
        proxy.arm([Some(cut)]);
        let mut socket = connect(&proxy).await;
        socket.write_all(b"01234567890123456789").await.unwrap();
        let (bytes, _) = rest(&mut socket).await;
        // What was asked before the cut may have been answered by then, or not.
        assert!(if way == Way::Answered { bytes as u64 == at } else { bytes as u64 <= at }, "{bytes} of {cut:?}");
        assert_eq!(struck(&proxy).pop(), Some((Some((way, at)), cut)));
        proxy.arm([Some(Fault::Reset(way, at))]);
        let mut socket = connect(&proxy).await;
        socket.write_all(b"01234567890123456789").await.unwrap();
        assert_eq!(rest(&mut socket).await.1, Some(ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn a_connection_that_is_half_open_is_never_closed() {
    let proxy = proxy().await;
    for fault in [Fault::Silence(Way::Asked, 5), Fault::Deafen(Way::Asked, 5), Fault::Deafen(Way::Answered, 5)] {
        proxy.arm([Some(fault)]);
        let mut socket = connect(&proxy).await;
        socket.write_all(b"01234").await.unwrap();
        let mut heard = [0; 5];
        socket.read_exact(&mut heard).await.unwrap();
        // The other end closes upon this, if it hears it.
        socket.write_all(b"56x").await.unwrap();
        assert!(is_silent(&mut socket).await, "{fault:?}");
        socket.write_all(b"still there").await.unwrap();
        assert!(is_silent(&mut socket).await, "{fault:?}");
        assert_eq!(struck(&proxy).pop().unwrap().1, fault);
        let mark = proxy.log().mark();
        assert!(proxy.log().has_harmed_since(mark), "it is still there");
        drop(socket);
        until(|| !proxy.log().has_harmed_since(proxy.log().mark())).await;
        assert!(proxy.log().has_harmed_since(0), "what was done is not forgotten");
    }
}

async fn until(holds: impl Fn() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("in time");
}

#[tokio::test]
async fn connections_are_refused_and_taken_again_at_the_same_port() {
    let proxy = proxy().await;
    for _ in 0..3 {
        let mut before = connect(&proxy).await;
        before.write_all(b"a").await.unwrap();
        before.read_exact(&mut [0]).await.unwrap();
        proxy.refuse().await;
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(proxy.log().has_harmed_since(proxy.log().mark()));
        before.write_all(b"x").await.unwrap();
        assert_eq!(rest(&mut before).await, (1, None), "what was open stays");
        proxy.admit().unwrap();
        assert!(!proxy.log().has_harmed_since(proxy.log().mark()));
    }
}

#[tokio::test]
async fn a_fault_that_is_armed_strikes_what_is_open_and_then_what_is_opened() {
    let proxy = proxy().await;
    let mut open = connect(&proxy).await;
    open.write_all(b"0123").await.unwrap();
    open.read_exact(&mut [0; 4]).await.unwrap();
    proxy.arm([Some(Fault::Cut(Way::Answered, 2)), None, Some(Fault::Cut(Way::Answered, 1))]);
    open.write_all(b"4567").await.unwrap();
    assert_eq!(rest(&mut open).await.0, 2, "counted from when it was armed");
    for bytes in [2, 1, 2] {
        let mut next = connect(&proxy).await;
        next.write_all(b"0x").await.unwrap();
        assert_eq!(rest(&mut next).await.0, bytes);
    }
    let (mut cut, mut silent) = (connect(&proxy).await, connect(&proxy).await);
    for socket in [&mut cut, &mut silent] {
        socket.write_all(b"0").await.unwrap();
        socket.read_exact(&mut [0]).await.unwrap();
    }
    proxy.silence();
    silent.write_all(b"0").await.unwrap();
    assert!(is_silent(&mut silent).await);
    let mark = proxy.log().mark();
    proxy.cut(true);
    assert_eq!(rest(&mut cut).await, (0, Some(ErrorKind::ConnectionReset)));
    assert!(proxy.log().has_harmed_since(mark) && !proxy.log().has_harmed_since(proxy.log().mark()));
}

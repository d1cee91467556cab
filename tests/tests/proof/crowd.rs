//! Connections that want nothing (`idle_and_slow`): silent ones, ones that send a byte at a time, and ones that proved who they
//! are and then say nothing. The instance lives, keeps to its numbers, and whoever asks for something is answered.

use crate::{
    measure::{alone, scale},
    siege::{SCOPE, Siege},
};
use futures::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tests::{
    asker::{Asker, enrol},
    raw::{Raw, connect},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// What the daemon runs with.
const LIMITS: fn() -> link::Limits = link::Limits::default;

/// The `n`th of addresses that have `each` connections.
fn address(n: usize, each: usize) -> Ipv4Addr {
    let n = u32::try_from(n / each).expect("a short crowd");
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 10, 0, 1).to_bits() + n)
}

/// Both ends of every connection are this process's: an ordinary session's 1,024 descriptors are too few.
fn raise_the_limit_of_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit may be as high as the hard one");
}

/// Whether the other side closed it already.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

/// Sends the beginning of a handshake, a byte each 20 ms, until it is cut off; begins anew until it is aborted.
async fn crawl(asker: Asker, from: Ipv4Addr, begun: Arc<AtomicUsize>) {
    let hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 400]].concat();
    loop {
        let Ok(mut stream) = connect(&asker.target.addresses[0], from).await else { continue };
        begun.fetch_add(1, Ordering::Relaxed);
        for byte in &hello {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if stream.write_all(&[*byte]).await.is_err() || is_closed(&mut stream).await {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_slow() {
    let (_alone, mut siege) = (alone().await, Siege::begin().await);
    raise_the_limit_of_descriptors();
    let (idle, slow, proved) = (scale(600, 5_000), scale(60, 500), scale(100, 2_000));
    let (began, limits, attacker) = (Instant::now(), LIMITS(), siege.asker().await);
    let crawled = Arc::new(AtomicUsize::new(0));
    let mut crawling = JoinSet::new();
    for n in 0..slow {
        crawling.spawn(crawl(attacker.clone(), address(idle + n, 4), Arc::clone(&crawled)));
    }
    let mut silent = Vec::new();
    for n in 0..idle {
        silent
            .push(connect(&attacker.target.addresses[0], address(n, limits.unproven_per_address)).await.expect("TCP"));
        if n.is_multiple_of(idle / 20) {
            siege.holds().await;
        }
    }
    siege.holds().await;
    let closed = join_all(silent.iter_mut().map(is_closed)).await.into_iter().filter(|closed| *closed).count();
    assert!(idle - closed <= limits.unproven, "{} silent connections are held", idle - closed);
    // Both ends of a connection, a task and its buffers among them.
    siege.allow(proved * 128);
    let mut quiet = Vec::new();
    while quiet.len() < proved {
        let asker = enrol(&siege.office.grant("owner", SCOPE).await.1).await;
        let more = (proved - quiet.len()).min(limits.connections_per_grant);
        let from = |n: usize| address(idle + slow + quiet.len() + n, 1);
        let raws = join_all((0..more).map(|n| Raw::silent_from(&asker, from(n)))).await;
        quiet.extend(raws.into_iter().map(|raw| raw.expect("a connection of a grant's holder")));
        siege.holds().await;
    }
    assert!(crawled.load(Ordering::Relaxed) >= slow);
    crawling.shutdown().await;
    siege.report(&format!("idle_and_slow: {idle} silent, {slow} slow, {proved} proved and silent"), began);
    drop((silent, quiet));
    siege.holds().await;
}

//! Attacks by the holder of a good certificate that cost the attacker little and the other side much: each ends with the
//! attacker's connection, in bounded memory, while another caller is served.
#![expect(clippy::print_stdout, reason = "counts and times are part of what a run tells")]

use super::{
    caller::who,
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, Heard, PING, PRIORITY, SETTINGS,
        WINDOW_UPDATE, block, call, frame, grown, memory, reset, scale, stream,
    },
    sharing::{GRANT, Opened, Sharing, eventually},
};
use domain::id::GrantId;
use link::{ClientCredential, Limits};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, task::JoinHandle};
use uuid::Uuid;

/// One attack at a time: the memory is the process's.
static TURN: Mutex<()> = Mutex::const_new(());
const HEALTHY: GrantId = GrantId(Uuid::from_u128(77));

/// A sharing side under attack, and somebody else who calls it all the time.
struct Siege {
    sharing: Sharing,
    opened: Opened,
    attacker: ClientCredential,
    over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    /// Longest call and most memory.
    healthy: JoinHandle<(Duration, u64)>,
    before: u64,
    began: Instant,
}

impl Siege {
    async fn begin() -> Self {
        let sharing = Sharing::new(Sharing::patient());
        let opened = sharing.federation().await;
        let (_, attacker) = sharing.issue(GRANT);
        let (_, credential) = sharing.issue(HEALTHY);
        let dialled = sharing.dialler().dial(&sharing.target(&opened, Some(credential))).await.unwrap();
        let (over, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (ended, counted) = (Arc::clone(&over), Arc::clone(&served));
        // One connection that is never replaced: what ends the attacker's must not end another's.
        let healthy = tokio::spawn(async move {
            let (mut longest, mut most) = (Duration::ZERO, 0);
            while !ended.load(Ordering::SeqCst) {
                let began = Instant::now();
                assert_eq!(who(&dialled).await.unwrap()["who"], HEALTHY.to_string());
                longest = longest.max(began.elapsed());
                most = most.max(memory());
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            (longest, most)
        });
        Self { sharing, opened, attacker, over, served, healthy, before: memory(), began: Instant::now() }
    }

    /// Calls of the attacker's that reached the handler: only they hang.
    fn begun(&self) -> usize {
        self.sharing.calls.hung.load(Ordering::SeqCst)
    }

    /// A flood on a connection of its own: pieces that found room, and what was said to it.
    async fn flood(&self, pieces: impl IntoIterator<Item = Vec<u8>>) -> (usize, Heard) {
        let mut wire = self.sharing.wire(&self.opened, &self.attacker).await;
        wire.flood(pieces).await;
        (wire.sent, wire.end().await)
    }

    async fn end(self, what: &str) {
        let took = self.began.elapsed();
        eventually("the attacker's connections are gone", || self.sharing.registry.connections(GRANT) == 0).await;
        self.over.store(true, Ordering::SeqCst);
        let (longest, most) = self.healthy.await.expect("the other caller was served to the end");
        let grown = grown(self.before, most.max(memory()));
        assert_eq!(self.sharing.calls.alive.load(Ordering::SeqCst), 0, "a handler was left behind");
        let served = self.served.load(Ordering::SeqCst);
        println!("{what}: {took:?}, memory +{grown} MiB, {served} other calls served meanwhile, longest {longest:?}");
        assert!(served > 0);
    }
}

fn ended(heard: &Heard, what: &str) {
    assert!(!heard.lives, "{what}: the connection outlived it: {heard:?}");
    assert!(heard.goaway.is_none_or(|code| code != 0), "{what}: {heard:?}");
}

#[tokio::test]
async fn h2_rapid_reset() {
    let (_turn, siege) = (TURN.lock().await, Siege::begin().await);
    let once = |n: usize| [call(stream(n), "/hang", true), reset(stream(n))].concat();
    // In one record, so that all are read before the first is accepted: the limit, read back.
    let burst = |n: usize| [(0..n).flat_map(once).collect::<Vec<_>>()];
    let most = Limits::default().pending_resets;
    let (_, heard) = siege.flood(burst(most)).await;
    assert!(heard.lives, "{most}: {heard:?}");
    let (_, heard) = siege.flood(burst(most + 1)).await;
    assert_eq!((heard.lives, heard.goaway), (false, Some(ENHANCE_YOUR_CALM)), "{}", most + 1);
    let (total, mut sent, mut connections) = (scale(5_000, 100_000), 0, 0);
    while sent < total {
        let (found_room, heard) = siege.flood((0..total).map(once)).await;
        ended(&heard, "resets in one go");
        sent += found_room;
        connections += 1;
    }
    // Each reset after its call was accepted: nothing to complain of, and nothing may pile up.
    let mut wire = siege.sharing.wire(&siege.opened, &siege.attacker).await;
    let (paced, before) = (scale(1_000, 20_000), siege.begun());
    for n in 0..paced {
        assert!(wire.send(&call(stream(n), "/hang", true)).await);
        while siege.begun() <= before + n {
            tokio::task::yield_now().await;
        }
        assert!(wire.send(&reset(stream(n))).await);
    }
    assert!(wire.end().await.lives, "the connection is not ended for calls that were worked on");
    siege.end(&format!("h2_rapid_reset: {sent} on {connections} connections, {paced} one by one")).await;
}

/// What makes the other side reset a stream.
fn provocations(n: usize) -> [(&'static str, Vec<u8>); 5] {
    let id = stream(n);
    let with = |ended: bool, bytes: Vec<u8>| [call(id, "/hang", ended), bytes].concat();
    [
        ("a window update of zero", with(false, frame(WINDOW_UPDATE, 0, id, &[0; 4]))),
        ("a window that overflows", with(false, frame(WINDOW_UPDATE, 0, id, &0x7fff_ffff_u32.to_be_bytes()))),
        ("data behind the end", with(true, frame(DATA, END_STREAM, id, b"x"))),
        ("headers behind the end", with(true, frame(HEADERS, END_HEADERS | END_STREAM, id, &block("/hang")))),
        ("a priority of the wrong length", with(false, frame(PRIORITY, 0, id, &[0; 6]))),
    ]
}

#[tokio::test]
async fn h2_made_you_reset() {
    let (_turn, siege) = (TURN.lock().await, Siege::begin().await);
    let (total, limits) = (scale(2_000, 50_000), Limits::default());
    for kind in 0..provocations(0).len() {
        let (what, begun) = (provocations(0)[kind].0, siege.begun());
        let (_, heard) = siege.flood((0..total).map(|n| provocations(n)[kind].1.clone())).await;
        println!("{what}: {heard:?}");
        ended(&heard, what);
        // The limit, read back: resets for the other's errors over the connection's life, and whatever else was open.
        let most = limits.error_resets + limits.streams as usize;
        assert!(heard.resets <= most, "{what}: {heard:?}");
        if what == "a window that overflows" {
            // The one of them that h2 takes for an error of the stream alone: it comes near the limit and not past it.
            assert!(heard.resets > limits.error_resets / 2 && heard.goaway == Some(ENHANCE_YOUR_CALM), "{heard:?}");
        }
        assert!(siege.begun() - begun <= most, "{what}: {} calls", siege.begun() - begun);
    }
    siege.end(&format!("h2_made_you_reset: {total} of each kind")).await;
}

#[tokio::test]
async fn h2_continuation_flood() {
    let (_turn, siege) = (TURN.lock().await, Siege::begin().await);
    let (total, begun) = (scale(20_000, 1_000_000), siege.begun());
    // A header field that never ends: literal, name and value of one byte.
    let field = [0, 1, b'a', 1, b'b'];
    for payload in [Vec::new(), field.to_vec(), field.repeat(3_000)] {
        let opening = frame(HEADERS, END_STREAM, 1, &block("/hang"));
        let more = std::iter::repeat_n(frame(CONTINUATION, 0, 1, &payload), total);
        let (found_room, heard) = siege.flood(std::iter::once(opening).chain(more)).await;
        ended(&heard, "headers without end");
        println!("h2_continuation_flood: {found_room} frames of {} bytes found room, {heard:?}", payload.len());
    }
    assert_eq!(siege.begun(), begun, "a header block without an end reached a handler");
    siege.end(&format!("h2_continuation_flood: {total} frames of three sizes")).await;
}

#[tokio::test]
async fn h2_empty_data() {
    let (_turn, siege) = (TURN.lock().await, Siege::begin().await);
    let total = scale(20_000, 1_000_000);
    // Of no byte, of one, and of padding only; to a handler that never reads them.
    let padded = [&[255_u8][..], &[0; 255]].concat();
    for (flags, payload) in [(0, Vec::new()), (0, vec![7]), (8, padded)] {
        let opening = call(1, "/hang", false);
        let more = std::iter::repeat_n(frame(DATA, flags, 1, &payload), total);
        let (found_room, heard) = siege.flood(std::iter::once(opening).chain(more)).await;
        println!("h2_empty_data: {found_room} frames of {} bytes found room, {heard:?}", payload.len());
        ended(&heard, "data of nothing");
    }
    siege.end(&format!("h2_empty_data: {total} frames of three sizes")).await;
}

/// Frames that ask for an answer each, from somebody who does not read them, and frames that say nothing.
#[tokio::test]
async fn control_frames_without_end_pile_nothing_up() {
    let (_turn, siege) = (TURN.lock().await, Siege::begin().await);
    let total = scale(20_000, 300_000);
    let kinds = [
        ("pings", frame(PING, 0, 0, &[1; 8])),
        ("settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        ("answers to no ping", frame(PING, ACK, 0, &[1; 8])),
        ("priorities", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9])),
        ("unknown frames", frame(0xee, 0, 1, &[0; 32])),
    ];
    for (what, frame) in kinds {
        let mut silent = siege.sharing.raw(&siege.opened, &siege.attacker).await;
        let pieces = frame.repeat(100);
        let flood = async {
            for _ in 0..total / 100 {
                tokio::io::AsyncWriteExt::write_all(&mut silent, &pieces).await?;
            }
            std::io::Result::Ok(())
        };
        // Who does not read is not read any more: the flood stands still, which is as good as its end.
        let stood = tokio::time::timeout(Duration::from_secs(5), flood).await.is_err();
        println!("{what}: stood still {stood}, memory +{} MiB", grown(siege.before, memory()));
    }
    siege.end(&format!("control frames: {total} of each kind")).await;
}

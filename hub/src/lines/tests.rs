//! When a further connection is made, which one a call takes, and when it goes.

use super::*;
use link::ErrorCell;
use tonic::transport::Endpoint;

fn connection() -> Dialled {
    Dialled {
        channel: Endpoint::from_static("http://a.invalid").connect_lazy(),
        failure: ErrorCell::default(),
        reached: Instant::now(),
    }
}

fn with_first(now: Instant) -> Lines {
    let mut lines = Lines::default();
    lines.exchange(1, connection(), now);
    lines
}

fn seats(lines: &mut Lines, count: usize, now: Instant) -> Vec<Chosen> {
    (0..count).map(|_| lines.any(now).unwrap()).collect()
}

#[tokio::test]
async fn a_further_connection_is_made_at_48_calls_and_never_a_fifth() {
    let now = Instant::now();
    let mut lines = with_first(now);
    let mut held = seats(&mut lines, BUSY - 1, now);
    assert_eq!(lines.extend(now), None, "{} calls fit one connection", BUSY - 1);
    for ticket in 2..=4 {
        let left = BUSY - in_flight_over_the_last(&lines);
        held.extend(seats(&mut lines, left, now));
        assert_eq!(lines.extend(now), Some(1));
        assert_eq!(lines.extend(now), None, "one at a time");
        lines.extended(1, Some((ticket, connection())), now);
    }
    held.extend(seats(&mut lines, BUSY, now));
    assert_eq!(lines.extend(now), None, "a fifth");
    // Beyond that the least busy one is taken: none of them has more than its share.
    held.extend(seats(&mut lines, 4 * 16, now));
    let tickets = |ticket| held.iter().filter(|seat| seat.ticket == ticket).count();
    assert_eq!([1, 2, 3, 4].map(tickets), [64; 4]);
}

fn in_flight_over_the_last(lines: &Lines) -> usize {
    lines.further.last().or(lines.first.as_ref()).unwrap().in_flight()
}

#[tokio::test]
async fn the_first_connection_is_filled_first_and_each_goes_when_idle() {
    let now = Instant::now();
    let mut lines = with_first(now);
    let busy = seats(&mut lines, BUSY, now);
    assert_eq!(lines.extend(now), Some(1));
    lines.extended(1, Some((2, connection())), now);
    let over = lines.any(now).unwrap();
    assert_eq!(over.ticket, 2);
    drop(busy);
    assert_eq!(lines.any(now).unwrap().ticket, 1);
    assert!(lines.let_idle_go(now + 10 * IDLE), "a call is in flight over it");
    assert!(lines.first.is_none(), "nobody asked over the first since");
    drop(over);
    assert!(lines.let_idle_go(now + 11 * IDLE - Duration::from_secs(1)), "it was in use a moment ago");
    assert!(!lines.let_idle_go(now + 11 * IDLE));
    assert!(lines.any(now + 11 * IDLE).is_none(), "the next question dials");
}

#[tokio::test]
async fn a_further_connection_that_fails_is_not_tried_again_at_once_and_nobody_waits_for_it() {
    let now = Instant::now();
    let mut lines = with_first(now);
    let _busy = seats(&mut lines, BUSY, now);
    assert_eq!(lines.extend(now), Some(1));
    assert_eq!(lines.any(now).unwrap().ticket, 1);
    lines.extended(1, None, now);
    assert_eq!(lines.extend(now + AGAIN / 2), None);
    assert_eq!(lines.extend(now + AGAIN), Some(1));
}

#[tokio::test]
async fn what_is_made_beside_a_connection_that_has_gone_is_not_kept() {
    let now = Instant::now();
    for end in [
        Lines::hang_up,
        |lines: &mut Lines| lines.exchange(9, connection(), Instant::now()),
        |lines: &mut Lines| lines.remove(1),
    ] {
        let mut lines = with_first(now);
        let _busy = seats(&mut lines, BUSY, now);
        assert_eq!(lines.extend(now), Some(1));
        end(&mut lines);
        lines.extended(1, Some((2, connection())), now);
        assert!(lines.further.is_empty());
    }
    // The end takes what was there as well.
    let mut lines = with_first(now);
    let _busy = seats(&mut lines, BUSY, now);
    assert_eq!(lines.extend(now), Some(1));
    lines.extended(1, Some((2, connection())), now);
    lines.hang_up();
    assert!(lines.any(now).is_none() && lines.further.is_empty());
}

#[tokio::test]
async fn a_dial_that_is_under_way_is_shared_and_has_nothing_beside_it() {
    let now = Instant::now();
    let mut lines = Lines::default();
    assert!(lines.any(now).is_none());
    let dial = std::future::pending().boxed().shared();
    lines.begin(1, dial, now);
    let held = seats(&mut lines, 3 * BUSY, now);
    assert!(held.iter().all(|seat| seat.ticket == 1 && !seat.reused));
    assert_eq!(lines.extend(now), None, "whether the other side is there at all is not known");
}

//! Keeps a flood of equal refusals from becoming a flood of records: the first is written, repeats within ten seconds are
//! counted and closed by one record. A crash loses at most those counts.

use super::{Record, Stage};
use crate::{Reason, Time, id::InstanceId};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// How long repeats are counted.
pub const WINDOW: Duration = Duration::from_secs(10);
/// How many different refusals are counted at once; beyond, everything unknown shares one.
pub const MAX_OPEN: usize = 4_096;

/// What makes refusals equal: stage, reason, and the peer or else its network (/24, or /48 of IPv6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    stage: Stage,
    reason: Option<Reason>,
    from: From,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum From {
    Peer(InstanceId),
    Network(IpAddr),
    Anywhere,
}

#[derive(Debug)]
struct Open {
    since: Time,
    repeats: u64,
    last: Record,
}

impl Open {
    fn close(self) -> Record {
        let note = format!("repeats; last: {}", self.last.note);
        Record { rows: self.repeats, ..self.last }.noting(&note)
    }
}

/// Refusals being counted.
#[derive(Debug, Default)]
pub struct Folds(HashMap<Key, Open>);

/// What to do with a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The first of its kind: write it before the answer.
    Write,
    /// A repeat: counted, nothing to write.
    Counted,
}

impl Folds {
    /// Takes a refusal in.
    pub fn take(&mut self, record: &Record) -> Verdict {
        let mut key = Key::of(record);
        if !self.0.contains_key(&key) && self.0.len() >= MAX_OPEN {
            key.from = From::Anywhere;
        }
        if let Some(open) = self.0.get_mut(&key) {
            open.repeats += 1;
            open.last = record.clone();
            return Verdict::Counted;
        }
        self.0.insert(key, Open { since: record.time, repeats: 0, last: record.clone() });
        Verdict::Write
    }

    /// Forgets a refusal whose record could not be written: the next of its kind is the first again.
    pub fn forget(&mut self, record: &Record) {
        self.0.remove(&Key::of(record));
    }

    /// Closes every fold that is older than the window: one record for each that counted repeats, `rows` saying how many.
    pub fn close(&mut self, now: Time) -> Vec<Record> {
        self.drain(|open| now.since(open.since) >= WINDOW || now < open.since)
    }

    /// Closes every fold, for a stopping daemon.
    pub fn close_all(&mut self) -> Vec<Record> {
        self.drain(|_| true)
    }

    fn drain(&mut self, mut over: impl FnMut(&Open) -> bool) -> Vec<Record> {
        let closed = self.0.extract_if(|_, open| over(open));
        let counted = closed.filter(|(_, open)| open.repeats > 0);
        counted.map(|(_, open)| open.close()).collect()
    }
}

impl Key {
    fn of(record: &Record) -> Self {
        let network = record.address.parse::<SocketAddr>().map(|address| From::Network(network(address.ip())));
        let from = record.peer.map_or(network.unwrap_or(From::Anywhere), From::Peer);
        Self { stage: record.stage, reason: record.reason, from }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{Ending, Subject},
        id::RequestId,
    };
    use uuid::Uuid;

    fn refusal(seconds: i64, address: &str) -> Record {
        let time = Time::from_seconds(seconds);
        let request = RequestId(Uuid::from_u128(0));
        let record = Record::new(time, Stage::Accept, Ending::Refused, Subject::UnknownCall, request);
        Record { address: address.into(), reason: Some(Reason::NotPermitted), ..record }
    }

    #[test]
    fn the_first_is_written_and_repeats_close_as_one_record() {
        let mut folds = Folds::default();
        assert_eq!(folds.take(&refusal(0, "10.0.0.1:1")), Verdict::Write);
        for port in 2..50 {
            assert_eq!(folds.take(&refusal(1, &format!("10.0.0.{port}:{port}"))), Verdict::Counted);
        }
        assert_eq!(folds.take(&refusal(1, "10.0.1.1:1")), Verdict::Write);
        assert!(folds.close(Time::from_seconds(9)).is_empty());
        let closed = folds.close(Time::from_seconds(10));
        assert_eq!(closed.iter().map(|record| record.rows).collect::<Vec<_>>(), [48]);
        assert_eq!(folds.take(&refusal(11, "10.0.0.1:1")), Verdict::Write);
    }

    #[test]
    fn a_refusal_that_could_not_be_written_does_not_hide_the_next_one() {
        let mut folds = Folds::default();
        assert_eq!(folds.take(&refusal(0, "10.0.0.1:1")), Verdict::Write);
        folds.forget(&refusal(0, "10.0.0.1:1"));
        assert_eq!(folds.take(&refusal(1, "10.0.0.1:2")), Verdict::Write);
    }

    #[test]
    fn a_flood_from_everywhere_stays_bounded() {
        let mut folds = Folds::default();
        for n in 0..100_000_u32 {
            let [_, a, b, c] = n.to_be_bytes();
            folds.take(&refusal(0, &format!("{}.{}.{}.1:9", a + 1, b, c)));
        }
        assert!(folds.0.len() <= MAX_OPEN + 1);
        let counted: u64 = folds.close_all().iter().map(|record| record.rows).sum();
        assert_eq!(counted, 100_000 - MAX_OPEN as u64 - 1);
    }
}

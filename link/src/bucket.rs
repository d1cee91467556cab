//! New connections per second and address, counted before anything else is done for them.
//!
//! Each address has one instant: when its bucket will be full again (the generic cell rate algorithm). An address whose instant
//! has passed needs no entry, so the table holds only addresses of the last seconds. Not governor, which limits calls in
//! `spoke`: its keyed store cannot tell a known key from a new one, and a full table must refuse newcomers only.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};
use tokio::time::Instant;

/// More addresses than this within one bucket's time is a flood that only the network can stop; newcomers are then refused.
const MAX_ADDRESSES: usize = 65_536;

/// What counts as one address: an IPv4 address, or an IPv6 /64, which is what one customer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.into()),
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into()),
        }
    }
}

pub(crate) struct Buckets {
    interval: Duration,
    tolerance: Duration,
    full_at: HashMap<Source, Instant>,
    swept: Instant,
}

impl Buckets {
    /// `rate` new connections per second, `burst` at once; both at least 1.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / rate.max(1);
        let tolerance = interval * (burst.max(1) - 1);
        Self { interval, tolerance, full_at: HashMap::new(), swept: Instant::now() }
    }

    /// Takes one connection out of the bucket, if it has one.
    pub(crate) fn take(&mut self, source: Source) -> bool {
        let now = Instant::now();
        self.make_room(now);
        let full = self.full_at.len() >= MAX_ADDRESSES && !self.full_at.contains_key(&source);
        let at = self.full_at.get(&source).copied().unwrap_or(now).max(now);
        if full || at - now > self.tolerance {
            return false;
        }
        self.full_at.insert(source, at + self.interval);
        true
    }

    fn make_room(&mut self, now: Instant) {
        // At most once a second, or a flood would buy a walk through the table with each packet.
        if now - self.swept >= Duration::from_secs(1) {
            self.full_at.retain(|_, at| *at > now);
            self.swept = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[tokio::test(start_paused = true)]
    async fn the_burst_is_exact_and_refills_at_the_rate() {
        let mut buckets = Buckets::new(20, 40);
        let mut taken = |n: usize| (0..n).filter(|_| buckets.take(source("192.0.2.1"))).count();
        assert_eq!(taken(41), 40);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(taken(30), 20);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(taken(100), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn one_flood_leaves_other_addresses_alone_and_a_64_counts_as_one() {
        let mut buckets = Buckets::new(20, 2);
        assert!(buckets.take(source("2001:db8::1")) && buckets.take(source("2001:db8::2")));
        assert!(!buckets.take(source("2001:db8::3")));
        assert!(buckets.take(source("2001:db8:0:1::3")));
        assert!(buckets.take(source("192.0.2.1")) && buckets.take(source("::ffff:192.0.2.1")));
        assert!(!buckets.take(source("192.0.2.1")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_stays_bounded_and_empties() {
        let mut buckets = Buckets::new(20, 40);
        for n in 0..100_000_u32 {
            buckets.take(IpAddr::from(n.to_be_bytes()).into());
        }
        assert_eq!(buckets.full_at.len(), MAX_ADDRESSES);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(buckets.take(source("192.0.2.1")));
        assert_eq!(buckets.full_at.len(), 1);
    }
}

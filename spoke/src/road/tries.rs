//! How often one address may try to use an invite. A token cannot be guessed in any number of tries; this keeps whoever tries all
//! the same from costing more than the tries, and makes them seen.
//!
//! Each call takes a try, and gives it back when it ended well: an office that links thirty people behind one address is not held
//! up, and whoever has one good invite wins no further try for a bad one. Memory is bounded: beyond so many addresses at
//! once, those that are not known yet share one bucket.

use super::{
    Road,
    audit::Draft,
    limit::{Bucket, bucket, check, lock},
    status,
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use domain::{Reason, Refusal, audit::Stage, scope::Rate};
use link::Connection;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// Tries of one address a minute; as many at once.
pub const TRIES: Rate = Rate { per_minute: 5, burst: 5 };
/// Addresses that are counted one by one.
const MOST: usize = 4_096;
/// After this long without a try a bucket is full again and need not be remembered.
const FULL_AGAIN: Duration = Duration::from_mins(1);

#[derive(Debug)]
struct Tried {
    bucket: Arc<Bucket>,
    /// Tries that were given back.
    back: u32,
    last: Instant,
}

/// The buckets of every address that tried lately.
#[derive(Debug)]
pub struct Tries {
    rate: Rate,
    from: Mutex<Addresses>,
    others: Arc<Bucket>,
}

/// Each with when it tried last, and when those that rest were looked for.
#[derive(Debug, Default)]
struct Addresses {
    known: HashMap<IpAddr, Tried>,
    looked: Option<Instant>,
}

impl Addresses {
    /// Forgets those that rest, not more often than every second: a flood of addresses must not make each of them cost a search.
    fn make_room(&mut self) {
        if self.known.len() < MOST || self.looked.is_some_and(|looked| looked.elapsed() < Duration::from_secs(1)) {
            return;
        }
        self.looked = Some(Instant::now());
        self.known.retain(|_, tried| tried.last.elapsed() < FULL_AGAIN);
    }
}

impl Tries {
    /// With this many tries for each address.
    pub fn new(rate: Rate) -> Self {
        Self { rate, from: Mutex::default(), others: bucket(rate) }
    }

    /// Takes one try of this address, or says how long to wait.
    pub fn take(&self, address: IpAddr) -> Result<(), Refusal> {
        let Some(bucket) = self.bucket(network(address)) else { return Ok(()) };
        check(&bucket, Reason::PeerRate).map(drop).map_err(|refusal| {
            let wait = refusal.retry().unwrap_or_default().as_secs() + 1;
            refusal.saying(format!("too many tries to use an invite came from this address; try again in {wait} s"))
        })
    }

    /// The bucket to take from; none where a try that was given back is taken again.
    fn bucket(&self, network: IpAddr) -> Option<Arc<Bucket>> {
        let mut from = lock(&self.from);
        if let Some(tried) = from.known.get_mut(&network) {
            tried.last = Instant::now();
            let returned = tried.back > 0;
            tried.back = tried.back.saturating_sub(1);
            return (!returned).then(|| Arc::clone(&tried.bucket));
        }
        from.make_room();
        if from.known.len() >= MOST {
            return Some(Arc::clone(&self.others));
        }
        let bucket = bucket(self.rate);
        from.known.insert(network, Tried { bucket: Arc::clone(&bucket), back: 0, last: Instant::now() });
        Some(bucket)
    }

    /// Gives back the try of a call that ended well.
    pub fn give_back(&self, address: IpAddr) {
        if let Some(tried) = lock(&self.from).known.get_mut(&network(address)) {
            tried.back = (tried.back + 1).min(self.rate.burst);
        }
    }
}

/// Who is behind an address: of IPv6 a /64, which is what one household or one host has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Takes a try, or refuses with the time to wait.
pub async fn tries(State(road): State<Arc<Road>>, request: Request, next: Next) -> Response {
    let Some(address) = request.extensions().get::<Connection>().map(|connection| connection.address().ip()) else {
        return status::response(&Refusal::new(Reason::NotPermitted).because("no connection"));
    };
    if let Err(refusal) = road.limits.tries.take(address) {
        if let Some(draft) = request.extensions().get::<Draft>() {
            draft.refuse(Stage::Limit, &refusal);
        }
        return status::response(&refusal);
    }
    let response = next.run(request).await;
    // A refusal is all headers; an answer has its status behind the message.
    if response.headers().get("grpc-status").is_none_or(|status| status == "0") {
        road.limits.tries.give_back(address);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(tries: &Tries, address: &str) -> Option<Refusal> {
        tries.take(address.parse().unwrap()).err()
    }

    #[test]
    fn the_sixth_bad_try_of_an_address_waits() {
        let tries = Tries::new(TRIES);
        for _ in 0..5 {
            assert_eq!(refused(&tries, "192.0.2.7"), None);
        }
        let refusal = refused(&tries, "192.0.2.7").unwrap();
        let wait = refusal.retry().unwrap();
        assert_eq!(refusal.reason(), Reason::PeerRate);
        assert!(Duration::ZERO < wait && wait <= Duration::from_secs(12), "{wait:?}");
        assert!(refused(&tries, "::ffff:192.0.2.7").is_some(), "the same address, written for IPv6");
        assert_eq!(refused(&tries, "192.0.2.8"), None, "another address");
    }

    #[test]
    fn of_ipv6_a_network_of_64_bits_is_one() {
        let tries = Tries::new(TRIES);
        for host in 0..5 {
            assert_eq!(refused(&tries, &format!("2001:db8:0:1:{host}::1")), None);
        }
        assert!(refused(&tries, "2001:db8:0:1:ffff::2").is_some());
        assert_eq!(refused(&tries, "2001:db8:0:2::1"), None);
    }

    #[test]
    fn what_ended_well_costs_no_try_and_wins_none() {
        let (tries, address) = (Tries::new(TRIES), "192.0.2.7".parse().unwrap());
        for _ in 0..100 {
            tries.take(address).unwrap();
            tries.give_back(address);
        }
        let more = (0..10).filter(|_| tries.take(address).is_ok()).count();
        assert_eq!(more, 5);
    }

    #[test]
    fn any_number_of_addresses_takes_bounded_memory_and_shares_what_is_left() {
        let tries = Tries::new(TRIES);
        let passed = (0..6_000_u32).filter(|n| tries.take(IpAddr::V4((0x0a00_0000 + n).into())).is_ok()).count();
        assert_eq!(passed, MOST + 5);
        assert_eq!(lock(&tries.from).known.len(), MOST);
    }
}

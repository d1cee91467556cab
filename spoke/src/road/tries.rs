//! How often one network may try to use an invite. A token cannot be guessed in any number of tries; this keeps whoever tries all
//! the same from costing more than the tries, and makes them seen.
//!
//! Each call takes a try, and gives it back when it ended well: an office that links thirty people behind one address is not held
//! up, and whoever has one good invite wins no further try for a bad one.
//!
//! The bound on what others can take: an address waits for tries of its own network alone, an IPv4 address or a /64 of IPv6; and of
//! IPv6, once its whole /48 has made [`WIDE`] times as many. No other network takes any, however many there are. Memory is bounded
//! all the same: beyond so many networks those are forgotten that tried longest ago, which gives them their tries back and takes
//! none from anybody. So thousands of unrelated networks at once are not slowed down here, but where connections are accepted.

use super::{Road, audit::Draft, limit::lock, status};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use domain::{Reason, Refusal, audit::Stage, scope::Rate};
use link::Connection;
use std::{
    collections::HashMap,
    mem,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

/// Tries of one network a minute; as many at once.
pub const TRIES: Rate = Rate { per_minute: 5, burst: 5 };
/// How many times as many a /48 of IPv6 has, which may be one customer's or thousands of them.
pub const WIDE: u32 = 64;
/// Networks that are remembered.
const MOST: usize = 4_096;

/// The tries of one network: a bucket whose tokens can be put back, and that holds no more for it.
#[derive(Debug)]
struct Tried {
    rate: Rate,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    tries: f64,
    at: Instant,
}

impl Tried {
    fn new(rate: Rate) -> Arc<Self> {
        Arc::new(Self { rate, level: Mutex::new(Level { tries: rate.burst.into(), at: Instant::now() }) })
    }

    fn take(&self) -> Result<(), Refusal> {
        let mut level = self.filled();
        if level.tries >= 1.0 {
            level.tries -= 1.0;
            return Ok(());
        }
        let wait = Duration::from_secs_f64((1.0 - level.tries) / self.per_second());
        Err(Refusal::new(Reason::PeerRate).retry_after(wait.max(Duration::from_millis(1))))
    }

    fn give_back(&self) {
        let mut level = self.filled();
        level.tries = (level.tries + 1.0).min(self.rate.burst.into());
    }

    /// What there is now.
    fn filled(&self) -> MutexGuard<'_, Level> {
        let (mut level, now) = (lock(&self.level), Instant::now());
        let grown = now.saturating_duration_since(level.at).as_secs_f64() * self.per_second();
        *level = Level { tries: (level.tries + grown).min(self.rate.burst.into()), at: now };
        level
    }

    fn per_second(&self) -> f64 {
        f64::from(self.rate.per_minute.max(1)) / 60.0
    }
}

/// A try that was taken, to be given back by a call that ended well.
#[derive(Debug)]
#[must_use = "a call that ended well gives it back"]
pub struct Taken(Vec<Arc<Tried>>);

impl Taken {
    /// Gives it back.
    pub fn give_back(self) {
        self.0.iter().for_each(|tried| tried.give_back());
    }
}

/// The tries of every network that tried lately.
#[derive(Debug)]
pub struct Tries {
    rate: Rate,
    from: Mutex<Networks>,
}

/// An address and how many of its bits count.
type Network = (IpAddr, u32);

/// Those that tried since half of the room was filled last, and those before them: forgetting costs no search, however many come.
#[derive(Debug, Default)]
struct Networks {
    young: HashMap<Network, Arc<Tried>>,
    old: HashMap<Network, Arc<Tried>>,
}

impl Networks {
    fn of(&mut self, network: Network, rate: Rate) -> Arc<Tried> {
        if let Some(tried) = self.young.get(&network) {
            return Arc::clone(tried);
        }
        let tried = self.old.remove(&network).unwrap_or_else(|| Tried::new(rate));
        if self.young.len() >= MOST / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(network, Arc::clone(&tried));
        tried
    }
}

impl Tries {
    /// With this many tries for each network.
    pub fn new(rate: Rate) -> Self {
        Self { rate, from: Mutex::default() }
    }

    /// Takes one try of this address, or says how long to wait.
    pub fn take(&self, address: IpAddr) -> Result<Taken, Refusal> {
        let networks: Vec<_> = {
            let mut from = lock(&self.from);
            networks(address, self.rate).map(|(network, rate)| from.of(network, rate)).collect()
        };
        let mut taken = Taken(Vec::with_capacity(networks.len()));
        // The narrow one first: a network that waits takes nothing from its neighbours.
        for tried in networks {
            if let Err(refusal) = tried.take() {
                taken.give_back();
                let wait = refusal.retry().unwrap_or_default().as_secs() + 1;
                let said = format!("too many tries to use an invite came from this address; try again in {wait} s");
                return Err(refusal.saying(said));
            }
            taken.0.push(tried);
        }
        Ok(taken)
    }
}

/// The networks that an address is counted in, each with its tries: of IPv6 the /64, which is what one household or one host has, and
/// the /48.
fn networks(address: IpAddr, rate: Rate) -> impl Iterator<Item = (Network, Rate)> {
    let wide = Rate { per_minute: rate.per_minute.saturating_mul(WIDE), burst: rate.burst.saturating_mul(WIDE) };
    let (own, around) = match address.to_canonical() {
        IpAddr::V6(v6) => (part(v6, 64), Some((part(v6, 48), wide))),
        v4 @ IpAddr::V4(_) => ((v4, 32), None),
    };
    std::iter::once((own, rate)).chain(around)
}

fn part(address: Ipv6Addr, bits: u32) -> Network {
    (Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits))).into(), bits)
}

/// Takes a try, or refuses with the time to wait.
pub async fn tries(State(road): State<Arc<Road>>, request: Request, next: Next) -> Response {
    let Some(address) = request.extensions().get::<Connection>().map(|connection| connection.address().ip()) else {
        return status::response(&Refusal::new(Reason::NotPermitted).because("no connection"));
    };
    let taken = match road.limits.tries.take(address) {
        Ok(taken) => taken,
        Err(refusal) => {
            if let Some(draft) = request.extensions().get::<Draft>() {
                draft.refuse(Stage::Limit, &refusal);
            }
            return status::response(&refusal);
        }
    };
    let response = next.run(request).await;
    // A refusal is all headers; an answer has its status behind the message.
    if response.headers().get("grpc-status").is_none_or(|status| status == "0") {
        taken.give_back();
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
        for address in ["192.0.2.7", "2001:db8::7"].map(|address| address.parse().unwrap()) {
            let tries = Tries::new(TRIES);
            for _ in 0..100 {
                tries.take(address).unwrap().give_back();
            }
            assert_eq!(tries_of(&tries, address), 5);
            // Also where it was forgotten meanwhile, and is as good as new.
            let before = tries.take("192.0.2.9".parse().unwrap()).unwrap();
            flood(&tries);
            before.give_back();
            assert_eq!(tries_of(&tries, "192.0.2.9".parse().unwrap()), 5);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_given_back_is_not_had_beside_what_comes_with_time() {
        let (tries, address) = (Tries::new(TRIES), "192.0.2.7".parse().unwrap());
        let taken: Vec<_> = (0..5).map(|_| tries.take(address).unwrap()).collect();
        tokio::time::advance(Duration::from_mins(2)).await;
        taken.into_iter().for_each(Taken::give_back);
        assert_eq!(tries_of(&tries, address), 5);
        tokio::time::advance(Duration::from_secs(24)).await;
        assert_eq!(tries_of(&tries, address), 2, "one in twelve seconds");
    }

    fn tries_of(tries: &Tries, address: IpAddr) -> usize {
        (0..10).filter(|_| tries.take(address).is_ok()).count()
    }

    /// As many bad tries as can be, from 20,000 networks each of IPv4 and of IPv6, which have no /48 in common.
    fn flood(tries: &Tries) {
        for n in 0..20_000_u32 {
            let v6 = Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) + (u128::from(n) << 80));
            for address in [IpAddr::V4((0x0a00_0000 + n).into()), v6.into()] {
                while tries.take(address).is_ok() {}
            }
        }
    }

    #[test]
    fn any_number_of_other_networks_takes_no_try_of_an_address_and_bounded_memory() {
        let tries = Tries::new(TRIES);
        let [known, unknown]: [IpAddr; 2] = ["192.0.2.7", "2001:4860::7"].map(|address| address.parse().unwrap());
        drop(tries.take(known).unwrap());
        flood(&tries);
        for address in [known, unknown] {
            assert!(tries_of(&tries, address) >= 4, "{address}");
            assert_eq!(tries_of(&tries, address), 0, "{address}");
        }
        let from = lock(&tries.from);
        assert!(from.young.len() + from.old.len() <= MOST);
    }

    #[test]
    fn a_48_has_64_times_the_tries_of_a_64_and_takes_none_from_the_next() {
        let tries = Tries::new(TRIES);
        let address = |site: u16, network: u16| Ipv6Addr::new(0x2001, 0xdb8, site, network, 0, 0, 0, 7).into();
        // A network that has none left takes none from those beside it either.
        for network in 0..63 {
            assert_eq!(tries_of(&tries, address(1, network)), 5, "{network}");
        }
        assert_eq!(tries_of(&tries, address(1, 100)), 5, "one more beside 63 that used up theirs");
        let spent: usize = (200..300).map(|network| tries_of(&tries, address(1, network))).sum();
        assert_eq!(spent, 0, "the /48 has none left");
        assert_eq!(tries_of(&tries, address(2, 0)), 5, "the next /48");
    }
}

//! Wrong tokens of an address. One cannot be guessed; but each that is whole costs a look into the database. An address that had its tries is
//! heard with tokens that are known to be there, and with no other: a program that is broken locks none out that works.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// In so long a time
pub(super) const WINDOW: Duration = Duration::from_mins(1);
/// … an address has so many.
const MOST: u32 = 20;
/// Addresses that are remembered; beyond, those whose time is over are forgotten, and after that nobody new is counted.
const ADDRESSES: usize = 4_096;

/// What was tried lately, from where.
#[derive(Debug, Default)]
pub(super) struct Tries(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Tries {
    /// Whether an address may try one more, or how many seconds it has to wait.
    pub(super) fn may(&self, address: IpAddr) -> Result<(), u64> {
        let tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match tried.get(&network(address)) {
            Some((since, count)) if *count >= MOST && since.elapsed() < WINDOW => {
                Err(WINDOW.saturating_sub(since.elapsed()).as_secs() + 1)
            }
            _ => Ok(()),
        }
    }

    /// One that was wrong.
    pub(super) fn wrong(&self, address: IpAddr) {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.len() >= ADDRESSES {
            tried.retain(|_, (since, _)| since.elapsed() < WINDOW);
        }
        let address = network(address);
        if tried.len() >= ADDRESSES && !tried.contains_key(&address) {
            return;
        }
        let (since, count) = tried.entry(address).or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() >= WINDOW {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
    }
}

/// Somebody's /64 is one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_that_had_its_tries_waits_and_no_other_does() {
        let (tries, one, other) = (Tries::default(), IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..MOST {
            assert_eq!(tries.may(one), Ok(()));
            tries.wrong(one);
        }
        assert!(tries.may(one).is_err_and(|wait| wait <= 61) && tries.may(other).is_ok());
        tokio::time::advance(WINDOW).await;
        assert_eq!(tries.may(one), Ok(()));
        tries.wrong(one);
        assert_eq!(tries.may(one), Ok(()), "it begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_has_an_end() {
        let tries = Tries::default();
        let from = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        (0..2 * ADDRESSES).for_each(|number| tries.wrong(from(number)));
        assert_eq!(tries.0.lock().unwrap().len(), ADDRESSES);
        tokio::time::advance(WINDOW).await;
        tries.wrong(from(2 * ADDRESSES));
        assert_eq!(tries.0.lock().unwrap().len(), 1);
    }
}

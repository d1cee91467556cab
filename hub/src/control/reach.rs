//! Addresses that the other side of a link asks to be tried, because its owner wants to know whether others can reach it.
//!
//! It says where to dial, in a network that it may not see into: so what it can have of it is little. A few addresses, now and then, one
//! request at a time; nothing is said there but a handshake, which only the link's own instance can answer; and it is told of each whether that was
//! so, always after the same time. What is asked beyond that is left without an answer. `try_addresses` turns all of it off.

use crate::Hub;
use domain::{
    id::{GrantId, UserId},
    reach::{ADDRESSES, AGAIN, ANSWER, Address, REQUESTS},
};
use futures::{FutureExt, future::BoxFuture};
use link::Target;
use proto::v1::{self, session_request};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use store::LinkRecord;
use tokio::time::{Instant, sleep_until};

type Key = (UserId, GrantId);

/// What the other side of each link has asked for lately, over all its sessions.
#[derive(Default)]
pub(crate) struct Trials(Mutex<HashMap<Key, Lately>>);

#[derive(Default)]
struct Lately {
    begun: Vec<Instant>,
    runs: bool,
}

/// The one request of a link that is under way.
struct Turn<'a>(&'a Trials, Key);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(lately) = self.0.lock().get_mut(&self.1) {
            lately.runs = false;
        }
    }
}

impl Trials {
    /// None while another one is under way, and where there were as many as may be.
    fn begin(&self, key: Key) -> Option<Turn<'_>> {
        let (now, mut all) = (Instant::now(), self.lock());
        all.retain(|_, lately| {
            lately.begun.retain(|at| now < *at + AGAIN);
            lately.runs || !lately.begun.is_empty()
        });
        let lately = all.entry(key).or_default();
        if lately.runs || lately.begun.len() >= REQUESTS {
            return None;
        }
        lately.begun.push(now);
        lately.runs = true;
        Some(Turn(self, key))
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Lately>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// Whether the other side of this link may have addresses tried. One that calls has none.
    pub(super) fn tries_for(&self, link: &LinkRecord) -> bool {
        self.try_addresses && !self.is_called(link.owner, link.id)
    }

    /// Tries addresses, and gives what is to be said of them at the time when it is to be said; none where they are not tried. Where this
    /// instance's own proxy fails nothing is known of them, and nothing is said.
    pub(super) fn trial<'a>(
        &'a self,
        link: &'a LinkRecord,
        asked: &v1::Reach,
    ) -> Option<BoxFuture<'a, Option<v1::SessionRequest>>> {
        let (end, number) = (Instant::now() + ANSWER, asked.number);
        let begun = self.begin_trial(link, asked);
        let Ok((turn, addresses, target)) = begun.inspect_err(|why| {
            tracing::debug!(link = %link.name, why, "the other side asked for addresses to be tried, which is not done");
        }) else {
            return None;
        };
        let trial = async move {
            let count = addresses.len();
            tracing::info!(link = %link.name, count, "the other side has this instance try whether addresses lead to it");
            let reached = self.dialling.reached(&target, &addresses, end).await;
            sleep_until(end).await;
            drop(turn);
            tracing::debug!(link = %link.name, ?addresses, ?reached, "addresses were tried");
            let reached = v1::Reached { number, reached: reached? };
            Some(v1::SessionRequest { said: Some(session_request::Said::Reached(reached)) })
        };
        Some(trial.boxed())
    }

    fn begin_trial(
        &self,
        link: &LinkRecord,
        asked: &v1::Reach,
    ) -> Result<(Turn<'_>, Vec<Address>, Target), &'static str> {
        if !self.tries_for(link) {
            return Err("it is turned off here, or is none of that side's to ask");
        }
        if !(1..=ADDRESSES).contains(&asked.addresses.len()) {
            return Err("there are none or too many");
        }
        let addresses = asked.addresses.iter().map(|text| text.parse()).collect::<Result<_, _>>();
        let addresses = addresses.map_err(|_| "one is no address")?;
        let turn = self.trials.begin((link.owner, link.id)).ok_or("it asks too often, or did so before the answer")?;
        let target = self.sessions.target(link).map_err(|_| "the link's own key does not open")?;
        Ok((turn, addresses, target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::advance;
    use uuid::Uuid;

    const MOMENT: Duration = Duration::from_millis(1);

    fn key(link: u128) -> Key {
        (UserId(Uuid::from_u128(1)), GrantId(Uuid::from_u128(link)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_has_one_request_at_a_time_and_no_more_than_it_may_in_a_minute() {
        let trials = Trials::default();
        let first = trials.begin(key(1));
        assert!(first.is_some() && trials.begin(key(1)).is_none(), "two at once");
        assert!(trials.begin(key(2)).is_some(), "another link's");
        drop(first);
        for _ in 1..REQUESTS {
            advance(Duration::from_secs(1)).await;
            assert!(trials.begin(key(1)).is_some());
        }
        advance(AGAIN.saturating_sub(Duration::from_secs(3) + MOMENT)).await;
        assert!(trials.begin(key(1)).is_none(), "one too many in a minute");
        advance(MOMENT).await;
        assert!(trials.begin(key(1)).is_some(), "the first is a minute ago");
        assert!(trials.begin(key(1)).is_none(), "and only the first");
        advance(2 * AGAIN).await;
        drop(trials.begin(key(3)));
        assert_eq!(trials.lock().len(), 1, "what is long ago is kept");
    }
}

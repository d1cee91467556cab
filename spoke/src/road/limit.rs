//! Fourth layer: how often a grant and its peer may call. Nothing expensive happens before it; a handler never calls it.
//!
//! One bucket for each grant, kept while the grant's rate is the same, whatever else changes; one for each peer over all its
//! grants. Keys exist only for grants of good standing, so their number is bounded by what owners wrote.
//!
//! A renewal takes from neither, so that a busy grant renews; it takes from a bucket of its own, which a certificate fills up
//! again: what is measured is renewals that come to nothing.

use super::{
    Road,
    audit::Draft,
    status,
    tries::{TRIES, Tries},
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use domain::{
    Caller, Reason, Refusal,
    audit::Stage,
    grant::Grant,
    id::{GrantId, InstanceId, UserId},
    operation::Method,
    scope::Rate,
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::{NoOpMiddleware, StateInformationMiddleware},
    state::{InMemoryState, NotKeyed},
};
use proto::CALLS_LEFT;
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What a peer may call a minute over all its grants for one subject; as many at once.
pub const PEER: Rate = Rate { per_minute: 240, burst: 240 };

/// What a grant may ask for a further certificate in vain a minute; as many at once.
pub const RENEWAL: Rate = Rate { per_minute: 10, burst: 10 };

pub(super) type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// Calls the grant could make at once after this one; in the extensions of every request that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallsLeft(pub u32);

/// The buckets of every grant and peer that called.
#[derive(Debug)]
pub struct Limits {
    grants: Mutex<HashMap<GrantId, (Rate, Arc<Bucket>)>>,
    /// A peer's id is its word at enrolment, and the subject the inviter's: whoever enrols under another's id for somebody else
    /// uses up nothing of theirs.
    peers: Mutex<HashMap<(InstanceId, UserId), Arc<Bucket>>>,
    renewals: Mutex<HashMap<GrantId, Renewing>>,
    peer: Rate,
    pub(super) tries: Tries,
}

/// What renewals take from.
#[derive(Debug)]
struct Renewing {
    bucket: Arc<Bucket>,
    /// Tokens given back; each was taken before.
    back: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self::with_peer_rate(PEER)
    }
}

impl Limits {
    /// With another rate for peers.
    pub fn with_peer_rate(peer: Rate) -> Self {
        Self {
            grants: Mutex::default(),
            peers: Mutex::default(),
            renewals: Mutex::default(),
            peer,
            tries: Tries::new(TRIES),
        }
    }

    /// With another rate of tries to use an invite, for each address.
    #[must_use]
    pub fn enrolling(self, tries: Rate) -> Self {
        Self { tries: Tries::new(tries), ..self }
    }

    /// Takes one call from the grant's bucket, then one from its peer's.
    pub fn take(&self, grant: &Grant) -> Result<CallsLeft, Refusal> {
        let own = check(&self.of_grant(grant), Reason::GrantRate)?;
        let shared =
            grant.peer.map_or(Ok(own), |peer| check(&self.of_peer((peer, grant.subject)), Reason::PeerRate))?;
        Ok(CallsLeft(own.0.min(shared.0)))
    }

    /// Takes one renewal from the grant's bucket for these.
    pub fn take_renewal(&self, grant: GrantId) -> Result<(), Refusal> {
        let mut renewals = lock(&self.renewals);
        let renewing = renewals.entry(grant).or_insert_with(|| Renewing { bucket: bucket(RENEWAL), back: 0 });
        if let Some(back) = renewing.back.checked_sub(1) {
            renewing.back = back;
            return Ok(());
        }
        let said = "too many renewals of this grant came to nothing; mend the request, and wait as long as is told";
        check(&renewing.bucket, Reason::GrantRate).map(drop).map_err(|refusal| refusal.saying(said))
    }

    /// Gives back what a renewal took that brought a certificate.
    pub fn give_back_renewal(&self, grant: GrantId) {
        if let Some(renewing) = lock(&self.renewals).get_mut(&grant) {
            renewing.back = renewing.back.saturating_add(1).min(RENEWAL.burst);
        }
    }

    /// Forgets buckets of grants and peers that are gone.
    pub fn keep(&self, alive: impl Fn(GrantId) -> bool, peers: impl Fn(InstanceId) -> bool) {
        lock(&self.grants).retain(|id, _| alive(*id));
        lock(&self.renewals).retain(|id, _| alive(*id));
        lock(&self.peers).retain(|(id, _), _| peers(*id));
    }

    fn of_grant(&self, grant: &Grant) -> Arc<Bucket> {
        let mut buckets = lock(&self.grants);
        let rate = grant.scope.rate();
        let entry = buckets.entry(grant.id).or_insert_with(|| (rate, bucket(rate)));
        if entry.0 != rate {
            *entry = (rate, bucket(rate));
        }
        Arc::clone(&entry.1)
    }

    fn of_peer(&self, peer: (InstanceId, UserId)) -> Arc<Bucket> {
        Arc::clone(lock(&self.peers).entry(peer).or_insert_with(|| bucket(self.peer)))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn bucket(rate: Rate) -> Arc<Bucket> {
    let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::per_minute(at_least_one(rate.per_minute)).allow_burst(at_least_one(rate.burst));
    let limiter: RateLimiter<NotKeyed, InMemoryState, DefaultClock, NoOpMiddleware> = RateLimiter::direct(quota);
    Arc::new(limiter.with_middleware())
}

pub(super) fn check(bucket: &Bucket, reason: Reason) -> Result<CallsLeft, Refusal> {
    bucket.check().map(|state| CallsLeft(state.remaining_burst_capacity())).map_err(|not_until| {
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        Refusal::new(reason).retry_after(wait.max(Duration::from_millis(1)))
    })
}

/// Takes a token where the method is limited, or refuses with the time to wait.
pub async fn limit(State(road): State<Arc<Road>>, mut request: Request, next: Next) -> Response {
    let method = Method::from_path(request.uri().path());
    let limited = method.is_none_or(Method::is_limited);
    let caller = request.extensions().get::<Caller<Grant>>();
    let renewing = caller.filter(|_| method == Some(Method::Renew)).map(|caller| caller.ground().id);
    let taken = caller.filter(|_| limited).map(|caller| road.limits.take(caller.ground())).transpose();
    let taken = taken.and_then(|left| renewing.map_or(Ok(()), |id| road.limits.take_renewal(id)).map(|()| left));
    match taken {
        Ok(left) => {
            left.map(|left| request.extensions_mut().insert(left));
            let response = telling(next.run(request).await, left);
            // A refusal says so before its body, which it does not have.
            if let Some(grant) = renewing.filter(|_| !response.headers().contains_key("grpc-status")) {
                road.limits.give_back_renewal(grant);
            }
            response
        }
        Err(refusal) => {
            if let Some(draft) = request.extensions().get::<Draft>() {
                draft.refuse(Stage::Limit, &refusal);
            }
            telling(status::response(&refusal), Some(CallsLeft(0)))
        }
    }
}

/// The answer, with what is left where the call was taken from the grant's rate; refusals say it too.
fn telling(mut response: Response, left: Option<CallsLeft>) -> Response {
    if let Some(CallsLeft(left)) = left {
        response.headers_mut().insert(CALLS_LEFT, left.into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: &str) -> GrantId {
        digit.repeat(8).chars().chain("-0000-4000-8000-000000000000".chars()).collect::<String>().parse().unwrap()
    }

    #[test]
    fn renewals_that_come_to_nothing_use_up_a_bucket_of_the_grants_own_and_others_do_not() {
        let (limits, [one, other]) = (Limits::default(), ["1", "2"].map(id));
        for _ in 0..10 * RENEWAL.burst {
            limits.take_renewal(one).unwrap();
            limits.give_back_renewal(one);
        }
        let taken = (0..3 * RENEWAL.burst).filter(|_| limits.take_renewal(one).is_ok()).count();
        assert_eq!(u32::try_from(taken).unwrap(), RENEWAL.burst);
        let refused = limits.take_renewal(one).unwrap_err();
        assert_eq!(refused.reason(), Reason::GrantRate);
        assert!(refused.retry().is_some_and(|wait| wait <= Duration::from_secs(6)), "{refused:?}");
        limits.take_renewal(other).unwrap();
        limits.keep(|grant| grant == other, |_| true);
        assert_eq!(lock(&limits.renewals).keys().copied().collect::<Vec<_>>(), [other]);
    }
}

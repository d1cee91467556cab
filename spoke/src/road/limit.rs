//! Fourth layer: how often a grant and its peer may call. Nothing expensive happens before it; a handler never calls it.
//!
//! One bucket for each grant, kept while the grant's rate is the same, whatever else changes; one for each peer over all its
//! grants. Keys exist only for grants of good standing, so their number is bounded by what owners wrote.

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
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What a peer may call a minute over all its grants for one subject; as many at once.
pub const PEER: Rate = Rate { per_minute: 240, burst: 240 };

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
    peer: Rate,
    pub(super) tries: Tries,
}

impl Default for Limits {
    fn default() -> Self {
        Self::with_peer_rate(PEER)
    }
}

impl Limits {
    /// With another rate for peers.
    pub fn with_peer_rate(peer: Rate) -> Self {
        Self { grants: Mutex::default(), peers: Mutex::default(), peer, tries: Tries::new(TRIES) }
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

    /// Forgets buckets of grants and peers that are gone.
    pub fn keep(&self, alive: impl Fn(GrantId) -> bool, peers: impl Fn(InstanceId) -> bool) {
        lock(&self.grants).retain(|id, _| alive(*id));
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
    let taken = caller.filter(|_| limited).map(|caller| road.limits.take(caller.ground())).transpose();
    match taken {
        Ok(left) => {
            left.map(|left| request.extensions_mut().insert(left));
            next.run(request).await
        }
        Err(refusal) => {
            if let Some(draft) = request.extensions().get::<Draft>() {
                draft.refuse(Stage::Limit, &refusal);
            }
            status::response(&refusal)
        }
    }
}

//! Whether others can reach this instance at the addresses that its invites name: those who are linked are asked to try, before an invite is
//! handed to somebody who cannot.
//!
//! What they say is their word, and all that hangs on it is a line for the owner and the order of addresses. They are asked seldom: an
//! answer serves every invite of the minute that follows.

use crate::{Spoke, listeners::Addresses};
use domain::{
    Time,
    id::{GrantId, InstanceId},
    reach::{ADDRESSES, ANSWER, Address, Host, Range},
};
use futures::future::join_all;
use std::{collections::BTreeSet, time::Duration};
use tokio::{
    sync::{Mutex, oneshot::Receiver},
    time::{Instant, timeout_at},
};

/// How many instances are asked.
const ASKED: usize = 3;
/// How long they are waited for: until they answer, and the way there and back.
const WAIT: Duration = ANSWER.saturating_add(Duration::from_millis(500));
/// How long it is believed that there was a way.
const GOOD: Duration = Duration::from_mins(1);
/// How long it is believed that there was none: somebody may be opening a port.
const POOR: Duration = Duration::from_secs(15);

/// Which listener an address is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Where links are served.
    Links,
    /// Where invites are taken.
    Enrolment,
}

impl Listener {
    /// One stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Enrolment => "enrolment",
        }
    }
}

/// What came of asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReachState {
    /// Somebody tried.
    Tested,
    /// Somebody was asked, and said nothing.
    Silent,
    /// No instance is linked that could be asked.
    Nobody,
    /// Every address is one of loopback: whoever tries it reaches themselves.
    Local,
    /// Nothing listens.
    #[default]
    Closed,
}

impl ReachState {
    /// One stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tested => "tested",
            Self::Silent => "silent",
            Self::Nobody => "nobody",
            Self::Local => "local",
            Self::Closed => "closed",
        }
    }
}

/// An address that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// `host:port`.
    pub address: String,
    /// What listens there.
    pub listener: Listener,
    /// The grants whose holders reached this instance by it.
    pub by: Vec<GrantId>,
}

/// What linked instances say of the addresses of this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// What came of it.
    pub state: ReachState,
    /// When, where anybody was asked.
    pub at: Option<Time>,
    /// The grants whose holders tried, or were asked and said nothing.
    pub asked: Vec<GrantId>,
    /// The addresses that were tried.
    pub addresses: Vec<Tried>,
}

impl Reach {
    fn none(state: ReachState) -> Self {
        Self { state, ..Self::default() }
    }

    /// These addresses, those first that somebody came by.
    pub(crate) fn order(&self, mut addresses: Vec<String>) -> Vec<String> {
        let reached = |address: &String| self.addresses.iter().any(|one| one.address == *address && !one.by.is_empty());
        addresses.sort_by_cached_key(|address| !reached(address));
        addresses
    }
}

/// What was said last.
#[derive(Default)]
pub(crate) struct Reaching(Mutex<Option<(Instant, Reach)>>);

type Candidate = (Listener, String);
/// Who was asked, and where their answer arrives.
type Asked = Vec<(GrantId, Receiver<Vec<bool>>)>;

impl Spoke {
    /// Has the addresses of the listeners that are open tried, unless that was done just now.
    pub async fn reach(&self) -> Reach {
        self.reach_at(&self.listeners.named()).await
    }

    /// Has these addresses tried, unless that was done just now. At once where nobody can be asked, and else within [`WAIT`] of its turn.
    pub(crate) async fn reach_at(&self, addresses: &Addresses) -> Reach {
        if addresses.links.is_empty() && addresses.enrolment.is_empty() {
            return Reach::none(ReachState::Closed);
        }
        let candidates = candidates(addresses);
        if candidates.is_empty() {
            return Reach::none(ReachState::Local);
        }
        // One at a time: who comes meanwhile has the same answer.
        let mut last = self.reaching.0.lock().await;
        if let Some(known) = last.as_ref().and_then(|(at, reach)| known(*at, reach, &candidates)) {
            return known;
        }
        let asked = self.ask(&candidates);
        if asked.is_empty() {
            return Reach::none(ReachState::Nobody);
        }
        let reach = self.heard(&candidates, asked).await;
        *last = Some((Instant::now(), reach.clone()));
        reach
    }

    /// Those who are asked, each of another instance.
    fn ask(&self, candidates: &[Candidate]) -> Asked {
        let (current, now) = (self.snapshots.current(), self.parts.world.now());
        let mut peers = BTreeSet::<InstanceId>::new();
        let addresses: Vec<_> = candidates.iter().map(|(_, address)| address.clone()).collect();
        let who = self.controls.who_tries().into_iter();
        // Who is called knows no address of this instance, and is told none.
        let standing = who.filter(|id| !self.calls.is_called(*id)).filter(|id| {
            let grant = current.grant(*id).filter(|grant| !grant.has_expired(now));
            grant.and_then(|grant| grant.peer).is_some_and(|peer| peers.insert(peer))
        });
        standing.filter_map(|id| Some((id, self.controls.try_addresses(id, &addresses)?))).take(ASKED).collect()
    }

    async fn heard(&self, candidates: &[Candidate], asked: Asked) -> Reach {
        let end = Instant::now() + WAIT;
        let ids: Vec<_> = asked.iter().map(|(grant, _)| *grant).collect();
        let answers = join_all(asked.into_iter().map(|(grant, answer)| async move {
            let answer = timeout_at(end, answer).await.ok()?.ok()?;
            Some((grant, answer))
        }));
        let answers: Vec<_> = answers.await.into_iter().flatten().collect();
        let at = Some(self.parts.world.now());
        if answers.is_empty() {
            return Reach { state: ReachState::Silent, at, asked: ids, addresses: Vec::new() };
        }
        let tried = candidates.iter().enumerate().map(|(place, (listener, address))| {
            let came = answers.iter().filter(|(_, reached)| reached.get(place) == Some(&true));
            Tried { address: address.clone(), listener: *listener, by: came.map(|(grant, _)| *grant).collect() }
        });
        let addresses = tried.collect();
        let asked = answers.iter().map(|(grant, _)| *grant).collect();
        Reach { state: ReachState::Tested, at, asked, addresses }
    }
}

/// What was said at `at` of these addresses, while it is believed.
fn known(at: Instant, reach: &Reach, candidates: &[Candidate]) -> Option<Reach> {
    let is_one =
        |one: &Tried| candidates.iter().any(|(listener, name)| (*listener, name) == (one.listener, &one.address));
    let addresses: Vec<_> = reach.addresses.iter().filter(|one| is_one(one)).cloned().collect();
    let good = addresses.iter().all(|one| !one.by.is_empty()) && reach.state == ReachState::Tested;
    let all = addresses.len() == candidates.len() || reach.state == ReachState::Silent;
    let fresh = at.elapsed() < if good { GOOD } else { POOR };
    (all && fresh).then(|| Reach { addresses, ..reach.clone() })
}

/// What is worth to be tried: of as many hosts as fit, those of the world first, the address of each listener.
fn candidates(addresses: &Addresses) -> Vec<Candidate> {
    let far = |address: &String| match address.parse().ok()? {
        Address { host: Host::Name(_), .. } => Some(Range::World),
        Address { host: Host::Ip(ip), .. } => Range::of(ip).filter(|range| *range != Range::Machine),
    };
    let of = |listener: Listener, all: &[String]| {
        let mut all: Vec<_> = all.iter().filter_map(|address| Some((far(address)?, address.clone()))).collect();
        all.sort_by_key(|(range, _)| *range != Range::World);
        all.into_iter().map(move |(_, address)| (listener, address)).collect::<Vec<_>>()
    };
    let (mut links, mut enrolment) =
        (of(Listener::Links, &addresses.links).into_iter(), of(Listener::Enrolment, &addresses.enrolment).into_iter());
    let pairs =
        std::iter::from_fn(|| Some([links.next(), enrolment.next()]).filter(|pair| pair.iter().any(Option::is_some)));
    pairs.flatten().flatten().take(ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn addresses(hosts: &[&str]) -> Addresses {
        let at = |port: u16| hosts.iter().map(|host| format!("{host}:{port}")).collect();
        Addresses { links: at(7443), enrolment: at(7444) }
    }

    fn tried(hosts: &[&str]) -> Vec<String> {
        candidates(&addresses(hosts)).into_iter().map(|(_, address)| address).collect()
    }

    #[test]
    fn as_many_hosts_as_fit_are_tried_those_of_the_world_first_and_loopback_never() {
        assert_eq!(tried(&["127.0.0.1", "[::1]"]), Vec::<String>::new());
        let all = ["127.0.0.1", "10.0.0.1", "fe80::1", "office.example", "192.0.2.7"];
        assert_eq!(tried(&all), ["office.example:7443", "office.example:7444", "192.0.2.7:7443", "192.0.2.7:7444"]);
        assert_eq!(tried(&["10.0.0.1"]), ["10.0.0.1:7443", "10.0.0.1:7444"]);
        let closed = Addresses { enrolment: Vec::new(), ..addresses(&["a.example"]) };
        assert_eq!(candidates(&closed), [(Listener::Links, "a.example:7443".to_owned())]);
    }

    fn reach(by: &[&[u128]]) -> Reach {
        let grants = |by: &[u128]| by.iter().map(|id| GrantId(uuid::Uuid::from_u128(*id))).collect();
        let addresses = candidates(&addresses(&["office.example"])).into_iter().zip(by);
        let tried = addresses.map(|((listener, address), by)| Tried { address, listener, by: grants(by) });
        Reach { state: ReachState::Tested, addresses: tried.collect(), ..Reach::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_serves_for_a_minute_and_a_bad_one_for_a_moment() {
        let (at, all) = (Instant::now(), candidates(&addresses(&["office.example"])));
        let (good, poor) = (reach(&[&[1], &[1, 2]]), reach(&[&[1], &[]]));
        advance(POOR.saturating_sub(Duration::from_millis(1))).await;
        assert_eq!(known(at, &poor, &all), Some(poor.clone()));
        advance(Duration::from_millis(1)).await;
        assert_eq!(known(at, &poor, &all), None);
        // The one address of it that somebody came by.
        assert_eq!(known(at, &poor, &all[..1]).map(|known| known.addresses.len()), Some(1));
        assert_eq!(known(at, &good, &candidates(&addresses(&["other.example"]))), None);
        advance(GOOD.saturating_sub(POOR + Duration::from_millis(1))).await;
        assert_eq!(known(at, &good, &all), Some(good.clone()));
        advance(Duration::from_millis(1)).await;
        assert_eq!(known(at, &good, &all), None);
    }

    #[test]
    fn what_somebody_came_by_stands_first_in_an_invite() {
        let named = |hosts: [&str; 3]| hosts.map(|host| format!("{host}:7443")).to_vec();
        let order = reach(&[&[1], &[]]).order(named(["192.0.2.7", "office.example", "10.0.0.1"]));
        assert_eq!(order, named(["office.example", "192.0.2.7", "10.0.0.1"]));
        assert_eq!(reach(&[&[], &[]]).order(order.clone()), order);
    }
}

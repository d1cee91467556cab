//! Whether addresses that the other side of a link names lead to that very instance: TCP and a handshake, and then nothing.
//!
//! It is the other side that says where to. So no machine is knocked at that is nearer than the link itself goes: an address of loopback or
//! of this wire only where the link was made with one, an address of a private network only where the link leads into one.

use super::{
    DialError, Dialler, Target,
    policy::Checked,
    ways::{Aim, Ways, of_proxy},
};
use domain::reach::{Address, Host, MACHINES, Range};
use futures::future::join_all;
use std::{
    io,
    net::{IpAddr, SocketAddr},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

/// Names that may be looked up at once, for all links together: each takes a thread until the resolver gives up, however long ago its trial
/// ended.
const LOOKUPS: usize = 16;
static LOOKUPS_LEFT: Semaphore = Semaphore::const_new(LOOKUPS);

/// How near a link goes by itself.
struct Near {
    /// The ranges of the addresses that it was made with, names left out: what a name leads to is for its owner to say, at any time.
    written: Vec<Range>,
    /// Whether it leads into a private network, also by a name.
    network: bool,
}

impl Near {
    async fn of(target: &Target, ways: &Ways, end: Instant) -> Self {
        let addresses: Vec<Address> = target.addresses.iter().filter_map(|text| text.parse().ok()).collect();
        let written = addresses.iter().filter_map(|address| match &address.host {
            Host::Ip(ip) => Range::of(*ip),
            Host::Name(_) => None,
        });
        let written: Vec<_> = written.collect();
        let network = written.contains(&Range::Network) || {
            let found = join_all(addresses.iter().map(|address| machines(address, ways, end))).await;
            found.into_iter().flatten().any(|machine| Range::of(machine.ip()) == Some(Range::Network))
        };
        Self { written, network }
    }

    fn admits(&self, ip: IpAddr) -> bool {
        match Range::of(ip) {
            Some(Range::World) => true,
            Some(Range::Network) => self.network,
            Some(range @ (Range::Machine | Range::Wire | Range::Metadata)) => self.written.contains(&range),
            None => false,
        }
    }

    /// Those of the machines that are knocked at.
    fn few(&self, machines: Vec<Checked>) -> Vec<Checked> {
        machines.into_iter().filter(|machine| self.admits(machine.address().ip())).take(MACHINES).collect()
    }
}

impl Dialler {
    /// Whether each of `addresses` leads to the target's instance, as known by `end`; none where a proxy on the way out of here fails, which says
    /// nothing of them. Every connection is closed as soon as it is known.
    pub async fn reached(&self, target: &Target, addresses: &[Address], end: Instant) -> Option<Vec<bool>> {
        let found = join_all(addresses.iter().map(|address| machines(address, &self.ways, end)));
        let (near, found) = tokio::join!(Near::of(target, &self.ways, end), found);
        let few = found.into_iter().map(|machines| near.few(self.ways.judged(machines)));
        let aims = few.zip(addresses).map(|(machines, Address { host, .. })| {
            machines.into_iter().map(|machine| self.ways.aim(host, machine)).collect()
        });
        join_all(aims.map(|aims| self.any_reached(target, aims, end))).await.into_iter().collect()
    }

    async fn any_reached(&self, target: &Target, aims: Vec<Aim>, end: Instant) -> Option<bool> {
        let reached = join_all(aims.into_iter().map(|aim| self.is_reached(target, aim, end))).await;
        if reached.contains(&Some(true)) {
            Some(true)
        } else {
            reached.into_iter().find(Option::is_none).unwrap_or(Some(false))
        }
    }

    async fn is_reached(&self, target: &Target, aim: Aim, end: Instant) -> Option<bool> {
        let shaken = async {
            let prepared = self.tls(target)?;
            let stream = self.ways.stream(aim.clone()).await.map_err(|error| missed(&error))?;
            super::shake(target, prepared, stream, end).await
        };
        match timeout_at(end, shaken).await.unwrap_or(Err(DialError::HandshakeTimeout)) {
            Ok(_) => Some(true),
            Err(DialError::Proxy(error)) if !error.is_of_there() => {
                tracing::debug!(%error, ?aim, "an address that the other side of a link asked about could not be tried");
                None
            }
            Err(error) => {
                tracing::debug!(%error, ?aim, "an address that the other side of a link asked about leads nowhere");
                Some(false)
            }
        }
    }
}

fn missed(error: &io::Error) -> DialError {
    of_proxy(error).map_or_else(|| DialError::Lost(error.kind()), |proxy| DialError::Proxy(proxy.clone()))
}

/// The machines that an address names.
async fn machines(address: &Address, ways: &Ways, end: Instant) -> Vec<SocketAddr> {
    match &address.host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, address.port)],
        Host::Name(_) => {
            let (ways, address) = (ways.clone(), address.clone());
            let found = in_place(&LOOKUPS_LEFT, end, async move { ways.found(&address).await });
            found.await.unwrap_or_default()
        }
    }
}

/// What a lookup found by `end`; none also where others had every place until then. One that has begun keeps its place until it ends by
/// itself, whoever waits for it.
async fn in_place<T: Send + 'static>(
    places: &'static Semaphore,
    end: Instant,
    lookup: impl Future<Output = io::Result<T>> + Send + 'static,
) -> Option<T> {
    let found = async {
        let place = places.acquire().await.ok()?;
        let begun = tokio::spawn(async move {
            let found = lookup.await;
            drop(place);
            found
        });
        begun.await.ok()?.ok()
    };
    timeout_at(end, found).await.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::DialPolicy;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    static TWO: Semaphore = Semaphore::const_new(2);

    #[tokio::test(start_paused = true)]
    async fn lookups_that_nobody_waits_for_any_more_keep_their_places_and_no_others_begin() {
        let (begun, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let look = |seconds| {
            let (begun, answers) = (Arc::clone(&begun), Arc::clone(&answers));
            in_place(&TWO, Instant::now() + Duration::from_secs(seconds), async move {
                begun.fetch_add(1, Ordering::SeqCst);
                answers.acquire().await.map_err(io::Error::other)?.forget();
                Ok("found")
            })
        };
        for trial in 0..5 {
            let found = join_all((0..4).map(|_| look(3))).await;
            assert_eq!(found, [None; 4], "trial {trial}");
            assert_eq!(begun.load(Ordering::SeqCst), 2, "trial {trial} began others");
        }
        answers.add_permits(2);
        let late = look(3);
        answers.add_permits(1);
        assert_eq!(late.await, Some("found"), "once those that nobody waits for have ended");
        assert_eq!((begun.load(Ordering::SeqCst), TWO.available_permits()), (3, 2));
    }

    #[test]
    fn of_a_name_that_leads_to_a_crowd_a_few_are_tried() {
        let policy = DialPolicy::default();
        let checked = |ip: [u8; 4]| policy.judge(SocketAddr::new(ip.into(), 443), &[]).unwrap();
        let crowd: Vec<Checked> = (1..100).map(|last| checked([192, 0, 2, last])).collect();
        let near = Near { written: Vec::new(), network: false };
        assert_eq!(near.few(crowd.clone()), crowd[..MACHINES]);
        let inner = checked([10, 0, 0, 1]);
        assert_eq!(near.few(vec![inner, crowd[0], inner]), [crowd[0]]);
    }
}

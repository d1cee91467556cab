//! How sockets to other machines come about, for everything that dials: a name is resolved once, each of its addresses is judged, and one
//! that was judged is dialled, never the name again. Where there is a proxy it is asked for that same address; for a name only where the
//! settings leave that name to it.

use super::{
    connect::{self, Connect, TcpConnect, race},
    policy::{Checked, DialPolicy, Forbidden},
    proxy::{self, Proxy, ProxyError},
};
use crate::Io;
use domain::reach::{Address, Host};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::net::{TcpStream, lookup_host};

/// Of one name, so many machines are tried.
const MACHINES: usize = 16;
/// Of so many lists of addresses it is remembered which one answered.
const REMEMBERED: usize = 4096;

/// Says which machines a name leads to.
pub trait Resolve: Send + Sync {
    /// The addresses of `name`, in the order to try, with `port`.
    fn resolve(&self, name: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// As the machine resolves names.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolve;

impl Resolve for SystemResolve {
    fn resolve(&self, name: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(lookup_host((name, port)).await?.collect()) })
    }
}

/// Why one address did not come to a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Nobody listens there.
    Refused,
    /// The operating system's reason, or the resolver's.
    Failed(String),
    /// None of the machines that it leads to may be dialled.
    Forbidden(Vec<Forbidden>),
    /// The proxy gave no connection.
    Proxy(ProxyError),
}

/// What a proxy said, where it is one that gave no socket.
pub(super) fn of_proxy(error: &io::Error) -> Option<&ProxyError> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

impl Miss {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            _ if let Some(proxy) = of_proxy(error) => Self::Proxy(proxy.clone()),
            io::ErrorKind::ConnectionRefused => Self::Refused,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Where one socket leads, and over what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// A judged address, dialled from here.
    Here(Checked),
    /// A judged address, of which the proxy is asked.
    Proxied(Checked),
    /// A name that the settings leave to the proxy, `host:port`.
    Named(String),
}

impl Aim {
    pub(crate) const fn is_proxied(&self) -> bool {
        !matches!(self, Self::Here(_))
    }
}

/// Which machines may be dialled, and over what.
#[derive(Clone)]
pub struct Ways {
    policy: Arc<DialPolicy>,
    resolver: Arc<dyn Resolve>,
    connector: Arc<dyn Connect>,
    proxy: Option<Arc<Proxy>>,
    /// Which address of a list answered last, as written and as dialled: it is tried first.
    answered: Arc<Mutex<HashMap<Vec<String>, Answered>>>,
}

#[derive(Clone)]
struct Answered {
    written: String,
    at: Aim,
}

impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ways").field("policy", &self.policy).field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

impl Ways {
    /// TCP to what `policy` lets through, names as the machine resolves them.
    pub fn new(policy: DialPolicy) -> Self {
        Self {
            policy: Arc::new(policy),
            resolver: Arc::new(SystemResolve),
            connector: Arc::new(TcpConnect),
            proxy: None,
            answered: Arc::default(),
        }
    }

    /// The same with another resolver.
    #[must_use]
    pub fn resolving(self, resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, ..self }
    }

    /// The same, and this address besides: it stands in the settings itself.
    #[must_use]
    pub fn allowing(self, ip: IpAddr) -> Self {
        let mut policy = (*self.policy).clone();
        policy.allow.push(ip.to_canonical().into());
        Self { policy: Arc::new(policy), ..self }
    }

    /// The same with another connector.
    #[must_use]
    pub fn over(self, connector: Arc<dyn Connect>) -> Self {
        Self { connector, ..self }
    }

    /// The same, through a proxy.
    #[must_use]
    pub fn through(self, proxy: Option<Proxy>) -> Self {
        Self { proxy: proxy.map(Arc::new), ..self }
    }

    /// A TCP connection to `host:port`, for what is no link; why not, as cause and next step.
    pub async fn socket(&self, address: &str) -> Result<TcpStream, String> {
        let search = self.search(&[address.to_owned()]);
        match search.first(&self.sockets()).await {
            Ok((socket, _)) => Ok(socket),
            Err(misses) => Err(match (self.forbidden(address, &misses), misses.into_iter().next()) {
                (Some(told), _) => told,
                (None, Some(Miss::Failed(cause))) => cause,
                (None, Some(Miss::Proxy(error))) => error.to_string(),
                (None, _) => "it refused the connection".to_owned(),
            }),
        }
    }

    /// Looks for one of `addresses`, `host:port` each.
    pub(crate) fn search(&self, addresses: &[String]) -> Search {
        let last = self.lock().get(addresses).cloned();
        let mut written = addresses.to_vec();
        if let Some(last) = &last {
            written.sort_by_key(|address| *address != last.written);
        }
        let listed = written.into_iter().map(|written| {
            let (ways, text, first) = (self.clone(), written.clone(), last.as_ref().map(|last| last.at.clone()));
            let machines = async move { ways.machines(&text, first).await };
            Listed { written, machines: machines.boxed().shared() }
        });
        Search { listed: listed.collect(), gone: Vec::new() }
    }

    /// That this address of the list answered as who is looked for.
    pub(super) fn remember(&self, addresses: &[String], search: &Search, at: &Aim) {
        let mut answered = self.lock();
        if let Some(written) = search.written(at)
            && (answered.len() < REMEMBERED || answered.contains_key(addresses))
        {
            answered.insert(addresses.to_vec(), Answered { written, at: at.clone() });
        }
    }

    /// Over what a judged address is reached to which `host` led.
    pub(super) fn aim(&self, host: &Host, at: Checked) -> Aim {
        match &self.proxy {
            Some(proxy) if proxy.carries(host, at) => Aim::Proxied(at),
            _ => Aim::Here(at),
        }
    }

    /// A byte stream there.
    pub(super) fn stream(&self, aim: Aim) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        match aim {
            Aim::Here(at) => self.connector.connect(at),
            aim => {
                let socket = self.tcp(aim);
                Box::pin(async move { Ok(Box::new(socket.await?) as Box<dyn Io>) })
            }
        }
    }

    /// TCP itself, for what needs it.
    pub(crate) fn sockets(&self) -> Making<TcpStream> {
        let ways = self.clone();
        Arc::new(move |aim| ways.tcp(aim))
    }

    fn tcp(&self, aim: Aim) -> BoxFuture<'static, io::Result<TcpStream>> {
        let (asked, proxy) = match (aim, &self.proxy) {
            (Aim::Here(at), _) => return Box::pin(connect::socket(at)),
            (Aim::Proxied(at), Some(proxy)) => (proxy::written(at), Arc::clone(proxy)),
            (Aim::Named(name), Some(proxy)) => (name, Arc::clone(proxy)),
            // Only a proxy makes such aims.
            (_, None) => return Box::pin(async { Err(io::ErrorKind::Unsupported.into()) }),
        };
        Box::pin(async move { proxy.connect(&asked).await })
    }

    /// The proxy, as people are told of it.
    pub(super) fn proxy_of(&self, aim: &Aim) -> Option<String> {
        self.proxy.as_ref().filter(|_| aim.is_proxied()).map(ToString::to_string)
    }

    /// What is told where nothing but the policy was in the way.
    pub(crate) fn forbidden(&self, tried: &str, misses: &[Miss]) -> Option<String> {
        let forbidden: Option<Vec<_>> = misses
            .iter()
            .map(|miss| match miss {
                Miss::Forbidden(forbidden) => Some(forbidden.clone()),
                _ => None,
            })
            .collect();
        let forbidden = forbidden?.concat();
        (!forbidden.is_empty()).then(|| self.policy.told(tried, &forbidden))
    }

    /// Every machine that an address leads to, unjudged: to know how far it is, not to dial it.
    pub(super) async fn found(&self, address: &Address) -> io::Result<Vec<SocketAddr>> {
        match &address.host {
            Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, address.port)]),
            Host::Name(name) => self.resolver.resolve(name.clone(), address.port).await,
        }
    }

    /// Those of them that may be dialled.
    pub(super) fn judged(&self, found: Vec<SocketAddr>) -> Vec<Checked> {
        self.policy.sift(found).0
    }

    async fn machines(&self, written: &str, first: Option<Aim>) -> Result<Arc<[Aim]>, Miss> {
        let address: Address = written.parse().map_err(|error| Miss::Failed(format!("{error}")))?;
        if let (Host::Name(name), Some(proxy)) = (&address.host, &self.proxy)
            && proxy.looks_up(name)
        {
            return Ok([Aim::Named(address.to_string())].into());
        }
        let found = self.found(&address).await.map_err(|error| self.unfound(&error.to_string()))?;
        if found.is_empty() {
            return Err(self.unfound("the name has no address"));
        }
        let (checked, forbidden) = self.policy.sift(found);
        if checked.is_empty() {
            return Err(Miss::Forbidden(forbidden));
        }
        if !forbidden.is_empty() {
            tracing::info!(written, ?forbidden, "addresses are left out: they may not be dialled");
        }
        let mut machines: Vec<_> = in_turn(checked).into_iter().map(|at| self.aim(&address.host, at)).collect();
        machines.truncate(MACHINES);
        machines.sort_by_key(|machine| Some(machine) != first.as_ref());
        Ok(machines.into())
    }

    /// A name that leads nowhere, as seen from here.
    fn unfound(&self, cause: &str) -> Miss {
        Miss::Failed(match &self.proxy {
            Some(proxy) => format!(
                "{cause} (names are looked up here; where only the proxy {proxy} can, they belong into `names` of `[proxy]`)"
            ),
            None => cause.to_owned(),
        })
    }

    // Held for a few lines, never across an await.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<String>, Answered>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One family after the other, beginning with the one that the resolver put first: a family that leads nowhere costs one hesitation, not one
/// for each of its addresses (RFC 8305 section 4).
fn in_turn(machines: Vec<Checked>) -> Vec<Checked> {
    let family = |machine: &Checked| match machine.address().ip().to_canonical() {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 6,
    };
    let first = machines.first().map(family);
    let (one, other): (Vec<_>, Vec<_>) = machines.into_iter().partition(|machine| Some(family(machine)) == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let pairs = std::iter::from_fn(|| match (one.next(), other.next()) {
        (None, None) => None,
        pair => Some([pair.0, pair.1]),
    });
    pairs.flatten().flatten().collect()
}

type Machines = Shared<BoxFuture<'static, Result<Arc<[Aim]>, Miss>>>;
/// Makes something of where it leads: a socket, or what a test puts in its place.
pub(crate) type Making<T> = Arc<dyn Fn(Aim) -> BoxFuture<'static, io::Result<T>> + Send + Sync>;

struct Listed {
    written: String,
    machines: Machines,
}

/// One search for one instance: what a name led to at its first look is what it leads to until the end.
pub(crate) struct Search {
    listed: Vec<Listed>,
    gone: Vec<Aim>,
}

impl Search {
    /// The first machine that comes to something, of those that were not left behind. All misses if there is none.
    pub(crate) async fn first<T: Send + 'static>(&self, make: &Making<T>) -> Result<(T, Aim), Vec<Miss>> {
        let attempts = self.listed.iter().map(|listed| {
            let (machines, gone, make) = (listed.machines.clone(), self.gone.clone(), Arc::clone(make));
            one_of(machines, gone, make).boxed()
        });
        race(attempts.collect()).await.map_err(|misses| misses.concat())
    }

    /// Tries this one no more: somebody else is there.
    pub(super) fn leave(&mut self, machine: Aim) {
        self.gone.push(machine);
    }

    /// Whether there may be another one to try.
    pub(super) fn is_more(&self) -> bool {
        self.listed.iter().any(|listed| match listed.machines.peek() {
            None => true,
            Some(Ok(machines)) => machines.iter().any(|machine| !self.gone.contains(machine)),
            Some(Err(_)) => false,
        })
    }

    fn written(&self, at: &Aim) -> Option<String> {
        let has = |listed: &&Listed| matches!(listed.machines.peek(), Some(Ok(machines)) if machines.contains(at));
        self.listed.iter().find(has).map(|listed| listed.written.clone())
    }
}

async fn one_of<T: Send + 'static>(machines: Machines, gone: Vec<Aim>, make: Making<T>) -> Result<(T, Aim), Vec<Miss>> {
    let machines = machines.await.map_err(|miss| vec![miss])?;
    let attempts = machines.iter().filter(|machine| !gone.contains(machine)).map(|machine| {
        let (machine, make) = (machine.clone(), Arc::clone(&make));
        // Begun when its turn has come.
        async move { make(machine.clone()).await.map(|made| (made, machine)).map_err(|error| Miss::of(&error)) }.boxed()
    });
    race(attempts.collect()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_each_keeps_its_order() {
        let policy = DialPolicy::default();
        let checked = |ip: &str| policy.judge(SocketAddr::new(ip.parse().unwrap(), 1), &[]).unwrap();
        let sorted = |ips: &[&str]| -> Vec<String> {
            let turns = in_turn(ips.iter().map(|ip| checked(ip)).collect());
            turns.iter().map(|machine| machine.address().ip().to_string()).collect()
        };
        let all = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1"];
        assert_eq!(sorted(&all), ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]);
        assert_eq!(sorted(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]), ["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
        assert!(sorted(&[]).is_empty());
    }
}

//! What a daemon and its PostgreSQL have open to the network, by what the kernel says of their sockets.

use super::harness::{Instance, database};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::fs::MetadataExt,
};

/// Ports of TCP sockets that listen, and of UDP sockets that are bound, by their inodes.
fn open_ports() -> BTreeMap<String, u16> {
    let mut ports = BTreeMap::new();
    for (table, state) in [("tcp", Some("0A")), ("tcp6", Some("0A")), ("udp", None), ("udp6", None)] {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<_> = line.split_whitespace().collect();
            let port = words[1].rsplit_once(':').unwrap().1;
            if state.is_none_or(|state| words[3] == state) {
                ports.insert(words[9].to_owned(), u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    ports
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// A process and all that it started.
fn family(eldest: u32) -> BTreeSet<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let all: Vec<u32> = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let mut family = BTreeSet::from([eldest]);
    loop {
        let before = family.len();
        family.extend(
            all.iter().filter(|pid| parent(**pid).is_some_and(|parent| family.contains(&parent))).collect::<Vec<_>>(),
        );
        if family.len() == before {
            return family;
        }
    }
}

/// Whether the kernel says which sockets a process has: a daemon, which has keys in its memory, forbids it to all but the superuser.
fn shown(pid: u32) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd")).is_ok()
}

fn ports_of(pids: &BTreeSet<u32>) -> BTreeSet<u16> {
    let open = open_ports();
    let links = pids.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok()).flatten().flatten();
    let links = links.filter_map(|entry| fs::read_link(entry.path()).ok());
    let inode =
        |link: std::path::PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned);
    links.filter_map(inode).filter_map(|inode| open.get(&inode).copied()).collect()
}

/// What the daemon of this instance and its PostgreSQL have open. Where the kernel does not say it of the daemon: what PostgreSQL has,
/// and which of the daemon's two ports somebody listens on.
pub fn ports(instance: &Instance) -> BTreeSet<u16> {
    let cluster = database(&instance.data()).unwrap()["cluster"].as_str().unwrap().to_owned();
    let postmaster = fs::read_to_string(format!("{cluster}/postmaster.pid")).unwrap();
    let mut pids = family(postmaster.lines().next().unwrap().parse().unwrap());
    pids.extend(family(instance.pid()));
    assert!(pids.len() > 3, "a daemon, a postmaster and its children: {pids:?}");
    let mut ports = ports_of(&pids);
    if !shown(instance.pid()) {
        assert_ne!(fs::metadata("/proc/self").unwrap().uid(), 0, "the superuser sees every process");
        let open: BTreeSet<_> = open_ports().into_values().collect();
        ports.extend([instance.links, instance.enrolment].into_iter().filter(|port| open.contains(port)));
    }
    ports
}

#[test]
fn with_no_grant_and_no_link_nothing_listens_and_local_use_works() {
    let instance = Instance::running("office");
    assert_eq!(ports(&instance), BTreeSet::new());
    instance.types("add tasks first").done();
    assert_eq!(instance.types("list tasks --json").done().json()["rows"].as_array().unwrap().len(), 1);
    assert_eq!(ports(&instance), BTreeSet::new(), "after local use");
    instance.types("invite partner --share tasks --personal").done();
    let open = ports(&instance);
    assert!(open.len() == 2 && open.contains(&instance.links), "one for links, one for invites: {open:?}");
}

#[test]
fn what_this_looks_for_is_found() {
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
    let own = ports_of(&BTreeSet::from([std::process::id()]));
    for port in [tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port()] {
        assert!(own.contains(&port), "{port} in {own:?}");
    }
}

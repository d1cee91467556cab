//! What is dialled and what never is, by table and by chance.

use super::*;
use proptest::prelude::*;

fn allowing(nets: &[&str]) -> DialPolicy {
    DialPolicy { allow: nets.iter().map(|net| net.parse().unwrap()).collect(), ..DialPolicy::default() }
}

fn judged(policy: &DialPolicy, ip: &str) -> Option<Why> {
    policy.judge(SocketAddr::new(ip.parse().unwrap(), 7443), &[]).err().map(|refused| refused.why)
}

#[test]
fn private_networks_are_dialled_and_nothing_nearer_nor_what_tells_secrets() {
    for (why, ips) in [
        (
            None,
            &[
                "192.0.2.7",
                "8.8.8.8",
                "2001:db8::7",
                "10.0.0.1",
                "172.31.255.254",
                "192.168.1.1",
                "100.64.0.1",
                "100.100.100.100",
                "fd00::1",
                "fd7a:115c:a1e0::1",
                "64:ff9b::c000:207",
                "64:ff9b:1::1",
                "2002:c000:207::1",
                "::ffff:10.0.0.1",
            ][..],
        ),
        (
            Some(Why::Machine),
            &[
                "127.0.0.1",
                "127.1.2.3",
                "::1",
                "::ffff:127.0.0.1",
                "64:ff9b::7f00:1",
                "2002:7f00:1::1",
                "2001:0:1:2:3:4:80ff:fffe",
            ],
        ),
        (Some(Why::Wire), &["169.254.0.1", "fe80::1", "febf:ffff::1", "::ffff:169.254.9.9", "64:ff9b::a9fe:101"]),
        (
            Some(Why::Metadata),
            &[
                "169.254.169.254",
                "169.254.170.2",
                "::ffff:169.254.169.254",
                "64:ff9b::a9fe:a9fe",
                "2002:a9fe:a9fe::",
                "168.63.129.16",
                "100.100.100.200",
                "192.0.0.192",
                "::ffff:192.0.0.192",
                "fd00:ec2::254",
                "fd20:ce::254",
                "fd00:42::42",
                "fe80::a9fe:a9fe",
            ],
        ),
        (
            Some(Why::Nobody),
            &[
                "0.0.0.0",
                "0.1.2.3",
                "255.255.255.255",
                "224.0.0.251",
                "239.255.255.250",
                "240.0.0.1",
                "::",
                "::127.0.0.1",
                "::ffff:0.0.0.0",
                "64:ff9b::",
                "ff02::1",
                "ff0e::1",
            ],
        ),
    ] {
        for ip in ips {
            assert_eq!(judged(&DialPolicy::default(), ip), why, "{ip}");
        }
    }
}

#[test]
fn a_network_of_the_settings_is_dialled_as_it_is_written_and_in_no_other_dress() {
    let loopback = DialPolicy::this_machine();
    for ip in ["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(judged(&loopback, ip), None, "{ip}");
    }
    // A translator or a tunnel leads out of this machine, to somebody who leads back.
    for ip in ["64:ff9b::7f00:1", "2002:7f00:1::1"] {
        assert_eq!(judged(&loopback, ip), Some(Why::Machine), "{ip}");
    }
    assert_eq!(judged(&loopback, "169.254.0.1"), Some(Why::Wire));
    assert_eq!(judged(&allowing(&["169.254.169.254/32"]), "169.254.169.254"), None);
    assert_eq!(judged(&allowing(&["169.254.0.0/17"]), "169.254.169.254"), Some(Why::Metadata));
    let everything = allowing(&["0.0.0.0/0", "::/0"]);
    for ip in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1"] {
        assert_eq!(judged(&everything, ip), Some(Why::Nobody), "{ip}");
    }
}

#[test]
fn where_this_instance_listens_is_never_dialled() {
    let own: Vec<SocketAddr> = ["[::]:7443", "10.0.0.5:7444", "127.0.0.1:7446"].map(|at| at.parse().unwrap()).into();
    let policy = DialPolicy { own, ..DialPolicy::this_machine() };
    let machine: [IpAddr; 2] = ["192.168.1.5".parse().unwrap(), "2001:db8::5".parse().unwrap()];
    let judged = |at: &str| policy.judge(at.parse().unwrap(), &machine).err().map(|refused| refused.why);
    for at in [
        "127.0.0.1:7443",
        "127.9.9.9:7443",
        "[::1]:7443",
        "[::ffff:127.0.0.1]:7443",
        "192.168.1.5:7443",
        "[64:ff9b::c0a8:105]:7443",
        "[2001:db8::5]:7443",
        "10.0.0.5:7444",
        "[::ffff:10.0.0.5]:7444",
        "127.0.0.1:7446",
    ] {
        assert_eq!(judged(at), Some(Why::Own), "{at}");
    }
    // The same machine, another instance; and the same port of another machine.
    for at in ["127.0.0.1:7444", "192.168.1.5:7444", "192.168.1.6:7443", "127.0.0.2:7446", "[2001:db8::6]:7443"] {
        assert_eq!(judged(at), None, "{at}");
    }
}

#[test]
fn who_is_refused_learns_which_and_why_and_the_line_that_allows_it() {
    let policy = DialPolicy { settings: "/home/a/config.toml".to_owned(), ..allowing(&["10.0.0.0/8"]) };
    let refused = |ips: &[&str]| policy.sift(ips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 1)).collect()).1;
    assert_eq!(
        policy.told("office.example:1", &refused(&["127.0.0.1", "::1"])),
        "office.example:1 is not dialled: 127.0.0.1 is this machine itself (loopback), ::1 is this machine itself (loopback); if that is \
         meant, write dial_allow = [\"10.0.0.0/8\", \"127.0.0.1/32\", \"::1/128\"] at the top of /home/a/config.toml, in the place of any \
         other, and start `mosaic-fed serve` again"
    );
    let never = policy.told("0.0.0.0:1", &refused(&["0.0.0.0"]));
    assert!(never.contains("0.0.0.0 is no machine's address; no setting allows that"), "{never}");
    let many: Vec<_> = (1..99).map(|last| format!("127.0.0.{last}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(policy.told("a:1", &refused(&many)).len() < 400);
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
        // Near the edges of what is refused.
        (prop::sample::select(vec![0x7f00_0000_u32, 0xa9fe_0000, 0xe000_0000, 0x6464_64c8, 0]), 0_u32..0x2_0000)
            .prop_map(|(base, offset)| Ipv4Addr::from(base.wrapping_add(offset).wrapping_sub(0x1_0000)).into()),
    ]
}

/// What the standard library says that no policy lets through by itself.
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast(),
    }
}

proptest! {
    #[test]
    fn whatever_is_let_through_is_far_enough(ip in any_ip()) {
        let passes = DialPolicy::default().judge(SocketAddr::new(ip, 1), &[]).is_ok();
        prop_assert!(!(passes && is_near(ip)), "{ip}");
    }

    #[test]
    fn no_dress_of_an_address_gets_further_than_the_address(bits in any::<u32>(), rest in any::<u128>()) {
        let v4 = Ipv4Addr::from(bits);
        let [a, b, c, d] = v4.octets().map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        let tail = Ipv6Addr::from(rest).segments();
        let dressed = [
            v4.to_ipv6_mapped(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, tail[0], tail[1], tail[2], tail[3], tail[4]),
            Ipv6Addr::new(0x2001, 0, tail[0], tail[1], tail[2], tail[3], !high, !low),
        ];
        let policy = DialPolicy::default();
        let plain = policy.judge(SocketAddr::new(v4.into(), 1), &[]).map(drop).map_err(|refused| refused.why);
        for ip in dressed {
            let other = policy.judge(SocketAddr::new(ip.into(), 1), &[]).map(drop).map_err(|refused| refused.why);
            prop_assert_eq!(&other, &plain, "{}", ip);
        }
    }

    #[test]
    fn a_setting_lets_through_only_its_own_network(ip in any_ip(), base in any_ip(), length in 0_u8..=32) {
        let net = IpNet::new(base, length).unwrap().trunc();
        let policy = DialPolicy { allow: vec![net], ..DialPolicy::default() };
        let address = SocketAddr::new(ip, 1);
        if policy.judge(address, &[]).is_ok() && !net.contains(&ip.to_canonical()) {
            prop_assert!(DialPolicy::default().judge(address, &[]).is_ok(), "{} by {}", ip, net);
        }
    }
}

use super::*;
use crate::dial::DialPolicy;
use proptest::prelude::*;

fn places(texts: &[&str]) -> Vec<Place> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn proxy() -> Proxy {
    Proxy::parse("http://proxy.example:3128").unwrap()
}

fn checked(text: &str) -> Checked {
    let policy =
        DialPolicy { allow: vec!["::/0".parse().unwrap(), "0.0.0.0/0".parse().unwrap()], ..DialPolicy::default() };
    policy.judge(text.parse().unwrap(), &[]).unwrap()
}

#[test]
fn a_proxy_is_a_host_and_a_port_spoken_to_without_tls_and_nothing_more() {
    for good in
        ["http://proxy.example:3128", "http://192.0.2.7:8080", "http://[2001:db8::7]:1", "http://localhost:8888"]
    {
        assert_eq!(Proxy::parse(good).unwrap().to_string(), good);
        assert_eq!(Proxy::parse(&format!("{good}/")).unwrap().to_string(), good);
    }
    for (bad, says) in [
        ("https://proxy.example:3128", "write http://"),
        ("socks5://proxy.example:1080", "only HTTP proxies"),
        ("http://me:hunter2@proxy.example:3128", "auth_file"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("http://proxy.example", "http://proxy.example:3128"),
        ("http://proxy.example:0", "http://proxy.example:3128"),
        ("http://proxy.example:3128/path", "http://proxy.example:3128"),
        ("http://proxy.example\r\nX: y:3128", "http://proxy.example:3128"),
        ("", "http://proxy.example:3128"),
    ] {
        let told = Proxy::parse(bad).unwrap_err();
        assert!(told.contains(says) && told.contains("; ") && !told.contains("hunter2"), "{bad}: {told}");
    }
}

#[test]
fn a_name_and_a_password_are_one_line_and_shown_nowhere() {
    let secret = Credentials::parse("dana:hunter2:x\n").ok().unwrap();
    let with = proxy().with(secret);
    let request = with.request("office.example:7443");
    let lines: Vec<_> = request.expose().split("\r\n").collect();
    let basic = format!("Proxy-Authorization: Basic {}", BASE64_STANDARD.encode("dana:hunter2:x"));
    let connect = ["CONNECT office.example:7443 HTTP/1.1", "Host: office.example:7443", &basic, "", ""];
    assert_eq!(lines, connect);
    let shown = format!("{with:?} {with}");
    assert!(!shown.contains("hunter2") && !shown.contains(&BASE64_STANDARD.encode("dana:hunter2:x")), "{shown}");
    assert!(Credentials::parse("dana:").is_ok() && Credentials::parse("dana:x\r\n").is_ok());
    for bad in ["", "\n", "dana", ":x", "dana:x\nevil: y", "dana:x\r\nevil: y\r\n", "da\tna:x"] {
        assert!(Credentials::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn the_proxy_is_asked_for_what_is_far_and_not_excepted() {
    let name = |text: &str| Host::Name(text.to_owned());
    let proxy = proxy().except(places(&["intern.example", "10.0.0.0/8", "192.0.2.7"]));
    for (host, ip, carried) in [
        (name("office.example"), "198.51.100.7:1", true),
        (name("office.example"), "[2001:db8::7]:1", true),
        (name("office.example"), "192.168.0.7:1", true),
        (name("intern.example"), "198.51.100.7:1", false),
        (name("A.Intern.Example."), "198.51.100.7:1", false),
        (name("notintern.example"), "198.51.100.7:1", true),
        (name("office.example"), "10.9.8.7:1", false),
        (name("office.example"), "[::ffff:10.9.8.7]:1", false),
        (name("office.example"), "192.0.2.7:1", false),
        // Nearer than any network: from a proxy it would be another machine.
        (name("office.example"), "127.0.0.1:1", false),
        (name("office.example"), "[::1]:1", false),
        (name("office.example"), "169.254.7.9:1", false),
        (name("office.example"), "169.254.169.254:1", false),
        (name("office.example"), "[fe80::1]:1", false),
    ] {
        assert_eq!(proxy.carries(&host, checked(ip)), carried, "{host:?} {ip}");
    }
    assert_eq!(written(checked("[::ffff:198.51.100.7]:7443")), "198.51.100.7:7443");
}

#[test]
fn a_name_is_left_to_the_proxy_only_where_the_settings_name_it() {
    let some = proxy().looking_up(places(&["*.partner.example"])).except(places(&["lab.partner.example"]));
    for (name, left) in [
        ("office.partner.example", true),
        ("partner.example.", true),
        ("office.example", false),
        ("a.lab.partner.example", false),
    ] {
        assert_eq!(some.looks_up(name), left, "{name}");
    }
    let all = proxy().looking_up(places(&["*"]));
    assert!(all.looks_up("office.example") && !proxy().looks_up("office.example"));
    for odd in ["localhost", "LocalHost.", "a.localhost", "0x7f000001", "127.0.0.0X1"] {
        assert!(!all.looks_up(odd), "{odd}");
    }
}

#[test]
fn a_place_is_read_as_other_programs_write_it_and_what_is_none_is_refused() {
    for (text, shown) in [
        ("*", "*"),
        ("Intern.Example", "intern.example"),
        (".intern.example", "intern.example"),
        ("*.intern.example.", "intern.example"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("::1", "::1/128"),
    ] {
        assert_eq!(text.parse::<Place>().unwrap().to_string(), shown);
    }
    for bad in ["", ".", "*.*", "a b", "10.0.0.0/33", "intern.example:80", "http://intern.example", "1.2.3"] {
        assert!(bad.parse::<Place>().is_err(), "{bad}");
    }
}

#[test]
fn an_answer_has_one_reading_or_none() {
    for (head, status) in [
        ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
        ("HTTP/1.0 200 OK\r\nVia: 1.1 proxy\r\nX-Empty:\r\n\r\n", Some(200)),
        ("HTTP/1.1 200\r\n\r\n", Some(200)),
        ("HTTP/1.1 407 \r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n", Some(407)),
        ("HTTP/2 200 OK\r\n\r\n", None),
        ("HTTP/1.2 200 OK\r\n\r\n", None),
        ("http/1.1 200 OK\r\n\r\n", None),
        (" HTTP/1.1 200 OK\r\n\r\n", None),
        ("HTTP/1.1  200 OK\r\n\r\n", None),
        ("HTTP/1.1 2000 OK\r\n\r\n", None),
        ("HTTP/1.1 20\r\n\r\n", None),
        ("HTTP/1.1 +20 OK\r\n\r\n", None),
        ("HTTP/1.1 200OK\r\n\r\n", None),
        ("HTTP/1.1 000 OK\r\n\r\n", None),
        ("HTTP/1.1 200 O\0K\r\n\r\n", None),
        ("HTTP/1.1 200 OK\nVia: x\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nVia: x\ry\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nVia x\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nVia : x\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\n: x\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nVia: x\r\n folded\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\n", None),
        ("", None),
    ] {
        assert_eq!(answer::status(head.as_bytes()), status, "{head:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_are_taken_for_an_answer_that_do_not_begin_and_end_as_one(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(answer::status(&bytes), None);
        let mut framed = b"HTTP/1.1 ".to_vec();
        framed.extend(&bytes);
        framed.extend(b"\r\n\r\n");
        if let Some(status) = answer::status(&framed) {
            prop_assert!((100..600).contains(&status));
        }
    }
}

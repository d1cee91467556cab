//! An error while one connection becomes another ends both (CVE-2018-1002105): whatever a proxy answers but 200, its socket is closed, nothing of a
//! link went over it, and the next question dials anew and is judged anew. The same where the sharing side opens the socket, at both its ends.

use super::{
    caller::{PREFACE, who},
    calls::{Asking, KEY, rest, spare, target as called_target, ways},
    carrier::{Answer, Carrier},
    dial_policy::{Names, at, dialler, target},
    sharing::{GRANT, Sharing, eventually},
};
use link::{
    DialError, DialPolicy, Dialler, Ways,
    call::{CallError, call},
    dial::{Proxy, proxy::Place},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const FAR: &str = "198.51.100.7:7443";

fn through(carrier: &Carrier) -> Ways {
    within(carrier, Duration::from_secs(20))
}

/// Not long where the proxy is silent, so that the test is over soon; else so long that a slow machine is not taken for a silent proxy.
fn told_in_time(carrier: &Carrier, told: &str) -> Ways {
    within(carrier, Duration::from_secs(if told.ends_with("in time") { 1 } else { 20 }))
}

fn within(carrier: &Carrier, patience: Duration) -> Ways {
    let proxy = Proxy::parse(&carrier.url()).unwrap().waiting(patience);
    Ways::new(DialPolicy::default()).through(Some(proxy))
}

fn places(texts: &[&str]) -> Vec<Place> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What a proxy may do but carry, and what the person is told.
fn wrongs() -> Vec<(Answer, &'static str)> {
    let say = |text: &str| Answer::Say(text.as_bytes().to_vec());
    let close = |text: &str| Answer::SayAndClose(text.as_bytes().to_vec());
    vec![
        (
            say("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\nwho?"),
            "(407); write NAME:PASSWORD",
        ),
        (
            say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
            "does not allow a connection to 198.51.100.7:7443 (403)",
        ),
        (say("HTTP/1.1 405 Method Not Allowed\r\n\r\n"), "does not allow a connection"),
        (close("HTTP/1.0 502 Bad Gateway\r\n\r\n"), "came to no connection with 198.51.100.7:7443 (502)"),
        (say("HTTP/1.1 503 Service Unavailable\r\n\r\n"), "came to no connection"),
        (
            say("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n"),
            "points elsewhere (302), which is not followed",
        ),
        (say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), "the answer 101"),
        (say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "the answer 100"),
        (say("HTTP/1.1 204 No Content\r\n\r\n"), "the answer 204"),
        (say("HTTP/2 200 OK\r\n\r\n"), "does not answer as one"),
        (say("HTTP/1.1 2000 OK\r\n\r\n"), "does not answer as one"),
        (say("HTTP/1.1 200 OK\r\nfolded: a\r\n b\r\n\r\n"), "does not answer as one"),
        (say("HTTP/1.1 200 O\0K\r\n\r\n"), "does not answer as one"),
        (say("SSH-2.0-OpenSSH_9.2\r\n"), "does not answer as one"),
        (Answer::Say(vec![0x15, 3, 3, 0, 2, 2, 40]), "does not answer as one"),
        (close(""), "closed the connection instead"),
        (close("HTTP/1.1 200 OK\r\nVia: "), "closed the connection instead"),
        (Answer::SayForEver(b"HTTP/1.1 200 OK\r\nX: y\r\n".to_vec()), "answered more than any proxy does"),
        (say(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(9_000))), "answered more than any proxy does"),
        (say("HTTP/1.1 200 OK\n\n"), "gave no connection to 198.51.100.7:7443 in time"),
        (say("HTTP/1.1 200 OK\r\nX: "), "gave no connection to 198.51.100.7:7443 in time"),
        (say(""), "gave no connection to 198.51.100.7:7443 in time"),
    ]
}

#[tokio::test]
async fn proxy_error_closes_whatever_is_answered_but_200() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    for (answer, told) in wrongs() {
        let carrier = Carrier::answering(vec![answer.clone(), Answer::Lead(opened.address)]).await;
        let by = dialler(&sharing, told_in_time(&carrier, told));
        let target = target(&sharing, &[FAR]);
        let error = by.dial(&target).await.unwrap_err();
        let DialError::Proxy(inner) = &error else { panic!("{error} for {answer:?}") };
        let told_of = error.to_string();
        assert!(told_of.contains(told) && told_of.contains(&carrier.url()), "{told_of} for {answer:?}");
        assert_eq!(error.is_offline(), inner.may_pass());
        eventually("the socket is closed", || carrier.asked()[0].closed).await;
        let asked = carrier.asked();
        assert_eq!(asked[0].head, "CONNECT 198.51.100.7:7443 HTTP/1.1\r\nHost: 198.51.100.7:7443\r\n\r\n");
        assert_eq!(
            (asked.len(), asked[0].rest.as_slice()),
            (1, &b""[..]),
            "nothing but the question, once: {answer:?}"
        );
        // The same is asked again: over a new connection, from the beginning.
        let by = if told.ends_with("in time") { dialler(&sharing, through(&carrier)) } else { by };
        let dialled = by.dial(&target).await.unwrap();
        assert_eq!(who(&dialled).await.unwrap()["who"], GRANT.to_string());
        assert_eq!(carrier.asked().len(), 2, "{answer:?}");
    }
}

#[tokio::test]
async fn proxy_error_closes_and_the_next_question_is_judged_anew() {
    let sharing = Sharing::new(Sharing::patient());
    let carrier = Carrier::answering(vec![Answer::SayAndClose(b"HTTP/1.1 502 Bad Gateway\r\n\r\n".to_vec())]).await;
    let names = Names::answering(&[&[at(FAR)], &[at("127.0.0.1:7443")], &[at("169.254.169.254:80")]]);
    let dialler = dialler(&sharing, through(&carrier).resolving(Arc::new(names.clone())));
    let target = target(&sharing, &["rebinds.example:7443"]);
    assert!(matches!(dialler.dial(&target).await.unwrap_err(), DialError::Proxy(_)));
    for looks in 2..4 {
        let refused = dialler.dial(&target).await.unwrap_err();
        assert!(matches!(refused, DialError::Forbidden(_)), "{refused}");
        assert_eq!(names.asked(), looks);
    }
    assert_eq!(carrier.lines(), ["CONNECT 198.51.100.7:7443 HTTP/1.1"], "the judged address, and it alone");
}

#[tokio::test]
async fn proxy_error_closes_where_the_proxy_itself_is_away() {
    let sharing = Sharing::new(Sharing::patient());
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::parse(&format!("http://{gone}")).unwrap();
    let by = dialler(&sharing, Ways::new(DialPolicy::default()).through(Some(proxy)));
    let error = by.dial(&target(&sharing, &[FAR])).await.unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains(&format!("the proxy http://{gone} cannot be reached")) && told.contains("`[proxy]`"),
        "{told}"
    );
    assert!(error.is_offline());
}

#[tokio::test]
async fn a_proxy_carries_tls_from_end_to_end_and_who_answers_is_judged_as_without() {
    let (sharing, stranger) = (Sharing::new(Sharing::patient()), Sharing::new(Sharing::patient()));
    let (right, other) = (sharing.federation().await, stranger.enrolment().await);
    let carrier = Carrier::answering(vec![Answer::Lead(right.address)]).await;
    let by = dialler(&sharing, through(&carrier));
    let dialled = by.dial(&target(&sharing, &[FAR])).await.unwrap();
    assert_eq!(who(&dialled).await.unwrap()["who"], GRANT.to_string());
    drop(dialled);
    eventually("a connection that nobody holds is closed through the proxy, too", || carrier.asked()[0].closed).await;

    carrier.answers(Answer::Lead(other.address));
    let error = by.dial(&target(&sharing, &[FAR])).await.unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, DialError::Intercepted { .. }) && told.contains("where the proxy opens TLS"), "{told}");
    assert!(!error.is_offline());
}

#[tokio::test]
async fn where_to_go_by_the_proxy_is_decided_by_what_was_judged_or_by_the_settings() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let carrier = Carrier::answering(vec![Answer::Lead(opened.address)]).await;
    let here = format!("near.example:{}", opened.address.port());
    let proxy = || Proxy::parse(&carrier.url()).unwrap();
    let asked = async |ways: Ways, addresses: &[&str]| {
        let before = carrier.lines().len();
        let dialled = dialler(&sharing, ways).dial(&target(&sharing, addresses)).await;
        (dialled.is_ok(), carrier.lines().split_off(before))
    };
    // Loopback is this machine, not the proxy's.
    let near = Ways::new(DialPolicy::this_machine()).resolving(Arc::new(Names::answering(&[&[opened.address]])));
    assert_eq!(asked(near.clone().through(Some(proxy())), &[&here]).await, (true, vec![]));
    let nearer = Ways::new(DialPolicy::default()).resolving(Arc::new(Names::answering(&[&[opened.address]])));
    assert_eq!(asked(nearer.through(Some(proxy())), &[&here]).await, (false, vec![]));
    // A name is the proxy's only where it is named, and then it is not looked up here.
    let named = proxy().looking_up(places(&["partner.example"]));
    let nowhere = Names::answering(&[&[]]);
    let ways = Ways::new(DialPolicy::default()).resolving(Arc::new(nowhere.clone())).through(Some(named));
    let line = "CONNECT office.partner.example:7443 HTTP/1.1".to_owned();
    assert_eq!(asked(ways.clone(), &["office.partner.example:7443"]).await, (true, vec![line]));
    assert_eq!(nowhere.asked(), 0);
    assert_eq!(asked(ways.clone(), &["office.example:7443"]).await, (false, vec![]));
    let told = dialler(&sharing, ways).dial(&target(&sharing, &["office.example:7443"])).await.unwrap_err().to_string();
    assert!(told.contains("belong into `names` of `[proxy]`"), "{told}");
}

#[tokio::test]
async fn lists_and_trials_of_addresses_go_by_the_proxy_like_links() {
    let sharing = Sharing::new(Sharing::patient());
    let opened = sharing.federation().await;
    let carrier = Carrier::answering(vec![Answer::Lead(opened.address)]).await;
    let ways = through(&carrier);
    assert!(ways.socket("198.51.100.9:80").await.is_ok());
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    let tried = ["198.51.100.8:7443".parse().unwrap(), "127.0.0.1:7443".parse().unwrap()];
    let dialler: Dialler = dialler(&sharing, ways);
    assert_eq!(dialler.reached(&target(&sharing, &[FAR]), &tried, end).await.unwrap(), [true, false]);
    assert_eq!(carrier.lines(), ["CONNECT 198.51.100.9:80 HTTP/1.1", "CONNECT 198.51.100.8:7443 HTTP/1.1"]);
}

#[tokio::test]
async fn a_proxy_that_fails_says_nothing_of_the_address_and_one_that_found_nobody_does() {
    let sharing = Sharing::new(Sharing::patient());
    let tried = ["198.51.100.8:7443".parse().unwrap()];
    for (answer, told) in wrongs() {
        let carrier = Carrier::answering(vec![answer]).await;
        let dialler: Dialler = dialler(&sharing, told_in_time(&carrier, told));
        let end = tokio::time::Instant::now() + Duration::from_secs(20);
        let known = told.contains("came to no connection").then(|| vec![false]);
        assert_eq!(dialler.reached(&target(&sharing, &[FAR]), &tried, end).await, known, "{told}");
    }
    let gone = Proxy::parse("http://127.0.0.1:1").unwrap();
    let dialler: Dialler = dialler(&sharing, Ways::new(DialPolicy::default()).through(Some(gone)));
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    assert_eq!(dialler.reached(&target(&sharing, &[FAR]), &tried, end).await, None, "nobody could try");
}

#[tokio::test]
async fn proxy_error_closes_a_call_before_it_says_who_calls() {
    let mut asking = Asking::new(Sharing::patient()).await;
    for (answer, told) in wrongs() {
        let carrier = Carrier::answering(vec![answer.clone(), Answer::LeadWithWord(asking.address)]).await;
        let error = call(&told_in_time(&carrier, told), &[FAR.to_owned()], &spare()).await.unwrap_err();
        assert!(matches!(error, CallError::Proxy(_)) && error.to_string().contains(told), "{error} for {answer:?}");
        eventually("the socket is closed", || carrier.asked()[0].closed).await;
        assert_eq!(carrier.asked()[0].rest, b"", "{answer:?}");
        // The other side speaks first here: its challenge, in one piece with the proxy's answer, is not lost.
        let line = call(&through(&carrier), &[FAR.to_owned()], &spare()).await.unwrap();
        asking.park().await;
        drop(line);
    }
}

#[tokio::test]
async fn proxy_error_closes_a_called_socket_that_becomes_no_link() {
    let sharing = Sharing::new(Sharing::patient());
    let (opened, door) = sharing.open_called(sharing.door(sharing.verifier()));
    let mut asking = Asking::new(Sharing::patient()).await;
    let target = called_target(&sharing, &opened);
    for said in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", &[0x15, 3, 3, 0, 2, 2, 40], &[0x16, 3, 3, 0xff, 0xff]] {
        let (mut socket, challenge) = asking.knock().await;
        socket.write_all(&spare().words(&challenge).unwrap()).await.unwrap();
        asking.park().await;
        let whole = tokio::spawn(async move {
            let mut first = [0; 3];
            socket.read_exact(&mut first).await.unwrap();
            socket.write_all(said).await.unwrap();
            drop(socket.shutdown().await);
            (first, rest(socket).await)
        });
        let error = sharing.dialler().dial_called(&target, &asking.parked, KEY).await.unwrap_err();
        assert!(matches!(error, DialError::Broken(_) | DialError::Lost(_)), "{error:?} for {said:?}");
        let (first, _) = whole.await.unwrap();
        assert_eq!(first[..2], [0x16, 3], "TLS, and nothing before it");
        assert_eq!(asking.parked.all(), 0, "it waits for nobody any more");
        // The next question takes a new one, proved and judged from the beginning.
        let none = sharing.dialler().dial_called(&target, &asking.parked, KEY).await.unwrap_err();
        assert!(matches!(none, DialError::NotCalled { .. }), "{none:?}");
        asking.called_by(&door).await;
        let dialled = sharing.dialler().dial_called(&target, &asking.parked, KEY).await.unwrap();
        assert_eq!(who(&dialled).await.unwrap()["who"], GRANT.to_string());
    }
}

#[tokio::test]
async fn proxy_error_closes_at_the_side_that_called() {
    let sharing = Sharing::new(Sharing::patient());
    let (mut opened, door) = sharing.open_called(sharing.door(sharing.verifier()));
    for said in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 3, 0, 4, 0, 0, 0, 0], PREFACE] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let calling = tokio::spawn(async move { call(&ways(), &[at], &spare()).await.unwrap() });
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(&[7; 32]).await.unwrap();
        let line = calling.await.unwrap();
        let mut words = [0; 50];
        socket.read_exact(&mut words).await.unwrap();
        socket.write_all(said).await.unwrap();
        let (taken, address) = line.asked().await.unwrap();
        door.arrive(taken, address).await;
        let last = rest(socket).await;
        assert!(last.is_empty() || last[0] == 0x15, "an alert at most: {last:?} for {said:?}");
        opened.incident().await;
        assert_eq!((sharing.registry.connections(GRANT), sharing.calls.begun.load(Ordering::SeqCst)), (0, 0));
    }
}

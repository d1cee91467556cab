//! Calls: the sharing side opens the sockets. What is proved before TLS, what is closed without a word, and that everything after it is
//! as with any connection.

use super::{
    caller::who,
    sharing::{GRANT, Opened, Sharing, eventually},
};
use domain::{
    id::{AwaitId, GrantId, UserId},
    secret::Secret,
    world::World,
};
use link::{
    Called, Class, DialError, DialPolicy, Dialler, Incident, Incidents, Limits, Options, Target, Ways,
    call::{self, Answered, Callees, MOST_PARKED, Parked, ParkedKey, Saying, Who},
    dial::DialLimits,
};
use pki::{CallKey, CallSecret, Challenge, Deny};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::Receiver,
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

const AWAIT: AwaitId = AwaitId(Uuid::from_u128(5));
const OWNER: UserId = UserId(Uuid::from_u128(6));
pub const KEY: ParkedKey = (OWNER, GRANT);
const INVITE: &str = "mfi1.the-invite";

pub fn ways() -> Ways {
    Ways::new(DialPolicy::this_machine())
}

fn secret() -> CallSecret {
    CallSecret::new(AWAIT, Secret::new([9; 32]))
}

fn grant_key() -> CallKey {
    secret().grant(GRANT, &domain::words::Opening([6; 32])).unwrap()
}

pub fn spare() -> Saying {
    Saying::Grant { grant: GRANT, key: grant_key() }
}

fn bringing(invite: &str) -> Saying {
    Saying::Invite { id: AWAIT, secret: secret(), invite: Secret::new(invite.to_owned()) }
}

struct Known;

impl Callees for Known {
    fn waiting(&self, id: AwaitId) -> Option<CallSecret> {
        (id == AWAIT).then(secret)
    }

    fn linked(&self, grant: GrantId) -> Vec<(UserId, CallKey)> {
        // Another user's link of the same grant has another key.
        let other = (UserId(Uuid::nil()), CallKey::from_bytes([1; 32]));
        if grant == GRANT { vec![other, (OWNER, grant_key())] } else { Vec::new() }
    }
}

/// What somebody says to a challenge.
type Words = Box<dyn Fn(&Challenge) -> Vec<u8>>;

/// An asking side that takes calls.
pub struct Asking {
    pub address: SocketAddr,
    answered: Receiver<Answered>,
    incidents: Receiver<Incident>,
    pub parked: Parked,
    _end: DropGuard,
}

impl Asking {
    pub async fn new(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (world, shutdown) = (World::system(), CancellationToken::new());
        let (reporter, incidents) = Incidents::channel(10_000);
        let parked = Parked::new(world.clock(), reporter.clone());
        let address = listener.local_addr().unwrap();
        let options = Options { limits, clock: world.clock(), incidents: reporter, shutdown: shutdown.clone() };
        let answered = call::listen(listener, Arc::new(Known), world, options);
        Self { address, answered, incidents, parked, _end: shutdown.drop_guard() }
    }

    async fn incident(&mut self) -> Class {
        timeout(Duration::from_secs(5), self.incidents.recv()).await.expect("an incident in time").unwrap().class
    }

    /// Parks the next call.
    pub async fn park(&mut self) {
        let call = timeout(Duration::from_secs(5), self.answered.recv()).await.expect("a call in time").unwrap();
        assert!(matches!(call.who, Who::Link(OWNER, GRANT)));
        self.parked.park(KEY, call);
    }

    /// A stranger's socket, with the challenge that it was set.
    pub async fn knock(&self) -> (TcpStream, Challenge) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let mut challenge = [0; 32];
        socket.read_exact(&mut challenge).await.unwrap();
        (socket, challenge)
    }

    /// A sharing side's spare, as its daemon keeps one: handed to the door once the other side speaks.
    pub async fn called_by(&mut self, door: &Called) {
        let line = call::call(&ways(), &[self.address.to_string()], &spare()).await.unwrap();
        let door = door.clone();
        tokio::spawn(async move {
            if let Ok((socket, address)) = line.asked().await {
                door.arrive(socket, address).await;
            }
        });
        self.park().await;
    }
}

/// What came on a socket until it was closed.
pub async fn rest(mut socket: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = timeout(Duration::from_secs(5), socket.read_to_end(&mut rest)).await.expect("it is closed");
    // Closed with unread bytes of ours it is reset: also without a word.
    drop(read);
    rest
}

pub fn target(sharing: &Sharing, opened: &Opened) -> Target {
    Target { addresses: vec!["nobody.invalid:1".to_owned()], ..sharing.target(opened, Some(sharing.issue(GRANT).1)) }
}

#[tokio::test]
async fn a_link_whose_sharing_side_calls_is_like_any_other_and_is_cut_like_any_other() {
    let sharing = Sharing::new(Sharing::patient());
    let (opened, door) = sharing.open_called(sharing.door(sharing.verifier()));
    let mut asking = Asking::new(Sharing::patient()).await;
    asking.called_by(&door).await;
    let (issued, credential) = sharing.issue(GRANT);
    let target = Target { credential: Some(credential), ..target(&sharing, &opened) };
    let dialled = sharing.dialler().dial_called(&target, &asking.parked, KEY).await.unwrap();
    assert_eq!(who(&dialled).await.unwrap()["who"], GRANT.to_string());
    assert_eq!(who(&dialled).await.unwrap()["from"], "127.0.0.1");
    assert_eq!((sharing.registry.connections(GRANT), asking.parked.all()), (1, 0));
    sharing.deny.swap(Deny { serials: [issued.leaf.serial].into(), ..Deny::default() });
    sharing.cut(GRANT).await;
    assert!(who(&dialled).await.is_err() && !dialled.is_open());
    asking.called_by(&door).await;
    let again = sharing.dialler().dial_called(&target, &asking.parked, KEY).await.unwrap_err();
    assert_eq!(again, DialError::OurCertificate(link::dial::OurCertificate::Revoked));
    let mut opened = opened;
    assert_eq!(opened.incident().await.class, Class::Certificate(pki::Flaw::Denied));
}

#[tokio::test]
async fn a_socket_of_somebody_else_that_waits_in_front_of_the_right_one_is_passed_over() {
    let (sharing, stranger) = (Sharing::new(Sharing::patient()), Sharing::new(Sharing::patient()));
    let (opened, door) = sharing.open_called(sharing.door(sharing.verifier()));
    let (_strangers, other) = stranger.open_called(stranger.door(stranger.verifier()));
    let mut asking = Asking::new(Sharing::patient()).await;
    asking.called_by(&door).await;
    for _ in 1..MOST_PARKED {
        asking.called_by(&other).await;
    }
    assert_eq!(asking.parked.waiting(KEY), MOST_PARKED);
    let (target, by) = (target(&sharing, &opened), sharing.dialler());
    let dialled = by.dial_called(&target, &asking.parked, KEY).await.unwrap();
    assert_eq!(who(&dialled).await.unwrap()["who"], GRANT.to_string());
    // With nobody else behind it, it is said who was there.
    asking.called_by(&other).await;
    let turned = by.dial_called(&target, &asking.parked, KEY).await.unwrap_err();
    assert!(matches!(turned, DialError::TheirCertificate(_)), "{turned:?}");
}

#[tokio::test]
async fn an_invite_comes_sealed_and_the_enrolment_goes_over_its_own_socket() {
    let sharing = Sharing::new(Sharing::patient());
    let (opened, door) = sharing.open_called(link::Door::Enrolment { identity: Arc::clone(&sharing.identity) });
    let mut asking = Asking::new(Sharing::patient()).await;
    let line = call::call(&ways(), &[asking.address.to_string()], &bringing(INVITE)).await.unwrap();
    let call = asking.answered.recv().await.unwrap();
    let Who::Invite(AWAIT, invite) = &call.who else { panic!("an invite") };
    assert_eq!(invite.expose(), INVITE);
    asking.parked.park(KEY, call);
    let to = door.clone();
    tokio::spawn(async move {
        let (socket, address) = line.asked().await.unwrap();
        to.arrive(socket, address).await;
    });
    let target = Target { credential: None, ..target(&sharing, &opened) };
    let dialled = sharing.dialler().dial_called(&target, &asking.parked, KEY).await.unwrap();
    assert_eq!(who(&dialled).await.unwrap()["who"], "nobody");
}

#[tokio::test]
async fn whoever_does_not_prove_that_they_may_call_is_closed_without_a_word() {
    let mut asking = Asking::new(Limits { handshake: Duration::from_millis(400), ..Sharing::patient() }).await;
    let other = Saying::Grant { grant: GrantId(Uuid::from_u128(77)), key: grant_key() };
    let wrong = Saying::Grant { grant: GRANT, key: CallKey::from_bytes([3; 32]) };
    let elsewhere = Saying::Invite {
        id: AwaitId(Uuid::from_u128(77)),
        secret: CallSecret::new(AwaitId(Uuid::from_u128(77)), Secret::new([9; 32])),
        invite: Secret::new(INVITE.to_owned()),
    };
    let changed = |saying: Saying, at: usize| {
        move |challenge: &Challenge| {
            let mut words = saying.words(challenge).unwrap();
            words[at] ^= 1;
            words
        }
    };
    let cut = |saying: Saying, length: usize| {
        move |challenge: &Challenge| saying.words(challenge).unwrap()[..length].to_vec()
    };
    let said = |saying: Saying| move |challenge: &Challenge| saying.words(challenge).unwrap();
    let recorded = {
        let (_socket, challenge) = asking.knock().await;
        spare().words(&challenge).unwrap()
    };
    assert_eq!(asking.incident().await, Class::Closed);
    let after = |saying: Saying, more: &'static [u8]| {
        move |challenge: &Challenge| [&saying.words(challenge).unwrap(), more].concat()
    };
    let long = |length: u16| {
        move |challenge: &Challenge| {
            let mut words = bringing(INVITE).words(challenge).unwrap()[..50].to_vec();
            words.extend(length.to_be_bytes());
            words.extend(vec![0; 40]);
            words
        }
    };
    let cases: Vec<(&str, Words, Class)> = vec![
        ("unknown version", Box::new(changed(spare(), 0)), Class::Call),
        ("another kind", Box::new(changed(spare(), 1)), Class::Call),
        ("another id", Box::new(changed(spare(), 9)), Class::Call),
        ("a changed proof", Box::new(changed(spare(), 49)), Class::Call),
        ("a grant that nobody has", Box::new(said(other)), Class::Call),
        ("another key", Box::new(said(wrong)), Class::Call),
        ("an await that nobody has", Box::new(said(elsewhere)), Class::Call),
        ("a recorded preamble", Box::new(move |_| recorded.clone()), Class::Call),
        ("half a preamble", Box::new(cut(spare(), 31)), Class::HandshakeTimeout),
        ("nothing at all", Box::new(|_| Vec::new()), Class::HandshakeTimeout),
        ("one byte too many", Box::new(after(spare(), b"x")), Class::CallTooLong),
        ("one byte behind the invite", Box::new(after(bringing(INVITE), b"x")), Class::CallTooLong),
        ("a changed invite", Box::new(changed(bringing(INVITE), 60)), Class::Call),
        ("half an invite", Box::new(cut(bringing(INVITE), 60)), Class::HandshakeTimeout),
        ("an empty invite", Box::new(long(28)), Class::Call),
        ("an invite without end", Box::new(long(16_385)), Class::Call),
        (
            "something else",
            Box::new(|_| b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: text/html\r\n\r\n".to_vec()),
            Class::Call,
        ),
    ];
    for (what, words, class) in cases {
        let (mut socket, challenge) = asking.knock().await;
        let started = Instant::now();
        socket.write_all(&words(&challenge)).await.unwrap();
        assert_eq!(rest(socket).await, b"", "{what}");
        assert_eq!(asking.incident().await, class, "{what}");
        assert!(started.elapsed() < Duration::from_secs(1), "{what}");
    }
    assert!(asking.answered.try_recv().is_err(), "none of them was let through");
    let mut challenges = Vec::new();
    for _ in 0..4 {
        challenges.push(asking.knock().await.1);
    }
    challenges.sort_unstable();
    challenges.dedup();
    assert_eq!(challenges.len(), 4, "each connection has a challenge of its own");
}

#[tokio::test]
async fn strangers_are_few_and_do_not_keep_out_who_may_call() {
    let limits = Limits { unproven: 4, unproven_per_address: 3, ..Sharing::patient() };
    let mut asking = Asking::new(limits).await;
    let held = [asking.knock().await, asking.knock().await, asking.knock().await];
    let fourth = TcpStream::connect(asking.address).await.unwrap();
    assert_eq!(rest(fourth).await, b"", "not even a challenge");
    assert_eq!(asking.incident().await, Class::AddressFull);
    drop(held);
    for _ in 0..3 {
        assert_eq!(asking.incident().await, Class::Closed);
    }
    // Those who proved themselves take no place among the strangers.
    let mut lines = Vec::new();
    for _ in 0..MOST_PARKED {
        lines.push(call::call(&ways(), &[asking.address.to_string()], &spare()).await.unwrap());
        asking.park().await;
    }
    assert_eq!(asking.parked.waiting(KEY), MOST_PARKED);
    asking.knock().await;
}

#[tokio::test]
async fn strangers_that_come_quickly_are_turned_away_by_their_address() {
    let mut asking = Asking::new(Limits { address_rate: 1, address_burst: 2, ..Limits::default() }).await;
    let _held = [asking.knock().await, asking.knock().await];
    assert_eq!(rest(TcpStream::connect(asking.address).await.unwrap()).await, b"");
    assert_eq!(asking.incident().await, Class::Rate);
}

#[tokio::test]
async fn parked_sockets_are_few_and_the_youngest_stay() {
    let mut asking = Asking::new(Sharing::patient()).await;
    let mut lines = Vec::new();
    for _ in 0..=MOST_PARKED {
        lines.push(call::call(&ways(), &[asking.address.to_string()], &spare()).await.unwrap());
        asking.park().await;
    }
    let mut lines = lines.into_iter();
    let eldest = timeout(Duration::from_secs(5), lines.next().unwrap().asked()).await.expect("it is closed");
    assert!(eldest.is_err());
    assert_eq!((asking.parked.waiting(KEY), asking.parked.all()), (MOST_PARKED, MOST_PARKED));
    asking.parked.keep_only(|_| false);
    for line in lines {
        assert!(timeout(Duration::from_secs(5), line.asked()).await.expect("it is closed").is_err());
    }
    assert_eq!(asking.parked.all(), 0);
}

#[tokio::test]
async fn a_parked_socket_that_died_is_not_handed_out_and_one_that_speaks_is_closed_and_reported() {
    let sharing = Sharing::new(Sharing::patient());
    let (opened, door) = sharing.open_called(sharing.door(sharing.verifier()));
    let mut asking = Asking::new(Sharing::patient()).await;
    asking.called_by(&door).await;
    let dead = call::call(&ways(), &[asking.address.to_string()], &spare()).await.unwrap();
    asking.park().await;
    let (mut loud, challenge) = asking.knock().await;
    loud.write_all(&spare().words(&challenge).unwrap()).await.unwrap();
    asking.park().await;
    assert_eq!(asking.parked.waiting(KEY), 3);
    drop(dead);
    loud.write_all(b"x").await.unwrap();
    assert_eq!(asking.incident().await, Class::CallTooLong);
    eventually("the dead are gone", || asking.parked.waiting(KEY) == 1).await;
    let dialled = sharing.dialler().dial_called(&target(&sharing, &opened), &asking.parked, KEY).await.unwrap();
    who(&dialled).await.unwrap();
}

#[tokio::test]
async fn a_socket_that_is_dead_without_a_sign_costs_a_moment_and_the_next_is_used() {
    let sharing = Sharing::new(Sharing::patient());
    let (opened, door) = sharing.open_called(sharing.door(sharing.verifier()));
    let mut asking = Asking::new(Sharing::patient()).await;
    asking.called_by(&door).await;
    let _mute = call::call(&ways(), &[asking.address.to_string()], &spare()).await.unwrap();
    asking.park().await;
    let started = Instant::now();
    let dial = DialLimits { connect: Duration::from_millis(600), established: Duration::from_millis(1_500) };
    let hurried = Dialler::with(Arc::clone(&sharing.clock) as _, ways(), Limits::default(), dial);
    let dialled = hurried.dial_called(&target(&sharing, &opened), &asking.parked, KEY).await.unwrap();
    who(&dialled).await.unwrap();
    assert!((450..1_400).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    let error = hurried.dial_called(&target(&sharing, &opened), &asking.parked, KEY).await.unwrap_err();
    assert!(matches!(&error, DialError::NotCalled { at } if at == "nobody.invalid:1"), "{error}");
    assert!(error.is_offline() && error.to_string().contains(';'));
}

#[tokio::test]
async fn who_waits_for_a_call_has_it_as_soon_as_it_comes() {
    let sharing = Sharing::new(Sharing::patient());
    let (opened, door) = sharing.open_called(sharing.door(sharing.verifier()));
    let mut asking = Asking::new(Sharing::patient()).await;
    let (dialler, target, parked) = (sharing.dialler(), target(&sharing, &opened), asking.parked.clone());
    let dial = tokio::spawn(async move { dialler.dial_called(&target, &parked, KEY).await });
    sleep(Duration::from_millis(200)).await;
    assert!(!dial.is_finished());
    asking.called_by(&door).await;
    who(&dial.await.unwrap().unwrap()).await.unwrap();
}

#[tokio::test]
async fn the_time_of_a_handshake_begins_with_its_first_byte() {
    let sharing = Sharing::new(Limits { handshake: Duration::from_millis(300), ..Sharing::patient() });
    let (mut opened, door) = sharing.open_called(sharing.door(sharing.verifier()));
    let mut asking = Asking::new(Sharing::patient()).await;
    asking.called_by(&door).await;
    asking.called_by(&door).await;
    sleep(Duration::from_millis(700)).await;
    let dialled = sharing.dialler().dial_called(&target(&sharing, &opened), &asking.parked, KEY).await.unwrap();
    who(&dialled).await.unwrap();
    // One byte, and no more.
    let mut socket = asking.parked.take(KEY, tokio::time::Instant::now()).await.unwrap();
    socket.write_all(&[22]).await.unwrap();
    rest(socket).await;
    assert_eq!(opened.incident().await.class, Class::HandshakeTimeout);
}

#[tokio::test]
async fn a_call_that_fails_says_why_and_what_to_do() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let short = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let short_address = short.local_addr().unwrap().to_string();
    tokio::spawn(async move { while short.accept().await.is_ok() {} });
    for (address, word) in [
        (closed, "refused"),
        ("no port at all".to_owned(), "cannot be reached"),
        (short_address, "does not take calls"),
        (mute.local_addr().unwrap().to_string(), "it says nothing"),
    ] {
        let error = call::call(&ways(), &[address], &spare()).await.unwrap_err().to_string();
        assert!(error.contains(word) && error.contains(';'), "{error}");
    }
}

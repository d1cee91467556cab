//! Callers that say goodbye at the wrong moment, and an authority with as long a name as may be: TLS libraries have looped on the
//! one and fallen over the other.

use super::{
    sharing::{GRANT, ISSUER, Opened, Sharing, eventually},
    zoo::{
        der::{element, oid, sequence},
        leaf::{BASIC, EcKey, KEY_USAGE, Key, Leaf, NAMES, common_name, extension, name},
    },
};
use link::{Class, Limits};
use pki::ClientVerifier;
use rustls::{
    ClientConnection, SignatureScheme,
    client::ResolvesClientCert,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
    sign::CertifiedKey,
};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A warning, `close_notify`, in the clear (RFC 8446 6.1).
const GOODBYE: &[u8] = &[21, 3, 3, 0, 2, 1, 0];

/// A caller that sends its handshake by hand.
struct Caller {
    client: ClientConnection,
    socket: TcpStream,
}

impl Caller {
    async fn new(sharing: &Sharing, opened: &Opened) -> Self {
        let (_, credential) = sharing.issue(GRANT);
        let name = ServerName::try_from(pki::spiffe::tls_name(ISSUER)).unwrap();
        let client = ClientConnection::new(Arc::new(sharing.config(Some(&credential))), name).unwrap();
        Self { client, socket: TcpStream::connect(opened.address).await.unwrap() }
    }

    fn flight(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Sends the hello and reads until there is an answer to give.
    async fn answer(&mut self) -> Vec<u8> {
        let hello = self.flight();
        self.socket.write_all(&hello).await.unwrap();
        let mut buffer = [0; 4096];
        while !self.client.wants_write() {
            let read = self.socket.read(&mut buffer).await.unwrap();
            let mut heard = &buffer[..read];
            while !heard.is_empty() {
                self.client.read_tls(&mut heard).unwrap();
                self.client.process_new_packets().unwrap();
            }
        }
        self.flight()
    }

    /// Sends this much of a flight, then goodbye, and waits for the other side to end.
    async fn leaves(mut self, flight: &[u8], goodbye: &[u8]) -> bool {
        drop(self.socket.write_all(&[flight, goodbye].concat()).await);
        let mut heard = Vec::new();
        timeout(Duration::from_secs(3), self.socket.read_to_end(&mut heard)).await.is_ok()
    }
}

/// Some places in a flight: its edges, inside a record's head, inside a record.
fn places(flight: &[u8]) -> [usize; 6] {
    let length = flight.len();
    [0, 1, 6, length / 2, length - 1, length]
}

#[tokio::test]
async fn close_notify_at_every_state() {
    let limits =
        Limits { handshake: Duration::from_secs(1), connection_age: Duration::from_secs(2), ..Sharing::patient() };
    let sharing = Sharing::new(limits);
    let opened = sharing.federation().await;
    for at in 0..6 {
        let mut early = Caller::new(&sharing, &opened).await;
        let hello = early.flight();
        let until = places(&hello)[at];
        assert!(early.leaves(&hello[..until], GOODBYE).await, "{until} bytes into the hello it hangs");
        let mut late = Caller::new(&sharing, &opened).await;
        let answer = late.answer().await;
        let until = places(&answer)[at];
        assert!(late.leaves(&answer[..until], GOODBYE).await, "{until} bytes into the proof it hangs");
    }
    // In order and sealed: right behind the proof, and alone in its place.
    let mut orderly = Caller::new(&sharing, &opened).await;
    let proof = orderly.answer().await;
    orderly.client.send_close_notify();
    let sealed = orderly.flight();
    assert!(orderly.leaves(&proof, &sealed).await, "behind the proof it hangs");
    let mut instead = Caller::new(&sharing, &opened).await;
    instead.answer().await;
    instead.client.send_close_notify();
    let sealed = instead.flight();
    assert!(instead.leaves(&[], &sealed).await, "instead of the proof it hangs");
    eventually("nobody is left", || sharing.registry.all().is_empty()).await;
    let (_, credential) = sharing.issue(GRANT);
    sharing.dialler().dial(&sharing.target(&opened, Some(credential))).await.expect("the door is open as before");
}

/// Remembers which authorities it was told of.
#[derive(Debug)]
struct Curious(Arc<CertifiedKey>, Mutex<Option<usize>>);

impl ResolvesClientCert for Curious {
    fn resolve(&self, authorities: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.1.lock().unwrap() = Some(authorities.len());
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A root with a name of about this many bytes, and a leaf below it.
fn named(bytes: usize) -> (Vec<u8>, Vec<u8>, Key) {
    let plain = Sharing::new(Sharing::patient());
    let key = Key::p256();
    let mut root = Leaf::good(plain.authority.root_der(), EcKey(key.pkcs8.clone()));
    root.subject = common_name(0x0c, "n".repeat(bytes).as_bytes());
    root.issuer.clone_from(&root.subject);
    root.key = key.clone();
    root.extensions.clear();
    root.put(BASIC, extension(BASIC, Some(0xff), &[0x30, 3, 1, 1, 0xff]));
    root.set(KEY_USAGE, &[3, 2, 1, 6]);
    let mut leaf = Leaf::good(&root.encode(), EcKey(key.pkcs8));
    leaf.issuer.clone_from(&root.subject);
    (root.encode(), leaf.encode(), leaf.key)
}

#[tokio::test]
async fn many_cas() {
    // A list of names beyond 64 KiB has brought servers down. There is one authority here, no list, and a bound to its size.
    let sharing = Sharing::new(Sharing::patient());
    let verifier = |root: &[u8]| ClientVerifier::new(root, ISSUER, Arc::clone(&sharing.clock) as _, Arc::default());
    assert!(verifier(&named(4_200).0).is_err(), "a longer name is refused before a door opens");
    let (root, leaf, key) = named(3_900);
    let opened = sharing.open(sharing.door(verifier(&root).unwrap()), "127.0.0.1:0").await;
    let key = PrivatePkcs8KeyDer::from(key.pkcs8).into();
    let key = pki::provider().key_provider.load_private_key(key).unwrap();
    let own = CertifiedKey::new(vec![CertificateDer::from(leaf)], key);
    let curious = Arc::new(Curious(Arc::new(own), Mutex::default()));
    let mut config = sharing.config(None);
    config.client_auth_cert_resolver = Arc::clone(&curious) as _;
    sharing.connect(&opened, &Arc::new(config)).await.expect("let in");
    assert_eq!(*curious.1.lock().unwrap(), Some(0), "names of authorities were told to a stranger");
}

#[tokio::test]
async fn pathological_chains_cost_milliseconds() {
    let sharing = Sharing::new(Sharing::patient());
    let ca = EcKey(sharing.authority.key_pkcs8().expose().clone());
    let good = Leaf::good(sharing.authority.root_der(), ca);
    let verifier = sharing.verifier();
    // Authorities that could each have issued the next, in every order: path building among them is exponential.
    let cross = |n: u8| {
        let mut ca = good.clone();
        (ca.serial, ca.subject) = (element(2, &[0x41, n, 0, 0, 0, 0, 0, 1]), ca.issuer.clone());
        ca.extensions.clear();
        ca.put(BASIC, extension(BASIC, Some(0xff), &[0x30, 3, 1, 1, 0xff]));
        CertificateDer::from(ca.encode())
    };
    let crowd: Vec<_> = (0..80).map(cross).collect();
    let domain = |n: u32| sequence(&[&name(0x82, format!("n{n}.example").as_bytes())]);
    let mut constrained = good.clone();
    let constraints: Vec<u8> = (0..350).flat_map(domain).collect();
    constrained.set(&[2, 5, 29, 30], &sequence(&[&element(0xa0, &constraints)]));
    let mut named = good.clone();
    named.set(
        NAMES,
        &element(0x30, &(0..500).flat_map(|n| name(0x82, format!("n{n}.x").as_bytes())).collect::<Vec<_>>()),
    );
    let mut nested = good.clone();
    nested.set(&[2, 5, 29, 32], &(0..2_000).fold(oid(&[2, 5, 29, 32, 0]), |inner, _| element(0x30, &inner)));
    for (what, leaf, behind) in [
        ("a crowd of authorities", &good, &crowd[..]),
        ("name constraints in a leaf", &constrained, &[]),
        ("hundreds of names", &named, &[]),
        ("a policy nested 2,000 deep", &nested, &[]),
    ] {
        let leaf = CertificateDer::from(leaf.encode());
        let began = Instant::now();
        let judged = verifier.judge(&leaf, behind);
        let took = began.elapsed();
        assert!(took < Duration::from_millis(50), "{what}: {took:?}");
        assert!(judged.is_err() || what.starts_with("name constraints") || what.starts_with("a policy"), "{what}");
    }
    // Over the wire as well: the crowd ends in its class, and the door goes on.
    let mut opened = sharing.federation().await;
    let own = CertifiedKey::new(
        std::iter::once(CertificateDer::from(good.encode())).chain(crowd).collect(),
        pki::provider().key_provider.load_private_key(PrivatePkcs8KeyDer::from(good.key.pkcs8.clone()).into()).unwrap(),
    );
    let mut config = sharing.config(None);
    config.client_auth_cert_resolver = Arc::new(Curious(Arc::new(own), Mutex::default()));
    assert!(sharing.connect(&opened, &Arc::new(config)).await.is_err());
    assert_eq!(opened.incident().await.class, Class::Certificate(pki::Flaw::Chain));
}

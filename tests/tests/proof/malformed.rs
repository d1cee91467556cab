//! Malformed frames on each layer of the wire: TLS records, HTTP/2 frames, gRPC prefixes, protobuf messages (security W1). The
//! process lives, no handler is called before a handshake is whole, the memory stays bounded, and a healthy caller is served.

use crate::{
    bytes::first,
    measure::{Dice, alone, scale},
    siege::{CALLS, Siege},
};
use domain::{audit::Ending, id::InstanceId, operation::Method, world::World};
use proto::v1;
use rustls::{ClientConnection, pki_types::ServerName};
use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Instant};
use tests::{
    asker::{Asker, tasks},
    raw::{Frame, Raw, connect, flag, kind, prefixed},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Code, Request};

/// Frames on each layer.
fn frames() -> usize {
    scale(1_000, 10_000)
}

/// Looks of the healthy caller within one layer's frames.
const LOOKS: usize = 20;

/// One of many ways to spoil bytes.
fn spoil(dice: &Dice, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let at = dice.below(bytes.len());
    match dice.below(8) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << dice.below(8),
        2 => bytes.splice(at..at, dice.bytes(1 + dice.below(64))).for_each(drop),
        3 => drop(bytes.drain(at..(at + dice.below(16)).min(good.len()))),
        4 => bytes = dice.bytes(dice.below(600)),
        5 => (0..=dice.below(8)).for_each(|_| bytes[dice.below(good.len())] = dice.bytes(1)[0]),
        6 => bytes.extend(dice.bytes(dice.below(2_000))),
        _ => bytes.extend_from_within(at..),
    }
    bytes
}

/// A good `ClientHello`, as an asking side without a certificate sends it.
fn hello(asker: &Asker) -> Vec<u8> {
    let target = &asker.target;
    let clock = World::system().clock();
    let verifier = pki::ServerVerifier::new(&target.root, target.instance, Arc::clone(&clock)).expect("a root");
    let config = link::tls::client(Arc::new(verifier), None, clock).expect("a configuration");
    let name = ServerName::try_from(target.tls_name.clone()).expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a ClientHello");
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_tls_records() {
    let (_alone, dice) = (alone().await, Dice::new("malformed_tls_records"));
    let (mut siege, began) = (Siege::begin().await, Instant::now());
    let asker = siege.asker().await;
    let (hello, address) = (hello(&asker), &asker.target.addresses[0]);
    let before = siege.sequence().await;
    for n in 0..frames() {
        if n.is_multiple_of(frames() / LOOKS) {
            siege.holds().await;
        }
        let from = Ipv4Addr::new(127, 0, 1, 1 + u8::try_from(n % 250).expect("a byte"));
        let mut socket = connect(address, from).await.expect("a connection");
        // Behind a good ClientHello, where encrypted records are expected; or in its place.
        let behind = dice.below(4) == 0;
        let bytes = if behind { [hello.clone(), record(&dice)].concat() } else { spoil(&dice, &hello) };
        // It may hang up in the middle of it.
        drop(socket.write_all(&bytes).await);
        if dice.below(8) == 0 {
            drop(socket.shutdown().await);
            drop(socket.read_to_end(&mut Vec::new()).await);
        }
    }
    siege.holds().await;
    let calls = siege.calls_after(before).await;
    assert!(calls.is_empty(), "a call without a handshake: {calls:?}");
    assert!(siege.office.spoke.status().incidents >= u64::try_from(frames() / 2).expect("a number"));
    siege.report(&format!("malformed_tls_records: {} connections", frames()), began);
}

/// A TLS record of any type and any length, true or not (RFC 8446 5.1).
fn record(dice: &Dice) -> Vec<u8> {
    let content = [20, 21, 22, 23, 24, dice.bytes(1)[0]][dice.below(6)];
    let body = dice.bytes(dice.below(400));
    let length = if dice.below(2) == 0 { dice.below(65_536) } else { body.len() };
    [&[content, 3, 3][..], &u16::try_from(length).expect("two bytes").to_be_bytes(), &body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_http2_frames() {
    let (_alone, dice) = (alone().await, Dice::new("malformed_http2_frames"));
    let (mut siege, began) = (Siege::begin().await, Instant::now());
    let asker = siege.asker().await;
    let (mut raw, mut connections) = (Raw::open(&asker, &[]).await.expect("a connection"), 1);
    for n in 0..frames() {
        if n.is_multiple_of(frames() / LOOKS) {
            siege.holds().await;
        }
        let bytes = if dice.below(2) == 0 { random_frame(&dice) } else { spoiled_frame(&dice) };
        let sent = async {
            raw.stream.write_all(&bytes).await?;
            raw.stream.flush().await
        };
        if sent.await.is_err() || is_over(&mut raw).await {
            raw = Raw::open(&asker, &[]).await.expect("a connection");
            connections += 1;
        }
    }
    siege.holds().await;
    siege.report(&format!("malformed_http2_frames: {} frames on {connections} connections", frames()), began);
}

/// Whether the other side has ended the connection, or said that it will.
async fn is_over(raw: &mut Raw) -> bool {
    let a_moment = std::time::Duration::from_millis(1);
    loop {
        match tokio::time::timeout(a_moment, raw.frame()).await {
            Ok(Ok(frame)) if frame.kind == kind::GOAWAY => return true,
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return true,
            Err(_) => return false,
        }
    }
}

/// A frame of any kind on any stream; its length is true, what is in it is not.
fn random_frame(dice: &Dice) -> Vec<u8> {
    let kind = u8::try_from(dice.below(12)).expect("a byte");
    let stream = [0, 1, 3, 2, 0x7fff_ffff, u32::try_from(dice.below(1 << 31)).expect("31 bits")][dice.below(6)];
    Frame::new(kind, dice.bytes(1)[0], stream, dice.bytes(dice.below(64))).bytes()
}

/// A good frame, spoilt.
fn spoiled_frame(dice: &Dice) -> Vec<u8> {
    let stream = 1 + 2 * u32::try_from(dice.below(1_000)).expect("a number");
    let path = Method::ALL[dice.below(Method::ALL.len())].path();
    let good = match dice.below(5) {
        0 => Frame::call(stream, path, &[("x", "y")]),
        1 => Frame::question(stream, b"message"),
        2 => Frame::settings(&[(3, 100), (4, 65_535)]),
        3 => Frame::window(stream, 1_000),
        _ => Frame::new(kind::PING, 0, 0, [7; 8]),
    };
    spoil(dice, &good.bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_grpc_prefixes() {
    let (_alone, dice) = (alone().await, Dice::new("malformed_grpc_prefixes"));
    let (mut siege, began) = (Siege::begin().await, Instant::now());
    let before = siege.sequence().await;
    let mut rows = 0;
    for n in 0..frames().div_ceil(CALLS) {
        let asker = siege.asker().await;
        let mut raw = Raw::open(&asker, &[]).await.expect("a connection");
        for call in 0..CALLS.min(frames() - n * CALLS) {
            let stream = 1 + 2 * u32::try_from(call).expect("a number");
            let question = Frame::new(kind::DATA, flag::END_OR_ACK, stream, prefix(&dice));
            raw.send(&[Frame::call(stream, Method::List.path(), &[]), question]).await.expect("a question");
            rows += usize::from(ended(&mut raw, stream).await);
        }
        siege.holds().await;
    }
    let answered = siege.calls_after(before).await;
    let answered = answered.iter().filter(|entry| entry.about == "list" && entry.ending == Ending::Answered).count();
    assert_eq!((rows, answered), (0, 0), "a malformed question was answered with rows");
    siege.report(&format!("malformed_grpc_prefixes: {} calls", frames()), began);
}

/// A question whose first five bytes lie: about compression, about the length, or are not all there.
fn prefix(dice: &Dice) -> Vec<u8> {
    let message = prost::Message::encode_to_vec(&tasks());
    let length = u32::try_from(message.len()).expect("a short message");
    let with = |compressed: u8, length: u32| [&[compressed], &length.to_be_bytes()[..], &message].concat();
    match dice.below(5) {
        0 => prefixed(0, &message)[..dice.below(5 + message.len())].to_vec(),
        1 => with(0, length + 1 + u32::try_from(dice.below(5 << 20)).expect("a number")),
        2 => with(0, u32::MAX),
        3 => with(1 + u8::try_from(dice.below(255)).expect("a byte"), length),
        // Two messages where one is asked for, the second one cut.
        _ => [with(0, 0), vec![0, 0]].concat(),
    }
}

/// Whether data came before the stream's end, which must come.
async fn ended(raw: &mut Raw, stream: u32) -> bool {
    let mut data = false;
    let end = async {
        loop {
            let frame = raw.frame().await.expect("the connection goes on");
            data |= frame.stream == stream && frame.kind == kind::DATA && !frame.payload.is_empty();
            let last = frame.kind == kind::RST_STREAM || frame.flags & flag::END_OR_ACK != 0;
            if frame.stream == stream && last {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), end).await.expect("every stream ends");
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_protobuf() {
    let (_alone, dice) = (alone().await, Dice::new("malformed_protobuf"));
    let (mut siege, began) = (Siege::begin().await, Instant::now());
    let methods: Vec<_> = Method::ALL.into_iter().filter(|method| *method != Method::Disconnect).collect();
    let mut codes = BTreeMap::<String, usize>::new();
    for n in 0..frames().div_ceil(CALLS) {
        let (_, invite) = siege.office.grant("owner", crate::siege::SCOPE).await;
        let enrolment =
            link::Target { addresses: invite.enrol_addresses.clone(), ..tests::asker::target(&invite, None) };
        let asker = tests::asker::enrol(&invite).await;
        let federation = asker.dial().await.expect("a connection").channel;
        let enrolment = tests::asker::dialler().dial(&enrolment).await.expect("a connection").channel;
        for _ in 0..CALLS.min(frames() - n * CALLS) {
            let method = methods[dice.below(methods.len())];
            let channel = if method == Method::Enroll { &enrolment } else { &federation };
            let message = spoil(&dice, &good(method));
            let code = match first(channel, method.path(), Request::new(message)).await {
                Ok(_) => Code::Ok,
                Err(status) => status.code(),
            };
            *codes.entry(format!("{code:?}")).or_default() += 1;
        }
        siege.holds().await;
    }
    // A renewal that is well formed comes too soon.
    let expected = ["Ok", "InvalidArgument", "NotFound", "FailedPrecondition", "PermissionDenied", "ResourceExhausted"];
    assert!(codes.keys().all(|code| expected.contains(&code.as_str())), "{codes:?}");
    siege.report(&format!("malformed_protobuf: {} messages, {codes:?}", frames()), began);
}

/// A message of this method with every field set.
fn good(method: Method) -> Vec<u8> {
    use prost::Message as _;
    let (resource, id) = ("tasks".to_owned(), InstanceId(uuid::Uuid::nil()).to_string());
    match method {
        Method::Enroll => v1::EnrollRequest {
            token: "17".repeat(32),
            csr: vec![0x30; 200],
            instance_id: id,
            instance_name: "home".to_owned(),
            words_nonce: vec![6; 32],
        }
        .encode_to_vec(),
        Method::Connect => v1::ConnectRequest {
            version_min: 1,
            version_max: 1,
            capabilities: vec![1],
            time: Some(prost_types::Timestamp { seconds: 1, nanos: 1 }),
        }
        .encode_to_vec(),
        Method::List => {
            v1::ListRequest { resource, limit: 5, page_token: "A".repeat(55), include_body: true }.encode_to_vec()
        }
        Method::Get => v1::GetRequest { resource, id }.encode_to_vec(),
        Method::Renew => v1::RenewRequest { csr: vec![0x30; 200] }.encode_to_vec(),
        Method::Session => {
            let said = v1::session_request::Said::Acknowledged(v1::Acknowledged { generation: 1 });
            v1::SessionRequest { said: Some(said) }.encode_to_vec()
        }
        Method::Disconnect | Method::Capabilities => b"\x0a\x03abc".to_vec(),
        Method::HealthCheck | Method::HealthWatch => {
            tonic_health::pb::HealthCheckRequest { service: "x".to_owned() }.encode_to_vec()
        }
    }
}

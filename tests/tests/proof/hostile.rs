//! Messages that are well formed and mean harm: nested without end, dated at the ends of time, packed to burst, asked for and
//! not awaited (security rows 39, 42 and 43).

use crate::{
    bytes::first,
    measure::{Dice, alone, scale},
    siege::{CALLS, SCOPE, Siege},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::operation::Method;
use flate2::{Compression, write::GzEncoder};
use prost::Message;
use proto::v1::{self, query_service_client::QueryServiceClient};
use std::{
    io::Write,
    time::{Duration, Instant},
};
use tests::{
    asker::{Asker, dialler, enrol, list, target, tasks},
    instance::{Instance, task},
    raw::{Frame, Raw, flag, kind, prefixed},
};
use tokio::task::JoinSet;
use tonic::{Code, Request, transport::Channel};

const DEPTH: usize = 100_000;

/// Length-delimited fields within each other, each with the next of `tags` in turn.
fn nested(tags: &[u8], depth: usize) -> Vec<u8> {
    let mut lengths = vec![0_usize];
    for level in 1..depth {
        let inner = lengths[level - 1];
        lengths.push(1 + prost::length_delimiter_len(inner) + inner);
    }
    let mut bytes = Vec::new();
    for (level, length) in lengths.into_iter().rev().enumerate() {
        bytes.push(tags[level % tags.len()]);
        prost::encode_length_delimiter(length, &mut bytes).expect("room");
    }
    bytes
}

fn deep() -> [(&'static str, Vec<u8>); 4] {
    // Field 15, which no message has, as a group; and the time of a ConnectRequest, which has no such field either.
    let (open, close) = (vec![0x7b; DEPTH], vec![0x7c; DEPTH]);
    let closed = [open.clone(), close].concat();
    let mut in_time = vec![0x22];
    prost::encode_length_delimiter(closed.len(), &mut in_time).expect("room");
    in_time.extend(&closed);
    [
        ("groups within groups", closed),
        ("groups that never end", open),
        ("messages within messages", nested(&[0x7a], DEPTH)),
        ("groups in a known message", in_time),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_nesting() {
    let _alone = alone().await;
    let (mut siege, began) = (Siege::begin().await, Instant::now());
    let (_, invite) = siege.office.grant("owner", SCOPE).await;
    let enrolment = link::Target { addresses: invite.enrol_addresses.clone(), ..target(&invite, None) };
    let enrolment = dialler().dial(&enrolment).await.expect("a connection").channel;
    let federation = enrol(&invite).await.dial().await.expect("a connection").channel;
    for (what, bytes) in deep() {
        for method in Method::ALL.into_iter().filter(|method| *method != Method::Disconnect) {
            let channel = if method == Method::Enroll { &enrolment } else { &federation };
            // A stack that overflows ends the process and this test with it; any answer will do.
            let answer = first(channel, method.path(), Request::new(bytes.clone())).await;
            let code = answer.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok);
            assert!(
                !matches!(code, Code::Unknown | Code::Unavailable | Code::Cancelled),
                "{what}, {method:?}: {code:?}"
            );
        }
        siege.holds().await;
    }
    siege.report("deep_nesting", began);
}

/// The same from the other side: a row whose attributes are lists within lists.
#[test]
fn a_row_nested_without_end_is_refused_by_who_asked() {
    // Value.list_value and ListValue.values; the whole below the first field of attributes, Item.attributes, ListResponse.items.
    let value = nested(&[0x32, 0x0a], 2 * DEPTH);
    let within = |tag: u8, inner: &[u8]| {
        let mut bytes = vec![tag];
        prost::encode_length_delimiter(inner.len(), &mut bytes).expect("room");
        [bytes, inner.to_vec()].concat()
    };
    let entry = [vec![0x0a, 1, b'a'], within(0x12, &value)].concat();
    let response = within(0x0a, &within(0x5a, &within(0x0a, &entry)));
    assert!(v1::ListResponse::decode(response.as_slice()).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn times_at_the_ends_of_time_are_answered_like_any_other() {
    let (_alone, siege) = (alone().await, Siege::begin().await);
    let asker = siege.asker().await;
    let mut connect = asker.connect().await;
    for seconds in [i64::MIN, i64::MIN + 1, -1, 0, 253_402_300_800, i64::MAX] {
        for nanos in [i32::MIN, -1, 0, 999_999_999, i32::MAX] {
            let time = Some(prost_types::Timestamp { seconds, nanos });
            let request = v1::ConnectRequest { version_min: 1, version_max: 1, time, ..Default::default() };
            let answer = connect.connect(request).await.expect("an answer").into_inner();
            assert_eq!(answer.version, 1, "{seconds} {nanos}");
            let item =
                v1::Item { id: uuid::Uuid::nil().to_string(), resource: "tasks".to_owned(), ..Default::default() };
            let item = domain::wire::read_item(v1::Item { created_at: time, updated_at: time, ..item }).expect("a row");
            assert!(!item.created_at.to_string().is_empty());
        }
    }
    // A page that begins at the ends of time: the place in a token is the asker's own affair, and the database's.
    let page = v1::ListRequest { limit: 1, ..tasks() };
    let token = asker.list(page.clone()).await.expect("an answer").1.expect("an end").next_page_token;
    for (micros, rows) in [(i64::MIN, 0), (i64::MAX, 10)] {
        let mut bytes = URL_SAFE_NO_PAD.decode(&token).expect("a token");
        bytes[17..25].copy_from_slice(&micros.to_be_bytes());
        let request = v1::ListRequest { page_token: URL_SAFE_NO_PAD.encode(bytes), limit: 0, ..page.clone() };
        assert_eq!(asker.list(request).await.expect("an answer").0.len(), rows, "{micros}");
    }
}

/// A thousand zeros in each byte.
fn packed(mebibytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(4));
    encoder.write_all(&vec![0; mebibytes << 20]).expect("room");
    let packed = encoder.finish().expect("room");
    assert!(packed.len() < mebibytes * 1_100, "{} bytes", packed.len());
    packed
}

#[tokio::test(flavor = "multi_thread")]
async fn bomb() {
    let _alone = alone().await;
    let (mut siege, began) = (Siege::begin().await, Instant::now());
    let packed = packed(scale(1, 10));
    for (encoding, status) in [("gzip", "grpc-status 12"), ("deflate", "grpc-status 12"), ("zstd", "grpc-status 12")] {
        let asker = siege.asker().await;
        let before = siege.sequence().await;
        let mut raw = Raw::open(&asker, &[]).await.expect("a connection");
        for call in 0..scale(20, CALLS) {
            let stream = 1 + 2 * u32::try_from(call).expect("a number");
            let more = [("grpc-encoding", encoding), ("grpc-accept-encoding", "gzip,deflate,zstd,identity")];
            let question = Frame::new(kind::DATA, flag::END_OR_ACK, stream, prefixed(1, &packed));
            raw.send(&[Frame::call(stream, Method::List.path(), &more), question]).await.expect("a question");
            while raw.frame().await.expect("an answer").stream != stream {}
        }
        let calls = siege.calls_after(before).await;
        let refused: Vec<_> = calls.iter().filter(|entry| entry.about == "list").map(|entry| &entry.note).collect();
        assert!(refused.iter().all(|note| note.starts_with(status)) && !refused.is_empty(), "{encoding}: {refused:?}");
        siege.holds().await;
    }
    siege.report("bomb", began);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_never_packed_whatever_the_asker_says_it_could_unpack() {
    let (_alone, siege) = (alone().await, Siege::begin().await);
    let mut raw = Raw::open(&siege.asker().await, &[]).await.expect("a connection");
    let call = Frame::call(1, Method::List.path(), &[("grpc-accept-encoding", "gzip,deflate,zstd")]);
    raw.send(&[call, Frame::question(1, &tasks().encode_to_vec())]).await.expect("a question");
    let data = loop {
        let frame = raw.frame().await.expect("a frame");
        if frame.kind == kind::DATA {
            break frame.payload;
        }
    };
    let answer = v1::ListResponse::decode(&data[5..]).expect("a message as it is");
    assert_eq!((data[0], answer.items.len()), (0, 10));
}

/// Two chunks.
const ROWS: usize = 250;

/// Waits until `call` has come some way, and drops it: before its answer, between two chunks, or not at all.
async fn cancelled(mut client: QueryServiceClient<Channel>, patience: Duration) -> bool {
    let call = async {
        let mut stream = client.list(tasks()).await?.into_inner();
        while stream.message().await?.is_some() {}
        Ok::<_, tonic::Status>(())
    };
    tokio::time::timeout(patience, call).await.is_err()
}

async fn storm(dice: &Dice, asker: &Asker, calls: usize) -> (usize, usize) {
    let (mut dialled, mut replaced) = (asker.dial().await.expect("a connection"), 0);
    let (mut running, mut dropped) = (JoinSet::new(), 0);
    for n in 0..calls {
        if !dialled.is_open() {
            dialled = asker.dial().await.expect("a connection");
            replaced += 1;
        }
        let client = QueryServiceClient::new(dialled.channel.clone());
        // One in ten is read to its end, on the same connection and in the middle of it.
        if n % 10 == 9 {
            whole(client).await;
        } else {
            let patience = Duration::from_micros(u64::try_from(dice.below(10_000)).expect("a number"));
            running.spawn(cancelled(client, patience));
        }
        while running.len() >= 20 {
            dropped += usize::from(running.join_next().await.expect("a call").expect("an end"));
        }
    }
    dropped += running.join_all().await.into_iter().filter(|was| *was).count();
    (dropped, replaced)
}

async fn whole(mut client: QueryServiceClient<Channel>) {
    let (items, end) = list(&mut client, tasks()).await.expect("a call that is not cancelled is answered");
    assert_eq!((items.len(), end.is_some()), (ROWS, true), "and whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_storm() {
    let (_alone, dice) = (alone().await, Dice::new("cancel_storm"));
    let office = Instance::start().await;
    office.put(office.owner, (0..ROWS).map(|n| task(&format!("task {n:04}"))).collect()).await;
    let (total, began) = (scale(600_usize, 10_000), Instant::now());
    let (mut dropped, mut replaced, mut askers) = (0, 0, Vec::new());
    for _ in 0..total.div_ceil(CALLS) {
        let asker = enrol(&office.grant("owner", SCOPE).await.1).await;
        let (gone, anew) = storm(&dice, &asker, CALLS).await;
        (dropped, replaced) = (dropped + gone, replaced + anew);
        whole(asker.query().await).await;
        askers.push(asker);
    }
    for _ in 0..1_000 {
        if office.spoke.status().calls == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(office.spoke.status().calls, 0, "a cancelled call is still in work");
    whole(askers[0].query().await).await;
    println!(
        "cancel_storm: {dropped} of {total} Lists dropped, {replaced} connections replaced, {:?}",
        began.elapsed()
    );
    assert!(dropped * 2 > total, "too few were dropped to prove anything: {dropped}");
}

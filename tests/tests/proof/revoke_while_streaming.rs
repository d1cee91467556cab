//! A grant that ends while many Lists stream under it: after the command has returned no row arrives that was not released
//! before, which the log tells: each chunk that arrived has its record, and each record stands before the revocation's.

use crate::measure::{Dice, alone, percentile, scale};
use domain::{
    audit::{Ending, Entry},
    id::{GrantId, RequestId},
    item::NewItem,
    world::World,
};
use futures::future::join_all;
use link::{Dialler, Limits, dial::DialLimits};
use proto::v1::{self, query_service_client::QueryServiceClient};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use store::AuditQuery;
use tests::{
    asker::{Asker, enrol, refusal, tasks},
    hold::Hold,
    instance::{Instance, task},
};
use tonic::{Request, Status, Streaming, transport::Channel};

/// Lists on one connection.
const TOGETHER: usize = 8;
const SCOPE: &str = r#"{"resources":["tasks"],"max_rows_per_query":10000,"rate":{"per_minute":10000,"burst":10000}}"#;

/// A List that has begun.
struct Begun {
    id: RequestId,
    stream: Streaming<v1::ListResponse>,
}

/// What one List brought: rows of each chunk, how it ended, and when.
struct Ended {
    id: RequestId,
    chunks: Vec<u64>,
    end: Result<bool, Status>,
    at: Instant,
}

/// What one revocation cost.
struct Round {
    acknowledged: Duration,
    cut: Duration,
    /// Lists that ended before their last row, by how.
    unfinished: BTreeMap<String, usize>,
}

async fn office(rows: usize) -> Instance {
    let office = Instance::start().await;
    let text = "x".repeat(300);
    let items = (0..rows).map(|n| NewItem { body: Some(text.clone()), ..task(&format!("task {n:05}")) });
    office.put(office.owner, items.collect()).await;
    office
}

async fn begin(office: &Instance, client: &QueryServiceClient<Channel>) -> Begun {
    let (id, mut client) = (RequestId(office.world.uuid()), client.clone());
    let mut request = Request::new(v1::ListRequest { include_body: true, ..tasks() });
    request.metadata_mut().insert(proto::REQUEST_ID, id.to_string().parse().expect("ASCII"));
    Begun { id, stream: client.list(request).await.expect("an answer").into_inner() }
}

async fn begin_all(office: &Instance, home: &Asker, streams: usize) -> Vec<Begun> {
    // A small window: what an asking side does not read is not even decided.
    let limits = Limits { stream_window: 65_535, ..Limits::default() };
    let clock = World::system().clock();
    let dialler = Dialler::with(clock, tests::direction::ways(), limits, DialLimits::default());
    let mut begun = Vec::new();
    // Some at a time, for a question that waits too long for its turn is refused.
    while begun.len() < streams {
        let client = QueryServiceClient::new(dialler.dial(&home.target).await.expect("a connection").channel);
        let more = TOGETHER.min(streams - begun.len());
        begun.extend(join_all((0..more).map(|_| begin(office, &client))).await);
    }
    begun
}

/// Reads to the end, slowly or as fast as it comes.
async fn read(begun: Begun, pause: Duration) -> Ended {
    let Begun { id, mut stream } = begun;
    let mut chunks = Vec::new();
    let end = loop {
        match stream.message().await {
            Ok(Some(chunk)) => chunks.push(u64::try_from(chunk.items.len()).expect("a number")),
            Ok(None) => break Ok(true),
            Err(status) => break Err(status),
        }
        tokio::time::sleep(pause).await;
    };
    Ended { id, chunks, end, at: Instant::now() }
}

async fn round(office: &Instance, streams: usize, delay: Duration) -> Round {
    let (grant, invite) = office.grant("owner", SCOPE).await;
    let home = enrol(&invite).await;
    let begun = begin_all(office, &home, streams).await;
    let pause = |n: usize| Duration::from_millis(if n.is_multiple_of(2) { 20 } else { 0 });
    let reading: Vec<_> = begun.into_iter().enumerate().map(|(n, begun)| tokio::spawn(read(begun, pause(n)))).collect();
    tokio::time::sleep(delay).await;
    let ordered = Instant::now();
    let revoked = office.spoke.revoke(office.by(), grant.id).await.expect("a revocation");
    assert!(revoked.drained, "{revoked:?}");
    let mut round = Round { acknowledged: revoked.took, cut: Duration::ZERO, unfinished: BTreeMap::new() };
    let log = log_of(office, grant.id).await;
    for ended in join_all(reading).await {
        let ended = ended.expect("a reader's end");
        released_before_it_arrived(&ended, &log);
        if let Err(status) = &ended.end {
            round.cut = round.cut.max(ended.at.saturating_duration_since(ordered));
            *round.unfinished.entry(how(status)).or_default() += 1;
        }
    }
    // Calls that were dropped are on record a moment later, as abandoned.
    let answered = |log: &[Entry]| log.iter().filter(|entry| entry.ending == Ending::Answered).count();
    assert_eq!(answered(&log_of(office, grant.id).await), answered(&log), "released after the revocation returned");
    round
}

fn how(status: &Status) -> String {
    let (code, reason) = refusal(status);
    if reason.is_empty() { format!("{code:?}") } else { reason }
}

async fn log_of(office: &Instance, grant: GrantId) -> Vec<Entry> {
    let query = AuditQuery { grant: Some(grant), limit: 100_000, ..AuditQuery::default() };
    office.store.entries(&query).await.expect("the log")
}

/// The chunks of one List, each in its place in the log, all before the revocation.
fn released_before_it_arrived(ended: &Ended, log: &[Entry]) {
    let revoked = log.iter().find(|entry| entry.about == "grant_revoke").expect("a record").sequence;
    let answered = log.iter().filter(|entry| entry.request == ended.id && entry.ending == Ending::Answered);
    let (sequences, rows): (Vec<_>, Vec<_>) = answered.map(|entry| (entry.sequence, entry.rows)).unzip();
    assert!(sequences.iter().all(|at| *at < revoked), "released at {sequences:?}, revoked at {revoked}");
    assert!(rows.starts_with(&ended.chunks), "{:?} arrived, {rows:?} were released", ended.chunks);
}

#[tokio::test(flavor = "multi_thread")]
async fn revoke_while_many_lists_stream() {
    let (_alone, dice) = (alone().await, Dice::new("revoke_while_many_lists_stream"));
    let (streams, rounds) = (scale(40, 200), scale(5, 20));
    let office = office(4_000).await;
    let (mut acknowledged, mut cut, mut unfinished) = (Vec::new(), Vec::new(), BTreeMap::<_, usize>::new());
    for _ in 0..rounds {
        let delay = Duration::from_millis(u64::try_from(dice.below(200)).expect("a number"));
        let round = round(&office, streams, delay).await;
        acknowledged.push(round.acknowledged);
        cut.push(round.cut);
        for (how, many) in round.unfinished {
            *unfinished.entry(how).or_default() += many;
        }
    }
    println!(
        "revoke_while_many_lists_stream: {rounds} revocations over {streams} Lists each: \
         acknowledged p50 {:?} p99 {:?}, last List cut p50 {:?} p99 {:?}; unfinished {unfinished:?}",
        percentile(&mut acknowledged, 50),
        percentile(&mut acknowledged, 99),
        percentile(&mut cut, 50),
        percentile(&mut cut, 99),
    );
    let ended: usize = unfinished.values().sum();
    assert!(ended * 2 > rounds * streams, "only {ended} Lists were under way when their grant ended");
    assert!(percentile(&mut cut, 100) < Duration::from_secs(5), "{cut:?}");
}

/// Every connection for rows is taken by a question that hangs: what ends a grant has connections of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_does_not_wait_behind_rows() {
    let (_alone, office) = (alone().await, office(1).await);
    let (grant, invite) = office.grant("owner", SCOPE).await;
    let home = enrol(&invite).await;
    let client = home.query().await;
    let held = Hold::rows(&office.database).await;
    // More than any machine has connections for rows.
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { tests::asker::list(&mut client, tasks()).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let revoked = office.spoke.revoke(office.by(), grant.id).await.expect("a revocation");
    println!("a_revocation_does_not_wait_behind_rows: {:?} over {} calls that hang", revoked.took, revoked.calls);
    assert!(revoked.drained && revoked.calls == 20 && revoked.took < Duration::from_secs(2), "{revoked:?}");
    held.release().await;
    for asked in join_all(asking).await {
        assert!(asked.expect("an end").is_err(), "rows arrived");
    }
}

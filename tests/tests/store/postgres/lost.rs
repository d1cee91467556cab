//! A commit whose reply is lost: the writer looks its batch up before it writes again (`ack_after_commit`, security row 53),
//! whether it wrote step by step or in one question. The reply is lost by a relay between the store and PostgreSQL.

use crate::bench::{Bench, everything};
use domain::world::World;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};
use store::{
    AuditLog, AuditQuery, Committed,
    postgres::{Pools, Postgres},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

const PASS: u8 = 0;
/// What commits reaches the server; its reply is lost.
const LOSE_REPLY: u8 = 1;
/// What commits is lost on its way.
const LOSE_COMMIT: u8 = 2;

/// Relays every connection, and loses what it is told to of the next message that holds `commits`.
async fn relay(listener: UnixListener, server: PathBuf, mode: Arc<AtomicU8>, commits: Vec<u8>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, mode) = (UnixStream::connect(&server).await.unwrap(), Arc::clone(&mode));
        let commits = commits.clone();
        tokio::spawn(async move {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let back = tokio::spawn(async move { drop(tokio::io::copy(&mut from_server, &mut to_client).await) });
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
                let commits = bytes[..read].windows(commits.len()).any(|window| window == commits);
                let lost = if commits { mode.swap(PASS, Ordering::SeqCst) } else { PASS };
                if lost == LOSE_COMMIT {
                    break;
                }
                if lost == LOSE_REPLY {
                    back.abort();
                }
                to_server.write_all(&bytes[..read]).await.unwrap();
                if lost == LOSE_REPLY {
                    break;
                }
            }
            back.abort();
        });
    }
}

/// How the batch is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    StepByStep,
    AtOnce,
}

/// Commits one answer through a relay that loses something once; how often it stands in the log, and what the writer said.
async fn commit_with_loss(way: Way, loss: u8) -> (usize, Committed, u64) {
    let bench = Bench::on_postgres().await;
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let database = bench.database.as_ref().unwrap();
    let (app, directory) = (database.app(), tempfile::tempdir().unwrap());
    let file = format!(".s.PGSQL.{}", app.get_port());
    let listener = UnixListener::bind(directory.path().join(&file)).unwrap();
    let mode = Arc::new(AtomicU8::new(PASS));
    let server = app.get_socket().unwrap().join(&file);
    let record = bench.answered(&grant);
    let commits = match way {
        Way::StepByStep => b"COMMIT\0".to_vec(),
        // Once its statement is prepared, one message holds the batch and commits it.
        Way::AtOnce => record.request.0.as_bytes().to_vec(),
    };
    let relay = tokio::spawn(relay(listener, server, Arc::clone(&mode), commits));
    let (clock, pools) = (World::system().clock(), Pools { serving: 1, door: 1, reserved: 1 });
    let relayed = app.socket(directory.path());
    let store = Postgres::connect_with(database.owner(), relayed, clock, tests::cluster::trust(), pools).await.unwrap();
    if way == Way::AtOnce {
        for _ in 0..2 {
            store.commit(&[bench.answered(&grant)]).await.unwrap();
        }
    }
    mode.store(loss, Ordering::SeqCst);
    let verdict = store.commit(std::slice::from_ref(&record)).await.unwrap().remove(0);
    assert_eq!(mode.load(Ordering::SeqCst), PASS, "nothing was lost");
    let entries = bench.store.entries(&AuditQuery::default()).await.unwrap();
    relay.abort();
    let times = entries.iter().filter(|entry| entry.request == record.request).count();
    (times, verdict, entries.last().unwrap().sequence)
}

#[tokio::test]
async fn ack_after_commit() {
    for (way, loss) in
        [Way::StepByStep, Way::AtOnce].into_iter().flat_map(|way| [(way, LOSE_REPLY), (way, LOSE_COMMIT)])
    {
        let (times, verdict, last) = commit_with_loss(way, loss).await;
        assert_eq!(times, 1, "the record stands in the log once, whatever was lost ({way:?}, {loss})");
        assert_eq!(verdict, Committed::Written { sequence: last });
    }
}

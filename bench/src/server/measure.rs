//! What is measured inside the sharing side: what the disk allows, and how long a decision takes among many grants.

use super::stage::Stage;
use crate::{
    statistics::{micros, nanos, percentile, real},
    words::{Commits, Decided},
};
use anyhow::{Context, Result, ensure};
use domain::{Caller, caller::Presented, grant::Grant, operation::List, world::Clock};
use link::Registry;
use pki::DenyList;
use spoke::{control::Controls, road::limit::Limits, snapshot::Snapshots};
use sqlx::{Connection, PgConnection};
use std::{
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::FileExt,
    sync::Arc,
    time::{Duration, Instant},
};
use store::Grants as _;

/// About what a record of the log takes in the database.
const RECORD: usize = 300;
/// A page of PostgreSQL's journal.
const PAGE: [u8; 8_192] = [7; 8_192];
const SYNCS: u64 = 64;
/// Changes of one grant among many.
const CHANGES: u32 = 11;

/// Single rows, each its own transaction on one connection, one after the other; and what the disk says to a bare sync.
pub async fn commits(stage: &Stage, millis: u64) -> Result<Commits> {
    let mut connection = PgConnection::connect_with(&stage.server.superuser()).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS bench_commits (id bigserial PRIMARY KEY, note text NOT NULL)")
        .execute(&mut connection)
        .await?;
    let (note, long) = ("x".repeat(RECORD), Duration::from_millis(millis));
    let (mut count, began) = (0, Instant::now());
    while began.elapsed() < long {
        let insert = sqlx::query("INSERT INTO bench_commits (note) VALUES ($1)").bind(&note);
        insert.execute(&mut connection).await?;
        count += 1;
    }
    let per_second = real(count) / began.elapsed().as_secs_f64();
    connection.close().await?;
    Ok(Commits { per_second, sync: sync()? })
}

/// Median of writing a page of a preallocated file and syncing it, beside the database.
fn sync() -> Result<u32> {
    let file = tempfile::tempfile()?;
    file.write_all_at(&vec![0; PAGE.len() * usize::try_from(SYNCS)?], 0)?;
    file.sync_all()?;
    let page = u64::try_from(PAGE.len())?;
    let mut took = Vec::new();
    for at in 0..SYNCS {
        let began = Instant::now();
        file.write_all_at(&PAGE, at * page)?;
        file.sync_data()?;
        took.push(micros(began.elapsed()));
    }
    took.sort_unstable();
    Ok(percentile(&took, 500))
}

/// Grants as the one that stands last, each held by a peer of its own. Written past the daemon, which would sign for each.
const MULTIPLY: &str = "
    INSERT INTO grants (id, name, workspace, subject, subject_name, peer, scope, not_after, state, generation, serial, spki,
                        leaf_not_after, created_at)
    SELECT gen_random_uuid(), 'many-' || n, workspace, subject, subject_name, gen_random_uuid(), scope, not_after, state,
           generation, uuid_send(gen_random_uuid()), sha256(uuid_send(gen_random_uuid())), leaf_not_after, now()
    FROM (SELECT * FROM grants WHERE state = 'active' ORDER BY created_at DESC LIMIT 1) one, generate_series(1, $1) n";

/// Decides `calls` calls of grants drawn from all that stand: standing, limit, decision, as the road does before it reads.
pub async fn decide(stage: &Stage, grants: u32, calls: u32) -> Result<Decided> {
    multiply(stage, grants).await?;
    let clock: Arc<dyn Clock> = stage.world.clock();
    let began = Instant::now();
    let store = Arc::clone(&stage.store) as _;
    let controls = Controls::new(Arc::clone(&clock));
    let deny = Arc::new(DenyList::default());
    let snapshots = Snapshots::start(store, clock, deny, Registry::new(), controls, stage.store.trust()).await?;
    let reading = micros(began.elapsed());
    let change = changes(stage, &snapshots).await?;
    let limits = Limits::with_peer_rate(super::stage::NEVER_FULL);
    let current = snapshots.current();
    let askers: Vec<Presented> = current.grants().filter_map(|grant| presented(grant)).collect();
    ensure!(!askers.is_empty(), "no grant stands");
    let resource: domain::id::Resource = "tasks".parse()?;
    let mut took = Vec::new();
    for asker in draw(&askers, calls) {
        let operation = List::first(resource.clone());
        let began = Instant::now();
        let caller = snapshots.judge(asker);
        let decided = caller.and_then(|caller: Caller<Grant>| {
            limits.take(caller.ground())?;
            domain::decide(&caller, operation)
        });
        took.push(nanos(began.elapsed()));
        decided.map_err(|refusal| anyhow::anyhow!("a decision was a refusal: {refusal:?}"))?;
        if took.len().is_multiple_of(10_000) {
            snapshots.refresh().await?;
        }
    }
    took.sort_unstable();
    let [p50, p99, p999] = [500, 990, 999].map(|at| percentile(&took, at));
    Ok(Decided { grants: askers.len(), p50, p99, p999, reading, change })
}

/// Median of taking over a change of one grant, made elsewhere and committed already.
async fn changes(stage: &Stage, snapshots: &Snapshots) -> Result<u32> {
    let mut connection = PgConnection::connect_with(&stage.server.superuser()).await?;
    let mut took = Vec::new();
    for _ in 0..CHANGES {
        sqlx::query("UPDATE grants SET peer_name = peer_name WHERE name = 'many-1'").execute(&mut connection).await?;
        let began = Instant::now();
        snapshots.refresh().await?;
        took.push(micros(began.elapsed()));
    }
    connection.close().await?;
    took.sort_unstable();
    Ok(percentile(&took, 500))
}

async fn multiply(stage: &Stage, grants: u32) -> Result<()> {
    let mut connection = PgConnection::connect_with(&stage.server.superuser()).await?;
    let made = sqlx::query(MULTIPLY).bind(i64::from(grants)).execute(&mut connection).await?;
    ensure!(made.rows_affected() == u64::from(grants), "there is no grant to multiply");
    seal(stage, &mut connection).await?;
    connection.close().await.context("the database did not let go")
}

/// A grant that the daemon did not write permits nothing.
async fn seal(stage: &Stage, connection: &mut PgConnection) -> Result<()> {
    let key = super::stage::key();
    let (mut ids, mut seals) = (Vec::new(), Vec::new());
    for view in stage.store.grants().await? {
        let scope = serde_json::to_value(view.grant.scope.to_spec())?;
        ids.push(view.grant.id.0);
        seals.push(key.seal(&view.grant, &scope).to_vec());
    }
    let sealed = sqlx::query(
        "UPDATE grants g SET seal = s.seal FROM unnest($1::uuid[], $2::bytea[]) s (id, seal) WHERE g.id = s.id",
    );
    sealed.bind(ids).bind(seals).execute(connection).await?;
    Ok(())
}

/// Each grant's turn comes in steps too wide for a cache to keep up with.
fn draw(askers: &[Presented], calls: u32) -> impl Iterator<Item = &Presented> {
    const STEP: usize = 7_919;
    (0..usize::try_from(calls).unwrap_or(usize::MAX)).filter_map(|n| askers.get(n.wrapping_mul(STEP) % askers.len()))
}

fn presented(grant: &Grant) -> Option<Presented> {
    let leaf = grant.leaf.clone()?;
    Some(Presented {
        peer: grant.peer?,
        grant: grant.id,
        subject: grant.subject,
        serial: leaf.serial,
        spki: leaf.spki,
        issued_at: leaf.not_after.before(pki::LEAF_LIFE),
        not_after: leaf.not_after,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
    })
}

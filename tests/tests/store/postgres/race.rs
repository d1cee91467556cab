//! Revocation against answers in flight, on two replicas of one database (security row 36): whatever the order, no answer is
//! released after its grant's end stands in the log.

use super::ask;
use crate::bench::{Bench, everything};
use domain::{Reason, audit::Act, grant::Grant, id::GrantId};
use sqlx::{Connection, PgConnection};
use std::{sync::Arc, time::Duration};
use store::{AuditQuery, Committed, Grants};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_between_check_and_use() {
    let bench = Bench::on_postgres().await;
    let replica = bench.database.as_ref().unwrap().store_at(&bench.world).await;
    let (mut released, mut withdrawn) = (0, 0);
    for _ in 0..60 {
        let grant = bench.grant("home", bench.owner, &everything()).await;
        let (store, answer) = (Arc::clone(&bench.store), bench.answered(&grant));
        let commit = tokio::spawn(async move { store.commit(&[answer]).await.unwrap().remove(0) });
        replica.revoke_grant(grant.id, bench.about(Act::GrantRevoke, grant.id)).await.unwrap();
        let verdict = commit.await.unwrap();
        let query = AuditQuery { grant: Some(grant.id), ..AuditQuery::default() };
        let entries = bench.store.entries(&query).await.unwrap();
        let revoked = entries.iter().find(|entry| entry.about == "grant_revoke").unwrap().sequence;
        match verdict {
            Committed::Written { sequence } => {
                assert!(sequence < revoked, "released at {sequence}, revoked at {revoked}");
            }
            Committed::Withdrawn { sequence, .. } => assert!(sequence > revoked, "refused before there was a reason"),
        }
        released += u32::from(matches!(verdict, Committed::Written { .. }));
        withdrawn += u32::from(matches!(verdict, Committed::Withdrawn { .. }));
    }
    println!("revoke_between_check_and_use: {released} released before, {withdrawn} withdrawn after");
}

/// Both wait for the head; who asked first goes first.
async fn in_turn(revoke_first: bool) -> Committed {
    let bench = Bench::on_postgres().await;
    let database = bench.database.as_ref().unwrap();
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let mut holder = PgConnection::connect_with(&database.app()).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("SELECT sequence FROM audit_head FOR UPDATE").fetch_one(&mut *held).await.unwrap();
    let (one, other, answer) =
        (Arc::clone(&bench.store), database.store_at(&bench.world).await, bench.answered(&grant));
    let record = bench.about(Act::GrantRevoke, grant.id);
    let commit = async move { one.commit(&[answer]).await.unwrap().remove(0) };
    let revoke = async move { other.revoke_grant(grant.id, record).await.unwrap() };
    let (commit, revoke) = if revoke_first {
        let revoke = tokio::spawn(revoke);
        waiting(&bench, 1).await;
        (tokio::spawn(commit), revoke)
    } else {
        let commit = tokio::spawn(commit);
        waiting(&bench, 1).await;
        (commit, tokio::spawn(revoke))
    };
    waiting(&bench, 2).await;
    held.rollback().await.unwrap();
    revoke.await.unwrap();
    commit.await.unwrap()
}

async fn waiting(bench: &Bench, callers: i64) {
    let database = bench.database.as_ref().unwrap();
    let question =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..300 {
        if ask::<i64>(&database.superuser(), question).await == callers {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{callers} callers never waited");
}

#[tokio::test]
async fn an_answer_behind_a_revocation_is_withdrawn() {
    let verdict = in_turn(true).await;
    assert!(matches!(verdict, Committed::Withdrawn { reason: Reason::NotPermitted, .. }), "{verdict:?}");
}

#[tokio::test]
async fn an_answer_before_a_revocation_is_released() {
    let verdict = in_turn(false).await;
    assert!(matches!(verdict, Committed::Written { .. }), "{verdict:?}");
}

#[tokio::test]
async fn another_process_hears_of_a_change_soon_and_survives_losing_its_connection() {
    let bench = Bench::on_postgres().await;
    let database = bench.database.as_ref().unwrap();
    let replica = database.store_at(&bench.world).await;
    let hears = async || tokio::time::timeout(Duration::from_secs(5), replica.grants_changed()).await.unwrap();
    let grant = bench.pending("home", bench.owner, &everything()).await;
    hears().await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND usename = 'mosaic_app'";
    assert!(ask::<i64>(&database.superuser(), cut).await > 1);
    hears().await;
    let standing = async || replica.standing(None).await.unwrap().live().collect::<Vec<_>>();
    assert_eq!(standing().await, std::slice::from_ref(&grant), "dead connections of the pools are replaced");
    // More than one news may come of the lost connection; the change is heard at the latest after those.
    bench
        .store
        .edit_grant(grant.id, grant.generation, &grant.scope, bench.about(Act::GrantEdit, grant.id))
        .await
        .unwrap();
    hears().await;
    assert_eq!(standing().await[0].generation, 2);
}

/// Changes made past the daemon, where no head's lock keeps them apart, and rows that are gone.
#[tokio::test]
async fn no_change_of_a_grant_hides_behind_a_version_that_was_seen() {
    let bench = Bench::on_postgres().await;
    let database = bench.database.as_ref().unwrap();
    let (first, second) = (
        bench.pending("first", bench.owner, &everything()).await,
        bench.pending("second", bench.owner, &everything()).await,
    );
    let edit = async |transaction: &mut PgConnection, grant: &Grant| {
        let edit = sqlx::query("UPDATE grants SET generation = generation + 1 WHERE id = $1").bind(grant.id.0);
        edit.execute(transaction).await.unwrap();
    };
    let before = bench.store.standing(None).await.unwrap().version;
    let connect = async || PgConnection::connect_with(&database.superuser()).await.unwrap();
    let (mut one, mut other) = (connect().await, connect().await);
    let mut one = one.begin().await.unwrap();
    edit(&mut one, &first).await;
    let late = second.clone();
    let late = tokio::spawn(async move { edit(&mut other, &late).await });
    waiting(&bench, 1).await;
    one.commit().await.unwrap();
    let seen = bench.store.standing(Some(before)).await.unwrap();
    late.await.unwrap();
    let then = bench.store.standing(Some(seen.version)).await.unwrap();
    let told: Vec<GrantId> = seen.grants.into_keys().chain(then.grants.into_keys()).collect();
    assert!(told.contains(&first.id) && told.contains(&second.id), "{told:?}");

    sqlx::query("DELETE FROM grants WHERE id = $1").bind(first.id.0).execute(&mut connect().await).await.unwrap();
    let gone = bench.store.standing(Some(then.version)).await.unwrap();
    assert_eq!((gone.since, gone.grants.keys().collect::<Vec<_>>()), (None, vec![&second.id]));
    let since = bench.store.standing(Some(gone.version)).await.unwrap();
    assert_eq!((since.since, since.grants.len()), (Some(gone.version), 0));
}

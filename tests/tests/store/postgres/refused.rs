//! The list of refused certificates as PostgreSQL keeps it: how much of it is read, and what of it that nobody here wrote makes it read anew.

use super::run;
use crate::bench::{Bench, everything};
use domain::audit::Act;
use sqlx::{Connection, PgConnection, Row};

const MANY: &str = "INSERT INTO refused_leaves (serial, spki, not_after, refused_at)
    SELECT substr(sha256(i::text::bytea), 1, 16), sha256(i::text::bytea), timestamptz '2100-01-01', now() FROM generate_series(1, 20000) AS i;
    ANALYZE refused_leaves";

/// How PostgreSQL answers a statement of ours, after this version, and how many rows it reads for it.
async fn plan(bench: &Bench, statement: &str, binds: &[i64]) -> String {
    let (_, text) = store::postgres::sql::all().find(|(name, _)| *name == statement).unwrap();
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN (ANALYZE, TIMING OFF) {text}"));
    let mut connection = PgConnection::connect_with(&bench.database.as_ref().unwrap().owner()).await.unwrap();
    let mut query = sqlx::query(explain).bind(bench.now().to_offset());
    for bind in binds {
        query = query.bind(bind);
    }
    let rows = query.fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect()
}

#[tokio::test]
async fn of_twenty_thousand_refused_certificates_one_change_reads_its_own() {
    let bench = Bench::on_postgres().await;
    let grant = bench.grant("home", bench.owner, &everything()).await;
    run(&bench.database.as_ref().unwrap().superuser(), MANY).await.unwrap();
    let before = bench.store.standing(None).await.unwrap();
    assert_eq!(before.refused.len(), 20_000);
    bench.store.revoke_grant(grant.id, bench.act(Act::GrantRevoke)).await.unwrap();
    let after = bench.store.standing(Some(before.version)).await.unwrap();
    assert_eq!((after.since, after.refused), (Some(before.version), vec![grant.leaf.unwrap()]));
    let read = plan(&bench, "REFUSED_AFTER", &[i64::try_from(before.version).unwrap()]).await;
    assert!(read.contains("refused_leaves_by_move") && read.contains("actual rows=1"), "{read}");
    let forget = plan(&bench, "FORGET_REFUSED", &[]).await;
    assert!(forget.contains("refused_leaves_by_end") && !forget.contains("Rows Removed"), "{forget}");
}

#[tokio::test]
async fn only_a_row_that_is_gone_before_its_time_or_became_another_is_read_with_all_others() {
    let bench = Bench::on_postgres().await;
    let (ended, other) = (
        bench.grant("ended", bench.owner, &everything()).await,
        bench.grant("other", bench.owner, &everything()).await,
    );
    let superuser = bench.database.as_ref().unwrap().superuser();
    run(&superuser, MANY).await.unwrap();
    run(&superuser, "INSERT INTO refused_leaves VALUES ('\\x0102030405060708', sha256('old'), '2001-01-01')")
        .await
        .unwrap();
    let mut known = bench.store.standing(None).await.unwrap();
    bench.store.revoke_grant(ended.id, bench.act(Act::GrantRevoke)).await.unwrap();
    let mut after = bench.store.standing(Some(known.version)).await.unwrap();
    assert_eq!(after.since, Some(known.version), "one whose time was over is forgotten, which is no news");
    for change in [
        "UPDATE refused_leaves SET spki = sha256('another') WHERE spki = sha256('1')",
        "UPDATE refused_leaves SET not_after = not_after + interval '1 day' WHERE spki = sha256('2')",
        "DELETE FROM refused_leaves WHERE spki = sha256('3')",
        "TRUNCATE refused_leaves",
    ] {
        known = after;
        run(&superuser, change).await.unwrap();
        after = bench.store.standing(Some(known.version)).await.unwrap();
        assert!(after.since.is_none() && after.version > known.version, "{change}");
    }
    assert_eq!(after.refused, []);
    bench.store.revoke_grant(other.id, bench.act(Act::GrantRevoke)).await.unwrap();
    let last = bench.store.standing(Some(after.version)).await.unwrap();
    assert_eq!((last.since, last.refused), (Some(after.version), vec![other.leaf.unwrap()]));
}

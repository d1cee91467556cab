//! A database that says other things than this instance wrote: changed behind the daemon's back, or put back to an earlier state.

use domain::{grant::State, rights::Role, seal::RowKey};
use spoke::{Doubt, Edit, Floors, Receipt};
use sqlx::{Connection, PgConnection, Row};
use std::{sync::Arc, time::Duration};
use tests::{
    asker::{Asker, enrol, refusal, tasks},
    cluster,
    instance::{Instance, task},
};
use tokio::time::{sleep, timeout};
use tonic::Code;

struct Stage {
    office: Instance,
    grant: domain::grant::Grant,
    asker: Asker,
    superuser: PgConnection,
}

impl Stage {
    async fn open() -> Self {
        let office = Instance::start().await;
        office.put(office.owner, vec![task("one")]).await;
        office.user("mallory", Role::Member).await;
        let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
        let asker = enrol(&invite).await;
        asker.list(tasks()).await.expect("rows");
        let superuser = PgConnection::connect_with(&office.database.superuser()).await.expect("a connection");
        Self { office, grant, asker, superuser }
    }

    /// The same instance with another grant.
    async fn anew(self) -> Self {
        let (grant, invite) = self.office.grant("owner", r#"{"resources":["tasks"]}"#).await;
        let asker = enrol(&invite).await;
        asker.list(tasks()).await.expect("rows");
        Self { grant, asker, ..self }
    }

    async fn write(&mut self, assignment: &str) {
        let update = format!("UPDATE grants SET {assignment} WHERE id = '{}'", self.grant.id);
        let update = sqlx::query(sqlx::AssertSqlSafe(update)).execute(&mut self.superuser).await.expect("an update");
        assert_eq!(update.rows_affected(), 1);
    }

    async fn is_doubted(&self, doubt: Doubt) {
        let waited = timeout(Duration::from_secs(10), async {
            while self.office.spoke.status().doubtful != [(self.grant.id, doubt)] {
                sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "{:?}", self.office.spoke.status().doubtful);
    }

    async fn is_refused(&self) {
        let Ok(dialled) = self.asker.dial().await else { return };
        let mut query = proto::v1::query_service_client::QueryServiceClient::new(dialled.channel);
        let refused = tests::asker::list(&mut query, tasks()).await.expect_err("rows of a grant that is not believed");
        assert_eq!(refusal(&refused), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_row_tampered() {
    let changes = [
        // Wider, longer, another's rows, another key, another holder, alive again.
        r#"scope = jsonb_set(scope, '{resources}', '["tasks", "notes"]')"#,
        r#"scope = jsonb_set(scope, '{not_after}', '"2099-01-01T00:00:00Z"')"#,
        "subject = (SELECT id FROM users WHERE name = 'mallory')",
        "spki = sha256('mallory')",
        "generation = generation + 1",
        "seal = NULL",
        "seal = sha256('mallory')",
    ];
    let mut stage = Stage::open().await;
    for change in changes {
        stage = stage.anew().await;
        stage.write(change).await;
        stage.is_doubted(Doubt::Tampered).await;
        stage.is_refused().await;
        let (by, now) = (stage.office.by(), stage.office.standing(stage.grant.id).await);
        let edit = stage.office.spoke.edit(by, &now, Edit::to(now.scope.to_spec())).await.expect_err("an edit of it");
        assert!(edit.to_string().contains("somebody has changed the database"), "{change}: {edit}");
        let again = stage.office.spoke.invite(by, stage.grant.id).await.err().expect("an invite to it");
        assert!(again.to_string().contains("make a new one"), "{change}: {again}");
        let ended = stage.office.spoke.revoke(by, stage.grant.id).await.expect("it can be ended");
        assert_eq!(ended.grant.state, State::Revoked);
        assert_eq!(stage.office.spoke.status().doubtful, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_brings_back_neither_a_revoked_grant_nor_a_wider_scope() {
    let mut stage = Stage::open().await;
    for revoke in [true, false] {
        stage = stage.anew().await;
        let (id, by) = (stage.grant.id, stage.office.by());
        let row = sqlx::query("SELECT scope::text, generation, seal FROM grants WHERE id = $1").bind(id.0);
        let before = row.fetch_one(&mut stage.superuser).await.expect("the row");
        if revoke {
            let ended = stage.office.spoke.revoke(by, id).await.expect("a revocation");
            assert!(matches!(ended.receipt, Receipt::Away(_)));
        } else {
            let now = stage.office.standing(id).await;
            let mut narrow = now.scope.to_spec();
            narrow.max_rows_per_query = Some(1);
            stage.office.spoke.edit(by, &now, Edit::to(narrow)).await.expect("an edit");
        }
        // The row, seal and all, as the backup had it.
        let back = sqlx::query(
            "UPDATE grants SET state = 'active', scope = $2::text::jsonb, generation = $3, seal = $4 WHERE id = $1",
        );
        let back = back.bind(id.0).bind(before.get::<String, _>(0)).bind(before.get::<i64, _>(1));
        back.bind(before.get::<Vec<u8>, _>(2)).execute(&mut stage.superuser).await.expect("the backup");
        sqlx::query("DELETE FROM refused_leaves").execute(&mut stage.superuser).await.expect("the backup");
        stage.is_doubted(Doubt::Older).await;
        stage.is_refused().await;
        stage.office.spoke.revoke(by, id).await.expect("it can be ended");
        assert_eq!(stage.office.spoke.status().doubtful, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_outlives_the_daemon_and_its_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grants.floor");
    let open = || Arc::new(Floors::open(&path, cluster::row_key()).expect("floors"));
    let office = Instance::start_remembering(cluster::database().await, open()).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    enrol(&invite).await;
    let revoked = office.spoke.revoke(office.by(), grant.id).await.expect("a revocation").grant;
    assert_eq!(open().of(grant.id), revoked.generation, "durable when the command returns");
    let other = Floors::open(&path, RowKey::new([9; 32])).expect("floors");
    assert_eq!(other.of(grant.id), 0, "of another key");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_a_crash_kept_from_being_remembered_is_learnt_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grants.floor");
    let mut stage = Stage::open().await;
    let id = stage.grant.id;
    let changed = stage.anew().await;
    let (kept, by) = (changed.grant.id, changed.office.by());
    let revoked = changed.office.spoke.revoke(by, id).await.expect("a revocation").grant;
    stage = changed;
    // Nothing is in this file: as if the daemon had been killed between the commit and the line.
    let open = || Arc::new(Floors::open(&path, cluster::row_key()).expect("floors"));
    let again = stage.office.spoke_after_a_stop(open()).await;
    assert_eq!(again.status().doubtful, []);
    assert_eq!(open().of(id), revoked.generation);
    assert_eq!(open().of(kept), stage.office.standing(kept).await.generation);
    again.stop().await;
    // What somebody else wrote about an ended grant is not remembered: the grant could never stand as it was.
    let lie = "UPDATE grants SET generation = 1000 WHERE id = $1";
    sqlx::query(lie).bind(id.0).execute(&mut stage.superuser).await.expect("an update");
    let again = stage.office.spoke_after_a_stop(open()).await;
    assert_eq!(open().of(id), revoked.generation);
    again.stop().await;
}

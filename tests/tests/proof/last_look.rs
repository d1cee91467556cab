//! The race of the last look, on two connections: between the moment a batch of answers re-reads its grants and its commit, and
//! between a revocation's change and its commit, the other one waits; and the log tells the same order as the verdicts.

use crate::measure::alone;
use domain::{
    Reason,
    audit::{Act, Ending, Record, Stage, Subject},
    grant::Grant,
    id::RequestId,
    operation::Method,
};
use std::sync::Arc;
use store::{AuditLog, AuditQuery, Committed, Grants, postgres::Postgres};
use tests::{
    asker::enrol,
    hold::{Hold, ask, waiting},
    instance::Instance,
};
use tokio::task::JoinHandle;

/// One instance's database, two connections to it, and an active grant.
struct Race {
    office: Instance,
    one: Arc<Postgres>,
    other: Arc<Postgres>,
    grant: Grant,
}

/// How the batch is written.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// The writer does not know where the log ends.
    StepByStep,
    /// It left the log there itself, and asks for everything in one question.
    AtOnce,
}

impl Race {
    async fn set(way: Way) -> Self {
        let office = Instance::start().await;
        Hold::prepare(&office.database).await;
        let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
        enrol(&invite).await;
        let standing = office.store.standing(None).await.expect("standing");
        let grant = standing.live().find(|one| one.id == grant.id).expect("the grant");
        let (one, other) = (office.database.store().await, office.database.store().await);
        if way == Way::AtOnce {
            one.commit(&[office.act(Act::UserEdit)]).await.expect("a batch");
        }
        Self { office, one, other, grant }
    }

    /// A batch of one answer, decided while the grant was good.
    fn answer(&self) -> JoinHandle<Committed> {
        let about = Subject::Call(Method::List);
        let id = RequestId(self.office.world.uuid());
        let record = Record::new(self.office.world.now(), Stage::Release, Ending::Answered, about, id);
        let record = Record { grant: Some(self.grant.id), generation: Some(self.grant.generation), rows: 1, ..record };
        let store = Arc::clone(&self.one);
        tokio::spawn(async move { store.commit(&[record]).await.expect("a batch").remove(0) })
    }

    fn revocation(&self) -> JoinHandle<()> {
        let (store, grant) = (Arc::clone(&self.other), self.grant.id);
        let record = Record { grant: Some(grant), ..self.office.act(Act::GrantRevoke) };
        tokio::spawn(async move { drop(store.revoke_grant(grant, record).await.expect("a revocation")) })
    }

    /// Who waits for the head, waits for a session that is in its commit.
    async fn waits_for_a_commit(&self, waits: &str, holds: &str) {
        let question = format!(
            "SELECT count(*) FROM pg_stat_activity waits, unnest(pg_blocking_pids(waits.pid)) AS by
             JOIN pg_stat_activity holds ON holds.pid = by
             WHERE waits.query LIKE '{waits}' AND holds.query LIKE '{holds}' AND holds.wait_event = 'advisory'"
        );
        assert_eq!(ask::<i64>(&self.office.database.superuser(), &question).await, 1, "nobody waits for the head");
    }

    async fn state(&self) -> String {
        let question = format!("SELECT state FROM grants WHERE id = '{}'", self.grant.id);
        ask(&self.office.database.superuser(), &question).await
    }

    /// Where the revocation stands in the log.
    async fn revoked(&self) -> u64 {
        let query = AuditQuery { grant: Some(self.grant.id), ..AuditQuery::default() };
        let log = self.office.store.entries(&query).await.expect("the log");
        log.iter().find(|entry| entry.about == "grant_revoke").expect("a record").sequence
    }
}

const LOCKS: &str = "%audit_head%FOR UPDATE";
const AT_ONCE: &str = "SELECT append_audit(%";

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_waits_for_a_batch_that_has_looked_already() {
    let _alone = alone().await;
    for (way, batch) in [(Way::StepByStep, "COMMIT"), (Way::AtOnce, AT_ONCE)] {
        revoked_behind(&Race::set(way).await, batch).await;
    }
}

async fn revoked_behind(race: &Race, batch: &str) {
    let held = Hold::answers(&race.office.database).await;
    let answer = race.answer();
    waiting(&race.office.database, 1).await;
    let revocation = race.revocation();
    waiting(&race.office.database, 2).await;
    race.waits_for_a_commit(LOCKS, batch).await;
    assert_eq!(race.state().await, "active");
    held.release().await;
    let (verdict, ()) = (answer.await.expect("a verdict"), revocation.await.expect("a revocation"));
    let Committed::Written { sequence } = verdict else { panic!("{verdict:?}") };
    assert_eq!(race.revoked().await, sequence + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_for_a_revocation_that_is_about_to_commit() {
    let _alone = alone().await;
    for (way, batch) in [(Way::StepByStep, LOCKS), (Way::AtOnce, AT_ONCE)] {
        withdrawn_behind(&Race::set(way).await, batch).await;
    }
}

async fn withdrawn_behind(race: &Race, batch: &str) {
    let held = Hold::changes(&race.office.database).await;
    let revocation = race.revocation();
    waiting(&race.office.database, 1).await;
    let answer = race.answer();
    waiting(&race.office.database, 2).await;
    race.waits_for_a_commit(batch, "COMMIT").await;
    assert!(!answer.is_finished());
    held.release().await;
    let (verdict, ()) = (answer.await.expect("a verdict"), revocation.await.expect("a revocation"));
    let Committed::Withdrawn { sequence, reason: Reason::NotPermitted } = verdict else { panic!("{verdict:?}") };
    assert_eq!(sequence, race.revoked().await + 1);
}

/// The end of a grant that another program writes past the log leaves the log's end where the writer left it.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_at_once_sees_a_grant_that_moved_under_an_unmoved_log() {
    let (_alone, race) = (alone().await, Race::set(Way::AtOnce).await);
    let held = Hold::head(&race.office.database).await;
    let answer = race.answer();
    waiting(&race.office.database, 1).await;
    let moved = format!("UPDATE grants SET generation = generation + 1 WHERE id = '{}'", race.grant.id);
    held.commit(&moved).await;
    let verdict = answer.await.expect("a verdict");
    assert!(matches!(verdict, Committed::Withdrawn { reason: Reason::SnapshotStale, .. }), "{verdict:?}");
}

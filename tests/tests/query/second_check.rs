//! When the database's own policies are broken, nothing leaves: the second check refuses, records, and shows.

use domain::{audit::Ending, rights::Role};
use sqlx::{Connection, PgConnection};
use tests::{
    asker::{enrol, refusal, tasks},
    instance::{Instance, task},
};
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_policy_is_found_before_a_row_leaves() {
    let office = Instance::start().await;
    let bob = office.user("bob", Role::Member).await;
    office.put(bob, vec![task("bob's secret")]).await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let home = enrol(&invite).await;
    assert!(home.list(tasks()).await.expect("an answer").0.is_empty());
    let mut superuser = PgConnection::connect_with(&office.database.superuser()).await.expect("a connection");
    let (one, two) = ("ALTER TABLE items NO FORCE ROW LEVEL SECURITY", "ALTER TABLE items DISABLE ROW LEVEL SECURITY");
    for statement in [one, two] {
        sqlx::query(statement).execute(&mut superuser).await.expect("a broken policy");
    }
    let status = home.list(tasks()).await.expect_err("answered");
    assert_eq!(refusal(&status), (Code::Internal, "SECOND_CHECK".to_owned()));
    assert!(!status.message().contains("bob"));
    let entry = office.log(1).await.pop().expect("an entry");
    assert_eq!((entry.ending, entry.reason.as_deref()), (Ending::Refused, Some("SECOND_CHECK")));
    assert_eq!(office.spoke.status().second_check_failures, 1);
}

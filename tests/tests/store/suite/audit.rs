//! The log: a chain that stands by itself, and the last look before an answer leaves.

use crate::bench::{Bench, everything, name};
use domain::{
    Reason, Time,
    audit::{
        Act, Ending, Entry, Record, SignedHead,
        chain::{Line, Verifier},
    },
    id::{InstanceId, UserId},
};
use std::time::Duration;
use store::{AuditQuery, Committed};

pub async fn the_log_verifies_without_the_store(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let batch: Vec<_> = (0..600).map(|_| bench.answered(&grant)).collect();
    for some in batch.chunks(250) {
        bench.store.commit(some).await.unwrap();
    }
    let mut early = bench.answered(&grant);
    early.time = Time::from_seconds(7);
    bench.store.commit(&[early]).await.unwrap();
    assert_eq!(bench.store.commit(&[]).await.unwrap(), []);

    let entries = bench.store.entries(&AuditQuery { limit: u32::MAX, ..AuditQuery::default() }).await.unwrap();
    let head = bench.store.head().await.unwrap();
    assert_eq!((head.sequence, head.time), (entries.len() as u64, Time::from_seconds(7)));
    let signed = SignedHead {
        instance: InstanceId(bench.world.uuid()),
        name: name("office"),
        head,
        key: String::new(),
        signature: String::new(),
    };
    let lines = entries.into_iter().map(|entry| Line::Entry(Box::new(entry))).chain([Line::Head(signed)]);
    let mut verifier = Verifier::default();
    for line in lines {
        verifier.line(&serde_json::to_string(&line).unwrap()).unwrap();
    }
    assert_eq!(verifier.finish().unwrap().entries, 606);
}

async fn last(bench: &Bench) -> Entry {
    let query = AuditQuery { limit: 1, last: true, ..AuditQuery::default() };
    bench.store.entries(&query).await.unwrap().remove(0)
}

/// The answer must not leave, and the log says so in its place.
async fn withdrawn(bench: &Bench, record: Record, reason: Reason) {
    let request = record.request;
    let verdicts = bench.store.commit(&[record]).await.unwrap();
    let entry = last(bench).await;
    assert_eq!(verdicts, [Committed::Withdrawn { sequence: entry.sequence, reason }]);
    assert_eq!((entry.ending, entry.reason.as_deref()), (Ending::Refused, Some(reason.code())));
    assert_eq!((entry.rows, entry.bytes, entry.request), (0, 0, request));
}

pub async fn an_answer_is_withdrawn_when_its_grant_is_revoked(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let other = bench.grant("other", bench.owner, &everything()).await;
    let (record, fine) = (bench.answered(&grant), bench.answered(&other));
    bench.store.revoke_grant(grant.id, bench.about(Act::GrantRevoke, grant.id)).await.unwrap();
    withdrawn(bench, record.clone(), Reason::NotPermitted).await;
    let sequence = last(bench).await.sequence;
    let verdicts = bench.store.commit(&[fine.clone(), record, fine]).await.unwrap();
    let reason = Reason::NotPermitted;
    let expected = [
        Committed::Written { sequence: sequence + 1 },
        Committed::Withdrawn { sequence: sequence + 2, reason },
        Committed::Written { sequence: sequence + 3 },
    ];
    assert_eq!(verdicts, expected, "one grant's end is nothing to another's answers");
    let unused = bench.pending("unused", bench.owner, &everything()).await;
    withdrawn(bench, bench.answered(&unused), Reason::NotPermitted).await;
}

pub async fn an_answer_is_withdrawn_when_its_grant_changed(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let record = bench.answered(&grant);
    let edited =
        bench.store.edit_grant(grant.id, grant.generation, &grant.scope, bench.act(Act::GrantEdit)).await.unwrap();
    withdrawn(bench, record, Reason::SnapshotStale).await;
    let sequence = last(bench).await.sequence + 1;
    assert_eq!(bench.store.commit(&[bench.answered(&edited)]).await.unwrap(), [Committed::Written { sequence }]);
    assert_eq!(last(bench).await.rows, 3);
}

pub async fn an_answer_is_withdrawn_when_its_grant_expired(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let record = bench.answered(&grant);
    bench.clock.set(grant.scope.not_after().before(Duration::from_micros(1)));
    assert!(matches!(
        bench.store.commit(std::slice::from_ref(&record)).await.unwrap()[..],
        [Committed::Written { .. }]
    ));
    bench.clock.set(grant.scope.not_after());
    withdrawn(bench, record, Reason::NotPermitted).await;
}

pub async fn only_answers_of_a_grant_are_looked_at_again(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    bench.store.revoke_grant(grant.id, bench.about(Act::GrantRevoke, grant.id)).await.unwrap();
    let asked = Record { generation: None, ..bench.answered(&grant) };
    let refused = Record { ending: Ending::Refused, reason: Some(Reason::OutOfScope), ..bench.answered(&grant) };
    let verdicts = bench.store.commit(&[asked, refused]).await.unwrap();
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Committed::Written { .. })), "{verdicts:?}");
    assert_eq!(last(bench).await.reason.as_deref(), Some("OUT_OF_SCOPE"));
}

pub async fn a_change_that_fails_leaves_no_record(bench: &Bench) {
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let before = bench.store.head().await.unwrap();
    let draft = bench.draft("home", bench.owner, &everything());
    bench.store.create_grant(&draft, bench.act(Act::GrantCreate)).await.unwrap_err();
    let (id, role) = (UserId(bench.world.uuid()), domain::rights::Role::Member);
    bench.store.add_user(id, &name("olga"), None, &name("main"), role, bench.act(Act::UserAdd)).await.unwrap_err();
    assert!(!bench.store.remove_link(bench.owner, grant.id, bench.act(Act::LinkRemove)).await.unwrap());
    assert_eq!(bench.store.head().await.unwrap(), before);
    bench.store.revoke_grant(grant.id, bench.about(Act::GrantRevoke, grant.id)).await.unwrap();
    let entry = last(bench).await;
    assert_eq!((entry.about.as_str(), entry.grant, entry.subject), ("grant_revoke", Some(grant.id), Some(bench.owner)));
}

pub async fn entries_are_found_by_what_is_asked(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let from = bench.store.head().await.unwrap().sequence;
    for n in 0..5 {
        bench.clock.advance(Duration::from_secs(1));
        let ending = if n == 2 { Ending::Abandoned } else { Ending::Answered };
        bench.store.commit(&[Record { ending, ..bench.answered(&grant) }]).await.unwrap();
    }
    let found = async |query: AuditQuery| -> Vec<u64> {
        bench.store.entries(&query).await.unwrap().iter().map(|entry| entry.sequence - from).collect()
    };
    let after = || AuditQuery { after: from, ..AuditQuery::default() };
    assert_eq!(found(after()).await, [1, 2, 3, 4, 5]);
    assert_eq!(found(AuditQuery { limit: 2, ..after() }).await, [1, 2]);
    assert_eq!(found(AuditQuery { limit: 2, last: true, ..after() }).await, [4, 5]);
    assert_eq!(found(AuditQuery { ending: Some(Ending::Abandoned), ..after() }).await, [3]);
    assert_eq!(found(AuditQuery { since: Some(bench.now()), ..after() }).await, [5]);
    let other = domain::id::GrantId(bench.world.uuid());
    assert_eq!(found(AuditQuery { grant: Some(other), ..after() }).await, [0; 0]);
    assert_eq!(found(AuditQuery { grant: Some(grant.id), limit: 1, last: true, ..after() }).await, [5]);
}

pub async fn strange_records_do_not_stop_a_batch(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let strange = Record {
        address: "\0:1".into(),
        note: "two\nlines \0".into(),
        rows: u64::MAX,
        bytes: u64::MAX,
        latency: Duration::MAX,
        time: Time::from_micros(i64::MIN),
        ..bench.answered(&grant)
    };
    let verdicts = bench.store.commit(&[bench.answered(&grant), strange, bench.answered(&grant)]).await.unwrap();
    assert_eq!(verdicts.len(), 3);
    let entries = bench.store.entries(&AuditQuery { limit: 2, last: true, ..AuditQuery::default() }).await.unwrap();
    assert_eq!(entries[0].digest(), entries[0].hash, "what is stored is what was chained");
    assert!(!entries[0].note.contains('\n') && !entries[0].address.contains('\0'));
}

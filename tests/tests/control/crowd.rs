//! Many grants with a session each, and the end of some of them: each is told and acknowledged, and nobody else notices.

use crate::stranger::{PATIENCE, Session};
use domain::session::HEARTBEAT;
use proto::v1::notice::News;
use spoke::Receipt;
use std::time::Duration;
use tests::{
    asker::{Asker, enrol, tasks},
    instance::{Instance, task},
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Sessions, and how many of their grants end.
fn size() -> (usize, usize) {
    if std::env::var("MOSAIC_TEST_SCALE").is_ok_and(|scale| scale == "large") { (1_000, 200) } else { (20, 10) }
}

/// Says of every notice that it was acted upon, until the session is over; how many there were.
fn attend(mut session: Session) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let (mut ended, mut beat) = (0, tokio::time::interval(HEARTBEAT));
        loop {
            let notice = tokio::select! {
                biased;
                notice = session.next_notice() => notice,
                _ = beat.tick() => {
                    session.beat(Duration::ZERO).await;
                    continue;
                }
            };
            let Ok(Some((generation, news))) = notice else { return ended };
            ended += usize::from(matches!(news, News::Ended(_)));
            session.acknowledge(generation).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_is_acknowledged_and_no_other_session_notices() {
    let (sessions, ending) = size();
    let office = Instance::start().await;
    office.put(office.owner, vec![task("one")]).await;
    let mut links: Vec<(Asker, JoinHandle<usize>)> = Vec::new();
    for _ in 0..sessions {
        let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
        let asker = enrol(&invite).await;
        let session = Session::begin(&asker).await.expect("a session");
        links.push((asker, attend(session)));
    }
    assert_eq!(office.spoke.status().sessions, sessions);
    let stay = links.split_off(ending);
    let mut took = Vec::new();
    for (asker, attending) in links {
        let revoked = office.spoke.revoke(office.by(), asker.grant).await.expect("a revocation");
        let Receipt::Acknowledged(after) = revoked.receipt else { panic!("{revoked:?}") };
        took.push((after, revoked.took));
        assert_eq!(attending.await.expect("a session"), 1);
    }
    for (asker, attending) in stay.iter().take(20) {
        assert!(!attending.is_finished(), "another session ended");
        assert_eq!(asker.list(tasks()).await.expect("rows").0.len(), 1);
    }
    // Whoever listens to a session that is over says so a moment after it is.
    let left = timeout(PATIENCE, async {
        while office.spoke.status().sessions != sessions - ending {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(left.await.is_ok(), "{} sessions", office.spoke.status().sessions);
    for (_, attending) in &stay {
        assert!(!attending.is_finished(), "another session ended");
    }
    println!(
        "{sessions} sessions, {ending} ended: word {}, done {}",
        spread(took.iter().map(|t| t.0)),
        spread(took.iter().map(|t| t.1))
    );
}

fn spread(took: impl Iterator<Item = Duration>) -> String {
    let mut took: Vec<_> = took.collect();
    took.sort_unstable();
    let at = |part: usize| took.get(took.len().saturating_sub(1) * part / 100).copied().unwrap_or_default();
    format!("p50 {:?}, p99 {:?}", at(50), at(99))
}

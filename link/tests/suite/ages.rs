//! Connections end by age: first asked, then cut.

use super::{
    caller::{get, who},
    sharing::{GRANT, Sharing, eventually},
};
use link::Limits;
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

#[tokio::test]
async fn an_old_connection_is_asked_to_end_and_a_call_that_hangs_on_is_cut() {
    let limits = Limits {
        connection_age: Duration::from_millis(900),
        connection_grace: Duration::from_millis(500),
        ..Sharing::patient()
    };
    let sharing = Sharing::new(limits);
    let opened = sharing.federation().await;
    let (_, credential) = sharing.issue(GRANT);
    let target = sharing.target(&opened, Some(credential));
    let idle = sharing.dialler().dial(&target).await.unwrap();
    let busy = sharing.dialler().dial(&target).await.unwrap();
    who(&idle).await.unwrap();
    let started = Instant::now();
    let hanging = tokio::spawn(async move { get(&busy, "/hang").await.map(drop) });
    eventually("the idle connection ended", || !idle.is_open()).await;
    assert!((300..850).contains(&started.elapsed().as_millis()), "GOAWAY after {:?}", started.elapsed());
    assert!(hanging.await.unwrap().is_err());
    assert!((800..2_000).contains(&started.elapsed().as_millis()), "cut after {:?}", started.elapsed());
    eventually("the handler is gone", || sharing.calls.alive.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_connection_without_a_certificate_lives_shortly_and_keeps_its_place_meanwhile() {
    let limits = Limits { enrolment_age: Duration::from_millis(600), unproven_per_address: 1, ..Sharing::patient() };
    let sharing = Sharing::new(limits);
    let opened = sharing.enrolment().await;
    let target = sharing.target(&opened, None);
    let first = sharing.dialler().dial(&target).await.unwrap();
    who(&first).await.unwrap();
    assert!(sharing.dialler().dial(&target).await.is_err(), "the place is taken");
    eventually("it was cut", || !first.is_open()).await;
    sharing.dialler().dial(&target).await.unwrap();
}

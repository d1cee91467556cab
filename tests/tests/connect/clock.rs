//! A clock that goes back or ahead while an instance runs: no grant is made that would outlive what its owner was told.

use domain::world::{Clock, FakeClock, SeededRng, World};
use spoke::{AdminError, GrantOrder};
use std::{sync::Arc, time::Duration};
use tests::instance::{Instance, name};

const HOUR: Duration = Duration::from_hours(1);
const YEAR: Duration = Duration::from_hours(366 * 24);

fn order(grant: &str) -> GrantOrder {
    GrantOrder {
        name: name(grant),
        subject: name("owner"),
        spec: serde_json::from_str(r#"{"workspace":"main","resources":["tasks"]}"#).expect("a scope"),
        personal_default: true,
        sensitive: false,
        narrow: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_jump() {
    let began = World::system().now();
    let clock = Arc::new(FakeClock::new(began));
    let world = World::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SeededRng::new(7)));
    let office = Instance::start_in(world).await;
    office.spoke.create(office.by(), order("first")).await.expect("the clock is right");
    let grants = office.store.grants().await.expect("grants").len();
    for (n, back) in [HOUR, YEAR].into_iter().enumerate() {
        clock.set(began.before(back));
        let refused = office.spoke.create(office.by(), order("second")).await.err().expect("a grant was made");
        assert!(matches!(&refused, AdminError::Conflict(text) if text.contains("clock")), "{refused}");
        // Records of the wrong time make it no righter.
        for _ in 0..3 {
            office.spoke.record(office.act(domain::audit::Act::Start)).await.expect("a record");
        }
        assert!(office.spoke.create(office.by(), order("second")).await.is_err(), "records of the wrong time helped");
        assert_eq!(office.spoke.status().clock_refusals, 2 * (n as u64 + 1), "somebody is told");
        assert_eq!(office.store.grants().await.expect("grants").len(), grants, "nothing was written");
    }
    clock.set(began.before(Duration::from_secs(30)));
    office.spoke.create(office.by(), order("second")).await.expect("a step of seconds is no jump");
    for (ahead, grant) in [(HOUR, "third"), (YEAR, "fourth")] {
        clock.set(began + ahead);
        office.spoke.create(office.by(), order(grant)).await.expect("time goes on");
    }
    // Set back after a year ahead: the log knows better than the clock.
    clock.set(began);
    office.spoke.create(office.by(), order("fifth")).await.err().expect("the log's last records are of next year");
}

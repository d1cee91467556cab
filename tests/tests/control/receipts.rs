//! Both sides as they are: a hub that holds a session for its link, and a sharing side that ends the grant.

use domain::{answer::Outcome, invite::Invite};
use hub::{LinkState, Question, Sources};
use spoke::Receipt;
use std::time::Duration;
use tests::{
    cluster::two_databases,
    home::Home,
    instance::{Instance, name, task},
};
use tokio::time::{sleep, timeout};

struct Pair {
    office: Instance,
    home: Home,
    grant: domain::grant::Grant,
}

async fn pair() -> Pair {
    let (first, second) = two_databases().await;
    let (office, home) =
        (Instance::start_on(domain::world::World::system(), first).await, Home::start_on(second).await);
    office.put(office.owner, vec![task("one")]).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    home.hub.keep_in_touch();
    home.hub.link(&home.owner, &Invite::encode(&invite), Some(name("work"))).await.expect("a link");
    let pair = Pair { office, home, grant };
    pair.until("a session", |pair| pair.office.spoke.session(pair.grant.id).is_some()).await;
    pair
}

impl Pair {
    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let waited = timeout(Duration::from_secs(10), async {
            while !is_so(self) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what}");
    }

    async fn asked(&self) -> (Outcome, usize) {
        let resource = "tasks".parse().expect("a resource");
        let from = Sources::Some(vec!["work".into()]);
        let question =
            Question { from, resource, limit: 10, include_body: false, cursor: None, strict: false, fresh: true };
        let page = self.home.hub.page(&self.home.anew(), question).await.expect("a page");
        (page.sources[0].outcome, page.rows.len())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_in_touch_without_a_question_and_its_end_is_acknowledged() {
    let pair = pair().await;
    assert_eq!(pair.asked().await, (Outcome::Ok, 1));
    let revoked = pair.office.spoke.revoke(pair.office.by(), pair.grant.id).await.expect("a revocation");
    let Receipt::Acknowledged(after) = revoked.receipt else { panic!("{revoked:?}") };
    assert!(after < Duration::from_secs(1) && revoked.drained, "{revoked:?}");
    let link = pair.home.hub.links(&pair.home.owner).await.expect("links").remove(0);
    assert_eq!(link.state, LinkState::Revoked, "known without a question");
    assert_eq!(pair.asked().await, (Outcome::Revoked, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_stops_leaves_its_session_and_one_that_starts_begins_another() {
    let pair = pair().await;
    pair.home.hub.stop().await;
    pair.until("no session", |pair| pair.office.spoke.session(pair.grant.id).is_none()).await;
    sleep(domain::session::AGAIN).await;
    let hub = pair.home.restarted();
    hub.keep_in_touch();
    pair.until("a second session", |pair| pair.office.spoke.session(pair.grant.id).is_some_and(|now| now.number == 2))
        .await;
    hub.stop().await;
}

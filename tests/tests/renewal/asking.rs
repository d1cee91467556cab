//! The asking side: what it keeps, when it renews by itself, and what people are told when it cannot.

use crate::issuer::OwnCa;
use domain::{
    answer::Outcome,
    audit::{Act, Record},
    id::RequestId,
    invite::Invite,
    renewal::LIFE,
    world::FakeClock,
};
use hub::{Hub, LinkState, LinkStatus, Question, Sources};
use link::{ClientCredential, Target};
use pki::{Authority, Issuer, RequestKey, profile};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use store::{LinkRecord, NextLeaf};
use tests::{
    asker::Asker,
    clock::standing,
    cluster::two_databases,
    home::Home,
    instance::{Instance, name, task},
};

struct Pair {
    office: Instance,
    home: Home,
    clock: Arc<FakeClock>,
    grant: domain::grant::Grant,
}

async fn pair() -> Pair {
    pair_issuing(|authority| authority).await
}

async fn pair_issuing(issuer: impl FnOnce(Arc<Authority>) -> Arc<dyn Issuer> + Send) -> Pair {
    let (clock, world) = standing();
    let (first, second) = two_databases().await;
    let office = Instance::start_issuing(world.clone(), first, issuer).await;
    let home = Home::start_in(world, second).await;
    office.put(office.owner, vec![task("one")]).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let text = Invite::encode(&invite);
    home.hub.link(&home.owner, &text, Some(name("work"))).await.expect("a link");
    Pair { office, home, clock, grant }
}

async fn asked(hub: &Hub, home: &Home) -> (Outcome, Option<String>) {
    let resource = "tasks".parse().expect("a resource");
    let from = Sources::Some(vec!["work".into()]);
    let question =
        Question { from, resource, limit: 10, include_body: false, cursor: None, strict: false, fresh: true };
    let source = hub.page(&home.anew(), question).await.expect("a page").sources.remove(0);
    (source.outcome, source.reason)
}

impl Pair {
    async fn record(&self) -> LinkRecord {
        self.home.store.links(self.home.owner.user).await.expect("links").remove(0)
    }

    async fn link(&self) -> LinkStatus {
        self.home.hub.links(&self.home.owner).await.expect("links").remove(0)
    }

    async fn answered(&self, hub: &Hub) {
        assert_eq!(asked(hub, &self.home).await, (Outcome::Ok, None));
    }

    /// Three quarters of the life: whatever chance says, it is due.
    async fn ripen(&self) {
        self.clock.advance(LIFE / 4 * 3 + LIFE / 20);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    fn act(&self) -> Record {
        let request = RequestId(self.home.world.uuid());
        Record::act(self.home.world.now(), Act::LinkRenew, self.home.owner.user, request)
    }

    /// A certificate that the other side gave and this one has kept, but not used: as a crash leaves it.
    async fn left_between(&self) -> NextLeaf {
        let link = self.record().await;
        let context = format!("link key {} of user {}", link.id, link.owner);
        let key = self.home.kek.open(&context, &link.sealed_key).expect("the link's key");
        let target = Target {
            addresses: link.addresses.clone(),
            tls_name: link.tls_name.clone(),
            instance: link.peer,
            root: link.root.clone(),
            credential: Some(ClientCredential { certificate: link.certificate.clone(), key }),
        };
        let new = RequestKey::generate().expect("a key");
        let asker = Asker::new(self.home.id, link.id, target).under(&self.home.world);
        let certificate = asker.renew(new.csr).await.expect("a certificate");
        let not_after = profile::grant_leaf(&certificate, link.peer).expect("a leaf").leaf.not_after;
        let sealed_key = self.home.kek.seal(&context, new.key_pkcs8.expose()).expect("sealed");
        let next = NextLeaf { certificate, not_after, sealed_key };
        assert!(self.home.store.keep_next(&link, &next, self.act()).await.expect("kept"));
        next
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_renews_by_itself_when_it_is_due_and_not_before() {
    let pair = pair().await;
    let before = pair.record().await;
    pair.home.hub.renew_what_is_due().await.expect("a look");
    assert!(pair.record().await.certificate == before.certificate, "renewed before it was due");
    let status = pair.link().await;
    let due = status.renewal.due.expect("a time");
    assert!(!status.renewal.overdue && due > pair.home.world.now() + LIFE / 2, "{status:?}");
    pair.ripen().await;
    pair.answered(&pair.home.hub).await;
    pair.home.hub.renew_what_is_due().await.expect("a look");
    let after = pair.record().await;
    assert!(after.certificate != before.certificate && after.sealed_key != before.sealed_key && after.next.is_none());
    assert!(after.certificate_not_after > before.certificate_not_after);
    pair.answered(&pair.home.hub).await;
    assert_eq!((pair.home.hub.renewals().done, pair.home.hub.renewals().failed), (1, 0));
    pair.home.hub.renew_what_is_due().await.expect("a look");
    assert!(pair.record().await.certificate == after.certificate, "renewed twice");
    pair.answered(&pair.home.restarted()).await;
    let key = |link: &LinkRecord| profile::grant_leaf(&link.certificate, link.peer).expect("a leaf").leaf.spki;
    assert_ne!(key(&before), key(&after), "a renewal makes a new key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_says_it_is_old_is_not_renewed_at_every_look() {
    let mut hostile = None;
    let pair = pair_issuing(|authority| Arc::clone(hostile.insert(OwnCa::new(authority))) as _).await;
    pair.ripen().await;
    hostile.expect("a CA").hours_back.store(19, Ordering::SeqCst);
    for _ in 0..6 {
        pair.home.hub.renew_what_is_due().await.expect("a look");
        pair.clock.advance(Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((pair.home.hub.renewals().done, pair.home.hub.renewals().failed), (1, 0));
    pair.clock.advance(LIFE / 10);
    pair.home.hub.renew_what_is_due().await.expect("a look");
    assert_eq!((pair.home.hub.renewals().done, pair.home.hub.renewals().failed), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_before_a_crash_is_used_first_after_it() {
    let pair = pair().await;
    pair.ripen().await;
    let next = pair.left_between().await;
    let hub = pair.home.restarted();
    hub.renew_what_is_due().await.expect("a look");
    let now = pair.record().await;
    assert!(now.next.is_none() && now.certificate == next.certificate && now.sealed_key == next.sealed_key);
    pair.answered(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_asks_with_what_was_kept_even_before_anybody_looks() {
    let pair = pair().await;
    pair.ripen().await;
    pair.left_between().await;
    let hub = pair.home.restarted();
    pair.answered(&hub).await;
    // The former one is over by now; a question that went on with it would end the link.
    pair.clock.advance(Duration::from_mins(2));
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    pair.answered(&pair.home.restarted()).await;
    hub.renew_what_is_due().await.expect("a look");
    assert!(pair.record().await.next.is_none());
    pair.answered(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_and_is_refused_is_forgotten_and_asked_for_anew() {
    let pair = pair().await;
    pair.ripen().await;
    let lost = pair.left_between().await;
    pair.clock.advance(domain::renewal::AGAIN);
    // Another one took its place at the other side, and its answer was lost.
    let link = pair.record().await;
    pair.left_between().await;
    assert!(pair.home.store.keep_next(&link, &lost, pair.act()).await.expect("kept"));
    pair.answered(&pair.home.restarted()).await;
    // Two in a row were not used.
    pair.clock.advance(domain::renewal::AGAIN * 2);
    let hub = pair.home.restarted();
    hub.renew_what_is_due().await.expect("a look");
    let now = pair.record().await;
    assert!(now.next.is_none() && now.certificate != link.certificate && now.certificate != lost.certificate);
    pair.answered(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_cannot_be_renewed_is_degraded_and_never_revoked() {
    let pair = pair().await;
    pair.answered(&pair.home.hub).await;
    pair.office.spoke.stop().await;
    pair.home.hub.renew(&pair.home.anew(), &name("work")).await.expect_err("renewed");
    assert_eq!(pair.link().await.renewal.failure, None, "before it is due a failure is nothing to tell");
    pair.ripen().await;
    pair.home.hub.renew_what_is_due().await.expect("a look");
    let link = pair.link().await;
    assert_eq!(link.state, LinkState::Degraded);
    let failure = link.renewal.failure.expect("a reason");
    assert!(failure.next > failure.at && failure.reason.contains("; "), "{failure:?}");
    let failed = pair.home.hub.renewals().failed;
    pair.home.hub.renew_what_is_due().await.expect("a look");
    assert_eq!(pair.home.hub.renewals().failed, failed, "tried again without a pause");
    pair.clock.advance(Duration::from_mins(10));
    pair.home.hub.renew_what_is_due().await.expect("a look");
    assert_eq!(pair.home.hub.renewals().failed, failed + 1);
    assert_eq!(pair.link().await.state, LinkState::Degraded);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_refusal_makes_a_link_revoked() {
    let pair = pair().await;
    pair.ripen().await;
    pair.office.spoke.revoke(pair.office.by(), pair.grant.id).await.expect("a revocation");
    pair.home.hub.renew_what_is_due().await.expect("a look");
    assert_eq!(pair.link().await.state, LinkState::Revoked);
    pair.clock.advance(LIFE / 10);
    assert_eq!(pair.home.hub.degraded().await.expect("links").len(), 0, "of what has ended nothing is to be renewed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_slept_past_a_renewal_raises_no_alarm_before_it_was_tried() {
    let pair = pair().await;
    let degraded = async || pair.home.hub.degraded().await.expect("links").len();
    pair.clock.advance(LIFE / 10 * 9);
    assert_eq!(degraded().await, 0, "awake, and nobody has looked yet");
    pair.office.spoke.stop().await;
    pair.home.hub.renew_what_is_due().await.expect("a look");
    assert_eq!(degraded().await, 1, "a try that failed is one to be told of");
    assert!(!pair.link().await.renewal.overdue, "it was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_ended_is_no_end_of_the_grant_and_says_what_brings_the_link_back() {
    let pair = pair().await;
    pair.answered(&pair.home.hub).await;
    pair.clock.advance(LIFE + Duration::from_mins(1));
    let brings_back = |reason: &str| {
        assert!(reason.contains("fresh invite for the same grant") && reason.contains("grant invite "), "{reason}");
    };
    for hub in [&pair.home.hub, &pair.home.restarted()] {
        let (outcome, reason) = asked(hub, &pair.home).await;
        assert_eq!(outcome, Outcome::Revoked);
        brings_back(&reason.expect("a reason"));
        let link = hub.links(&pair.home.owner).await.expect("links").remove(0);
        assert_eq!(link.state, LinkState::Expired);
        brings_back(&link.last_failure.expect("a reason").reason);
        assert_eq!(hub.degraded().await.expect("links").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_and_back_loses_no_link() {
    let pair = pair().await;
    let (now, before) = (pair.home.world.now(), pair.record().await);
    for away in
        [now + Duration::from_hours(1), now.before(Duration::from_hours(1)), now + Duration::from_hours(24 * 365)]
    {
        pair.clock.set(away);
        pair.home.hub.renew_what_is_due().await.expect("a look");
        pair.clock.set(now);
        assert!(
            pair.record().await.certificate == before.certificate,
            "renewed by a clock that was wrong for a moment"
        );
    }
    pair.ripen().await;
    pair.home.hub.renew_what_is_due().await.expect("a look");
    assert!(pair.record().await.certificate != before.certificate, "never again");
    pair.answered(&pair.home.restarted()).await;
}

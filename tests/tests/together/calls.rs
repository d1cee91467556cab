//! A sharing side that nobody can reach, and an asking side that it calls: real databases, the hub and the spoke, no port of the sharing
//! side at all.

use domain::{
    audit::Act, calling::Calling, id::GrantId, invite::Invite, rights::Role, scope::Spec, words::Opening, world::World,
};
use hub::{AwaitState, Awaiting, Hub, HubError, Question, Sources};
use link::call::{Saying, call};
use pki::CallSecret;
use spoke::{AdminError, CallState, CallView, Created, GrantOrder, Receipt, Terms};
use sqlx::{Connection, PgConnection};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tests::{
    asker::{enrol, tasks},
    cluster,
    direction::ways,
    home::Home,
    instance::{Instance, name, task},
};
use tokio::time::{sleep, timeout};

/// Long enough for any step, short enough for a test that fails.
const SOON: Duration = Duration::from_secs(20);

struct Stage {
    office: Instance,
    home: Home,
}

impl Stage {
    async fn new() -> Self {
        let (of_office, of_home) = cluster::two_databases().await;
        let (office, home) = (Instance::start_on(World::system(), of_office).await, Home::start_on(of_home).await);
        let alice = office.user("alice", Role::Member).await;
        office.put(alice, vec![task("call the data centre")]).await;
        home.hub.take_calls();
        home.hub.keep_in_touch();
        Self { office, home }
    }

    async fn wait(&self) -> Awaiting {
        self.home.hub.wait_for_call(&self.home.anew(), Some(name("work")), &[]).await.unwrap()
    }

    async fn call(&self, grant: &str, text: &str, confirm: bool) -> Result<(Created, CallView), AdminError> {
        let spec = serde_json::json!({"workspace": "main", "resources": ["tasks"]});
        let spec: Spec = serde_json::from_value(spec).unwrap();
        let order = GrantOrder {
            name: name(grant),
            subject: name("alice"),
            spec,
            personal_default: true,
            sensitive: false,
            narrow: false,
        };
        self.office.spoke.create_calling(self.office.by(), order, Terms { key: None, confirm }, text).await
    }

    /// Linked as `work`, by a call.
    async fn linked() -> (Self, GrantId) {
        let stage = Self::new().await;
        let waits = stage.wait().await;
        let (created, call) = stage.call("home", waits.text.expose(), false).await.unwrap();
        assert_eq!(call.state, CallState::Up, "{call:?}");
        (stage, created.grant.id)
    }

    async fn titles(&self, hub: &Arc<Hub>) -> Result<Vec<String>, String> {
        let from = Sources::Some(vec!["work".to_owned()]);
        let resource = "tasks".parse().unwrap();
        let question =
            Question { from, resource, limit: 10, include_body: false, cursor: None, strict: true, fresh: false };
        let page = hub.page(&self.home.anew(), question).await.map_err(|error| error.to_string())?.part().0;
        Ok(page.rows.iter().map(|row| row.item.title.clone().unwrap_or_default()).collect())
    }

    fn nothing_listens(&self) {
        let status = self.office.spoke.status();
        assert_eq!((status.links_listener, status.enrolment_listener), (None, None));
    }

    async fn session(&self, hub: &Arc<Hub>) {
        eventually("a control session", async || {
            hub.links(&self.home.anew()).await.unwrap().iter().any(|link| link.session.is_some())
        })
        .await;
    }
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let held = timeout(SOON, async {
        while !holds().await {
            sleep(Duration::from_millis(20)).await;
        }
    });
    held.await.unwrap_or_else(|_| panic!("{what}: still not so"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sharing_side_without_any_port_is_linked_asked_and_revoked_with_a_receipt() {
    let (stage, grant) = Box::pin(Stage::linked()).await;
    stage.nothing_listens();
    assert_eq!(stage.titles(&stage.home.hub).await.unwrap(), ["call the data centre"]);
    let links = stage.home.hub.links(&stage.home.anew()).await.unwrap();
    assert!(links[0].calls && links[0].name == name("work"));
    eventually("the text is used up", async || {
        let awaits = stage.home.hub.awaits(&stage.home.anew()).await.unwrap();
        (awaits[0].state, awaits[0].link.clone()) == (AwaitState::Linked, Some(name("work")))
    })
    .await;
    stage.session(&stage.home.hub).await;
    eventually("spares wait", async || stage.home.hub.call_status().parked == 2).await;
    let revoked = stage.office.spoke.revoke(stage.office.by(), grant).await.unwrap();
    assert!(matches!(revoked.receipt, Receipt::Acknowledged(_)), "{:?}", revoked.receipt);
    // Its spare sockets are gone with it, and nobody is called any more.
    eventually("no spare waits", async || stage.home.hub.call_status().parked == 0).await;
    eventually("nobody is called", async || stage.office.spoke.called().is_empty()).await;
    // Forgotten in memory first.
    eventually("nothing is kept", async || stage.office.store.grant_calls().await.unwrap().is_empty()).await;
    sleep(Duration::from_millis(700)).await;
    assert_eq!(stage.home.hub.call_status().parked, 0);
    stage.nothing_listens();
    assert!(stage.titles(&stage.home.hub).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn either_side_starts_anew_and_the_link_is_there_again() {
    let (mut stage, _) = Box::pin(Stage::linked()).await;
    // Its memory is gone, its database is not.
    let at = stage.home.hub.call_status().listener.unwrap();
    stage.home.hub.stop().await;
    let hub = stage.home.restarted_at(at);
    hub.take_calls();
    hub.keep_in_touch();
    eventually("rows after the asking side's restart", async || stage.titles(&hub).await.is_ok()).await;
    stage.office.spoke = stage.office.spoke_again(spoke::lists::ListsOrder::default()).await;
    eventually("rows after the sharing side's restart", async || stage.titles(&hub).await.is_ok()).await;
    stage.nothing_listens();
    stage.session(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_ended_over_a_called_connection() {
    let (stage, _) = Box::pin(Stage::linked()).await;
    let ended = stage.home.hub.unlink(&stage.home.anew(), &name("work"), false).await.unwrap();
    assert!(ended.told, "{:?}", ended.reason);
    eventually("nobody is called", async || stage.office.spoke.called().is_empty()).await;
    eventually("nothing listens", async || stage.home.hub.call_status().listener.is_none()).await;
    assert!(stage.home.store.link_calls(stage.home.owner.user).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_removed_in_passing_is_told_and_refuses_its_calls_afterwards() {
    let (stage, grant) = Box::pin(Stage::linked()).await;
    stage.home.hub.unlink(&stage.home.anew(), &name("work"), true).await.unwrap();
    eventually("it was told", async || stage.office.standing(grant).await.state == domain::grant::State::Revoked).await;
    eventually("nothing listens", async || stage.home.hub.call_status().listener.is_none()).await;
    assert_eq!(stage.home.hub.call_status().parked, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_text_is_good_for_one_link_and_says_why_it_is_not() {
    let (stage, _) = Box::pin(Stage::linked()).await;
    let hub = &stage.home.hub;
    let wait = async || hub.wait_for_call(&stage.home.anew(), Some(name("other")), &[]).await.unwrap();
    let (first, used) = (wait().await, wait().await);
    let taken = hub.wait_for_call(&stage.home.anew(), Some(name("work")), &[]).await;
    assert!(matches!(taken, Err(HubError::Name(_))));
    let (_, first) = stage.call("first", first.text.expose(), false).await.unwrap();
    assert_eq!(first.state, CallState::Up, "{first:?}");
    // The name is taken by now.
    let (_, first) = stage.call("second", used.text.expose(), false).await.unwrap();
    assert!(matches!(&first.state, CallState::Failing(why) if why.contains(';')), "{first:?}");
    let listed = hub.awaits(&stage.home.anew()).await.unwrap();
    let failing = listed.iter().find(|one| one.id == used.id).unwrap();
    assert_eq!(failing.state, AwaitState::Failing);
    assert!(failing.reason.as_ref().unwrap().contains("other"), "{failing:?}");
    // Another grant does not get it.
    let (_, second) = stage.call("third", used.text.expose(), false).await.unwrap();
    assert!(matches!(second.state, CallState::Failing(_)), "{second:?}");
    let links = hub.links(&stage.home.anew()).await.unwrap();
    assert_eq!(links.len(), 2);
    // Ended by its owner it is nobody's.
    hub.end_await(&stage.home.anew(), used.id).await.unwrap();
    assert!(matches!(hub.end_await(&stage.home.anew(), used.id).await, Err(HubError::NoSuchLink(_))));
    let (_, third) = stage.call("fourth", used.text.expose(), false).await.unwrap();
    assert!(matches!(&third.state, CallState::Failing(why) if why.contains("used already")), "{third:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_reaches_nobody_says_why_goes_on_and_comes_through_once_it_can() {
    let stage = Stage::new().await;
    let waits = stage.wait().await;
    let at = stage.home.hub.call_status().listener.unwrap();
    stage.home.hub.stop().await;
    eventually("the port is free", async || tokio::net::TcpStream::connect(at).await.is_err()).await;
    let (created, call) = stage.call("home", waits.text.expose(), false).await.unwrap();
    assert!(matches!(&call.state, CallState::Failing(why) if why.contains("refused") && why.contains(';')), "{call:?}");
    assert_eq!(call.until, Some(created.expires_at));
    assert!(created.expires_at > stage.office.world.now() + Duration::from_hours(6 * 24));
    stage.nothing_listens();
    let hub = stage.home.restarted_at(at);
    hub.take_calls();
    eventually("the link", async || !hub.links(&stage.home.anew()).await.unwrap().is_empty()).await;
    eventually("rows", async || stage.titles(&hub).await.is_ok()).await;
    assert_eq!(stage.office.spoke.call(created.grant.id).unwrap().state, CallState::Up);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_waits_to_be_confirmed_waits_also_when_it_came_by_a_call() {
    let stage = Stage::new().await;
    let waits = stage.wait().await;
    let (created, _) = stage.call("home", waits.text.expose(), true).await.unwrap();
    eventually("a link that waits", async || {
        stage.home.hub.links(&stage.home.anew()).await.unwrap().iter().any(|link| link.words.is_some())
    })
    .await;
    assert!(stage.titles(&stage.home.hub).await.is_err());
    let words = stage.home.hub.links(&stage.home.anew()).await.unwrap()[0].words.clone().unwrap();
    let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
    stage.office.spoke.confirm(stage.office.by(), created.grant.id, &words).await.unwrap();
    eventually("rows", async || stage.titles(&stage.home.hub).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_invite_by_a_call_replaces_the_certificate_in_place() {
    let (stage, grant) = Box::pin(Stage::linked()).await;
    let before = stage.office.standing(grant).await.leaf.unwrap().serial;
    let again = stage.home.hub.wait_for_call(&stage.home.anew(), None, &[]).await.unwrap();
    let (_, call) = stage
        .office
        .spoke
        .invite_calling(stage.office.by(), grant, Terms::default(), again.text.expose())
        .await
        .unwrap();
    assert_eq!(call.state, CallState::Up, "{call:?}");
    assert_ne!(stage.office.standing(grant).await.leaf.unwrap().serial, before);
    assert_eq!(stage.home.hub.links(&stage.home.anew()).await.unwrap().len(), 1);
    assert_eq!(stage.titles(&stage.home.hub).await.unwrap().len(), 1);
}

/// Whoever answers in the place of the other side, with the text that they read on its way, has the invite and not the key.
#[tokio::test(flavor = "multi_thread")]
async fn an_invite_that_is_brought_is_bound_to_the_key_of_who_waits() {
    let stage = Stage::new().await;
    let waits = stage.wait().await;
    let key = Calling::decode(waits.text.expose()).unwrap().key;
    let (created, _) = stage.call("home", waits.text.expose(), true).await.unwrap();
    let invite = Invite::decode(created.invite.expose()).unwrap();
    assert_eq!(invite.key, Some(key));
    let view =
        stage.office.store.grants().await.unwrap().into_iter().find(|view| view.grant.id == created.grant.id).unwrap();
    assert_eq!((view.invite.unwrap().key, view.grant.leaf.unwrap().spki), (Some(key), key));
}

/// Whoever read the text, and learnt which grant came of it, cannot have sockets of their own wait for the link: what proves them takes in
/// what was said inside the enrolment's TLS.
#[tokio::test(flavor = "multi_thread")]
async fn who_read_the_text_has_no_part_in_the_calls_of_the_link() {
    let stage = Stage::new().await;
    let waits = stage.wait().await;
    let (created, _) = stage.call("home", waits.text.expose(), false).await.unwrap();
    eventually("spares wait", async || stage.home.hub.call_status().parked == 2).await;
    let read = Calling::decode(waits.text.expose()).unwrap();
    let secret = CallSecret::new(read.id, read.secret.clone());
    let (grant, refused) = (created.grant.id, stage.home.hub.call_status().incidents);
    let key = secret.grant(grant, &Opening([0; 32])).unwrap();
    for (n, saying) in [
        Saying::Grant { grant, key },
        Saying::Grant { grant, key: secret.enrolment().unwrap() },
        Saying::Invite { id: read.id, secret: secret.clone(), invite: created.invite.clone() },
    ]
    .iter()
    .enumerate()
    {
        let line = call(&ways(), &read.addresses, saying).await.unwrap();
        assert!(line.asked().await.is_err(), "{n}: it is closed without a word");
        eventually("it is counted", async || stage.home.hub.call_status().incidents > refused + n as u64).await;
    }
    assert_eq!(stage.home.hub.call_status().parked, 2);
}

/// What waits is under a seal, all of it: nobody who writes to the database has it last longer or be called something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_was_changed_in_the_database_takes_no_call_and_hides_no_other() {
    let stage = Stage::new().await;
    let mut superuser = PgConnection::connect_with(&stage.home.database.superuser()).await.unwrap();
    for change in [
        "not_after = not_after + interval '1 day'",
        "name = 'mine'",
        "name = 'Not A Name'",
        "name = NULL",
        "addresses = '{192.0.2.7:7446}'",
        "used = true",
        "sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 1)",
    ] {
        let (good, bad) = (stage.wait().await, stage.wait().await);
        let update = format!("UPDATE awaits SET {change} WHERE id = '{}'", bad.id);
        let done = sqlx::query(sqlx::AssertSqlSafe(update)).execute(&mut superuser).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
        // As after a start: what is in memory is read anew.
        stage.home.hub.read_calls_anew().await.unwrap();
        let read = |made: &Awaiting| Calling::decode(made.text.expose()).unwrap();
        let saying = |calling: &Calling| Saying::Invite {
            id: calling.id,
            secret: CallSecret::new(calling.id, calling.secret.clone()),
            invite: domain::secret::Secret::new("mfi1.x".to_owned()),
        };
        let refused = stage.home.hub.call_status().incidents;
        let line = call(&ways(), &read(&bad).addresses, &saying(&read(&bad))).await.unwrap();
        assert!(line.asked().await.is_err(), "{change}");
        eventually("it is counted", async || stage.home.hub.call_status().incidents == refused + 1).await;
        let listed = stage.home.hub.awaits(&stage.home.anew()).await.unwrap();
        let of = |id| listed.iter().find(|one| one.id == id).unwrap();
        assert_eq!(of(good.id).state, AwaitState::Waiting, "{change}");
        if change != "used = true" {
            assert!(of(bad.id).reason.as_ref().unwrap().contains("somebody has changed the database"), "{change}");
        }
        // The other one is taken as far as the invite goes, which is none.
        drop(call(&ways(), &read(&good).addresses, &saying(&read(&good))).await.unwrap().asked().await);
        eventually("it says why", async || {
            let listed = stage.home.hub.awaits(&stage.home.anew()).await.unwrap();
            listed.iter().any(|one| one.id == good.id && one.state == AwaitState::Failing)
        })
        .await;
        for made in [good, bad] {
            stage.home.hub.end_await(&stage.home.anew(), made.id).await.unwrap();
        }
    }
    // A key goes with its wait, save where the wait does not say any more which.
    assert!(stage.home.store.link_keys(stage.home.owner.user).await.unwrap().len() <= 7);
}

/// Of all the keys that its owner has prepared, the one of the text alone is used for what comes with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_invite_bound_to_another_key_of_the_owner_is_not_used() {
    let stage = Stage::new().await;
    let prepared = stage.home.hub.prepare(&stage.home.anew()).await.unwrap().key;
    let read = Calling::decode(stage.wait().await.text.expose()).unwrap();
    let (grant, open) = stage.office.grant("alice", r#"{"resources":["tasks"]}"#).await;
    let terms = Terms { key: Some(prepared), confirm: false };
    let bound = stage.office.spoke.invite_on(stage.office.by(), grant.id, terms).await.unwrap().invite;
    for invite in [bound, domain::secret::Secret::new(open.encode())] {
        let secret = CallSecret::new(read.id, read.secret.clone());
        let line = call(&ways(), &read.addresses, &Saying::Invite { id: read.id, secret, invite }).await.unwrap();
        assert!(line.asked().await.is_err(), "nothing is asked over it");
        eventually("it says why", async || {
            let awaits = stage.home.hub.awaits(&stage.home.anew()).await.unwrap();
            awaits[0].reason.as_ref().is_some_and(|why| why.contains("not bound to the key that the text names"))
        })
        .await;
    }
    let kept = stage.home.store.link_keys(stage.home.owner.user).await.unwrap();
    assert_eq!(kept.iter().filter(|kept| kept.invite.is_none()).count(), 2, "both keys are as they were");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_who_dials_finds_the_door_until_the_invite_that_is_brought_was_used() {
    let mut stage = Stage::new().await;
    let (grant, invite) = stage.office.grant("alice", r#"{"resources":["tasks"]}"#).await;
    let asker = enrol(&invite).await;
    assert!(asker.list(tasks()).await.is_ok());
    let text = stage.wait().await.text;
    stage.home.hub.stop().await;
    let made =
        stage.office.spoke.invite_calling(stage.office.by(), grant.id, Terms::default(), text.expose()).await.unwrap();
    assert!(matches!(made.1.state, CallState::Failing(_)), "{:?}", made.1);
    stage.office.spoke = stage.office.spoke_again(spoke::lists::ListsOrder::default()).await;
    eventually("the door is open", async || stage.office.spoke.status().links_listener.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_invite_that_nobody_uses_takes_nothing_from_who_is_called() {
    let (stage, grant) = Box::pin(Stage::linked()).await;
    let other = stage.home.hub.wait_for_call(&stage.home.anew(), Some(name("other")), &[]).await.unwrap();
    let by = stage.office.by();
    let made = stage.office.spoke.invite_calling(by, grant, Terms::default(), other.text.expose()).await;
    let (_, call) = made.unwrap();
    assert!(matches!(call.state, CallState::Failing(_)), "the link has a name already: {call:?}");
    eventually("spares wait as before", async || stage.home.hub.call_status().parked == 2).await;
    assert_eq!(stage.titles(&stage.home.hub).await.unwrap().len(), 1);
    // Also one that cannot be made at all.
    let refused = stage.office.spoke.invite_calling(by, grant, Terms::default(), "mfa1.AAAA").await;
    assert!(matches!(refused, Err(AdminError::Invalid(_))));
    assert!(stage.office.spoke.called().contains(&grant));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_of_calls_is_sealed_and_what_people_do_with_them_is_in_the_log() {
    let (stage, _) = Box::pin(Stage::linked()).await;
    let kept = stage.office.store.grant_calls().await.unwrap();
    assert!(kept.iter().all(|(_, sealed)| !sealed.windows(4).any(|part| part == b"mfi1" || part == b"127.")));
    let log = stage.home.store.entries(&store::AuditQuery::default()).await.unwrap();
    let acts: BTreeSet<_> = log.iter().map(|entry| entry.about.clone()).collect();
    assert!(acts.contains(Act::LinkAwait.word()) && acts.contains(Act::LinkAdd.word()), "{acts:?}");
    assert_eq!(stage.home.hub.call_status().incidents, 0, "a link is made without anybody being turned away");
    let at = stage.home.hub.call_status().listener.unwrap();
    let mut stranger = tokio::net::TcpStream::connect(at).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stranger, &[0; 60]).await.unwrap();
    eventually("it is counted", async || stage.home.hub.call_status().incidents == 1).await;
    drop(stranger);
}

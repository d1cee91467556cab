//! Two whole instances: the hub of one asks the spoke of the other, over TLS on loopback, each on a database of its own.
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]

#[cfg(test)]
mod calls;

use domain::{
    answer::{Outcome, Page, Step},
    audit::Stage,
    invite::Invite,
    world::World,
};
use futures::StreamExt;
use hub::{Asker, HubError, Question, Sources};
use std::collections::BTreeSet;
use store::AuditQuery;
use tests::{
    cluster::two_databases,
    home::Home,
    instance::{Instance, name, task},
};

struct Pair {
    office: Instance,
    home: Home,
    grant: domain::grant::Grant,
}

async fn pair(office_rows: usize, home_rows: usize) -> Pair {
    let (first, second) = two_databases().await;
    let (office, home) = (Instance::start_on(World::system(), first).await, Home::start_on(second).await);
    office.put(office.owner, (0..office_rows).map(|n| task(&format!("office {n:03}"))).collect()).await;
    home.put((0..home_rows).map(|n| task(&format!("home {n:03}"))).collect()).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    home.hub.link(&home.owner, &text(&invite), Some(name("work"))).await.expect("a link");
    Pair { office, home, grant }
}

fn text(invite: &Invite) -> String {
    invite.encode()
}

fn question(limit: u32, cursor: Option<String>) -> Question {
    let resource = "tasks".parse().expect("a resource");
    Question { from: Sources::All, resource, limit, include_body: false, cursor, strict: false, fresh: false }
}

impl Pair {
    async fn page(&self, limit: u32, cursor: Option<String>) -> Page {
        self.home.hub.page(&self.home.anew(), question(limit, cursor)).await.expect("a page").part().0
    }

    fn outcome(page: &Page, source: &str) -> Outcome {
        page.sources.iter().find(|one| one.source == source).map(|one| one.outcome).expect("the source was asked")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_here_and_there_come_in_one_order_page_by_page() {
    let pair = pair(30, 20).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = pair.page(7, cursor.take()).await;
        assert!(page.sources.iter().all(|source| source.outcome == Outcome::Ok), "{:?}", page.sources);
        seen.extend(page.rows);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let ids: BTreeSet<_> = seen.iter().map(|row| row.item.id).collect();
    assert_eq!((seen.len(), ids.len()), (50, 50));
    assert!(seen.is_sorted_by(|a, b| a.item.position() >= b.item.position()));
    let of = |source: &str| seen.iter().filter(|row| row.source == source).count();
    assert_eq!((of("here"), of("work")), (20, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_gives_every_row_and_an_end_for_each_source() {
    let pair = pair(300, 10).await;
    let steps = pair.home.hub.stream(&pair.home.owner, question(1_000, None)).await.expect("a stream");
    let steps: Vec<Step> = steps.collect().await;
    let rows = steps.iter().filter(|step| matches!(step, Step::Row(_))).count();
    let ends = steps.iter().filter_map(|step| if let Step::End(end) = step { Some(end) } else { None });
    let ends: Vec<_> = ends.map(|end| (end.source.as_str(), end.outcome, end.rows)).collect();
    assert_eq!(rows, 310);
    assert_eq!(BTreeSet::from_iter(ends), BTreeSet::from([("here", Outcome::Ok, 10), ("work", Outcome::Ok, 300)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_revocation_the_answer_says_revoked_and_keeps_its_own_rows() {
    let pair = pair(5, 3).await;
    assert_eq!(pair.page(100, None).await.rows.len(), 8);
    pair.office.spoke.revoke(pair.office.by(), pair.grant.id).await.expect("a revocation");
    let page = pair.page(100, None).await;
    assert_eq!((page.rows.len(), Pair::outcome(&page, "work")), (3, Outcome::Revoked));
    assert_eq!(Pair::outcome(&page, "here"), Outcome::Ok);
    let links = pair.home.hub.links(&pair.home.owner).await.expect("links");
    assert_eq!(format!("{:?}", links[0].state), "Revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_logs_name_the_same_question() {
    let pair = pair(5, 0).await;
    pair.page(100, None).await;
    let query = AuditQuery { limit: 50, last: true, ..AuditQuery::default() };
    let asked = pair.home.store.entries(&query).await.expect("a log");
    let asked = asked.into_iter().rfind(|entry| entry.stage == Stage::Ask && entry.rows == 5).expect("a record");
    let answered = pair.office.log(50).await;
    let answered = answered.into_iter().find(|entry| entry.request == asked.request).expect("the same id");
    assert_eq!((answered.query, answered.rows, answered.grant), (asked.query, 5, asked.grant));
    let everything = serde_json::to_string(&pair.home.store.entries(&query).await.expect("a log")).expect("JSON");
    assert!(!everything.contains("office 00"), "a row's title is in the asking side's log");
}

#[tokio::test(flavor = "multi_thread")]
async fn for_everybody_else_there_is_no_such_link() {
    let pair = pair(5, 0).await;
    let mallory: Asker = pair.home.person("mallory").await;
    let hub = &pair.home.hub;
    assert!(hub.links(&mallory).await.expect("links").is_empty());
    let from = Question { from: Sources::Some(vec!["work".into()]), ..question(10, None) };
    for refused in [
        hub.page(&mallory, from.clone()).await.err(),
        hub.stream(&mallory, from).await.err(),
        hub.ping(&mallory, &name("work")).await.err(),
        hub.unlink(&mallory, &name("work"), false).await.err(),
    ] {
        assert!(matches!(&refused, Some(HubError::NoSuchLink { .. })), "{refused:?}");
    }
    let all = hub.page(&mallory, question(10, None)).await.expect("a page");
    assert!(all.rows.is_empty() && all.sources.len() == 1, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_invite_replaces_the_links_certificate_in_place() {
    let pair = pair(5, 0).await;
    let hub = &pair.home.hub;
    let before = hub.links(&pair.home.owner).await.expect("links").remove(0);
    let fresh = pair.office.spoke.invite(pair.office.by(), pair.grant.id).await.expect("an invite");
    let linked = hub.link(&pair.home.owner, fresh.invite.expose(), None).await.expect("a new certificate");
    assert!(linked.replaced && linked.link.name == before.name && linked.link.id == before.id);
    assert_eq!(pair.page(100, None).await.rows.len(), 5);
    let again = hub.link(&pair.home.owner, fresh.invite.expose(), None).await.expect("it is linked already");
    assert!(again.already && !again.replaced, "an invite was used twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn unlink_ends_the_grant_at_the_other_side_and_leaves_nothing_to_clean_up() {
    let pair = pair(5, 0).await;
    let hub = &pair.home.hub;
    let gone = hub.unlink(&pair.home.owner, &name("work"), false).await.expect("unlinked");
    assert!(gone.told, "{gone:?}");
    assert!(hub.links(&pair.home.owner).await.expect("links").is_empty());
    let grants = pair.office.store.grants().await.expect("grants");
    assert_eq!(grants[0].grant.state, domain::grant::State::Revoked);
    let (_, invite) = pair.office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    hub.link(&pair.home.owner, &text(&invite), Some(name("work"))).await.expect("the name is free again");
    assert_eq!(pair.page(100, None).await.rows.len(), 5);
}

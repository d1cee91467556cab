//! What runs, and who is who.

use super::{Queried, grants::Open};
use crate::{
    Door, Problem, head,
    person::{Peer, Person},
    problem::Kind,
    view,
};
use axum::{Extension, Json, extract::State};
use domain::rights::Role;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long the database may take to show that it lives.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who the caller is.
pub(super) async fn me(person: Person) -> Json<view::Person> {
    Json(person.view())
}

/// Who this instance is. Others are set in motion only for somebody who may invite.
pub(super) async fn identity(
    State(door): State<Arc<Door>>,
    person: Person,
    Queried(question): Queried<view::IdentityQuestion>,
) -> Result<Json<view::Identity>, Problem> {
    let may_invite = person.user.roles.values().any(|role| *role > Role::Guest);
    let reach = if question.reach && may_invite {
        let names = super::grants::names(&door, &person).await?;
        Some(view::Reach::told(door.spoke.reach().await, &names))
    } else {
        None
    };
    let about = &door.about;
    Ok(Json(view::Identity {
        name: about.name.clone(),
        instance: about.instance,
        fingerprint: about.fingerprint.clone(),
        audit_key: door.audit_key.public_hex(),
        listen: about.listen.clone(),
        listen_enrolment: about.listen_enrolment.clone(),
        listen_calls: about.listen_calls.clone(),
        advertise: about.advertise.clone(),
        reach,
    }))
}

/// What runs. The operator is told also when the database, and with it every user, is away.
pub(super) async fn status(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    person: Result<Person, Problem>,
) -> Result<Json<view::Status>, Problem> {
    let (entries, open) = match person {
        Ok(person) => (super::links::entries(&door, &person).await?, super::grants::open(&door, &person).await?),
        Err(problem) if problem.kind == Kind::Unavailable && peer.is_operator() => (Vec::new(), Open::default()),
        Err(problem) => return Err(problem),
    };
    Ok(Json(told(&door, &entries, open).await))
}

/// The same of the instance as a whole, with every user's links, and nothing of what only a person may know of.
pub(crate) async fn of_all(door: &Door) -> (view::Status, Vec<view::LinkEntry>) {
    let now = door.world.now();
    // What only the database knows is not there while that is away, or slow.
    let links =
        tokio::time::timeout(PATIENCE, door.hub.all_links()).await.ok().and_then(Result::ok).unwrap_or_default();
    let links: Vec<_> = links.into_iter().map(|link| view::LinkEntry::new(link, now)).collect();
    (told(door, &links, Open::default()).await, links)
}

async fn told(door: &Door, entries: &[view::LinkEntry], open: Open) -> view::Status {
    let answers = tokio::time::timeout(PATIENCE, door.store.ping()).await.is_ok_and(|pong| pong.is_ok());
    let end = tokio::time::timeout(PATIENCE, door.store.head()).await;
    let audit_head = end.ok().and_then(Result::ok).map(|end| end.sequence);
    let about = &door.about;
    let (spoke, called) = (door.spoke.status(), door.hub.call_status());
    let (renewals, now) = (door.hub.renewals(), door.world.now());
    view::Status {
        name: about.name.clone(),
        version: about.version.to_owned(),
        pid: std::process::id(),
        since: about.since,
        database: about.database.clone(),
        database_answers: answers,
        links_listener: spoke.links_listener.map(|address| address.to_string()),
        enrolment_listener: spoke.enrolment_listener.map(|address| address.to_string()),
        calls_listener: called.listener.map(|address| address.to_string()),
        http_listener: door.http_at().map(|address| address.to_string()),
        metrics_listener: door.metrics_at().map(|address| address.to_string()),
        proxy: about.proxy.clone(),
        collector: door.collector.as_ref().map(|collector| collector.view()),
        calls_parked: called.parked as u64,
        grants: spoke.grants as u64,
        pending_grants: open.pending,
        waiting_grants: open.waiting,
        failing_calls: open.failing,
        connections: spoke.connections.iter().map(|(_, count)| *count as u64).sum(),
        sessions: spoke.sessions as u64,
        calls: spoke.calls as u64,
        snapshot_age_ms: u64::try_from(spoke.snapshot_age.as_millis()).unwrap_or(u64::MAX),
        second_check_failures: spoke.second_check_failures,
        refused_unrecorded: spoke.unrecorded,
        unknown_certificates: spoke.unknown_certificates,
        replaced_certificates: spoke.replaced_certificates,
        clock_refusals: spoke.clock_refusals,
        floors_failure: spoke.floors_failure.clone(),
        floors_lost: spoke.floors_lost,
        doubtful_grants: doubtful(&spoke),
        doubtful_keys: spoke.doubtful_keys.iter().map(ToString::to_string).collect(),
        issuer: spoke.issuer.clone().into(),
        list_given: spoke.lists.given.map(Into::into),
        list_taken: spoke.lists.taken.map(Into::into),
        incidents: spoke.incidents + called.incidents,
        audit_records_lost: door.auditor.lost(),
        audit_fault: door.auditor.fault(),
        audit_head,
        audit_head_lost: head::lost(&door.data_dir).map(|lost| lost.reached()),
        links: count_links(entries),
        renewals_done: renewals.done,
        renewals_failed: renewals.failed,
        degraded_links: entries.iter().filter_map(|link| view::DegradedLink::of(link, now)).collect(),
    }
}

fn doubtful(spoke: &spoke::SpokeStatus) -> Vec<view::DoubtfulGrant> {
    let doubtful = spoke.doubtful.iter();
    doubtful.map(|(id, doubt)| view::DoubtfulGrant { id: *id, reason: format!("{doubt}; {}", doubt.next()) }).collect()
}

fn count_links(entries: &[view::LinkEntry]) -> Vec<view::LinkCount> {
    let mut counted = BTreeMap::<&str, u64>::new();
    for link in entries {
        *counted.entry(&link.state).or_default() += 1;
    }
    counted.into_iter().map(|(state, links)| view::LinkCount { state: state.to_owned(), links }).collect()
}

//! Grants and their certificates.

use crate::bench::{Bench, everything, name, sharing};
use domain::{
    audit::Act,
    grant::{Grant, State},
    id::{GrantId, InstanceId, UserId, WorkspaceId},
    scope::spec::FilterSpec,
};
use std::time::Duration;
use store::{Held, StoreError};

pub async fn a_grant_makes_only_legal_moves(bench: &Bench) {
    let pending = bench.pending("home", bench.owner, &everything()).await;
    let peer = InstanceId(bench.world.uuid());
    let activate = async |grant: GrantId, peer| bench.activate(grant, peer, "home", &bench.leaf()).await;
    let active = activate(pending.id, peer).await.unwrap();
    assert_eq!((active.state, active.peer, active.generation), (State::Active, Some(peer), 2));
    let stolen = activate(pending.id, InstanceId(bench.world.uuid())).await;
    assert!(matches!(stolen, Err(StoreError::Conflict(cause)) if cause.contains("is held by instance")));
    let narrower = bench.scope(&sharing(FilterSpec { include_personal: Some(false), ..FilterSpec::default() }));
    let edit = async || bench.store.edit_grant(pending.id, 2, &narrower, bench.act(Act::GrantEdit)).await;
    let stale = bench.store.edit_grant(pending.id, 1, &narrower, bench.act(Act::GrantEdit)).await;
    assert!(matches!(stale, Err(StoreError::Conflict(cause)) if cause.contains("by somebody else meanwhile")));
    let edited = edit().await.unwrap();
    assert_eq!((edited.generation, &edited.scope, edited.leaf.is_some()), (3, &narrower, true));
    assert_eq!(bench.standing().await, [edited]);
    let revoke = async || bench.store.revoke_grant(pending.id, bench.about(Act::GrantRevoke, pending.id)).await;
    let revoked = revoke().await.unwrap();
    assert_eq!((revoked.state, revoked.generation), (State::Revoked, 4));
    for again in [revoke().await, activate(pending.id, peer).await, edit().await] {
        assert!(matches!(&again, Err(StoreError::Conflict(cause)) if cause.contains("revoked")), "{again:?}");
    }
    let unknown = GrantId(bench.world.uuid());
    let missing = bench.store.revoke_grant(unknown, bench.act(Act::GrantRevoke)).await;
    assert!(matches!(missing, Err(StoreError::Missing(_))));
}

pub async fn a_name_is_free_again_once_its_grant_has_ended(bench: &Bench) {
    let first = bench.pending("home", bench.owner, &everything()).await;
    let create = async |name: &str| {
        let draft = bench.draft(name, bench.owner, &everything());
        bench.store.create_grant(&draft, bench.act(Act::GrantCreate)).await.map(|()| draft)
    };
    assert!(matches!(create("home").await, Err(StoreError::Conflict(cause)) if cause.contains("`home`")));
    bench.store.revoke_grant(first.id, bench.act(Act::GrantRevoke)).await.unwrap();
    let second = create("home").await.unwrap();
    bench.clock.advance(Duration::from_hours(24 * 91));
    let third = create("home").await.unwrap();
    bench.store.revoke_grant(third.id, bench.act(Act::GrantRevoke)).await.unwrap();
    let extended = bench.scope(&everything());
    let revived = bench.store.edit_grant(second.id, 1, &extended, bench.act(Act::GrantEdit)).await;
    let said = |cause: &str| cause.contains("home is expired") && cause.contains("make a new one");
    assert!(matches!(&revived, Err(StoreError::Conflict(cause)) if said(cause)), "{revived:?}");
    assert_eq!(bench.standing().await, [second], "nothing brings back what time ended");
}

pub async fn every_change_moves_the_version_and_is_heard(bench: &Bench) {
    let soon = Duration::from_secs(5);
    let mut version = bench.store.grants_version().await.unwrap();
    let moved = async |version: &mut u64| {
        let now = bench.store.grants_version().await.unwrap();
        assert!(now > *version, "the version stands at {now}");
        assert_eq!(bench.store.standing(None).await.unwrap().version, now);
        *version = now;
        tokio::time::timeout(soon, bench.store.grants_changed()).await.unwrap();
    };
    let grant = bench.pending("home", bench.owner, &everything()).await;
    moved(&mut version).await;
    bench.store.edit_grant(grant.id, 1, &grant.scope, bench.act(Act::GrantEdit)).await.unwrap();
    moved(&mut version).await;
    bench.activate(grant.id, InstanceId(bench.world.uuid()), "home", &bench.leaf()).await.unwrap();
    moved(&mut version).await;
    bench.store.revoke_grant(grant.id, bench.act(Act::GrantRevoke)).await.unwrap();
    moved(&mut version).await;
    bench.store.add_team(&name("main"), &"core".parse().unwrap(), bench.act(Act::TeamEdit)).await.unwrap();
    assert_eq!(bench.store.grants_version().await.unwrap(), version, "a team is no grant");
    let quiet = tokio::time::timeout(Duration::from_millis(100), bench.store.grants_changed()).await;
    assert!(quiet.is_err(), "nothing changed");
}

pub async fn what_changed_since_a_version_is_told_alone(bench: &Bench) {
    let kept = bench.grant("kept", bench.owner, &everything()).await;
    let edited = bench.grant("edited", bench.owner, &everything()).await;
    let ended = bench.pending("ended", bench.owner, &everything()).await;
    let told = async |known| bench.store.standing(known).await.unwrap();
    let before = told(None).await;
    assert_eq!((before.since, before.grants.len()), (None, 3));
    let quiet = told(Some(before.version)).await;
    assert_eq!((quiet.version, quiet.since, quiet.grants.len()), (before.version, Some(before.version), 0));

    let scope = &edited.scope;
    let edited = bench.store.edit_grant(edited.id, edited.generation, scope, bench.act(Act::GrantEdit)).await.unwrap();
    let ended = bench.store.revoke_grant(ended.id, bench.act(Act::GrantRevoke)).await.unwrap();
    let new = bench.pending("new", bench.owner, &everything()).await;
    let since = told(Some(before.version)).await;
    let stands = |grant: &Grant| (grant.id, Held::Stands(Box::new(grant.clone())));
    let moved = [stands(&edited), (ended.id, Held::Ended(ended.generation)), stands(&new)];
    assert_eq!((since.since, since.grants), (Some(before.version), moved.into()));
    let after = told(Some(since.version - 1)).await;
    assert_eq!(after.grants, [(new.id, Held::Stands(Box::new(new)))].into(), "each change has a version of its own");

    let ahead = told(Some(since.version + 1)).await;
    assert_eq!((ahead.since, ahead.grants.len()), (None, 4), "a store that is behind what is known tells everything");
    assert_eq!(ahead.grants.get(&kept.id), Some(&Held::Stands(Box::new(kept))));
}

pub async fn of_refused_certificates_too_only_what_is_new_is_told(bench: &Bench) {
    let end = async |name: String| {
        let grant = bench.grant(&name, bench.owner, &everything()).await;
        bench.store.revoke_grant(grant.id, bench.act(Act::GrantRevoke)).await.unwrap();
        grant.leaf.unwrap()
    };
    let mut ended = Vec::new();
    for number in 0..20 {
        ended.push(end(format!("early-{number}")).await);
    }
    let told = async |known| bench.store.standing(known).await.unwrap();
    let before = told(None).await;
    assert!(before.refused.len() == 20 && ended.iter().all(|leaf| before.refused.contains(leaf)));
    assert_eq!(told(Some(before.version)).await.refused, []);
    let last = end("late".to_owned()).await;
    let since = told(Some(before.version)).await;
    assert_eq!((since.since, since.refused), (Some(before.version), vec![last]), "and none of the twenty");
    assert_eq!(told(Some(since.version)).await.refused, []);
    let ahead = told(Some(since.version + 1)).await;
    assert_eq!((ahead.since, ahead.refused.len()), (None, 21), "a store that is behind what is known tells everything");
}

pub async fn a_new_certificate_replaces_the_old_one_which_is_refused(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let old = grant.leaf.clone().unwrap();
    let activate = async |leaf| bench.activate(grant.id, grant.peer.unwrap(), "house", leaf).await.unwrap();
    assert!(bench.store.standing(None).await.unwrap().refused.is_empty());
    let new = bench.leaf();
    assert_eq!(activate(&new).await.leaf, Some(new.clone()));
    assert_eq!(bench.store.standing(None).await.unwrap().refused, std::slice::from_ref(&old));
    activate(&new).await;
    assert_eq!(bench.store.standing(None).await.unwrap().refused, [old], "the one in force is never refused");
    assert_eq!(bench.store.grants().await.unwrap()[0].peer_name, Some(name("house")), "a peer may change its name");
    bench.clock.advance(Duration::from_hours(24 * 31));
    assert!(bench.store.standing(None).await.unwrap().refused.is_empty(), "an expired one needs no refusing");
}

pub async fn a_revoked_grant_and_its_certificate_are_refused(bench: &Bench) {
    let (grant, other) =
        (bench.grant("home", bench.owner, &everything()).await, bench.grant("other", bench.owner, &everything()).await);
    let unused = bench.pending("unused", bench.owner, &everything()).await;
    for id in [grant.id, unused.id] {
        bench.store.revoke_grant(id, bench.about(Act::GrantRevoke, id)).await.unwrap();
    }
    assert_eq!(bench.standing().await, [other]);
    assert_eq!(bench.store.standing(None).await.unwrap().refused, [grant.leaf.unwrap()]);
}

pub async fn a_grant_needs_a_subject_and_a_workspace(bench: &Bench) {
    let nobody = bench.draft("home", UserId(bench.world.uuid()), &everything());
    let refused = bench.store.create_grant(&nobody, bench.act(Act::GrantCreate)).await;
    assert!(matches!(refused, Err(StoreError::Missing(cause)) if cause.contains("no user")));
    let mut nowhere = bench.draft("home", bench.owner, &everything());
    nowhere.workspace = WorkspaceId(bench.world.uuid());
    let refused = bench.store.create_grant(&nowhere, bench.act(Act::GrantCreate)).await;
    assert!(matches!(refused, Err(StoreError::Missing(cause)) if cause.contains("no workspace")));
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let twice = Grant { name: name("twice"), ..grant };
    let refused = bench.store.create_grant(&twice, bench.act(Act::GrantCreate)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
}

pub async fn grants_are_shown_newest_first_with_their_names(bench: &Bench) {
    let old = bench.pending("old", bench.owner, &everything()).await;
    bench.clock.advance(Duration::from_secs(1));
    let new = bench.grant("new", bench.owner, &everything()).await;
    bench.store.revoke_grant(old.id, bench.act(Act::GrantRevoke)).await.unwrap();
    let views = bench.store.grants().await.unwrap();
    let shown: Vec<_> = views.iter().map(|view| (view.grant.name.as_str(), view.grant.state)).collect();
    assert_eq!(shown, [("new", State::Active), ("old", State::Revoked)]);
    assert_eq!(views[0].grant, new);
    assert_eq!((&views[0].subject_name, &views[0].peer_name), (&name("olga"), &Some(name("home"))));
    assert_eq!((views[0].created_at, &views[1].peer_name), (bench.now(), &None));
}

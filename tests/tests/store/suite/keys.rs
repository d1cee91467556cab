//! Keys that were revoked: what goes with one, and that nothing is ever made of it again.

use crate::bench::{Bench, by, everything, name};
use domain::{
    audit::Act,
    grant::{EndedBy, Grant, Leaf, State},
    id::{GrantId, InstanceId, InviteId, Spki},
    invite::{OPEN_LIFE, Token},
    renewal::Successor,
    revoked::RevokedKey,
};
use std::time::Duration;
use store::{Enrolment, KeyEnd, NewInvite, StoreError};

async fn revoke(bench: &Bench, key: Spki) -> Result<KeyEnd, StoreError> {
    let revoked = RevokedKey { key, at: bench.now(), by: name("olga"), reason: "stolen".parse().unwrap() };
    bench.store.revoke_key(&revoked, bench.act(Act::KeyRevoke)).await
}

async fn invite(bench: &Bench, grant: GrantId, key: Option<Spki>) -> Result<NewInvite, StoreError> {
    let (id, digest) = (InviteId(bench.world.uuid()), Token::generate(&bench.world).digest());
    let invite = NewInvite { id, grant, digest, expires_at: bench.now() + OPEN_LIFE, key, confirm: false };
    bench.store.create_invite(&invite, bench.about(Act::InviteCreate, grant)).await.map(|()| invite)
}

async fn claim(bench: &Bench, invite: &NewInvite, key: Spki) -> Result<bool, StoreError> {
    bench.store.claim_invite(invite.id, by(key), bench.now(), bench.act(Act::InviteClaim)).await
}

fn names(grants: &[Grant]) -> Vec<String> {
    let mut names: Vec<_> = grants.iter().map(|grant| grant.name.to_string()).collect();
    names.sort();
    names
}

#[track_caller]
fn is_refused<T: std::fmt::Debug>(done: &Result<T, StoreError>) {
    assert!(matches!(done, Err(StoreError::Conflict(cause)) if cause.contains("was revoked here")), "{done:?}");
}

pub async fn a_revoked_key_ends_every_grant_that_is_held_with_it_and_no_other(bench: &Bench) {
    let key = Spki(bench.world.bytes());
    let own = || Leaf { spki: key, ..bench.leaf() };
    let pending = async |called: &str| bench.pending(called, bench.owner, &everything()).await;
    let activate = async |grant: &Grant, leaf: &Leaf| {
        bench.activate(grant.id, InstanceId(bench.world.uuid()), "home", leaf).await.unwrap()
    };
    // In force; to follow; of before; claimed, and no certificate yet; enrolled with it and renewed since.
    activate(&pending("in-force").await, &own()).await;
    let next = activate(&pending("next").await, &bench.leaf()).await;
    let renew = async |grant: &Grant, leaf: Leaf| {
        let (serial, next) = (grant.leaf.clone().unwrap().serial, Successor::new(leaf, bench.now()));
        bench.store.renew_grant(grant.id, &serial, &next, bench.about(Act::Certificate, grant.id)).await
    };
    renew(&next, own()).await.unwrap();
    let renewed = activate(&pending("renewed").await, &own()).await;
    for _ in 0..2 {
        let leaf = bench.leaf();
        let now = bench.standing().await.into_iter().find(|grant| grant.id == renewed.id).unwrap();
        renew(&now, leaf.clone()).await.unwrap();
        let record = bench.about(Act::Certificate, renewed.id);
        assert!(bench.store.confirm_leaf(renewed.id, &leaf.serial, record).await.unwrap());
        bench.clock.advance(Duration::from_hours(1));
    }
    // In the middle of a chain of renewals.
    let chain = activate(&pending("chain").await, &bench.leaf()).await;
    for leaf in [own(), bench.leaf(), bench.leaf()] {
        let now = bench.standing().await.into_iter().find(|grant| grant.id == chain.id).unwrap();
        renew(&now, leaf.clone()).await.unwrap();
        let record = bench.about(Act::Certificate, chain.id);
        assert!(bench.store.confirm_leaf(chain.id, &leaf.serial, record).await.unwrap());
        bench.clock.advance(Duration::from_hours(1));
    }
    let claimed = pending("claimed").await;
    assert!(claim(bench, &invite(bench, claimed.id, None).await.unwrap(), key).await.unwrap());
    // Others': one of another key, one that had the key before a fresh invite took its place, and open invites that are for it.
    activate(&pending("other").await, &bench.leaf()).await;
    let replaced = activate(&pending("replaced").await, &own()).await;
    bench.clock.advance(Duration::from_secs(1));
    bench.activate(replaced.id, replaced.peer.unwrap(), "home", &bench.leaf()).await.unwrap();
    let bound = pending("bound").await;
    let open = invite(bench, bound.id, Some(key)).await.unwrap();
    let would = bench.store.grants_with_key(key).await.unwrap();
    let end = revoke(bench, key).await.unwrap();
    assert_eq!(would, end.grants.iter().map(|grant| grant.id).collect::<Vec<_>>());
    assert_eq!(names(&end.grants), ["chain", "claimed", "in-force", "next", "renewed"]);
    assert!(end.grants.iter().all(|grant| grant.state == State::Revoked));
    assert_eq!(end.invites, [bound.id]);
    assert_eq!(names(&bench.standing().await), ["bound", "other", "replaced"]);
    assert!(bench.store.invited(&open.digest).await.unwrap().unwrap().expires_at <= bench.now());
    let refused = bench.store.standing(None).await.unwrap().refused;
    assert!(end.grants.iter().flat_map(Grant::leaves).all(|leaf| refused.contains(leaf)));
    let log = bench.store.entries(&store::AuditQuery { last: true, limit: 6, ..Default::default() }).await.unwrap();
    assert_eq!(log[0].about, "key_revoke");
    assert!(log[1..].iter().all(|entry| entry.about == "grant_revoke" && entry.note == EndedBy::Key.note()));
}

pub async fn nothing_is_made_of_a_revoked_key_again(bench: &Bench) {
    let key = Spki(bench.world.bytes());
    let (held, bare) = (
        bench.grant("held", bench.owner, &everything()).await,
        bench.pending("bare", bench.owner, &everything()).await,
    );
    let leaf = Leaf { spki: key, ..bench.leaf() };
    let version = bench.store.grants_version().await.unwrap();
    let slow = invite(bench, bare.id, None).await.unwrap();
    assert_eq!(revoke(bench, key).await.unwrap(), KeyEnd::default(), "a key that nobody has");
    assert!(bench.store.grants_version().await.unwrap() > version, "whoever judges hears of it");
    assert_eq!(bench.store.standing(Some(version)).await.unwrap().keys, [(key, true)].into());
    is_refused(&invite(bench, bare.id, Some(key)).await);
    is_refused(&claim(bench, &slow, key).await);
    let (peer, peer_name) = (InstanceId(bench.world.uuid()), &name("home"));
    let enrolment = Enrolment { invite: slow.id, peer, peer_name, leaf: &leaf, certificate: &[1] };
    is_refused(&bench.store.enrol_grant(enrolment, bench.act(Act::Certificate)).await);
    let serial = held.leaf.clone().unwrap().serial;
    let next = Successor::new(leaf, bench.now());
    is_refused(&bench.store.renew_grant(held.id, &serial, &next, bench.act(Act::Certificate)).await);
    let again = revoke(bench, key).await;
    assert!(matches!(&again, Err(StoreError::Conflict(cause)) if cause.contains("and stays so")), "{again:?}");
    let kept = bench.store.revoked_keys().await.unwrap();
    let said = kept[0].said.clone().unwrap();
    assert_eq!((kept.len(), said.key, said.by, said.reason.as_str()), (1, key, name("olga"), "stolen"));
    assert!(claim(bench, &slow, Spki(bench.world.bytes())).await.unwrap(), "anybody else's key is good");
}

//! What is kept of calls, on either side.

use crate::bench::{Bench, everything, name};
use domain::{
    audit::Act,
    id::{AwaitId, GrantId, InviteId, UserId},
    invite::OPEN_LIFE,
    rights::Role,
};
use std::time::Duration;
use store::{Await, NewInvite, StoreError};

fn waits(bench: &Bench, owner: UserId, days: u64) -> Await {
    Await {
        id: AwaitId(bench.world.uuid()),
        owner,
        name: Some(name("work")),
        addresses: vec!["home.example.org:7446".to_owned()],
        sealed: vec![7; 60],
        not_after: bench.now() + Duration::from_hours(24 * days),
        grant: None,
        used: false,
    }
}

pub async fn whom_to_call_is_kept_until_its_grant_has_ended_and_its_invites_open_no_door(bench: &Bench) {
    let nobody = bench.store.keep_grant_call(GrantId(bench.world.uuid()), &[1]).await;
    assert!(matches!(nobody, Err(StoreError::Missing(_))), "{nobody:?}");
    let grant = bench.pending("called", bench.owner, &everything()).await;
    let (id, digest) = (InviteId(bench.world.uuid()), [7; 32]);
    let invite =
        NewInvite { id, grant: grant.id, digest, expires_at: bench.now() + OPEN_LIFE, key: None, confirm: false };
    bench.store.create_invite(&invite, bench.about(Act::InviteCreate, grant.id)).await.unwrap();
    assert!(bench.store.last_invite_end().await.unwrap().is_some());
    bench.store.keep_grant_call(grant.id, &[1]).await.unwrap();
    bench.store.keep_grant_call(grant.id, &[2]).await.unwrap();
    assert_eq!(bench.store.grant_calls().await.unwrap(), [(grant.id, vec![2])]);
    assert!(bench.store.last_invite_end().await.unwrap().is_none(), "who is called does not come to a door");
    bench.store.call_nobody(grant.id).await.unwrap();
    assert!(bench.store.grant_calls().await.unwrap().is_empty());
    assert!(bench.store.last_invite_end().await.unwrap().is_none());
    bench.store.forget_grant_call(grant.id).await.unwrap();
    assert!(bench.store.last_invite_end().await.unwrap().is_some());
    // As before an invite is made that is brought.
    bench.store.call_nobody(grant.id).await.unwrap();
    assert!(
        bench.store.grant_calls().await.unwrap().is_empty() && bench.store.last_invite_end().await.unwrap().is_none()
    );
    let nobody = bench.store.call_nobody(GrantId(bench.world.uuid())).await;
    assert!(matches!(nobody, Err(StoreError::Missing(_))), "{nobody:?}");
    bench.store.forget_grant_call(grant.id).await.unwrap();
    assert!(bench.store.last_invite_end().await.unwrap().is_some());
}

pub async fn an_await_is_its_owners_and_for_one_grant(bench: &Bench) {
    let (alice, bob) = (bench.user("alice", Role::Member).await, bench.user("bob", Role::Admin).await);
    let (one, two) = (GrantId(bench.world.uuid()), GrantId(bench.world.uuid()));
    let kept = waits(bench, alice, 7);
    bench.store.keep_await(&kept, bench.act(Act::LinkAwait)).await.unwrap();
    assert_eq!(bench.store.awaits(alice).await.unwrap(), std::slice::from_ref(&kept));
    assert!(bench.store.awaits(bob).await.unwrap().is_empty());
    let claim = async |owner, grant| bench.store.claim_await(owner, kept.id, grant).await.unwrap();
    assert!(!claim(bob, one).await, "nobody claims another's");
    assert!(claim(alice, one).await && claim(alice, one).await && !claim(alice, two).await);
    bench.store.use_await(alice, kept.id).await.unwrap();
    let used = Await { grant: Some(one), used: true, sealed: Vec::new(), ..kept.clone() };
    assert_eq!(bench.store.awaits(alice).await.unwrap(), std::slice::from_ref(&used));
    let late = waits(bench, alice, 1);
    bench.store.keep_await(&late, bench.act(Act::LinkAwait)).await.unwrap();
    bench.clock.advance(Duration::from_hours(48));
    let next = waits(bench, alice, 9);
    bench.store.keep_await(&next, bench.act(Act::LinkAwait)).await.unwrap();
    assert_eq!(bench.store.awaits(alice).await.unwrap(), [used, next], "each is forgotten after its time");
    assert!(!bench.store.forget_await(bob, kept.id, bench.act(Act::LinkAwait)).await.unwrap());
    assert!(bench.store.forget_await(alice, kept.id, bench.act(Act::LinkAwait)).await.unwrap());
    let nobodys = waits(bench, UserId(bench.world.uuid()), 1);
    let missing = bench.store.keep_await(&nobodys, bench.act(Act::LinkAwait)).await;
    assert!(matches!(missing, Err(StoreError::Missing(_))));
}

pub async fn what_proves_the_calls_of_a_link_is_its_owners(bench: &Bench) {
    let (alice, bob) = (bench.user("alice", Role::Member).await, bench.user("bob", Role::Admin).await);
    let link = GrantId(bench.world.uuid());
    for (owner, sealed) in [(alice, [1]), (bob, [2]), (alice, [3])] {
        bench.store.keep_link_call(owner, link, &sealed).await.unwrap();
    }
    assert_eq!(bench.store.link_calls(alice).await.unwrap(), [(link, vec![3])]);
    assert_eq!(bench.store.link_calls(bob).await.unwrap(), [(link, vec![2])]);
    bench.store.forget_link_call(bob, link).await.unwrap();
    assert!(bench.store.link_calls(bob).await.unwrap().is_empty());
    bench.store.keep_await(&waits(bench, alice, 7), bench.act(Act::LinkAwait)).await.unwrap();
    bench.store.remove_user(&name("alice"), bench.act(Act::UserRemove)).await.unwrap();
    assert!(bench.store.link_calls(alice).await.unwrap().is_empty(), "it goes with its owner");
    assert!(bench.store.awaits(alice).await.unwrap().is_empty());
}

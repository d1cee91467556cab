//! Tokens of programs: whose they are, how many, and what ends them.

use crate::bench::{Bench, name};
use domain::{
    audit::Act,
    id::UserId,
    rights::Role,
    token::{DAYS, KeptToken, Lifetime, MOST, ProgramToken},
};
use std::time::Duration;
use store::{AuditQuery, StoreError};

/// A token of somebody, and what is kept of it.
pub fn token(bench: &Bench, owner: UserId, called: &str) -> (ProgramToken, KeptToken) {
    let token = ProgramToken::generate(&bench.world);
    let life = Lifetime::days(bench.now(), DAYS).unwrap();
    let kept = KeptToken::of(&token, (owner, bench.workspace), name(called), life);
    (token, kept)
}

async fn add(bench: &Bench, owner: UserId, called: &str) -> Result<KeptToken, StoreError> {
    let (_, kept) = token(bench, owner, called);
    bench.store.add_token(&kept, bench.act(Act::TokenAdd)).await.map(|()| kept)
}

pub async fn a_token_is_its_owners_and_found_by_its_id(bench: &Bench) {
    let (alice, bob) = (bench.user("alice", Role::Member).await, bench.user("bob", Role::Admin).await);
    let kept = add(bench, alice, "ci").await.unwrap();
    let other = add(bench, bob, "ci").await.unwrap();
    assert_eq!(bench.store.tokens(alice).await.unwrap(), std::slice::from_ref(&kept));
    assert_eq!(bench.store.token(kept.id).await.unwrap().as_ref(), Some(&kept));
    assert_eq!(bench.store.token(token(bench, alice, "x").1.id).await.unwrap(), None);
    assert_eq!(bench.store.token_ids().await.unwrap(), [kept.id, other.id].into());
    let taken = add(bench, alice, "ci").await;
    assert!(matches!(&taken, Err(StoreError::Conflict(cause)) if cause.contains("token remove ci")), "{taken:?}");
    let used = KeptToken { used_at: Some(bench.now()), ..kept.clone() };
    bench.store.note_token(&kept, bench.now()).await.unwrap();
    assert_eq!(bench.store.token(kept.id).await.unwrap(), Some(used));
    let nobody = add(bench, UserId(bench.world.uuid()), "ci").await;
    assert!(matches!(nobody, Err(StoreError::Missing(_))), "{nobody:?}");
}

pub async fn a_token_ends_with_its_owner_and_when_it_is_taken_away(bench: &Bench) {
    let (alice, bob) = (bench.user("alice", Role::Member).await, bench.user("bob", Role::Member).await);
    let (one, two) = (add(bench, alice, "one").await.unwrap(), add(bench, alice, "two").await.unwrap());
    let bobs = add(bench, bob, "one").await.unwrap();
    let remove =
        async |owner| bench.store.remove_token(owner, &name("one"), bench.act(Act::TokenRemove)).await.unwrap();
    assert_eq!(remove(alice).await, Some(one.id));
    assert_eq!(remove(alice).await, None);
    assert_eq!(bench.store.token(one.id).await.unwrap(), None);
    // As a database that is put back would have it.
    bench.store.add_token(&one, bench.act(Act::TokenAdd)).await.unwrap();
    assert_eq!(bench.store.token(one.id).await.unwrap(), None, "what was taken away does not come back");
    assert!(!bench.store.tokens(alice).await.unwrap().contains(&one));
    assert_eq!(bench.store.token(bobs.id).await.unwrap().as_ref(), Some(&bobs), "another's of the same name stays");
    bench.store.remove_user(&name("alice"), bench.act(Act::UserRemove)).await.unwrap();
    assert_eq!(bench.store.token(two.id).await.unwrap(), None);
    assert_eq!(bench.store.token_ids().await.unwrap(), [bobs.id].into());
}

pub async fn a_user_has_so_many_tokens_and_those_that_are_over_count_for_nothing(bench: &Bench) {
    let (alice, bob) = (bench.user("alice", Role::Member).await, bench.user("bob", Role::Member).await);
    for number in 0..MOST {
        add(bench, alice, &format!("t{number}")).await.unwrap();
    }
    let more = add(bench, alice, "more").await;
    assert!(matches!(&more, Err(StoreError::Conflict(cause)) if cause.contains("token list")), "{more:?}");
    add(bench, bob, "more").await.unwrap();
    bench.clock.advance(Duration::from_hours(24) * DAYS);
    add(bench, alice, "more").await.unwrap();
    assert_eq!(bench.store.tokens(alice).await.unwrap().len(), 1);
    assert_eq!(bench.store.tokens(bob).await.unwrap().len(), 1, "of bob's nothing is forgotten");
}

pub async fn the_log_has_what_was_added_and_taken_away(bench: &Bench) {
    add(bench, bench.owner, "ci").await.unwrap();
    add(bench, bench.owner, "ci").await.unwrap_err();
    for _ in 0..2 {
        bench.store.remove_token(bench.owner, &name("ci"), bench.act(Act::TokenRemove)).await.unwrap();
    }
    let entries = bench.store.entries(&AuditQuery { limit: 100, ..AuditQuery::default() }).await.unwrap();
    let said: Vec<_> =
        entries.iter().map(|entry| entry.about.as_str()).filter(|about| about.contains("token")).collect();
    assert_eq!(said, ["token_add", "token_remove"]);
}

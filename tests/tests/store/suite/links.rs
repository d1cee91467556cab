//! Links belong to the user who added them.

use crate::bench::{Bench, name};
use domain::{
    audit::Act,
    id::{GrantId, InstanceId, Spki, UserId},
    invite::Offer,
    rights::Role,
};
use store::{LinkEnd, LinkKey, LinkRecord, MadeOf, StoreError};

pub fn link(bench: &Bench, owner: UserId, link: &str) -> LinkRecord {
    LinkRecord {
        id: GrantId(bench.world.uuid()),
        name: name(link),
        owner,
        peer: InstanceId(bench.world.uuid()),
        peer_name: name("work"),
        addresses: vec!["[::1]:7443".into(), "work.example:7443".into()],
        tls_name: "x.mosaic-fed.internal".into(),
        root: vec![1; 400],
        certificate: vec![2; 500],
        certificate_not_after: bench.now() + std::time::Duration::from_hours(24),
        sealed_key: vec![3; 60],
        next: None,
        words: Some("a b c d".into()),
        made_of: Some(MadeOf { invite: [4; 32], key: Spki([5; 32]), words: "a b c d".into() }),
        end: None,
        offer: Offer {
            grant_name: name("home"),
            workspace: name("main"),
            resources: vec!["tasks".into(), "notes".into()],
            subject: name("alice"),
            not_after: bench.now() + std::time::Duration::from_hours(48),
        },
        added_at: bench.now(),
    }
}

/// Every field, for a type that cannot be printed.
fn told(link: &LinkRecord) -> String {
    let LinkRecord {
        id,
        name,
        owner,
        peer,
        peer_name,
        addresses,
        tls_name,
        root,
        certificate,
        offer,
        words,
        made_of,
        end,
        added_at,
        ..
    } = link;
    let (sealed, made) = ((&link.sealed_key, link.certificate_not_after), (made_of, end));
    format!(
        "{:?}",
        (
            id,
            name,
            owner,
            peer,
            peer_name,
            addresses,
            tls_name,
            root,
            certificate,
            (offer, words, made, added_at, sealed)
        )
    )
}

async fn links(bench: &Bench, owner: UserId) -> Vec<String> {
    bench.store.links(owner).await.unwrap().iter().map(told).collect()
}

pub async fn links_are_hidden_from_every_other_user(bench: &Bench) {
    let (alice, bob) = (bench.user("alice", Role::Member).await, bench.user("bob", Role::Admin).await);
    let (work, mine) = (link(bench, alice, "work"), link(bench, bob, "mine"));
    for link in [&work, &mine] {
        bench.store.add_link(link, bench.act(Act::LinkAdd)).await.unwrap();
    }
    assert_eq!(links(bench, alice).await, [told(&work)]);
    assert_eq!(links(bench, bob).await, [told(&mine)]);
    assert!(links(bench, bench.owner).await.is_empty(), "the owner of the workspace is another user too");
    assert!(!bench.store.remove_link(bob, work.id, bench.act(Act::LinkRemove)).await.unwrap());
    let stolen = LinkRecord { owner: bob, ..work.clone() };
    let refused = bench.store.replace_link(&stolen, bench.act(Act::LinkReplace)).await;
    assert!(matches!(refused, Err(StoreError::Missing(cause)) if cause.contains("no such link")));
    assert_eq!(links(bench, alice).await, [told(&work)]);
    assert!(bench.store.remove_link(alice, work.id, bench.act(Act::LinkRemove)).await.unwrap());
    assert!(links(bench, alice).await.is_empty());
}

pub async fn a_link_is_replaced_in_place(bench: &Bench) {
    let old = link(bench, bench.owner, "work");
    bench.store.add_link(&old, bench.act(Act::LinkAdd)).await.unwrap();
    bench.clock.advance(std::time::Duration::from_secs(9));
    let new =
        LinkRecord { id: old.id, peer_name: name("bureau"), sealed_key: vec![9], ..link(bench, bench.owner, "other") };
    bench.store.replace_link(&new, bench.act(Act::LinkReplace)).await.unwrap();
    let kept = LinkRecord { name: old.name, added_at: old.added_at, ..new };
    assert_eq!(links(bench, bench.owner).await, [told(&kept)], "its name and age stay");
    let alices = LinkRecord { owner: bench.user("alice", Role::Member).await, ..kept.clone() };
    bench.store.forget_words(&alices).await.unwrap();
    assert_eq!(links(bench, bench.owner).await, [told(&kept)], "it is nobody else's");
    let before = LinkRecord { words: Some("zoo zoo zoo zoo".to_owned()), ..kept.clone() };
    bench.store.forget_words(&before).await.unwrap();
    assert_eq!(links(bench, bench.owner).await, [told(&kept)], "a fresh invite has brought others meanwhile");
    bench.store.forget_words(&kept).await.unwrap();
    assert_eq!(links(bench, bench.owner).await, [told(&LinkRecord { words: None, ..kept })]);
}

pub async fn the_end_of_a_link_is_remembered_until_it_has_another_certificate(bench: &Bench) {
    let (alice, work) = (bench.user("alice", Role::Member).await, link(bench, bench.owner, "work"));
    bench.store.add_link(&work, bench.act(Act::LinkAdd)).await.unwrap();
    let kept = async || bench.store.links(bench.owner).await.unwrap().remove(0).end;
    let end = LinkEnd { at: bench.now(), last_answer: Some(bench.now().before(std::time::Duration::from_secs(3))) };
    let other = LinkRecord { certificate: vec![8; 8], ..work.clone() };
    let foreign = LinkRecord { owner: alice, ..work.clone() };
    for none in [&other, &foreign] {
        bench.store.remember_end(none, Some(end)).await.unwrap();
        assert_eq!(kept().await, None, "of another certificate, or of nobody's link");
    }
    bench.store.remember_end(&work, Some(end)).await.unwrap();
    bench.clock.advance(std::time::Duration::from_secs(9));
    bench.store.remember_end(&work, Some(LinkEnd { at: bench.now(), last_answer: None })).await.unwrap();
    assert_eq!(kept().await, Some(end), "the first time that it was heard");
    bench.store.remember_end(&other, None).await.unwrap();
    assert_eq!(kept().await, Some(end));
    bench.store.remember_end(&work, None).await.unwrap();
    assert_eq!(kept().await, None);
    bench.store.remember_end(&work, Some(end)).await.unwrap();
    bench.store.replace_link(&LinkRecord { end: Some(end), ..other }, bench.act(Act::LinkReplace)).await.unwrap();
    assert_eq!(kept().await, None, "another certificate is another link");
}

pub async fn a_link_name_is_taken_only_for_its_owner(bench: &Bench) {
    let alice = bench.user("alice", Role::Member).await;
    let work = link(bench, bench.owner, "work");
    bench.store.add_link(&work, bench.act(Act::LinkAdd)).await.unwrap();
    let add = async |link: &LinkRecord| bench.store.add_link(link, bench.act(Act::LinkAdd)).await;
    assert!(matches!(add(&link(bench, bench.owner, "work")).await, Err(StoreError::Conflict(_))), "the name");
    let same = LinkRecord { name: name("again"), ..work.clone() };
    assert!(matches!(add(&same).await, Err(StoreError::Conflict(_))), "the id");
    add(&LinkRecord { owner: alice, ..work }).await.unwrap();
    assert!(matches!(add(&link(bench, UserId(bench.world.uuid()), "x")).await, Err(StoreError::Missing(_))), "nobody");
}

pub async fn the_directory_says_only_that_links_exist(bench: &Bench) {
    let alice = bench.user("alice", Role::Member).await;
    for (owner, name) in [(bench.owner, "b"), (alice, "z"), (alice, "a")] {
        bench.store.add_link(&link(bench, owner, name), bench.act(Act::LinkAdd)).await.unwrap();
    }
    let directory = bench.store.link_directory().await.unwrap();
    let shown: Vec<_> = directory.iter().map(|link| (link.owner.as_str(), link.name.as_str())).collect();
    assert_eq!(shown, [("alice", "a"), ("alice", "z"), ("olga", "b")]);
    assert_eq!((&directory[0].peer_name, directory[0].added_at), (&name("work"), bench.now()));
}

pub async fn a_kept_key_is_its_owners_until_its_time_is_over(bench: &Bench) {
    let (alice, bob) = (bench.user("alice", Role::Member).await, bench.user("bob", Role::Admin).await);
    let minutes = std::time::Duration::from_mins;
    let key = |owner, number: u8, invite| LinkKey {
        owner,
        spki: Spki([number; 32]),
        invite,
        sealed_key: vec![number; 60],
        not_after: bench.now() + minutes(u64::from(number)),
    };
    let of = async |owner: UserId| {
        let kept = bench.store.link_keys(owner).await.unwrap();
        kept.iter().map(|kept| (kept.spki.0[0], kept.invite, kept.sealed_key.len())).collect::<Vec<_>>()
    };
    for key in [key(alice, 1, Some([7; 32])), key(alice, 2, None), key(alice, 3, None), key(bob, 4, Some([7; 32]))] {
        bench.store.keep_link_key(&key).await.unwrap();
    }
    let same = bench.store.keep_link_key(&key(alice, 5, Some([7; 32]))).await;
    assert!(matches!(same, Err(StoreError::Conflict(_))), "one key for one invite of one user");
    assert_eq!(of(alice).await, [(1, Some([7; 32]), 60), (2, None, 60), (3, None, 60)]);
    assert_eq!(of(bob).await, [(4, Some([7; 32]), 60)]);
    bench.store.forget_link_key(bob, Spki([2; 32])).await.unwrap();
    bench.store.forget_link_key(alice, Spki([3; 32])).await.unwrap();
    assert_eq!(of(alice).await, [(1, Some([7; 32]), 60), (2, None, 60)], "nobody forgets another's");
    bench.clock.advance(minutes(1));
    assert_eq!(of(alice).await, [(2, None, 60)]);
    bench.store.keep_link_key(&key(alice, 6, Some([7; 32]))).await.unwrap();
    bench.store.remove_user(&name("alice"), bench.act(Act::UserRemove)).await.unwrap();
    assert!(of(alice).await.is_empty());
}

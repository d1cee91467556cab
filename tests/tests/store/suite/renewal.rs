//! A certificate is followed by the next one, on both sides of a link.

use super::links::link;
use crate::bench::{Bench, everything};
use domain::{
    audit::Act,
    grant::{Grant, Leaf},
    renewal::{AGAIN, Former, OVERLAP, Successor},
};
use std::time::Duration;
use store::{Committed, LinkRecord, NextLeaf, StoreError};

fn next(bench: &Bench) -> Successor {
    Successor::new(bench.leaf(), bench.now())
}

async fn renew(bench: &Bench, grant: &Grant, with: &Leaf, next: &Successor) -> Result<Grant, StoreError> {
    bench.store.renew_grant(grant.id, &with.serial, next, bench.about(Act::Certificate, grant.id)).await
}

async fn confirm(bench: &Bench, grant: &Grant, leaf: &Leaf) -> bool {
    bench.store.confirm_leaf(grant.id, &leaf.serial, bench.about(Act::Certificate, grant.id)).await.unwrap()
}

/// The one grant as every process reads it, and the certificates that no door lets in.
async fn told(bench: &Bench) -> (Grant, Vec<Leaf>) {
    let standing = bench.store.standing(None).await.unwrap();
    let refused = standing.refused.clone();
    (standing.live().next().unwrap(), refused)
}

pub async fn a_successor_comes_into_force_with_its_first_use(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let (first, second) = (grant.leaf.clone().unwrap(), next(bench));
    let renewed = renew(bench, &grant, &first, &second).await.unwrap();
    assert_eq!(renewed, Grant { successor: Some(second.clone()), ..grant.clone() });
    assert_eq!(told(bench).await, (renewed, vec![]), "the old one is as good as before");
    bench.clock.advance(Duration::from_secs(5));
    assert!(confirm(bench, &grant, &second.leaf).await);
    let former = Former { leaf: first, until: bench.now() + OVERLAP };
    let leaf = Some(second.leaf.clone());
    let after = Grant { renewals: 1, leaf, successor: None, former: Some(former), ..grant.clone() };
    assert_eq!(told(bench).await, (after.clone(), vec![]), "the old one stays for the overlap");
    assert_eq!(bench.store.grants().await.unwrap()[0].grant, after);
    assert!(!confirm(bench, &grant, &second.leaf).await, "once");
    assert_eq!(told(bench).await.0, after);
}

pub async fn a_replaced_successor_is_refused(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let (first, lost) = (grant.leaf.clone().unwrap(), next(bench));
    renew(bench, &grant, &first, &lost).await.unwrap();
    let hasty = renew(bench, &grant, &first, &next(bench)).await;
    assert!(matches!(hasty, Err(StoreError::Conflict(cause)) if cause.contains("try again in 10 s")));
    bench.clock.advance(AGAIN);
    let second = next(bench);
    let renewed = renew(bench, &grant, &first, &second).await.unwrap();
    assert_eq!(told(bench).await, (renewed.clone(), vec![lost.leaf.clone()]));
    assert!(!confirm(bench, &grant, &lost.leaf).await, "it never comes into force");
    assert_eq!(told(bench).await.0, renewed);
}

pub async fn each_unused_successor_in_a_row_doubles_the_wait(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let (first, mut last) = (grant.leaf.clone().unwrap(), next(bench));
    renew(bench, &grant, &first, &last).await.unwrap();
    for unused in 1..=5 {
        let wait = AGAIN * 2_u32.pow(unused - 1);
        bench.clock.advance(wait.checked_sub(Duration::from_secs(1)).unwrap());
        let early = renew(bench, &grant, &first, &next(bench)).await;
        assert!(matches!(early, Err(StoreError::Conflict(_))), "after {unused}: {early:?}");
        bench.clock.advance(Duration::from_secs(1));
        last = next(bench);
        renew(bench, &grant, &first, &last).await.unwrap();
        let (now, refused) = told(bench).await;
        assert_eq!(now.successor, Some(Successor { unused, ..last.clone() }));
        assert_eq!(refused.len(), usize::try_from(unused).unwrap());
    }
    assert!(confirm(bench, &grant, &last.leaf).await);
    let third = next(bench);
    let renewed = renew(bench, &grant, &last.leaf, &third).await.unwrap();
    assert_eq!(renewed.successor, Some(third), "a use begins anew");
    assert_eq!(told(bench).await.0, renewed);
}

pub async fn a_former_certificate_gives_its_place_and_is_refused(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let (first, second, third) = (grant.leaf.clone().unwrap(), next(bench), next(bench));
    renew(bench, &grant, &first, &second).await.unwrap();
    assert!(confirm(bench, &grant, &second.leaf).await);
    renew(bench, &grant, &second.leaf, &third).await.unwrap();
    assert!(confirm(bench, &grant, &third.leaf).await);
    let (now, refused) = told(bench).await;
    assert_eq!(now.leaves().cloned().collect::<Vec<_>>(), [third.leaf, second.leaf]);
    assert_eq!(refused, [first]);
}

pub async fn revoking_or_a_fresh_invite_refuses_every_certificate(bench: &Bench) {
    let mut ended = Vec::new();
    for (label, fresh) in [("invited", Some(bench.leaf())), ("revoked", None)] {
        let grant = bench.grant(label, bench.owner, &everything()).await;
        let (first, second, third) = (grant.leaf.clone().unwrap(), next(bench), next(bench));
        renew(bench, &grant, &first, &second).await.unwrap();
        assert!(confirm(bench, &grant, &second.leaf).await);
        let held = renew(bench, &grant, &second.leaf, &third).await.unwrap();
        assert_eq!(held.leaves().count(), 3);
        ended.extend(held.leaves().map(|leaf| leaf.serial.clone()));
        let after = match &fresh {
            Some(leaf) => bench.activate(grant.id, grant.peer.unwrap(), "home", leaf).await,
            None => bench.store.revoke_grant(grant.id, bench.about(Act::GrantRevoke, grant.id)).await,
        };
        let after = after.unwrap();
        assert_eq!((after.generation, after.successor, after.former), (grant.generation + 1, None, None));
        assert!(!confirm(bench, &grant, &third.leaf).await, "{label}");
        let late = renew(bench, &grant, &second.leaf, &next(bench)).await;
        assert!(matches!(late, Err(StoreError::Conflict(_))), "{label}: {late:?}");
    }
    let mut refused: Vec<_> = told(bench).await.1.into_iter().map(|leaf| leaf.serial).collect();
    refused.sort();
    ended.sort();
    assert_eq!(refused, ended);
}

pub async fn a_renewal_of_what_is_not_in_force_changes_nothing(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let (first, second) = (grant.leaf.clone().unwrap(), next(bench));
    let strange = renew(bench, &grant, &bench.leaf(), &second).await;
    assert!(matches!(strange, Err(StoreError::Conflict(_))));
    assert_eq!(told(bench).await, (grant.clone(), vec![]));
    renew(bench, &grant, &first, &second).await.unwrap();
    assert!(confirm(bench, &grant, &second.leaf).await);
    let before = told(bench).await;
    let former = renew(bench, &grant, &first, &next(bench)).await;
    assert!(matches!(former, Err(StoreError::Conflict(cause)) if cause.contains("replaced")));
    assert_eq!(told(bench).await, before);
    let pending = bench.pending("unused", bench.owner, &everything()).await;
    let unused = renew(bench, &pending, &first, &next(bench)).await;
    assert!(matches!(unused, Err(StoreError::Conflict(_))));
}

pub async fn a_renewal_is_heard_and_withdraws_no_answer(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let (first, second) = (grant.leaf.clone().unwrap(), next(bench));
    let mut known = bench.store.grants_version().await.unwrap();
    for step in 0..2 {
        if step == 0 {
            renew(bench, &grant, &first, &second).await.unwrap();
        } else {
            assert!(confirm(bench, &grant, &second.leaf).await);
        }
        let moved = bench.store.standing(Some(known)).await.unwrap();
        assert!(moved.version > known && moved.grants.contains_key(&grant.id), "step {step}");
        known = moved.version;
        let verdicts = bench.store.commit(&[bench.answered(&grant)]).await.unwrap();
        assert!(matches!(verdicts[..], [Committed::Written { .. }]), "step {step}: {verdicts:?}");
    }
}

fn fresh(bench: &Bench, byte: u8) -> NextLeaf {
    let not_after = bench.now() + Duration::from_hours(48);
    NextLeaf { certificate: vec![byte; 500], not_after, sealed_key: vec![byte; 60] }
}

async fn only(bench: &Bench) -> LinkRecord {
    bench.store.links(bench.owner).await.unwrap().remove(0)
}

pub async fn a_links_next_certificate_is_kept_taken_or_dropped(bench: &Bench) {
    let work = link(bench, bench.owner, "work");
    bench.store.add_link(&work, bench.act(Act::LinkAdd)).await.unwrap();
    let record = || bench.act(Act::LinkRenew);
    let (lost, next) = (fresh(bench, 7), fresh(bench, 8));
    for one in [&lost, &next] {
        assert!(bench.store.keep_next(&work, one, record()).await.unwrap());
        let kept = only(bench).await;
        assert!(kept.next.as_ref() == Some(one) && kept.certificate == work.certificate);
    }
    assert!(!bench.store.take_next(&work, &lost.certificate, record()).await.unwrap(), "it is not kept any more");
    assert!(bench.store.take_next(&work, &next.certificate, record()).await.unwrap());
    let now = only(bench).await;
    assert!(now.next.is_none() && now.name == work.name && now.root == work.root);
    let taken = (now.certificate.clone(), now.certificate_not_after, now.sealed_key.clone());
    assert_eq!(taken, (next.certificate.clone(), next.not_after, next.sealed_key));
    assert!(!bench.store.take_next(&now, &next.certificate, record()).await.unwrap(), "once");
    assert!(bench.store.keep_next(&now, &lost, record()).await.unwrap());
    assert!(bench.store.drop_next(&now, &lost.certificate, record()).await.unwrap());
    assert!(!bench.store.drop_next(&now, &lost.certificate, record()).await.unwrap());
    assert!(only(bench).await.next.is_none() && only(bench).await.certificate == next.certificate);
}

pub async fn a_links_next_certificate_follows_only_the_one_it_was_asked_with(bench: &Bench) {
    let work = link(bench, bench.owner, "work");
    bench.store.add_link(&work, bench.act(Act::LinkAdd)).await.unwrap();
    let former = LinkRecord { certificate: vec![9; 9], ..work.clone() };
    let elsewhere = LinkRecord { owner: bench.user("bob", domain::rights::Role::Member).await, ..work.clone() };
    for other in [former, elsewhere] {
        assert!(!bench.store.keep_next(&other, &fresh(bench, 7), bench.act(Act::LinkRenew)).await.unwrap());
    }
    assert!(only(bench).await.next.is_none());
}

pub async fn a_fresh_invite_forgets_a_links_next_certificate(bench: &Bench) {
    let work = link(bench, bench.owner, "work");
    bench.store.add_link(&work, bench.act(Act::LinkAdd)).await.unwrap();
    let next = fresh(bench, 7);
    assert!(bench.store.keep_next(&work, &next, bench.act(Act::LinkRenew)).await.unwrap());
    let invited = LinkRecord { certificate: vec![5; 50], ..work.clone() };
    bench.store.replace_link(&invited, bench.act(Act::LinkReplace)).await.unwrap();
    assert!(only(bench).await.next.is_none());
    assert!(!bench.store.take_next(&work, &next.certificate, bench.act(Act::LinkRenew)).await.unwrap());
    assert_eq!(only(bench).await.certificate, invited.certificate);
}

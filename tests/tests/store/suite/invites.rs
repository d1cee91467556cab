//! Invites: used once, by one.

use crate::bench::{Bench, by, everything, name};
use domain::{
    audit::Act,
    grant::{Grant, Leaf, State},
    id::{GrantId, InstanceId, InviteId, Spki},
    invite::{AGAIN, BOUND_LIFE, Claimant, OPEN_LIFE, Standing, Token},
    renewal::Successor,
    words::Nonce,
};
use std::{sync::Arc, time::Duration};
use store::{Enrolled, Enrolment, Handed, NewInvite, StoreError};

async fn invite(bench: &Bench, grant: GrantId) -> NewInvite {
    let (id, digest) = (InviteId(bench.world.uuid()), Token::generate(&bench.world).digest());
    let invite = NewInvite { id, grant, digest, expires_at: bench.now() + OPEN_LIFE, key: None, confirm: false };
    bench.store.create_invite(&invite, bench.about(Act::InviteCreate, grant)).await.unwrap();
    invite
}

async fn stands(bench: &Bench, invite: &NewInvite) -> Standing {
    stands_for(bench, invite, Spki(bench.world.bytes())).await
}

async fn stands_for(bench: &Bench, invite: &NewInvite, key: Spki) -> Standing {
    bench.store.invited(&invite.digest).await.unwrap().unwrap().standing(by(key), bench.now())
}

async fn claim(bench: &Bench, invite: &NewInvite) -> bool {
    claim_for(bench, invite, Spki(bench.world.bytes())).await
}

async fn claim_for(bench: &Bench, invite: &NewInvite, key: Spki) -> bool {
    bench.store.claim_invite(invite.id, by(key), bench.now(), bench.act(Act::InviteClaim)).await.unwrap()
}

async fn enrol(bench: &Bench, invite: &NewInvite, peer: InstanceId, leaf: &Leaf) -> Result<Enrolled, StoreError> {
    let certificate = [leaf.serial.as_bytes(), &leaf.spki.0].concat();
    let enrolment = Enrolment { invite: invite.id, peer, peer_name: &name("home"), leaf, certificate: &certificate };
    bench.store.enrol_grant(enrolment, bench.act(Act::Certificate)).await
}

pub async fn one_of_many_claims_wins(bench: &Bench) {
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let invite = invite(bench, grant.id).await;
    let before = bench.store.head().await.unwrap().sequence;
    let (gate, now) = (Arc::new(tokio::sync::Barrier::new(32)), bench.now());
    let claims: Vec<_> = (0..32)
        .map(|_| {
            let (store, gate, record) = (Arc::clone(&bench.store), Arc::clone(&gate), bench.act(Act::InviteClaim));
            let key = Spki(bench.world.bytes());
            tokio::spawn(async move {
                gate.wait().await;
                store.claim_invite(invite.id, by(key), now, record).await.unwrap()
            })
        })
        .collect();
    let mut won = 0;
    for claim in claims {
        won += u32::from(claim.await.unwrap());
    }
    assert_eq!(won, 1);
    assert_eq!(bench.store.head().await.unwrap().sequence, before + 1, "only the claim that won is recorded");
    assert_eq!(stands(bench, &invite).await, Standing::Used);
}

pub async fn an_invite_works_until_its_end_and_no_longer(bench: &Bench) {
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let invite = invite(bench, grant.id).await;
    let invited = bench.store.invited(&invite.digest).await.unwrap().unwrap();
    assert_eq!((invited.id, invited.grant, invited.claim), (invite.id, grant, None));
    assert_eq!(bench.store.invited(&[7; 32]).await.unwrap(), None);
    bench.clock.advance(OPEN_LIFE.saturating_sub(Duration::from_micros(1)));
    assert_eq!(stands(bench, &invite).await, Standing::Open);
    bench.clock.advance(Duration::from_micros(1));
    assert_eq!(stands(bench, &invite).await, Standing::Expired);
    assert!(!claim(bench, &invite).await);
    let unknown = NewInvite { id: InviteId(bench.world.uuid()), ..invite };
    assert!(!claim(bench, &unknown).await);
}

pub async fn a_newer_invite_ends_the_earlier_ones(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let first = invite(bench, grant.id).await;
    bench.clock.advance(Duration::from_secs(1));
    let second = invite(bench, grant.id).await;
    assert_eq!(stands(bench, &first).await, Standing::Expired);
    assert!(!claim(bench, &first).await && claim(bench, &second).await);
    // Also one that was claimed, and whose certificate comes when a newer one has taken its place.
    let (slow, leaf) = (invite(bench, grant.id).await, bench.leaf());
    assert!(claim_for(bench, &slow, leaf.spki).await);
    bench.clock.advance(Duration::from_secs(1));
    let second = invite(bench, grant.id).await;
    let late = enrol(bench, &slow, grant.peer.unwrap(), &leaf).await;
    assert!(matches!(late, Err(StoreError::Conflict(cause)) if cause.contains("of use no longer")));
    assert!(claim(bench, &second).await);
    let twice = bench.store.create_invite(&second, bench.act(Act::InviteCreate)).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))));
    assert_eq!(stands(bench, &second).await, Standing::Used, "a failed attempt changes nothing");
}

pub async fn a_revoked_grant_ends_its_invites(bench: &Bench) {
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let open = invite(bench, grant.id).await;
    bench.store.revoke_grant(grant.id, bench.about(Act::GrantRevoke, grant.id)).await.unwrap();
    assert_eq!(stands(bench, &open).await, Standing::GrantEnded);
    assert!(!claim(bench, &open).await);
    let late = NewInvite { id: InviteId(bench.world.uuid()), digest: [9; 32], ..open };
    let refused = bench.store.create_invite(&late, bench.act(Act::InviteCreate)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(cause)) if cause.contains("is revoked")));
    let expiring = bench.pending("short", bench.owner, &everything()).await;
    bench.clock.set(expiring.scope.not_after());
    let refused =
        bench.store.create_invite(&NewInvite { grant: expiring.id, ..late }, bench.act(Act::InviteCreate)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(cause)) if cause.contains("is expired")));
}

pub async fn the_last_invite_end_is_known(bench: &Bench) {
    assert_eq!(bench.store.last_invite_end().await.unwrap(), None);
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let first = invite(bench, grant.id).await;
    assert_eq!(bench.store.last_invite_end().await.unwrap(), Some(first.expires_at));
    bench.clock.advance(Duration::from_hours(2));
    assert_eq!(bench.store.last_invite_end().await.unwrap(), Some(first.expires_at), "also once it is past");
    let second = invite(bench, grant.id).await;
    let leaf = bench.leaf();
    assert!(claim_for(bench, &second, leaf.spki).await);
    bench.clock.advance(Duration::from_mins(1));
    let last = bench.store.last_invite_end().await.unwrap();
    assert_eq!(last, Some(second.expires_at), "whoever claimed it may ask again");
    let long =
        NewInvite { id: InviteId(bench.world.uuid()), digest: [8; 32], expires_at: bench.now() + BOUND_LIFE, ..second };
    bench.store.create_invite(&long, bench.about(Act::InviteCreate, grant.id)).await.unwrap();
    assert!(claim_for(bench, &long, leaf.spki).await);
    let answered = bench.now() + AGAIN;
    enrol(bench, &long, InstanceId(bench.world.uuid()), &leaf).await.unwrap();
    assert_eq!(bench.store.last_invite_end().await.unwrap(), Some(answered), "and not for long once it was answered");
}

pub async fn the_key_that_claimed_an_invite_may_ask_again_and_is_given_the_same(bench: &Bench) {
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let invite = invite(bench, grant.id).await;
    let (leaf, peer) = (bench.leaf(), InstanceId(bench.world.uuid()));
    let unclaimed = enrol(bench, &invite, peer, &leaf).await;
    assert!(matches!(unclaimed, Err(StoreError::Conflict(cause)) if cause.contains("was not claimed for the key")));
    assert!(claim_for(bench, &invite, leaf.spki).await);
    let recorded = bench.store.head().await.unwrap().sequence;
    assert!(claim_for(bench, &invite, leaf.spki).await, "the answer was lost");
    assert!(!claim(bench, &invite).await, "another key");
    let other = Claimant { nonce: Nonce([7; 32]), ..by(leaf.spki) };
    let claimed = bench.store.claim_invite(invite.id, other, bench.now(), bench.act(Act::InviteClaim)).await.unwrap();
    assert!(!claimed, "the same key with something else to add to the words");
    assert_eq!(bench.store.head().await.unwrap().sequence, recorded, "one claim, one record");
    let stolen = enrol(bench, &invite, peer, &bench.leaf()).await;
    assert!(matches!(stolen, Err(StoreError::Conflict(_))), "another key");

    let first = enrol(bench, &invite, peer, &leaf).await.unwrap();
    assert_eq!((first.grant.leaf.as_ref(), &first.given.serial), (Some(&leaf), &leaf.serial));
    let slower = Leaf { spki: leaf.spki, ..bench.leaf() };
    let second = enrol(bench, &invite, peer, &slower).await.unwrap();
    assert_eq!(second, first, "of two attempts with one key the first is given to both");
    assert!(bench.store.standing(None).await.unwrap().refused.is_empty());
    assert_eq!(stands_for(bench, &invite, leaf.spki).await, Standing::Open);
    assert_eq!(stands(bench, &invite).await, Standing::Used);
    let invited = bench.store.invited(&invite.digest).await.unwrap().unwrap();
    let other = Claimant { nonce: Nonce([7; 32]), ..by(leaf.spki) };
    assert_eq!(
        invited.standing(other, bench.now()),
        Standing::Used,
        "who saw the words' opening adds nothing else to them"
    );
    let claim = bench.store.invited(&invite.digest).await.unwrap().unwrap().claim.unwrap();
    assert_eq!((claim.key, claim.given), (leaf.spki, Some(first.given)));
}

pub async fn a_bound_invite_is_of_use_to_its_key_alone(bench: &Bench) {
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let leaf = bench.leaf();
    let open = invite(bench, grant.id).await;
    let id = InviteId(bench.world.uuid());
    let bound = NewInvite { id, digest: [5; 32], expires_at: bench.now() + BOUND_LIFE, key: Some(leaf.spki), ..open };
    bench.store.create_invite(&bound, bench.about(Act::InviteCreate, grant.id)).await.unwrap();
    assert_eq!(bench.store.invited(&bound.digest).await.unwrap().unwrap().key, Some(leaf.spki));
    bench.clock.advance(BOUND_LIFE.saturating_sub(Duration::from_secs(1)));
    assert_eq!(stands(bench, &bound).await, Standing::OtherKey);
    assert!(!claim(bench, &bound).await, "a thief");
    assert!(claim_for(bench, &bound, leaf.spki).await, "the thief used nothing up");
    let last =
        async || bench.store.grants().await.unwrap()[0].invite.map(|last| (last.key, last.used, last.expires_at));
    assert_eq!(last().await, Some((Some(leaf.spki), false, bound.expires_at)), "the one before it ended with it");
    enrol(bench, &bound, InstanceId(bench.world.uuid()), &leaf).await.unwrap();
    assert_eq!(last().await, Some((Some(leaf.spki), true, bound.expires_at)));
}

pub async fn an_invite_gives_nothing_again_once_another_certificate_is_in_force(bench: &Bench) {
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let used = invite(bench, grant.id).await;
    let (leaf, peer) = (bench.leaf(), InstanceId(bench.world.uuid()));
    assert!(claim_for(bench, &used, leaf.spki).await);
    enrol(bench, &used, peer, &leaf).await.unwrap();
    let next = Successor::new(bench.leaf(), bench.now());
    bench.store.renew_grant(grant.id, &leaf.serial, &next, bench.act(Act::Certificate)).await.unwrap();
    assert_eq!(stands_for(bench, &used, leaf.spki).await, Standing::Open, "the next one was not used yet");
    assert!(bench.store.confirm_leaf(grant.id, &next.leaf.serial, bench.act(Act::Certificate)).await.unwrap());
    assert_eq!(stands_for(bench, &used, leaf.spki).await, Standing::Used);
    let late = enrol(bench, &used, peer, &leaf).await;
    assert!(matches!(late, Err(StoreError::Conflict(cause)) if cause.contains("another certificate")));
    let fresh = invite(bench, grant.id).await;
    assert_eq!(stands_for(bench, &fresh, leaf.spki).await, Standing::Open);
    let claimed_only = invite(bench, grant.id).await;
    assert!(claim_for(bench, &claimed_only, leaf.spki).await);
    bench.clock.advance(Duration::from_secs(1));
    invite(bench, grant.id).await;
    assert_eq!(stands_for(bench, &claimed_only, leaf.spki).await, Standing::Expired, "a newer one took its place");
}

pub async fn whoever_uses_an_invite_that_is_to_be_confirmed_waits_to_be_let_in(bench: &Bench) {
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let confirm = bench.act(Act::GrantConfirm);
    let early = bench.store.let_in(grant.id, Spki([1; 32]), confirm.clone()).await;
    assert!(matches!(early, Err(StoreError::Conflict(_))), "nobody enrolled");
    assert!(matches!(bench.store.wrong_words(grant.id, confirm.clone()).await, Err(StoreError::Conflict(_))));
    let id = InviteId(bench.world.uuid());
    let waits = NewInvite {
        id,
        grant: grant.id,
        digest: [5; 32],
        expires_at: bench.now() + OPEN_LIFE,
        key: None,
        confirm: true,
    };
    bench.store.create_invite(&waits, bench.about(Act::InviteCreate, grant.id)).await.unwrap();
    let handed = async || bench.store.grants().await.unwrap()[0].handed;
    let last = async || bench.store.grants().await.unwrap()[0].invite.map(|last| (last.key, last.confirm, last.used));
    assert_eq!((handed().await, last().await), (None, Some((None, true, false))));
    // A later invite of the grant is no way round.
    bench.clock.advance(Duration::from_secs(1));
    let later = invite(bench, grant.id).await;
    let (peer, leaf) = (InstanceId(bench.world.uuid()), bench.leaf());
    assert!(claim_for(bench, &later, leaf.spki).await);
    assert_eq!(last().await, Some((None, true, false)), "claimed is not given");
    let held = enrol(bench, &later, peer, &leaf).await.unwrap().grant;
    assert!(held.waits() && held.leaf.as_ref() == Some(&leaf));
    let nonce = Some(by(leaf.spki).nonce);
    let how = |wrong_words| Handed { invite: later.id, key: leaf.spki, nonce, confirm: true, wrong_words };
    assert_eq!(handed().await, Some(how(0)));
    assert_eq!(last().await, Some((None, true, true)));
    assert_eq!(bench.store.wrong_words(grant.id, confirm.clone()).await.unwrap(), 1);
    assert_eq!(bench.store.wrong_words(grant.id, confirm.clone()).await.unwrap(), 2);
    let other = bench.store.let_in(grant.id, Spki([1; 32]), confirm.clone()).await;
    assert!(matches!(other, Err(StoreError::Conflict(cause)) if cause.contains("enrolled anew")), "another key");
    let active = bench.store.let_in(grant.id, leaf.spki, confirm.clone()).await.unwrap();
    assert_eq!((active.state, active.generation), (State::Active, held.generation + 1));
    assert_eq!(handed().await, Some(how(2)));
    let again = bench.store.let_in(grant.id, leaf.spki, confirm).await;
    assert!(matches!(again, Err(StoreError::Conflict(cause)) if cause.contains("does not wait")));
}

pub async fn whoever_waits_for_a_grant_that_is_active_takes_nothing_from_its_holder(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let (old, peer) = (grant.leaf.clone().unwrap(), grant.peer.unwrap());
    bench.clock.advance(Duration::from_secs(1));
    let digest = [5; 32];
    let (id, expires_at) = (InviteId(bench.world.uuid()), bench.now() + OPEN_LIFE);
    let waits = NewInvite { id, grant: grant.id, digest, expires_at, key: None, confirm: true };
    bench.store.create_invite(&waits, bench.about(Act::InviteCreate, grant.id)).await.unwrap();
    let leaf = bench.leaf();
    assert!(claim_for(bench, &waits, leaf.spki).await);
    let held = enrol(bench, &waits, peer, &leaf).await.unwrap();
    assert_eq!(held.grant.waiting(), Some(&leaf));
    assert_eq!((held.grant.state, held.grant.generation), (State::Active, grant.generation));
    let good = |grant: &Grant| grant.accepted(bench.now()).cloned().collect::<Vec<_>>();
    let stored = async || bench.standing().await[0].clone();
    assert_eq!((good(&stored().await), stored().await), (vec![old.clone()], held.grant.clone()));
    assert!(bench.store.standing(None).await.unwrap().refused.is_empty(), "neither is refused by name");
    let again = enrol(bench, &waits, peer, &Leaf { spki: leaf.spki, ..bench.leaf() }).await.unwrap();
    assert_eq!((again.given, again.grant), (held.given, held.grant), "whoever asks again is given the same");
    assert_eq!(stands_for(bench, &waits, leaf.spki).await, Standing::Open);

    let confirm = bench.act(Act::GrantConfirm);
    assert!(
        bench.store.let_in(grant.id, old.spki, confirm.clone()).await.is_err(),
        "the holder has nothing to wait for"
    );
    let active = bench.store.let_in(grant.id, leaf.spki, confirm).await.unwrap();
    assert_eq!((good(&active), active.generation), (vec![leaf], grant.generation + 1));
    assert_eq!(bench.store.standing(None).await.unwrap().refused, [old], "from now on, and by name");
}

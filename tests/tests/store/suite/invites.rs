//! Invites: used once, by one.

use crate::bench::{Bench, everything};
use domain::{
    audit::Act,
    id::{GrantId, InviteId},
    invite::{OPEN_LIFE, Standing, Token},
};
use std::{sync::Arc, time::Duration};
use store::{NewInvite, StoreError};

async fn invite(bench: &Bench, grant: GrantId) -> NewInvite {
    let (id, digest) = (InviteId(bench.world.uuid()), Token::generate(&bench.world).digest());
    let invite = NewInvite { id, grant, digest, expires_at: bench.now() + OPEN_LIFE };
    bench.store.create_invite(&invite, bench.about(Act::InviteCreate, grant)).await.unwrap();
    invite
}

async fn stands(bench: &Bench, invite: &NewInvite) -> Standing {
    bench.store.invited(&invite.digest).await.unwrap().unwrap().standing(bench.now())
}

async fn claim(bench: &Bench, invite: &NewInvite) -> bool {
    bench.store.claim_invite(invite.id, bench.now(), bench.act(Act::InviteClaim)).await.unwrap()
}

pub async fn one_of_many_claims_wins(bench: &Bench) {
    let grant = bench.pending("home", bench.owner, &everything()).await;
    let invite = invite(bench, grant.id).await;
    let before = bench.store.head().await.unwrap().sequence;
    let (gate, now) = (Arc::new(tokio::sync::Barrier::new(32)), bench.now());
    let claims: Vec<_> = (0..32)
        .map(|_| {
            let (store, gate, record) = (Arc::clone(&bench.store), Arc::clone(&gate), bench.act(Act::InviteClaim));
            tokio::spawn(async move {
                gate.wait().await;
                store.claim_invite(invite.id, now, record).await.unwrap()
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
    assert_eq!((invited.id, invited.grant, invited.used), (invite.id, grant, false));
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
    assert!(claim(bench, &second).await);
    assert_eq!(
        bench.store.last_invite_end().await.unwrap(),
        Some(first.expires_at),
        "a used one has no end to wait for"
    );
}

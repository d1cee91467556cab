//! A fresh invite for a grant that is held already: a new certificate in place of the old one, and no second link.

use crate::{office::Office, stage::Stage};
use domain::invite::Invite;
use pki::Authority;
use sha2::{Digest, Sha256};

const SCOPE: &str = r#"{"resources":["tasks"]}"#;

async fn a_fresh_invite_replaces_the_certificate_and_the_former_one_opens_nothing(stage: Stage) {
    let office = Office::start().await;
    let before = office.linked(&stage, SCOPE).await;
    stage.keep_a_copy();
    let fresh = office.instance.spoke.invite(office.instance.by(), before.id).await.expect("an invite");
    let said = stage.enrol("link", fresh.invite.expose(), &office.fingerprint()).await;
    assert_eq!(said.events(), ["invited", "enrolled"]);
    let after = office.instance.standing(before.id).await;
    assert_eq!((after.peer, said.one("enrolled")["grant_id"].as_str()), (before.peer, Some(&*before.id.to_string())));
    let (old, new) = (before.leaf.expect("a certificate"), after.leaf.expect("a certificate"));
    assert!(old.serial != new.serial && old.spki != new.spki, "the key was used again");
    assert_eq!(stage.ask("link", &["capabilities"]).await.events(), ["capabilities"]);
    let former = stage.ask("former", &["capabilities"]).await;
    assert!(former.events() == ["failed"] || former.refusal() == ("PERMISSION_DENIED", "NOT_PERMITTED"), "{former:#?}");
}

async fn a_fresh_invite_is_refused_to_another_instance(stage: Stage) {
    let office = Office::start().await;
    let before = office.linked(&stage, SCOPE).await;
    let fresh = office.instance.spoke.invite(office.instance.by(), before.id).await.expect("an invite");
    let invite = Invite::decode(fresh.invite.expose()).expect("an invite");
    let said = stage.enrol("another", &invite.encode(), &office.fingerprint()).await;
    assert_eq!(said.events(), ["invited", "refused"]);
    assert_eq!(said.refusal(), ("FAILED_PRECONDITION", "INVITE_SPENT"));
    assert_eq!(office.instance.standing(before.id).await.leaf, before.leaf);
    assert_eq!(stage.ask("link", &["capabilities"]).await.events(), ["capabilities"]);
}

async fn an_invite_of_another_grant_or_root_is_not_used_where_a_link_is_kept(stage: Stage) {
    let office = Office::start().await;
    let kept = office.linked(&stage, SCOPE).await;
    let other = office.offer(SCOPE).await;
    let fresh = office.instance.spoke.invite(office.instance.by(), kept.id).await.expect("an invite");
    let fresh = Invite::decode(fresh.invite.expose()).expect("an invite");
    // Whoever can write an invite must not be able to move somebody's link to an instance of their own.
    let root = Authority::create(&office.instance.world, office.instance.id).expect("a CA").root_der().to_vec();
    let fingerprint = hex::encode(Sha256::digest(&root));
    let moved = Invite { root, ..fresh.clone() };
    for (invite, fingerprint) in [(&other.invite, &office.fingerprint()), (&moved, &fingerprint)] {
        let said = stage.enrol("link", &invite.encode(), fingerprint).await;
        assert_eq!((said.events(), said.code), (vec!["invited", "occupied"], 2));
        assert_eq!(said.one("occupied")["grant_id"], kept.id.to_string());
    }
    assert_eq!(stage.ask("link", &["capabilities"]).await.events(), ["capabilities"]);
    // Neither token was sent: both invites are as good as before.
    for (state, invite) in [("other", &other.invite), ("link", &fresh)] {
        let said = stage.enrol(state, &invite.encode(), &office.fingerprint()).await;
        assert_eq!(said.events(), ["invited", "enrolled"]);
    }
}

crate::for_each_client!(
    a_fresh_invite_replaces_the_certificate_and_the_former_one_opens_nothing,
    a_fresh_invite_is_refused_to_another_instance,
    an_invite_of_another_grant_or_root_is_not_used_where_a_link_is_kept,
);

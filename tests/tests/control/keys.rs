//! A key that somebody else may have, as when a laptop was stolen: revoked here, it is good for nothing any more, whoever shows it.

use domain::{
    audit::Act,
    grant::State,
    id::{GrantId, InstanceId, Spki},
    invite::Invite,
    renewal::LIFE,
    revoked::KeyDoubt,
    seal::RowKey,
    secret::Secret,
    world::World,
};
use pki::RequestKey;
use spoke::{GrantOrder, KeyRevoked, Receipt, Spoke, Terms};
use sqlx::{Connection, PgConnection};
use std::{sync::Arc, time::Duration};
use store::Trust;
use tests::{
    asker::{Asker, enrol, refusal, send_enrolment, tasks},
    clock::standing,
    cluster,
    forge::Forged,
    instance::{Instance, name, task},
};
use tonic::Code;

const TASKS: &str = r#"{"resources":["tasks"]}"#;

struct Stage {
    office: Instance,
    grant: domain::grant::Grant,
    thief: Asker,
    key: Spki,
}

/// An office with a link whose key will be stolen.
async fn stage() -> Stage {
    let office = Instance::start().await;
    office.put(office.owner, vec![task("one")]).await;
    let (grant, invite) = office.grant("owner", TASKS).await;
    let thief = enrol(&invite).await;
    thief.list(tasks()).await.expect("rows");
    let grant = office.standing(grant.id).await;
    let key = grant.leaf.as_ref().expect("a certificate").spki;
    Stage { office, grant, thief, key }
}

async fn revoke(spoke: &Spoke, office: &Instance, key: Spki) -> KeyRevoked {
    let reason = "stolen from a train".parse().expect("a reason");
    spoke.revoke_key(office.by(), name("owner"), key, reason).await.expect("a revocation")
}

/// An invite that is for one key alone.
async fn bound(office: &Instance, called: &str, key: Spki) -> Result<Invite, spoke::AdminError> {
    let spec = serde_json::json!({"workspace": "main", "resources": ["tasks"]});
    let order = GrantOrder {
        name: name(called),
        subject: name("owner"),
        spec: serde_json::from_value(spec).expect("a scope"),
        personal_default: true,
        sensitive: false,
        narrow: false,
    };
    let terms = Terms { key: Some(key), confirm: false };
    let created = office.spoke.create_on(office.by(), order, terms).await?;
    Ok(Invite::decode(created.invite.expose()).expect("an invite"))
}

fn key() -> (RequestKey, Spki) {
    let key = RequestKey::generate().expect("a key");
    let spki = key.spki;
    (key, spki)
}

/// The same key again, for a request that signs anew.
fn again(key: &RequestKey) -> RequestKey {
    RequestKey::again(&Secret::new(key.key_pkcs8.expose().clone())).expect("the same key")
}

fn someone() -> InstanceId {
    InstanceId(World::system().uuid())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_ends_what_is_held_with_it_as_a_revocation_does_and_is_on_record() {
    let Stage { office, grant, thief, key } = stage().await;
    let (_, other_invite) = office.grant("owner", TASKS).await;
    let other = enrol(&other_invite).await;
    let held = thief.dial().await.expect("a connection");
    let revoked = revoke(&office.spoke, &office, key).await;
    let [ended] = &revoked.grants[..] else { panic!("{revoked:?}") };
    assert_eq!((ended.grant.id, ended.grant.state, ended.drained), (grant.id, State::Revoked, true));
    assert!(matches!(ended.receipt, Receipt::Away(_)) && ended.connections >= 1, "{ended:?}");
    let cut = tokio::time::timeout(Duration::from_secs(5), async {
        while held.is_open() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(cut.await.is_ok(), "the connection stays open");
    assert!(thief.dial().await.is_err(), "let in again");
    other.list(tasks()).await.expect("another's rows");
    let log = office.log(10).await;
    let said = log.iter().find(|entry| entry.about == Act::KeyRevoke.word()).expect("its record");
    assert_eq!(said.note, format!("{key}: stolen from a train"));
    assert!(log.iter().any(|entry| entry.about == Act::GrantRevoke.word() && entry.grant == Some(grant.id)));
    let twice = office.spoke.revoke_key(office.by(), name("owner"), key, "".parse().expect("none")).await;
    assert!(twice.expect_err("twice").to_string().contains("and stays so"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_in_the_handshake_whoever_signed_its_certificate() {
    let Stage { office, thief, .. } = stage().await;
    // A certificate for the good link's own grant that somebody with the CA's key issued for another key.
    let forged = Forged::good(office.id, thief.instance, thief.grant, office.owner, office.world.now());
    let (certificate, pkcs8) = forged.sign(&office.authority);
    let stolen = pki::profile::grant_leaf(&certificate, office.id).expect("a leaf").leaf.spki;
    let shown = thief.showing(certificate, pkcs8);
    shown.dial().await.expect("before, the handshake goes well: only the call is refused");
    let revoked = revoke(&office.spoke, &office, stolen).await;
    assert!(revoked.grants.is_empty(), "no grant has it: {revoked:?}");
    assert!(shown.dial().await.is_err(), "let in with a revoked key");
    thief.list(tasks()).await.expect("the grant itself stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_at_enrolment_in_an_invite_and_at_renewal() {
    let (clock, world) = standing();
    let office = Instance::start_in(world.clone()).await;
    let (_, invite) = office.grant("owner", TASKS).await;
    let home = enrol(&invite).await.under(&world);
    let (stolen, spki) = key();
    let (bare, open) = office.grant("owner", TASKS).await;
    let for_it = bound(&office, "for-it", spki).await.expect("an invite");
    let revoked = revoke(&office.spoke, &office, spki).await;
    assert_eq!(revoked.invites, [for_it.grant], "the open invite that is for it ends");
    for invite in [&open, &for_it] {
        let refused = send_enrolment(invite, someone(), invite.token.expose(), again(&stolen).csr).await;
        assert_eq!(refusal(&refused.expect_err("enrolled")), (Code::FailedPrecondition, "INVITE_SPENT".to_owned()));
    }
    let refused = bound(&office, "again", spki).await.err().expect("an invite for it");
    assert!(refused.to_string().contains("was revoked here"), "{refused}");
    let views = office.store.grants().await.expect("grants");
    assert!(views.iter().all(|view| view.grant.name != name("again")), "a grant without an invite is left behind");
    // The invite that is for no key in particular is as good as before for whoever has another one.
    let (other, _) = key();
    send_enrolment(&open, someone(), open.token.expose(), other.csr).await.expect("an enrolment");
    assert_eq!(office.standing(bare.id).await.state, State::Active);
    // Past the time before which no certificate is renewed.
    clock.advance(LIFE / 10 + Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let refused = home.renew(again(&stolen).csr).await.expect_err("a renewal with it");
    assert_eq!(refusal(&refused).0, Code::InvalidArgument, "{refused:?}");
    home.renew(key().0.csr).await.expect("a renewal with another");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_to_be_let_in_with_a_revoked_key_never_is() {
    let office = Instance::start().await;
    let (stolen, spki) = key();
    let (grant, _) = office.grant("owner", TASKS).await;
    let terms = Terms { key: None, confirm: true };
    let created = office.spoke.invite_on(office.by(), grant.id, terms).await.expect("an invite");
    let invite = Invite::decode(created.invite.expose()).expect("an invite");
    let answer = send_enrolment(&invite, someone(), invite.token.expose(), stolen.csr).await.expect("an enrolment");
    let words = tests::asker::words(&invite, spki, &answer).to_string();
    let revoked = revoke(&office.spoke, &office, spki).await;
    assert_eq!(revoked.grants.iter().map(|one| one.receipt).collect::<Vec<_>>(), [Receipt::NeverLetIn]);
    let typed: Vec<_> = words.split(' ').map(ToOwned::to_owned).collect();
    office.spoke.confirm(office.by(), grant.id, &typed).await.expect_err("let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_stays_so_over_a_restart_and_whatever_is_done_to_the_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grants.floor");
    let open = || Arc::new(Trust::open(&path, cluster::row_key()).expect("a file"));
    let office = Instance::start_remembering(cluster::database().await, open()).await;
    let (stolen, spki) = key();
    revoke(&office.spoke, &office, spki).await;
    assert!(open().is_revoked(spki), "durable when the command returns");
    assert!(Trust::open(&path, RowKey::new([9; 32])).is_err(), "of another key");
    let mut superuser = PgConnection::connect_with(&office.database.superuser()).await.expect("a connection");
    for (change, doubt) in [
        ("UPDATE revoked_keys SET reason = 'none'", KeyDoubt::Tampered),
        ("UPDATE revoked_keys SET seal = '\\x00'", KeyDoubt::Tampered),
        ("DELETE FROM revoked_keys", KeyDoubt::Gone),
    ] {
        sqlx::query(change).execute(&mut superuser).await.expect("a change");
        let kept = office.store.revoked_keys().await.expect("the keys");
        assert_eq!((kept[0].key, &kept[0].said, kept[0].doubt), (spki, &None, Some(doubt)), "{change}");
    }
    let spoke = office.spoke_after_a_stop(open()).await;
    let grant = made_by(&spoke, &office).await;
    let made = spoke.invite_on(office.by(), grant, Terms { key: Some(spki), confirm: false }).await;
    assert!(made.err().expect("an invite for it").to_string().contains("was revoked here"));
    let open_invite = spoke.invite(office.by(), grant).await.expect("an invite");
    let again_open = Invite::decode(open_invite.invite.expose()).expect("an invite");
    let refused = send_enrolment(&again_open, someone(), again_open.token.expose(), again(&stolen).csr).await;
    assert_eq!(refusal(&refused.expect_err("enrolled")).1, "INVITE_SPENT");
    // Its row is written anew by whoever revokes it once more.
    revoke(&spoke, &office, spki).await;
    assert!(office.store.revoked_keys().await.expect("the keys")[0].doubt.is_none());
    spoke.stop().await;
}

async fn made_by(spoke: &Spoke, office: &Instance) -> GrantId {
    let spec = serde_json::json!({"workspace": "main", "resources": ["tasks"]});
    let order = GrantOrder {
        name: name("after-the-stop"),
        subject: name("owner"),
        spec: serde_json::from_value(spec).expect("a scope"),
        personal_default: true,
        sensitive: false,
        narrow: false,
    };
    spoke.create(office.by(), order).await.expect("a grant").grant.id
}

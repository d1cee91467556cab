//! The sharing side, asked by a stranger's client: for whom, how often, and what becomes of the old certificate.

use crate::issuer::OwnCa;
use domain::{
    audit::Ending,
    grant::{Grant, State},
    renewal::{AGAIN, LIFE, OVERLAP},
    seal::Doubt,
    world::{FakeClock, World},
};
use pki::{Issuer, RequestKey};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use store::{END, Floor, Trust};
use tests::{
    asker::{Asker, enrol, refusal, tasks, titles},
    clock::standing,
    cluster::{self, database},
    hold::run,
    instance::{Instance, task},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

struct Stage {
    office: Instance,
    clock: Arc<FakeClock>,
    world: World,
    home: Asker,
}

const SCOPE: &str = r#"{"resources":["tasks"]}"#;

async fn stage() -> Stage {
    let (clock, world) = standing();
    let office = Instance::start_on(world.clone(), database().await).await;
    office.put(office.owner, vec![task("one")]).await;
    let (_, invite) = office.grant("owner", SCOPE).await;
    let home = enrol(&invite).await.under(&world);
    Stage { office, clock, world, home }
}

fn key() -> RequestKey {
    RequestKey::generate().expect("a key")
}

impl Stage {
    /// Past the tenth of a certificate's life before which it is not renewed.
    async fn ripen(&self) {
        self.clock.advance(LIFE / 10 + Duration::from_secs(1));
        settle().await;
    }

    async fn grant(&self) -> Grant {
        self.office.standing(self.home.grant).await
    }

    /// The next certificate of `asker`, not used yet.
    async fn next(&self, asker: &Asker) -> Asker {
        let key = key();
        let certificate = asker.renew(key.csr.clone()).await.expect("a certificate");
        asker.renewed(certificate, &key)
    }

    /// Asks as `asker`, and waits until what was used is in force.
    async fn used(&self, asker: &Asker) {
        good(asker).await;
        for _ in 0..200 {
            if self.grant().await.successor.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the certificate did not come into force");
    }

    /// Past the overlap, and until the doors know.
    async fn outlive_the_overlap(&self) {
        self.clock.advance(OVERLAP + Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(1_200)).await;
    }
}

/// Until the sharing side has looked at its clock.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn good(asker: &Asker) {
    let (items, _) = asker.list(tasks()).await.expect("an answer");
    assert_eq!(titles(&items), ["one"]);
}

fn wait(status: &Status) -> Duration {
    assert_eq!(refusal(status), (Code::ResourceExhausted, "GRANT_RATE".to_owned()), "{status:?}");
    status.get_details_retry_info().and_then(|info| info.retry_delay).expect("a time to wait")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_certificate_is_in_force_with_its_first_use_and_the_old_one_ends_after_the_overlap() {
    let stage = stage().await;
    stage.ripen().await;
    let open = stage.home.query().await;
    let next = stage.next(&stage.home).await;
    good(&stage.home).await;
    assert!(stage.grant().await.successor.is_some(), "nothing but its own use puts it in force");
    stage.used(&next).await;
    let grant = stage.grant().await;
    assert_eq!((grant.generation, grant.leaves().count()), (2, 2), "what is permitted did not change");
    good(&stage.home).await;
    good(&next).await;
    stage.outlive_the_overlap().await;
    assert!(tests::asker::list(&mut open.clone(), tasks()).await.is_err(), "its connection was not cut");
    assert!(stage.home.dial().await.is_err(), "the former one was let in");
    good(&next).await;
    let leaves = stage.office.spoke.leaves(grant.id);
    assert!(
        leaves.iter().all(|(serial, _)| Some(serial) == grant.leaf.as_ref().map(|leaf| &leaf.serial)),
        "{leaves:?}"
    );
    let log = stage.office.log(200).await;
    let told = |about: &str, note: &str| log.iter().any(|entry| entry.about == about && entry.note.contains(note));
    assert!(told("certificate", "to follow") && told("certificate", "in force"));
    assert!(log.iter().any(|entry| entry.about == "renew" && entry.ending == Ending::Answered));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_renewed_again_with_the_old_key() {
    let stage = stage().await;
    stage.ripen().await;
    let lost = stage.next(&stage.home).await;
    let at_once = stage.home.renew(key().csr).await.expect_err("answered");
    assert!(wait(&at_once) <= AGAIN);
    stage.clock.advance(AGAIN);
    let found = stage.next(&stage.home).await;
    good(&stage.home).await;
    assert!(lost.dial().await.is_err(), "a certificate that was replaced before its first use was let in");
    stage.used(&found).await;
    good(&stage.home).await;
    stage.outlive_the_overlap().await;
    assert!(stage.home.dial().await.is_err());
    good(&found).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_certificate_is_refused_and_alarms() {
    let stage = stage().await;
    stage.ripen().await;
    // Somebody who copied key and certificate is quicker than their holder.
    let thief = stage.next(&stage.home).await;
    stage.used(&thief).await;
    assert_eq!(stage.office.spoke.status().replaced_certificates, 0, "within the overlap nothing is amiss");
    stage.outlive_the_overlap().await;
    let shut_out = stage.home.dial().await.expect_err("let in");
    assert!(matches!(shut_out, link::DialError::OurCertificate(_)), "{shut_out}");
    settle().await;
    assert!(stage.office.spoke.status().replaced_certificates > 0, "nobody is told");
    assert_eq!(stage.office.spoke.status().unknown_certificates, 0, "it was issued here");
    let of: Vec<_> = stage.office.spoke.status().replaced_of.into_iter().map(|(grant, _)| grant).collect();
    assert_eq!(of, [stage.home.grant], "nobody is told of which grant");
    // The owner makes a fresh invite, which ends what the thief has.
    let fresh = stage.office.spoke.invite(stage.office.by(), stage.home.grant).await.expect("an invite");
    let invite = domain::invite::Invite::decode(fresh.invite.expose()).expect("an invite");
    let again = tests::asker::enrol_as(stage.home.instance, &invite).await.expect("an enrolment").under(&stage.world);
    good(&again).await;
    assert!(thief.dial().await.is_err(), "the thief is still let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_needs_a_new_key() {
    let stage = stage().await;
    stage.ripen().await;
    let first = key();
    let certificate = stage.home.renew(first.csr.clone()).await.expect("a certificate");
    let next = stage.home.renewed(certificate, &first);
    stage.used(&next).await;
    stage.ripen().await;
    let refused = next.renew(first.csr.clone()).await.expect_err("answered");
    assert_eq!(refusal(&refused), (Code::InvalidArgument, "MALFORMED".to_owned()));
    let fields = refused.get_details_bad_request().expect("fields").field_violations;
    assert!(fields[0].field == "csr" && fields[0].description.contains("a renewal makes a new key"), "{fields:?}");
    for broken in [vec![], vec![0x30; 5_000], b"no request".to_vec()] {
        let refused = next.renew(broken).await.expect_err("answered");
        assert_eq!(refusal(&refused).0, Code::InvalidArgument);
    }
    stage.next(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_names_somebody_else_gets_its_own_grant_or_nothing() {
    let stage = stage().await;
    stage.ripen().await;
    let own = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    let elsewhere = format!("spiffe://{}.mosaic-fed.internal/instance/{}", stage.office.id, stage.office.id);
    params.distinguished_name.push(rcgen::DnType::CommonName, elsewhere.clone());
    let names = rcgen::SanType::URI(elsewhere.try_into().expect("a name"));
    let mut asking = params.clone();
    asking.subject_alt_names = vec![names];
    let asking = asking.serialize_request(&own).expect("a request").der().to_vec();
    assert_eq!(refusal(&stage.home.renew(asking).await.expect_err("answered")).0, Code::InvalidArgument);
    let subject = params.serialize_request(&own).expect("a request").der().to_vec();
    let certificate = stage.home.renew(subject).await.expect("the subject is not read");
    let read = pki::profile::grant_leaf(&certificate, stage.office.id).expect("a leaf");
    let meant = (stage.home.instance, stage.home.grant, stage.office.owner);
    assert_eq!((read.holder, read.grant, read.subject), meant);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_young_certificate_is_not_renewed_and_a_busy_grant_is() {
    let (clock, world) = standing();
    let office = Instance::start_on(world.clone(), database().await).await;
    let scope = r#"{"resources":["tasks"],"rate":{"per_minute":1,"burst":1}}"#;
    let (_, invite) = office.grant("owner", scope).await;
    let home = enrol(&invite).await.under(&world);
    let young = home.renew(key().csr).await.expect_err("answered");
    assert!(wait(&young) > LIFE / 11 && wait(&young) <= LIFE / 10, "{young:?}");
    clock.advance(LIFE / 10);
    home.list(tasks()).await.expect("the one call of this minute");
    let busy = home.list(tasks()).await.expect_err("answered");
    assert_eq!(refusal(&busy), (Code::ResourceExhausted, "GRANT_RATE".to_owned()));
    home.renew(key().csr).await.expect("a busy grant renews all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_between_answer_and_first_use_refuses_both() {
    let stage = stage().await;
    stage.ripen().await;
    let next = stage.next(&stage.home).await;
    stage.office.spoke.revoke(stage.office.by(), stage.home.grant).await.expect("a revocation");
    for asker in [&stage.home, &next] {
        assert!(asker.dial().await.is_err(), "let in after its grant was revoked");
    }
    assert_eq!(stage.grant().await.state, State::Revoked);
    let alarms = stage.office.spoke.status().replaced_certificates;
    assert_eq!(alarms, 0, "a revoked grant's certificate was not replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_jump_back_revives_no_replaced_certificate() {
    let stage = stage().await;
    stage.ripen().await;
    let used = stage.world.now();
    let next = stage.next(&stage.home).await;
    stage.used(&next).await;
    stage.outlive_the_overlap().await;
    assert!(stage.home.dial().await.is_err(), "the former one was let in after the overlap");
    let (other, _) = stage.office.grant("owner", SCOPE).await;
    stage.clock.set(used.before(Duration::from_mins(1)));
    // Any change makes the doors be told anew.
    stage.office.spoke.revoke(stage.office.by(), other.id).await.expect("a change");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(stage.home.dial().await.is_err(), "a clock that went back let the former one in again");
    good(&next).await;
    stage.clock.set(used + Duration::from_secs(5));
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    good(&next).await;
}

/// A stage whose CA counts; what it counted so far is forgotten.
async fn counted() -> (Stage, Arc<OwnCa>) {
    let ((clock, world), mut own) = (standing(), None);
    let issuer = |authority| {
        let counted = OwnCa::new(authority);
        own = Some(Arc::clone(&counted));
        counted as Arc<dyn Issuer>
    };
    let office = Instance::start_issuing(world.clone(), database().await, issuer).await;
    office.put(office.owner, vec![task("one")]).await;
    let (_, invite) = office.grant("owner", SCOPE).await;
    let home = enrol(&invite).await.under(&world);
    let counted = own.expect("a CA");
    counted.orders.store(0, Ordering::SeqCst);
    let stage = Stage { office, clock, world, home };
    stage.ripen().await;
    (stage, counted)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_renewals_at_once_one_is_answered() {
    let (stage, counted) = counted().await;
    let client = stage.home.connect().await;
    let ask = || {
        let mut client = client.clone();
        async move { client.renew(proto::v1::RenewRequest { csr: key().csr }).await }
    };
    let answers = futures::future::join_all((0..9).map(|_| ask())).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), refused.len()), (1, 8));
    assert!(refused.iter().all(|answer| wait(answer.as_ref().expect_err("refused")) <= AGAIN));
    assert!(stage.grant().await.successor.is_some());
    assert_eq!(counted.orders.load(Ordering::SeqCst), 1, "the CA worked for renewals that were refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_fails_is_asked_again_after_a_pause_and_not_at_once() {
    let (stage, counted) = counted().await;
    counted.broken.store(true, Ordering::SeqCst);
    let failed = stage.home.renew(key().csr).await.expect_err("answered");
    assert_eq!(refusal(&failed), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    counted.broken.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        let early = stage.home.renew(key().csr).await.expect_err("answered");
        assert!(wait(&early) <= AGAIN);
    }
    assert_eq!(counted.orders.load(Ordering::SeqCst), 1, "a failure is no leave to ask again at once");
    stage.clock.advance(AGAIN);
    stage.next(&stage.home).await;
    assert_eq!(counted.orders.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn renewals_that_come_to_nothing_are_few_a_minute_and_others_are_not_counted() {
    let stage = stage().await;
    stage.ripen().await;
    let mut client = stage.home.connect().await;
    let mut ask = async |csr| client.renew(proto::v1::RenewRequest { csr }).await;
    for _ in 0..11 {
        ask(key().csr).await.expect("more certificates than may be refused in a minute");
        stage.clock.advance(LIFE / 13);
        settle().await;
    }
    let mut refusals = Vec::new();
    for _ in 0..14 {
        refusals.push(ask(b"no request".repeat(500)).await.expect_err("answered"));
    }
    let malformed = refusals.iter().filter(|status| status.code() == Code::InvalidArgument).count();
    assert!((10..=12).contains(&malformed), "{malformed} of 14 were read");
    let last = refusals.pop().expect("a refusal");
    assert!(wait(&last) <= Duration::from_secs(6) && last.message().contains("came to nothing"), "{last:?}");
    good(&stage.home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_brings_back_no_certificate_that_was_followed_by_another() {
    let stage = stage().await;
    stage.ripen().await;
    let superuser = stage.office.database.superuser();
    run(&superuser, "CREATE TABLE before_grants AS TABLE grants; CREATE TABLE before_invites AS TABLE invites").await;
    let next = stage.next(&stage.home).await;
    stage.used(&next).await;
    let (grant, by) = (stage.grant().await, stage.office.by());
    assert_eq!((grant.generation, grant.renewals), (2, 1));
    stage.outlive_the_overlap().await;
    // Each row as it was written, seal and all.
    let back = "DELETE FROM refused_leaves; DELETE FROM invites; DELETE FROM grants;
                INSERT INTO grants SELECT * FROM before_grants; INSERT INTO invites SELECT * FROM before_invites";
    run(&superuser, back).await;
    for _ in 0..400 {
        if !stage.office.spoke.status().doubtful.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(stage.office.spoke.status().doubtful, [(grant.id, Doubt::Older)]);
    for asker in [&stage.home, &next] {
        let Ok(dialled) = asker.dial().await else { continue };
        let mut query = proto::v1::query_service_client::QueryServiceClient::new(dialled.channel);
        let refused = tests::asker::list(&mut query, tasks()).await.expect_err("rows by a backup's certificate");
        assert_eq!(refusal(&refused).1, "NOT_PERMITTED");
    }
    stage.office.spoke.revoke(by, grant.id).await.expect("it can be ended");
    assert_eq!(stage.office.trust.floor(grant.id), END);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_a_crash_kept_from_being_remembered_is_learnt_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grants.floor");
    let open = || Arc::new(Trust::open(&path, cluster::row_key()).expect("a file"));
    let stage = stage().await;
    stage.ripen().await;
    let next = stage.next(&stage.home).await;
    stage.used(&next).await;
    // Nothing is in this file: as if the daemon had been killed between the commit and the line.
    let again = stage.office.spoke_after_a_stop(open()).await;
    assert_eq!(again.status().doubtful, []);
    assert_eq!(open().floor(stage.home.grant), Floor { generation: 2, renewals: 1 });
    again.stop().await;
}

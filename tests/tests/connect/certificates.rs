//! Every certificate that is not exactly a grant's own ends where `docs/architecture.md` says, and none reaches a handler.

use domain::{
    audit::{Ending, Stage},
    id::{GrantId, InstanceId, UserId},
};
use pki::Authority;
use rcgen::{ExtendedKeyUsagePurpose as Usage, SanType};
use std::time::Duration;
use tests::{
    asker::{Asker, dialler, enrol, refusal, target, tasks},
    forge::{Forged, as_ca, common_name, extension, spiffe, uri, utf8},
    instance::{Instance, task},
};
use tonic::Code;
use uuid::Uuid;

struct Stage_ {
    office: Instance,
    home: Asker,
    subject: UserId,
}

async fn stage() -> Stage_ {
    let office = Instance::start().await;
    office.put(office.owner, vec![task("seen only with the right certificate")]).await;
    let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    Stage_ { home: enrol(&invite).await, subject: grant.subject, office }
}

impl Stage_ {
    fn good(&self) -> Forged {
        self.good_for(self.home.grant)
    }

    fn good_for(&self, grant: GrantId) -> Forged {
        Forged::good(self.office.id, self.home.instance, grant, self.subject, self.office.world.now())
    }

    /// The verifier must refuse it in the handshake: the dial fails, the log says so, and no call was ever seen.
    async fn turned_away(&self, what: &str, forged: &Forged, by: &Authority) {
        let before = self.office.log(1).await.last().map_or(0, |entry| entry.sequence);
        let (certificate, key) = forged.sign(by);
        let error = self.home.showing(certificate, key).dial().await;
        assert!(error.is_err(), "{what}: let in");
        let seen = self.recorded_after(before, what).await;
        assert!(seen.iter().all(|entry| entry.stage == Stage::Accept), "{what}: {seen:?}");
        assert!(seen.iter().all(|entry| entry.ending == Ending::Refused), "{what}: {seen:?}");
    }

    async fn recorded_after(&self, sequence: u64, what: &str) -> Vec<domain::audit::Entry> {
        // Equal refusals within ten seconds are folded: then the counter moved instead of the log.
        let incidents = self.office.spoke.status().incidents;
        for _ in 0..200 {
            let seen: Vec<_> =
                self.office.log(50).await.into_iter().filter(|entry| entry.sequence > sequence).collect();
            if !seen.is_empty() || self.office.spoke.status().incidents > incidents {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(self.office.spoke.status().incidents > 0, "{what}: not recorded");
        Vec::new()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grants_own_certificate_is_let_in_and_answered() {
    let stage = stage().await;
    let (items, end) = stage.home.list(tasks()).await.expect("an answer");
    assert_eq!((items.len(), end.expect("an end").truncated), (1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn eku_matrix() {
    let stage = stage().await;
    let usages: [(&str, Vec<Usage>); 5] = [
        ("no usage", vec![]),
        ("any usage", vec![Usage::Any]),
        ("server only", vec![Usage::ServerAuth]),
        ("mail", vec![Usage::EmailProtection]),
        ("client and server", vec![Usage::ClientAuth, Usage::ServerAuth]),
    ];
    for (what, usages) in usages {
        let forged = stage.good().but(|params| params.extended_key_usages = usages);
        stage.turned_away(what, &forged, &stage.office.authority).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn san_type_matrix() {
    let stage = stage().await;
    let id = spiffe(stage.office.id, stage.home.instance);
    let host = format!("{}.mosaic-fed.internal", stage.office.id);
    let other = spiffe(InstanceId(Uuid::from_u128(9)), stage.home.instance);
    let ia5 = |text: &str| text.to_owned().try_into().expect("ASCII");
    let names: Vec<(&str, Vec<SanType>)> = vec![
        ("none", vec![]),
        ("two URIs", vec![uri(&id), uri(&spiffe(stage.office.id, InstanceId(Uuid::from_u128(9))))]),
        ("the same URI twice", vec![uri(&id), uri(&id)]),
        ("a DNS name beside", vec![uri(&id), SanType::DnsName(ia5(&host))]),
        ("as DNS name", vec![SanType::DnsName(ia5(&host))]),
        ("as mail", vec![SanType::Rfc822Name(ia5(&format!("{}@{host}", stage.home.instance)))]),
        ("as address", vec![SanType::IpAddress([127, 0, 0, 1].into())]),
        ("another trust domain", vec![uri(&other)]),
        ("upper case", vec![uri(&id.to_uppercase())]),
        ("a longer path", vec![uri(&format!("{id}/x"))]),
        ("a query", vec![uri(&format!("{id}?x"))]),
    ];
    for (what, names) in names {
        let forged = stage.good().but(|params| params.subject_alt_names = names);
        stage.turned_away(what, &forged, &stage.office.authority).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cn_is_ignored() {
    let stage = stage().await;
    let named = spiffe(stage.office.id, stage.home.instance);
    let forged = stage.good().but(|params| {
        params.subject_alt_names.clear();
        params.distinguished_name = common_name(&named);
    });
    stage.turned_away("the id in the common name only", &forged, &stage.office.authority).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_doubled_and_malformed_extensions_are_turned_away() {
    let stage = stage().await;
    let (grant, subject) = (stage.home.grant.to_string(), stage.subject.to_string());
    let (first, second) = (|| extension(1, utf8(&grant)), || extension(2, utf8(&subject)));
    let sets = vec![
        ("none", vec![]),
        ("no subject", vec![first()]),
        ("no grant", vec![second()]),
        ("grant twice", vec![first(), first(), second()]),
        ("subject twice", vec![first(), second(), second()]),
        ("grant no DER", vec![extension(1, grant.clone().into_bytes()), second()]),
        ("grant with bytes after", vec![extension(1, [utf8(&grant), vec![0]].concat()), second()]),
        ("grant in upper case", vec![extension(1, utf8(&grant.to_uppercase())), second()]),
        ("subject empty", vec![first(), extension(2, utf8(""))]),
    ];
    for (what, set) in sets {
        let forged = stage.good().but(|params| params.custom_extensions = set);
        stage.turned_away(what, &forged, &stage.office.authority).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_authority_bit_weak_keys_and_foreign_authorities_are_turned_away() {
    let stage = stage().await;
    let now = stage.office.world.now();
    let own = &stage.office.authority;
    let expired = stage.good().but(|params| {
        params.not_before = now.before(Duration::from_hours(48)).to_offset();
        params.not_after = now.before(Duration::from_mins(1)).to_offset();
    });
    let early = stage.good().but(|params| params.not_before = (now + Duration::from_mins(1)).to_offset());
    let mut weak = stage.good();
    weak.algorithm = &rcgen::PKCS_ECDSA_P384_SHA384;
    stage.turned_away("expired", &expired, own).await;
    stage.turned_away("not yet valid", &early, own).await;
    stage.turned_away("an authority itself", &stage.good().but(as_ca), own).await;
    stage.turned_away("another curve", &weak, own).await;
    let foreign = Authority::create(&stage.office.world, stage.office.id).expect("a CA");
    stage.turned_away("a foreign CA of the same name", &stage.good(), &foreign).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_before_auth() {
    let stage = stage().await;
    let (grant, invite) = stage.office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let before = stage.office.log(1).await[0].sequence;
    assert!(dialler().dial(&target(&invite, None)).await.is_err(), "let in without a certificate");
    // Plain HTTP/2 with a whole request in it, as if TLS were not there.
    let mut socket = tokio::net::TcpStream::connect(&invite.addresses[0]).await.expect("a socket");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    tokio::io::AsyncWriteExt::write_all(&mut socket, preface).await.expect("a write");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let calls = stage.office.log(50).await.into_iter().filter(|entry| entry.sequence > before);
    let calls: Vec<_> = calls.filter(|entry| entry.stage != Stage::Accept).collect();
    assert!(calls.is_empty(), "a call was seen: {calls:?}");
    assert_eq!(grant.state, domain::grant::State::Pending);
}

/// Chains to the CA and fits the profile, but this side has no record of it: necessary, not sufficient.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_serial_refused() {
    let stage = stage().await;
    let (certificate, key) = stage.good().sign(&stage.office.authority);
    let status = stage.home.showing(certificate, key).list(tasks()).await.expect_err("answered");
    assert_eq!(refusal(&status), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()));
    let entry = stage.office.log(1).await.pop().expect("an entry");
    assert_eq!((entry.stage, entry.ending), (Stage::Standing, Ending::Refused));
    assert_eq!(stage.office.spoke.status().unknown_certificates, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn same_name_other_key() {
    let stage = stage().await;
    // Right in everything, the serial number too, but with a key of its own.
    let standing = stage.office.store.standing(None).await.expect("standing");
    let leaf = standing.live().find_map(|grant| grant.leaf).expect("a leaf");
    let forged = stage.good().but(|params| {
        params.serial_number = Some(rcgen::SerialNumber::from_slice(leaf.serial.as_bytes()));
    });
    let (certificate, key) = forged.sign(&stage.office.authority);
    let status = stage.home.showing(certificate, key).list(tasks()).await.expect_err("answered");
    assert_eq!(refusal(&status), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_bound_to_peer() {
    let stage = stage().await;
    let bob = stage.office.user("bob", domain::rights::Role::Member).await;
    stage.office.put(bob, vec![task("bob's own")]).await;
    let (_, invite) = stage.office.grant("bob", r#"{"resources":["tasks"]}"#).await;
    let other = enrol(&invite).await;
    let holder = stage.home.instance;
    let now = stage.office.world.now();
    let mixes = [
        ("own id, another's grant and subject", Forged::good(stage.office.id, holder, other.grant, bob, now)),
        ("own id and subject, another's grant", Forged::good(stage.office.id, holder, other.grant, stage.subject, now)),
        ("own id and grant, another's subject", Forged::good(stage.office.id, holder, stage.home.grant, bob, now)),
        (
            "another's id, own grant",
            Forged::good(stage.office.id, other.instance, stage.home.grant, stage.subject, now),
        ),
    ];
    for (what, forged) in mixes {
        let (certificate, key) = forged.sign(&stage.office.authority);
        let status = stage.home.showing(certificate, key).list(tasks()).await.expect_err(what);
        assert_eq!(refusal(&status), (Code::PermissionDenied, "NOT_PERMITTED".to_owned()), "{what}");
    }
    let (items, _) = other.list(tasks()).await.expect("an answer");
    assert_eq!(tests::asker::titles(&items), ["bob's own"]);
}

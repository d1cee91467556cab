//! What only a real step-ca can show: that nothing gets past the orders there, and that a wrong one is noticed.

use super::{
    bench::{Real, order},
    program::Program,
    wire::{self, certificate, csr_pem},
};
use crate::forge::{DAY, GRANT, GRANT_OID, HOLDER, ISSUER, SUBJECT, common_name, uri};
use domain::world::{FakeClock, SeededRng, World};
use pki::{
    Authority, Flaw, IssueError, Issuer, RequestKey, Unfit, Why, profile, spiffe,
    step_ca::{
        CaError, GuardError, ProvisionerKey, Warning,
        guard::{FLOOR, Version},
        token::{Claims, Order},
    },
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

fn provisioner(config: &mut Value) -> &mut Value {
    &mut config["authority"]["provisioners"][0]
}

#[tokio::test]
async fn renewing_and_rekeying_at_the_ca_itself_is_refused() {
    let Some(real) = Real::start(|_, _| {}).await else { return };
    let key = RequestKey::generate().unwrap();
    let issued = real.issuer.issue_grant(&order(&real.world, &key)).await.unwrap();
    let shown = Some((issued.certificate.as_slice(), key.key_pkcs8.expose().as_slice()));
    let next = RequestKey::generate().unwrap();
    for (path, body) in [
        ("/1.0/renew", json!({})),
        ("/renew", json!({})),
        ("/re-sign", json!({})),
        ("/1.0/rekey", json!({"csr": csr_pem(&next.csr)})),
    ] {
        let (status, said) = wire::post(&real.program, path, &body, shown).await;
        assert_eq!(status, 401, "{path}: {said}");
    }
    // What an order gives instead.
    for key in [&key, &next] {
        let issued = real.issuer.issue_grant(&order(&real.world, key)).await.unwrap();
        assert_eq!(issued.leaf.spki, key.spki);
    }
}

/// A fact about step-ca, and why the grants' own table asks for the serial number: what an embedded CA issued bears no mark of a
/// provisioner, and step-ca renews what bears none.
#[tokio::test]
async fn what_step_ca_renews_from_the_embedded_cas_days_has_a_serial_number_of_its_own() {
    let Some(real) = Real::start(|_, _| {}).await else { return };
    let key = RequestKey::generate().unwrap();
    let issued = real.authority.issue_grant(&order(&real.world, &key)).unwrap();
    let shown = Some((issued.certificate.as_slice(), key.key_pkcs8.expose().as_slice()));
    let (status, answer) = wire::post(&real.program, "/1.0/renew", &json!({}), shown).await;
    assert_eq!(status, 201, "step-ca refuses this now ({answer}): docs/pki.md and the ADR may say so");
    let renewed = profile::grant_leaf(&certificate(&answer), ISSUER).unwrap();
    assert_ne!(renewed.leaf.serial, issued.leaf.serial);
    // Once revoked, not even that.
    real.issuer.revoke(&issued.leaf.serial, Why::Ended).await.unwrap();
    assert_eq!(wire::post(&real.program, "/1.0/renew", &json!({}), shown).await.0, 401);
}

/// Asks for a certificate with a token of the test's own making.
async fn signed(real: &Real, ott: &str, csr: &[u8]) -> (u16, Value) {
    wire::post(&real.program, "/1.0/sign", &json!({"csr": csr_pem(csr), "ott": ott}), None).await
}

struct Forged<'a> {
    world: &'a World,
    provisioner: &'a str,
    path: &'a str,
    key: &'a ProvisionerKey,
}

impl Forged<'_> {
    fn token(&self, real: &Real, csr: &[u8]) -> String {
        let sans = [spiffe::instance_id(ISSUER, HOLDER)];
        let order = Order::Grant { id: &sans[0], grant: GRANT.to_string(), subject: SUBJECT.to_string() };
        let aud = real.issuer.at().url(self.path);
        let claims = Claims::new(self.world, self.provisioner, aud, &sans[0]).ordering(order, &sans, csr);
        claims.sign(self.key).unwrap().expose().clone()
    }
}

#[tokio::test]
async fn a_token_is_for_one_request_at_one_time_by_one_key() {
    let Some(real) = Real::start(|_, _| {}).await else { return };
    let [one, two] = [(); 2].map(|()| RequestKey::generate().unwrap());
    let own = ProvisionerKey::from_text(&real.program.key()).unwrap();
    let good = || Forged { world: &real.world, provisioner: "mosaic-fed", path: "/1.0/sign", key: &own };
    let token = good().token(&real, &one.csr);
    assert_eq!(signed(&real, &token, &one.csr).await.0, 201);
    assert_eq!(signed(&real, &token, &one.csr).await.0, 401, "used twice");
    assert_eq!(signed(&real, &good().token(&real, &one.csr), &two.csr).await.0, 403, "for another request");
    let (stranger, _) = ProvisionerKey::generate().unwrap();
    let at = |offset: i64| {
        let clock = FakeClock::new(domain::Time::from_seconds(real.world.now().seconds() + offset));
        World::new(Arc::new(clock), Arc::new(SeededRng::new(offset.unsigned_abs())))
    };
    let (past, ahead, early) = (at(-3_600), at(3_600), at(50));
    for (what, forged, status) in [
        ("a clock that is 50 s ahead", Forged { world: &early, ..good() }, 201),
        ("an old one", Forged { world: &past, ..good() }, 401),
        ("one from the future", Forged { world: &ahead, ..good() }, 401),
        ("one for revoking", Forged { path: "/1.0/revoke", ..good() }, 401),
        ("another provisioner's", Forged { provisioner: "other", ..good() }, 401),
        ("another key's", Forged { key: &stranger, ..good() }, 401),
    ] {
        let (got, said) = signed(&real, &forged.token(&real, &one.csr), &one.csr).await;
        assert_eq!(got, status, "{what}: {said}");
    }
    // Signed by the right key, but not an order.
    let aud = real.issuer.at().url("/1.0/sign");
    let bare = Claims::new(&real.world, "mosaic-fed", aud, "admin").sign(&own).unwrap();
    let (status, said) = signed(&real, bare.expose(), &one.csr).await;
    assert_eq!(status, 400, "{said}");
}

#[tokio::test]
async fn csr_extra_sans_at_a_real_step_ca() {
    let Some(real) = Real::start(|_, _| {}).await else { return };
    let own = ProvisionerKey::from_text(&real.program.key()).unwrap();
    let key = KeyPair::generate().unwrap();
    let id = spiffe::instance_id(ISSUER, HOLDER);
    let extensions = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any, ExtendedKeyUsagePurpose::ServerAuth];
        let other = CustomExtension::from_oid_content(GRANT_OID, [&[0x0c, 36], ISSUER.to_string().as_bytes()].concat());
        params.custom_extensions = vec![other];
    };
    let name = |text: &str| SanType::DnsName(text.try_into().unwrap());
    let other_name = rcgen::OtherNameValue::Utf8String("admin".to_owned());
    let asked: [(&str, Vec<SanType>, &str, bool); 8] = [
        ("nothing", vec![], "", true),
        ("its own name", vec![uri(&id)], "", true),
        ("a name that step-ca cannot read", vec![SanType::OtherName((vec![1, 2, 3], other_name))], "", true),
        ("a foreign URI", vec![uri(&spiffe::instance_id(ISSUER, ISSUER))], "", false),
        ("its own and a foreign URI", vec![uri(&id), uri("spiffe://example.org/x")], "", false),
        ("a DNS name", vec![name("ca.example")], "", false),
        ("an address", vec![SanType::IpAddress([127, 0, 0, 1].into())], "", false),
        ("to be called admin", vec![], "admin", false),
    ];
    for (what, names, called, ok) in asked {
        let mut params = CertificateParams::default();
        params.distinguished_name = if called.is_empty() { DistinguishedName::new() } else { common_name(called) };
        params.subject_alt_names = names;
        extensions(&mut params);
        let csr = params.serialize_request(&key).unwrap().der().to_vec();
        let forged = Forged { world: &real.world, provisioner: "mosaic-fed", path: "/1.0/sign", key: &own };
        let (status, answer) = signed(&real, &forged.token(&real, &csr), &csr).await;
        assert_eq!(status, if ok { 201 } else { 403 }, "{what}: {answer}");
        if ok {
            let leaf = profile::grant_leaf(&certificate(&answer), ISSUER).unwrap();
            assert_eq!((leaf.holder, leaf.grant, leaf.subject), (HOLDER, GRANT, SUBJECT), "{what}");
        }
    }
}

#[tokio::test]
async fn a_wrong_template_is_noticed_before_its_certificate_leaves() {
    let with = |template: &'static str| {
        move |_: &std::path::Path, config: &mut Value| {
            provisioner(config)["options"] = json!({"x509": {"template": template}});
        }
    };
    let none = r#"{"subject": {}, "sans": {{ toJson .SANs }}, "extKeyUsage": ["clientAuth"]}"#;
    let both = r#"{"subject": {}, "sans": {{ toJson .SANs }}, "extKeyUsage": ["clientAuth", "serverAuth"]}"#;
    let asked = r#"{"subject": {}, "sans": {{ toJson .Insecure.CR.SANs }}, "extKeyUsage": ["clientAuth"]}"#;
    for (template, flaw) in [(none, Flaw::Extension), (both, Flaw::Purpose), (asked, Flaw::Names)] {
        let Some(real) = Real::start(with(template)).await else { return };
        let order = order(&real.world, &RequestKey::generate().unwrap());
        let refused = real.issuer.issue_grant(&order).await;
        assert!(matches!(refused, Err(IssueError::Unfit(Unfit::Flaw(found))) if found == flaw), "{refused:?}");
    }
}

#[tokio::test]
async fn a_certificate_without_the_mark_of_its_provisioner_never_leaves() {
    let everywhere = |_: &std::path::Path, config: &mut Value| {
        config["authority"]["claims"] = json!({"disableSmallstepExtensions": true});
    };
    let Some(real) = Real::start(everywhere).await else { return };
    let refused = real.issuer.issue_grant(&order(&real.world, &RequestKey::generate().unwrap())).await;
    assert!(matches!(refused, Err(IssueError::Unfit(Unfit::Unmarked))), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("`disableSmallstepExtensions` out of every `claims`"));
}

#[tokio::test]
async fn ca_config_guard_on_the_real_program() {
    let Some(real) = Real::start(|_, _| {}).await else { return };
    let reported = real.issuer.guard().await.unwrap();
    let old = match &reported[..] {
        [] => false,
        [Warning::Old { version }] => Version::parse(version).is_none_or(|version| version < FLOOR),
        other => panic!("{other:?}"),
    };
    let (_, stranger) = ProvisionerKey::generate().unwrap();
    let root = real.authority.root_der();
    let other_key = real.program.issuer(root, stranger.expose(), &real.world).guard().await;
    assert!(matches!(other_key, Err(GuardError::NoProvisioner { .. })), "{other_key:?}");
    let another = Authority::create(&real.world, ISSUER).unwrap();
    let other_anchor = real.program.issuer(another.root_der(), &real.program.key(), &real.world).guard().await;
    assert!(matches!(other_anchor, Err(GuardError::OtherAnchor { .. })), "{other_anchor:?}");
    let acme = |_: &std::path::Path, config: &mut Value| {
        let acme = json!({"type": "ACME", "name": "acme"});
        config["authority"]["provisioners"].as_array_mut().unwrap().push(acme);
    };
    let judged = Real::start(acme).await.unwrap().issuer.guard().await;
    match judged {
        Err(GuardError::Holes { risky, .. }) if old => assert_eq!(risky, ["the ACME provisioner \"acme\""]),
        Ok(reported) if !old => assert!(matches!(&reported[..], [Warning::Risky { .. }]), "{reported:?}"),
        other => panic!("{other:?}"),
    }
    let claims = [json!({}), json!({"disableRenewal": true, "disableSmallstepExtensions": true})];
    for claims in claims {
        let lax = Real::start(|_, config| provisioner(config)["claims"] = claims.clone()).await.unwrap();
        let judged = lax.issuer.guard().await;
        assert!(matches!(judged, Err(GuardError::Renewal { .. })), "{claims}: {judged:?}");
    }
}

#[tokio::test]
async fn a_ca_without_lists_says_which_setting_makes_them() {
    let Some(real) = Real::start(|_, config| drop(config.as_object_mut().unwrap().remove("crl"))).await else { return };
    let order = pki::CrlOrder { revoked: &[], number: 1, now: real.world.now() };
    let refused = real.issuer.crl(&order).await.unwrap_err();
    assert!(matches!(&refused, IssueError::Ca(CaError::Refused { status, .. }) if status.as_u16() == 404), "{refused}");
    assert!(refused.to_string().contains("is it switched on in ca.json?"), "{refused}");
}

#[tokio::test]
async fn a_step_ca_that_is_gone_is_said_with_its_address_and_what_to_do() {
    let Some(real) = Real::start(|_, _| {}).await else { return };
    let (at, order) = (real.issuer.at().to_string(), order(&real.world, &RequestKey::generate().unwrap()));
    let Real { issuer, program, .. } = real;
    drop::<Program>(program);
    let began = Instant::now();
    let refused = issuer.issue_grant(&order).await.unwrap_err();
    assert!(matches!(refused, IssueError::Ca(CaError::Away { .. })), "{refused}");
    for said in [at.as_str(), "start step-ca", "Links stay up until their certificates end"] {
        assert!(refused.to_string().contains(said), "{refused}");
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(matches!(issuer.guard().await, Err(GuardError::Ca(CaError::Away { .. }))));
}

#[tokio::test]
async fn a_life_that_the_provisioner_forbids_is_refused_with_where_to_look() {
    let short = |_: &std::path::Path, config: &mut Value| {
        provisioner(config)["claims"]["maxTLSCertDuration"] = json!("24h");
        provisioner(config)["claims"]["defaultTLSCertDuration"] = json!("24h");
    };
    let Some(real) = Real::start(short).await else { return };
    let order = pki::GrantOrder { life: 30 * DAY, ..order(&real.world, &RequestKey::generate().unwrap()) };
    let refused = real.issuer.issue_grant(&order).await.unwrap_err().to_string();
    assert!(refused.contains("403") && refused.contains("claims and template of the provisioner"), "{refused}");
}

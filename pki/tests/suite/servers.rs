//! The sharing side's own certificate, and how an asking side looks at it.

use super::{
    forge::{DAY, Forge, HOLDER, ISSUER, NOW, uri},
    handshake::{Shown, meet},
};
use domain::{Time, id::InstanceId};
use pki::{Flaw, InstanceIdentity, InstanceOrder, IssueError, ServerVerifier, profile, spiffe};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::Error;
use std::{sync::Arc, time::Duration};

pub fn identity(forge: &Forge) -> InstanceIdentity {
    identity_at(forge, NOW)
}

pub fn identity_at(forge: &Forge, now: Time) -> InstanceIdentity {
    let order = InstanceOrder { names: vec!["fed.example.org".to_owned()], now, life: 30 * DAY };
    forge.authority.issue_instance(&order).unwrap()
}

/// What an asking side of `instance` under `forge`'s root, looking for `name`, says to `certificate`.
fn judged(forge: &Forge, instance: InstanceId, name: &str, certificate: Vec<u8>, key: &[u8]) -> Option<Flaw> {
    let clock = Arc::clone(&forge.clock) as _;
    let verifier = Arc::new(ServerVerifier::new(forge.authority.root_der(), instance, clock).unwrap());
    let shown = Shown { chain: vec![certificate], key };
    let (for_clients, _) = forge.verifier.for_connection();
    let (issued, client_key) = forge.honest();
    let client = Shown { chain: vec![issued.certificate], key: client_key.key_pkcs8.expose() };
    let (_, asked) = meet(forge, for_clients, Some((Arc::clone(&verifier) as _, name, &shown)), Some(&client));
    assert_eq!(asked.is_err(), verifier.flaw().is_some(), "{asked:?}");
    verifier.flaw()
}

#[test]
fn the_instance_of_the_invite_is_believed_under_its_own_and_its_public_name() {
    let forge = Forge::new();
    let own = identity(&forge);
    for name in [spiffe::tls_name(ISSUER).as_str(), "fed.example.org"] {
        assert_eq!(judged(&forge, ISSUER, name, own.certificate.clone(), own.key.expose()), None, "{name}");
    }
    let other = judged(&forge, ISSUER, "other.example.org", own.certificate.clone(), own.key.expose());
    assert_eq!(other, Some(Flaw::Names));
}

#[test]
fn another_instance_is_not_believed_even_under_the_same_root() {
    let forge = Forge::new();
    let own = identity(&forge);
    let flaw = judged(&forge, HOLDER, "fed.example.org", own.certificate.clone(), own.key.expose());
    assert_eq!(flaw, Some(Flaw::Instance));
    let foreign = Forge::of(ISSUER);
    let theirs = identity(&foreign);
    let flaw = judged(&forge, ISSUER, "fed.example.org", theirs.certificate.clone(), theirs.key.expose());
    assert_eq!(flaw, Some(Flaw::Chain));
}

#[test]
fn an_instance_certificate_ends_by_our_clock() {
    let forge = Forge::new();
    let own = identity(&forge);
    let judged = || judged(&forge, ISSUER, "fed.example.org", own.certificate.clone(), own.key.expose());
    for (at, flaw) in [
        (NOW + 30 * DAY, None),
        (NOW + 30 * DAY + Duration::from_secs(1), Some(Flaw::Expired)),
        (NOW.before(Duration::from_mins(5)), None),
        (NOW.before(Duration::from_secs(301)), Some(Flaw::NotYetValid)),
    ] {
        forge.clock.set(at);
        assert_eq!(judged(), flaw, "{at}");
    }
}

#[test]
fn a_grant_certificate_cannot_pose_as_a_server_nor_a_server_as_a_client() {
    let forge = Forge::new();
    let (grant, key) = forge.honest();
    let flaw = judged(&forge, ISSUER, "fed.example.org", grant.certificate.clone(), key.key_pkcs8.expose());
    assert_eq!(flaw, Some(Flaw::Purpose));
    assert_eq!(profile::instance_leaf(&grant.certificate, ISSUER), Err(Flaw::Purpose));
    assert_eq!(profile::grant_leaf(&identity(&forge).certificate, ISSUER), Err(Flaw::Purpose));
}

fn instance_params(names: Vec<SanType>) -> CertificateParams {
    let mut params = super::forge::grant_params();
    params.custom_extensions.clear();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = names;
    params
}

#[test]
fn the_names_of_an_instance_certificate_are_strict() {
    let forge = Forge::new();
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let (id, own) = (uri(&spiffe::instance_id(ISSUER, ISSUER)), dns(&spiffe::tls_name(ISSUER)));
    let cases = [
        (vec![id.clone(), own.clone()], Ok(())),
        (vec![own.clone()], Err(Flaw::Names)),
        (vec![id.clone()], Err(Flaw::Names)),
        (vec![id.clone(), dns("fed.example.org")], Err(Flaw::Names)),
        (vec![id.clone(), id.clone(), own.clone()], Err(Flaw::Names)),
        (vec![id.clone(), own.clone(), dns("*.example.org")], Err(Flaw::Names)),
        (vec![id.clone(), own.clone(), dns("Fed.example.org")], Err(Flaw::Names)),
        (vec![id.clone(), own.clone(), SanType::IpAddress([127, 0, 0, 1].into())], Err(Flaw::Names)),
        (vec![uri(&spiffe::instance_id(ISSUER, HOLDER)), own.clone()], Err(Flaw::Instance)),
        (vec![uri(&spiffe::instance_id(HOLDER, ISSUER)), own], Err(Flaw::Instance)),
    ];
    for (names, expected) in cases {
        let shown = format!("{names:?}");
        let certificate = forge.sign(&instance_params(names), &KeyPair::generate().unwrap());
        assert_eq!(profile::instance_leaf(&certificate, ISSUER).map(drop), expected, "{shown}");
    }
}

#[test]
fn public_names_that_are_none_are_refused_at_issue() {
    let forge = Forge::new();
    for name in
        ["*.example.org", "fed.example.org:7443", "Fed.example.org", "127.0.0.1", "", "a..b", "a.b.", "-a.b", "ä.de"]
    {
        let order = InstanceOrder { names: vec![name.to_owned()], now: NOW, life: 30 * DAY };
        assert!(matches!(forge.authority.issue_instance(&order), Err(IssueError::Name(_))), "{name}");
    }
}

#[test]
fn a_server_with_the_right_certificate_and_another_key_is_not_believed() {
    let forge = Forge::new();
    let (own, other) = (identity(&forge), identity(&forge));
    let clock = Arc::clone(&forge.clock) as _;
    let verifier = Arc::new(ServerVerifier::new(forge.authority.root_der(), ISSUER, clock).unwrap());
    let shown = Shown { chain: vec![own.certificate], key: other.key.expose() };
    let (for_clients, _) = forge.verifier.for_connection();
    let (_, asked) = meet(&forge, for_clients, Some((verifier, "fed.example.org", &shown)), None);
    assert!(matches!(asked, Err(Error::InvalidCertificate(_))), "{asked:?}");
}

//! The contract, case by case.

use super::bench::Bench;
use crate::{
    der,
    forge::{DAY, GRANT, HOLDER, ISSUER, SUBJECT},
};
use domain::{Time, id::Serial};
use pki::{
    CheckedCsr, CrlOrder, GrantOrder, InstanceOrder, IssueError, RequestKey, Revoked, Why, crl, enrolled, profile,
    spiffe,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ED25519};
use std::{collections::HashSet, time::Duration};
use x509_parser::{
    prelude::FromDer,
    revocation_list::{CertificateRevocationList, RevokedCertificate},
};

pub async fn a_grant_certificate_is_its_order_to_the_letter(bench: &Bench) {
    let key = RequestKey::generate().unwrap();
    let order = bench.order(&key);
    let issued = bench.issuer.issue_grant(&order).await.unwrap();
    let read = profile::grant_leaf(&issued.certificate, ISSUER).unwrap();
    assert_eq!((read.holder, read.grant, read.subject), (HOLDER, GRANT, SUBJECT));
    assert_eq!((&read.leaf, read.leaf.spki), (&issued.leaf, key.spki));
    assert_eq!(read.leaf.not_after.seconds(), (order.now + order.life).seconds());
    let judged = bench.verifier().judge(&issued.certificate.clone().into(), &[]);
    assert_eq!(judged.map_err(|refused| refused.flaw), Ok(read.clone()));
    // And as the asking side looks at it.
    let root = bench.issuer.anchor_der();
    let expected = enrolled::Expected { root, issuer: ISSUER, holder: HOLDER, grant: GRANT, spki: key.spki };
    assert_eq!(enrolled::check(&issued.certificate, &expected, bench.world.now()), Ok(read));
}

pub async fn an_instance_certificate_has_the_instances_names_and_the_public_ones(bench: &Bench) {
    let own = spiffe::tls_name(ISSUER);
    for public in [vec![], vec!["fed.example.org"], vec!["b.example", "a.example"], vec!["a.example", "a.example"]] {
        let names: Vec<_> = public.iter().map(|name| (*name).to_owned()).collect();
        let order = InstanceOrder { names, now: bench.world.now(), life: 30 * DAY };
        let made = bench.issuer.issue_instance(&order).await.unwrap();
        let read = profile::instance_leaf(&made.certificate, ISSUER).unwrap();
        let expected: HashSet<_> = public.iter().copied().chain([own.as_str()]).collect();
        assert_eq!(read.names.iter().map(String::as_str).collect::<HashSet<_>>(), expected);
        assert_eq!((read.instance, &read.leaf), (ISSUER, &made.leaf));
        let key = KeyPair::try_from(made.key.expose().as_slice()).unwrap();
        assert_eq!(pki::key::fingerprint(&rcgen::PublicKeyData::subject_public_key_info(&key)), made.leaf.spki);
    }
}

pub async fn a_certificate_lives_as_long_as_was_ordered_and_no_longer_than_the_policy(bench: &Bench) {
    let second = Duration::from_secs(1);
    for (life, ok) in [
        (Duration::from_secs(299), false),
        (Duration::from_mins(5), true),
        (DAY, true),
        (90 * DAY, true),
        (90 * DAY + second, false),
    ] {
        let order = GrantOrder { life, ..bench.order(&RequestKey::generate().unwrap()) };
        match bench.issuer.issue_grant(&order).await {
            Ok(issued) => assert!(ok && issued.leaf.not_after.seconds() == (order.now + life).seconds(), "{life:?}"),
            Err(error) => assert!(!ok && matches!(error, IssueError::Life(_)), "{life:?}: {error}"),
        }
    }
}

pub async fn a_public_name_that_is_none_is_refused(bench: &Bench) {
    for name in ["*.example.org", "fed.example.org:7443", "Fed.example.org", "127.0.0.1", "", "ä.de", "a\"b.de"] {
        let order = InstanceOrder { names: vec![name.to_owned()], now: bench.world.now(), life: DAY };
        let refused = bench.issuer.issue_instance(&order).await;
        assert!(matches!(refused, Err(IssueError::Name(_))), "{name}");
    }
}

pub async fn an_order_with_the_same_key_renews_and_one_with_another_key_rekeys(bench: &Bench) {
    let (first, key) = bench.honest().await;
    let renewed = bench.issuer.issue_grant(&bench.order(&key)).await.unwrap();
    let (rekeyed, _) = bench.honest().await;
    assert_eq!(renewed.leaf.spki, first.leaf.spki);
    assert_ne!(rekeyed.leaf.spki, first.leaf.spki);
    let serials: HashSet<_> = [&first, &renewed, &rekeyed].map(|one| one.leaf.serial.clone()).into();
    assert_eq!(serials.len(), 3);
    for one in [first, renewed, rekeyed] {
        assert!(bench.verifier().judge(&one.certificate.into(), &[]).is_ok());
    }
}

pub async fn both_kinds_of_keys_are_certified(bench: &Bench) {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let csr = CheckedCsr::parse(params.serialize_request(&key).unwrap().der()).unwrap();
    let spki = csr.spki();
    let order = GrantOrder { csr, ..bench.order(&RequestKey::generate().unwrap()) };
    let issued = bench.issuer.issue_grant(&order).await.unwrap();
    assert_eq!(issued.leaf.spki, spki);
    assert!(bench.verifier().judge(&issued.certificate.into(), &[]).is_ok());
}

pub async fn serial_numbers_never_repeat(bench: &Bench) {
    let key = RequestKey::generate().unwrap();
    let mut serials = HashSet::new();
    for _ in 0..20 {
        serials.insert(bench.issuer.issue_grant(&bench.order(&key)).await.unwrap().leaf.serial);
    }
    assert_eq!(serials.len(), 20);
}

pub async fn many_orders_at_once_are_each_fulfilled(bench: &Bench) {
    let (a, b, c, d) = tokio::join!(bench.honest(), bench.honest(), bench.honest(), bench.honest());
    for (issued, key) in [a, b, c, d] {
        assert_eq!(issued.leaf.spki, key.spki);
    }
}

fn revoked(bench: &Bench, serial: &Serial, not_after: Time) -> Revoked {
    Revoked { serial: serial.clone(), at: bench.world.now(), why: Why::Ended, not_after }
}

/// Serial numbers and reasons.
fn listed(list: &[u8]) -> Vec<(Serial, u8)> {
    let ([], list) = CertificateRevocationList::from_der(list).unwrap() else { panic!("bytes after the end") };
    let entry = |one: &RevokedCertificate<'_>| {
        (Serial::new(one.raw_serial()).unwrap(), one.reason_code().map_or(0, |(_, reason)| reason.0))
    };
    list.iter_revoked_certificates().map(entry).collect()
}

pub async fn a_revoked_certificate_is_on_the_list_and_revoking_twice_is_no_error(bench: &Bench) {
    let mut all = Vec::new();
    for why in [Why::Ended, Why::Replaced, Why::KeyCompromised] {
        let leaf = bench.honest().await.0.leaf;
        all.push(Revoked { why, ..revoked(bench, &leaf.serial, leaf.not_after) });
    }
    let (kept, _) = bench.honest().await;
    for one in &all {
        for _ in 0..2 {
            bench.issuer.revoke(&one.serial, one.why).await.unwrap();
        }
    }
    let order = CrlOrder { revoked: &all, number: 7, now: bench.world.now() };
    let list = listed(&bench.issuer.crl(&order).await.unwrap());
    assert_eq!(list.len(), 3);
    let whole = bench.issuer.crl(&order).await.unwrap();
    let read = crl::read(&whole, bench.issuer.anchor_der(), None, order.now).unwrap();
    assert!(all.iter().all(|one| read.serials.contains(&one.serial)) && read.serials.len() == 3);
    // step-ca 0.29 leaves the reasons out.
    let is = |one: &Revoked| [0, one.why.code()].map(|reason| list.contains(&(one.serial.clone(), reason)));
    assert!(all.iter().all(|one| is(one) != [false; 2]), "{list:?}");
    assert!(list.iter().all(|(serial, _)| *serial != kept.leaf.serial));
}

pub async fn a_list_is_signed_by_the_anchor_and_lives_a_day(bench: &Bench) {
    let order = CrlOrder { revoked: &[], number: 1, now: bench.world.now() };
    let (list, anchor) = (bench.issuer.crl(&order).await.unwrap(), bench.issuer.anchor_der());
    let missing = [revoked(bench, &Serial::new(&[7; 16]).unwrap(), order.now + DAY)];
    let second = Duration::from_secs(1);
    for (now, revoked, expected) in [
        (order.now, &[][..], Ok(())),
        (order.now + DAY + 10 * second, &[], Err(crl::CrlError::Expired)),
        (order.now.before(DAY), &[], Err(crl::CrlError::NotYet)),
        (order.now, &missing, Err(crl::CrlError::Lacks(missing[0].serial.clone()))),
    ] {
        assert_eq!(crl::check(&list, anchor, &CrlOrder { revoked, now, ..order }), expected);
    }
    // What either issuer makes may be read as another instance's list is.
    let read = crl::read(&list, anchor, None, order.now).unwrap();
    assert!(read.begins <= order.now && read.ends > order.now);
    let stranger = Bench::on_embedded();
    let foreign = stranger.issuer.anchor_der();
    assert_eq!(crl::check(&list, foreign, &order), Err(crl::CrlError::Signature));
    let other = RequestKey::generate().unwrap();
    let forged = der::resigned(&list, &[0x30], &[0x30], other.key_pkcs8.expose());
    assert_eq!(crl::check(&forged, anchor, &order), Err(crl::CrlError::Signature));
    assert_eq!(crl::check(&[list.as_slice(), &[0]].concat(), anchor, &order), Err(crl::CrlError::Encoding));
    assert_eq!(crl::check(&list[1..], anchor, &order), Err(crl::CrlError::Encoding));
}

pub async fn what_has_ended_by_itself_need_not_be_on_the_list(bench: &Bench) {
    let now = bench.world.now();
    let past = [revoked(bench, &Serial::new(&[9; 16]).unwrap(), now.before(Duration::from_secs(1)))];
    let list = bench.issuer.crl(&CrlOrder { revoked: &past, number: 1, now }).await.unwrap();
    assert_eq!(listed(&list), []);
}

//! The client verifier in real handshakes: chain, time, keys, denial, and what a hostile chain costs.

use super::{
    der,
    forge::{DAY, Forge, GRANT, ISSUER, NOW, common_name, grant_params},
    handshake::{Shown, knock},
};
use pki::{Deny, Flaw, RequestKey, authority::ROOT_LIFE, key};
use rcgen::{KeyPair, PublicKeyData, SanType};
use rustls::{AlertDescription as Alert, Error};
use std::time::{Duration, Instant};

fn flaw(forge: &Forge, chain: Vec<Vec<u8>>, key: &RequestKey) -> (Option<Flaw>, Option<Alert>) {
    let (served, refused, alert) = knock(forge, Some(&Shown { chain, key: key.key_pkcs8.expose() }));
    assert_eq!(served.is_err(), refused.is_some(), "{served:?}");
    (refused.map(|refused| refused.flaw), alert)
}

#[test]
fn an_honest_certificate_is_let_in_and_an_absent_one_is_not() {
    let forge = Forge::new();
    let (issued, key) = forge.honest();
    assert_eq!(flaw(&forge, vec![issued.certificate], &key), (None, None));
    let (served, refused, alert) = knock(&forge, None);
    assert_eq!(served, Err(Error::NoCertificatesPresented));
    assert_eq!((refused, alert), (None, Some(Alert::CertificateRequired)));
}

#[test]
fn validity_is_judged_by_our_clock() {
    let forge = Forge::new();
    let (issued, key) = forge.honest();
    let second = Duration::from_secs(1);
    for (at, expected) in [
        (NOW.before(Duration::from_mins(5)), None),
        (NOW.before(Duration::from_mins(5) + second), Some(Flaw::NotYetValid)),
        (NOW + 30 * DAY, None),
        (NOW + 30 * DAY + second, Some(Flaw::Expired)),
        (NOW + 366 * DAY, Some(Flaw::Expired)),
    ] {
        forge.clock.set(at);
        let (flaw, alert) = flaw(&forge, vec![issued.certificate.clone()], &key);
        assert_eq!(flaw, expected, "{at}");
        assert_eq!(alert, expected.map(|_| Alert::CertificateExpired), "{at}");
    }
}

#[test]
fn a_root_that_has_ended_lets_nobody_in() {
    let forge = Forge::new();
    let last = NOW.before(DAY) + ROOT_LIFE;
    let leaf = forge.changed(|params| {
        params.not_before = last.before(DAY).to_offset();
        params.not_after = (last + DAY).to_offset();
    });
    for (at, expected) in [(last, None), (last + Duration::from_secs(1), Some(Flaw::Expired))] {
        forge.clock.set(at);
        let judged = forge.verifier.judge(&leaf.clone().into(), &[]);
        assert_eq!(judged.err().map(|refused| refused.flaw), expected, "{at}");
    }
}

#[test]
fn same_name_other_key() {
    let (ours, theirs) = (Forge::new(), Forge::of(ISSUER));
    let (foreign, key) = theirs.honest();
    // The same names, the same issuer's name, another CA.
    assert_eq!(flaw(&ours, vec![foreign.certificate], &key).0, Some(Flaw::Chain));
    // Our own certificate in the hands of somebody without its key: past the verifier, stopped by the signature.
    let (issued, _) = ours.honest();
    let shown = Shown { chain: vec![issued.certificate], key: key.key_pkcs8.expose() };
    let (served, refused, alert) = knock(&ours, Some(&shown));
    assert!(matches!(served, Err(Error::InvalidCertificate(_))), "{served:?}");
    assert_eq!((refused, alert), (None, Some(Alert::DecryptError)));
}

#[test]
fn a_foreign_root_or_a_root_of_its_own_is_unknown() {
    let forge = Forge::new();
    let (foreign, key) = Forge::new().honest();
    assert_eq!(flaw(&forge, vec![foreign.certificate], &key), (Some(Flaw::Chain), Some(Alert::UnknownCA)));
    let own = KeyPair::generate().unwrap();
    let selfsigned = grant_params().self_signed(&own).unwrap().der().to_vec();
    let (served, refused, _) = knock(&forge, Some(&Shown { chain: vec![selfsigned], key: own.serialized_der() }));
    assert!(served.is_err());
    assert_eq!(refused.unwrap().flaw, Flaw::Chain);
}

#[test]
fn a_denied_serial_or_key_is_refused_at_the_very_next_handshake() {
    let forge = Forge::new();
    let (issued, key) = forge.honest();
    let by_serial = Deny { serials: [issued.leaf.serial.clone()].into(), ..Deny::default() };
    let by_key = Deny { keys: [issued.leaf.spki].into(), ..Deny::default() };
    for deny in [by_serial, by_key] {
        assert_eq!(flaw(&forge, vec![issued.certificate.clone()], &key).0, None);
        forge.deny.swap(deny);
        let (served, refused, alert) =
            knock(&forge, Some(&Shown { chain: vec![issued.certificate.clone()], key: key.key_pkcs8.expose() }));
        assert!(served.is_err());
        let refused = refused.unwrap();
        assert_eq!((refused.flaw, refused.grant, alert), (Flaw::Denied, Some(GRANT), Some(Alert::CertificateRevoked)));
        assert_eq!(refused.serial.as_ref(), Some(&issued.leaf.serial));
        forge.deny.swap(Deny::default());
    }
}

#[test]
fn revoked_cert_malleated() {
    let forge = Forge::new();
    let (issued, key) = forge.honest();
    let twin = der::malleated(&issued.certificate);
    assert_ne!(key::fingerprint(&twin), key::fingerprint(&issued.certificate), "another hash of the whole");
    assert_eq!(flaw(&forge, vec![twin.clone()], &key).0, None, "a valid second encoding");
    for deny in [
        Deny { serials: [issued.leaf.serial.clone()].into(), ..Deny::default() },
        Deny { keys: [issued.leaf.spki].into(), ..Deny::default() },
    ] {
        forge.deny.swap(deny);
        assert_eq!(flaw(&forge, vec![twin.clone()], &key).0, Some(Flaw::Denied));
        assert_eq!(flaw(&forge, vec![der::malleated(&twin)], &key).0, Some(Flaw::Denied));
    }
}

#[test]
fn a_refusal_names_a_grant_only_when_our_own_ca_had_issued_the_leaf() {
    let (ours, theirs) = (Forge::new(), Forge::of(ISSUER));
    let (foreign, _) = theirs.honest();
    let refused = ours.verifier.judge(&foreign.certificate.into(), &[]).unwrap_err();
    assert_eq!((refused.flaw, refused.grant), (Flaw::Chain, None));
    assert_eq!(refused.serial, Some(foreign.leaf.serial));
}

#[test]
fn nothing_but_our_own_root_may_come_behind_the_leaf() {
    let forge = Forge::new();
    let (issued, key) = forge.honest();
    let root = forge.authority.root_der().to_vec();
    let behind = |more: &[&Vec<u8>]| {
        let chain = std::iter::once(&issued.certificate).chain(more.iter().copied()).cloned().collect();
        flaw(&forge, chain, &key).0
    };
    assert_eq!(behind(&[&root]), None, "OpenSSL sends it along");
    let other = Forge::of(ISSUER).authority.root_der().to_vec();
    for more in
        [&[&root, &root][..], &[&other], &[&issued.certificate], &[&root, &other], &[&root[..root.len() - 1].to_vec()]]
    {
        assert_eq!(behind(more), Some(Flaw::Chain));
    }
    // Nor does the root stand in for the leaf's issuer: a leaf of another CA is as unknown as without it.
    let (foreign, foreign_key) = Forge::of(ISSUER).honest();
    assert_eq!(flaw(&forge, vec![foreign.certificate, root.clone()], &foreign_key).0, Some(Flaw::Chain));
    // A CA below ours does not help either: it was issued truly, yet nobody accepts what it signs.
    let below = KeyPair::generate().unwrap();
    let mut params = grant_params();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name = common_name("below");
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let below_der = forge.sign(&params, &below);
    let below = rcgen::Issuer::new(params, &below);
    let own = KeyPair::generate().unwrap();
    let leaf = grant_params().signed_by(&own, &below).unwrap().der().to_vec();
    let (served, refused, _) = knock(&forge, Some(&Shown { chain: vec![leaf, below_der], key: own.serialized_der() }));
    assert!(served.is_err());
    assert_eq!(refused.unwrap().flaw, Flaw::Chain);
}

#[test]
fn weird_key_alg_chain() {
    let forge = Forge::new();
    let (issued, key) = forge.honest();
    // id-ecPublicKey becomes an arc that means nothing; then the curve does.
    let edits: [(&[u8], &[u8]); 2] = [
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x7f, 0x7f]),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x7f]),
    ];
    for (from, to) in edits {
        let weird = der::resigned(&issued.certificate, from, to, forge.authority.key_pkcs8().expose());
        let (flaw, alert) = flaw(&forge, vec![weird], &key);
        assert!(matches!(flaw, Some(Flaw::KeyKind | Flaw::Chain)), "{flaw:?}");
        assert!(alert.is_some());
    }
    assert_eq!(self::flaw(&forge, vec![issued.certificate], &key).0, None, "the verifier goes on");
}

#[test]
fn a_compressed_point_is_another_spelling_of_a_key_and_refused() {
    let key = KeyPair::generate().unwrap();
    let spki = key.subject_public_key_info();
    assert!(key::KeyKind::of(&spki).is_some());
    let mut compressed = vec![0x30, 0x39];
    compressed.extend_from_slice(&spki[2..23]);
    compressed.extend_from_slice(&[0x03, 0x22, 0x00, 0x02]);
    compressed.extend_from_slice(&spki[27..59]);
    assert_eq!(key::KeyKind::of(&compressed), None);
}

#[test]
fn huge_cert() {
    let forge = Forge::new();
    let key = KeyPair::generate().unwrap();
    let mut params = grant_params();
    params.subject_alt_names =
        (0..5_000).map(|n| SanType::DnsName(format!("n{n}.x.org").as_str().try_into().unwrap())).collect();
    let huge = forge.sign(&params, &key);
    assert!(huge.len() > 60_000, "{}", huge.len());
    let (issued, _) = forge.honest();
    let many = vec![issued.certificate.clone().into(); 100];
    let started = Instant::now();
    let alone = forge.verifier.judge(&huge.clone().into(), &[]).unwrap_err();
    let crowd = forge.verifier.judge(&issued.certificate.into(), &many).unwrap_err();
    assert!(started.elapsed() < Duration::from_millis(20), "{:?}", started.elapsed());
    assert_eq!((alone.flaw, crowd.flaw), (Flaw::Size, Flaw::Chain));
    assert!(format!("{alone:?}").len() < 4_096, "the record of it stays short");
    let (served, refused, _) = knock(&forge, Some(&Shown { chain: vec![huge], key: key.serialized_der() }));
    assert!(served.is_err());
    assert_eq!(refused.unwrap().flaw, Flaw::Size);
}

#[test]
fn each_connection_remembers_its_own_refusal_and_no_other() {
    let forge = Forge::new();
    let (issued, _) = forge.honest();
    let (first, saw_first) = forge.verifier.for_connection();
    let (_, saw_second) = forge.verifier.for_connection();
    let now = rustls::pki_types::UnixTime::since_unix_epoch(Duration::ZERO);
    first.verify_client_cert(&issued.certificate.into(), &[], now).unwrap();
    assert_eq!(saw_first.saw().unwrap().as_ref().unwrap().grant, GRANT);
    assert!(saw_second.saw().is_none());
}

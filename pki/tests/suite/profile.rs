//! The grant leaf profile, case by case: each certificate is truly signed by our own CA and shown in a real handshake.

use super::{
    der,
    forge::{
        DAY, Forge, GRANT, GRANT_OID, HOLDER, ISSUER, NOW, SUBJECT, SUBJECT_OID, common_name, grant_params, uri, utf8,
    },
    handshake::{Shown, knock},
};
use pki::{Flaw, GrantLeaf, profile, spiffe};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose as Purpose, IsCa, KeyPair,
    KeyUsagePurpose as Usage, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SanType, SerialNumber,
    SignatureAlgorithm,
};
use std::time::Duration;

type Change = fn(&mut CertificateParams);

/// Shows each changed certificate in a handshake; each must be refused for this reason, with an alert and no more.
fn refused(cases: &[(&str, Flaw, Change)]) {
    let forge = Forge::new();
    for (name, flaw, change) in cases {
        let mut params = grant_params();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let shown = Shown { chain: vec![forge.sign(&params, &key)], key: key.serialized_der() };
        let (served, refused, alert) = knock(&forge, Some(&shown));
        assert!(served.is_err(), "{name} was let in");
        assert_eq!(refused.map(|refused| refused.flaw), Some(*flaw), "{name}");
        assert!(alert.is_some(), "{name} got no alert");
    }
}

fn accepted(changes: &[Change]) {
    let forge = Forge::new();
    for (at, change) in changes.iter().enumerate() {
        let mut params = grant_params();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let shown = Shown { chain: vec![forge.sign(&params, &key)], key: key.serialized_der() };
        let (served, refused, _) = knock(&forge, Some(&shown));
        assert!(served.is_ok(), "case {at}: {served:?} {refused:?}");
    }
}

#[test]
fn the_unchanged_leaf_is_accepted_so_each_refusal_has_one_cause() {
    accepted(&[|_| {}, |p| p.key_usages.clear(), |p| p.is_ca = IsCa::ExplicitNoCa]);
}

#[test]
fn eku_matrix() {
    refused(&[
        ("no purpose", Flaw::Purpose, |p| p.extended_key_usages.clear()),
        ("any purpose", Flaw::Purpose, |p| p.extended_key_usages = vec![Purpose::Any]),
        ("server", Flaw::Purpose, |p| p.extended_key_usages = vec![Purpose::ServerAuth]),
        ("e-mail", Flaw::Purpose, |p| p.extended_key_usages = vec![Purpose::EmailProtection]),
        ("client and server", Flaw::Purpose, |p| p.extended_key_usages.push(Purpose::ServerAuth)),
        ("server and client", Flaw::Purpose, |p| p.extended_key_usages.insert(0, Purpose::ServerAuth)),
        ("client and any", Flaw::Purpose, |p| p.extended_key_usages.push(Purpose::Any)),
        ("client twice", Flaw::Purpose, |p| p.extended_key_usages.push(Purpose::ClientAuth)),
    ]);
}

#[test]
fn san_type_matrix() {
    fn id() -> String {
        spiffe::instance_id(ISSUER, HOLDER)
    }
    refused(&[
        ("no name", Flaw::Names, |p| p.subject_alt_names.clear()),
        ("in a DNS name", Flaw::Names, |p| {
            p.subject_alt_names = vec![SanType::DnsName(id().try_into().unwrap())];
        }),
        ("in an e-mail address", Flaw::Names, |p| {
            p.subject_alt_names = vec![SanType::Rfc822Name(id().try_into().unwrap())];
        }),
        ("as an IP address", Flaw::Names, |p| p.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())]),
        ("in an other name", Flaw::Names, |p| {
            let value = rcgen::OtherNameValue::Utf8String(id());
            p.subject_alt_names = vec![SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 99_999, 3], value))];
        }),
        ("in the common name", Flaw::Names, |p| {
            p.subject_alt_names.clear();
            p.distinguished_name = common_name(&id());
        }),
        ("two URIs", Flaw::Names, |p| p.subject_alt_names.push(uri("spiffe://example.org/other"))),
        ("twice the same URI", Flaw::Names, |p| p.subject_alt_names.push(uri(&id()))),
        ("a URI and a DNS name", Flaw::Names, |p| {
            p.subject_alt_names.push(SanType::DnsName("example.org".try_into().unwrap()));
        }),
        ("another trust domain", Flaw::Instance, |p| {
            p.subject_alt_names = vec![uri(&spiffe::instance_id(HOLDER, HOLDER))];
        }),
        ("upper case", Flaw::Names, |p| p.subject_alt_names = vec![uri(&id().to_uppercase())]),
        ("a wildcard", Flaw::Names, |p| p.subject_alt_names = vec![uri(&id().replace("7c9e", "*"))]),
        ("a longer path", Flaw::Names, |p| p.subject_alt_names = vec![uri(&format!("{}/x", id()))]),
        ("a trust domain alone", Flaw::Names, |p| {
            p.subject_alt_names = vec![uri(&spiffe::trust_domain_id(ISSUER))];
        }),
    ]);
}

#[test]
fn cn_is_ignored() {
    let forge = Forge::new();
    let plain = profile::grant_leaf(&forge.changed(|_| {}), ISSUER).unwrap();
    for name in ["", "*", "admin", "spiffe://evil.example/instance/x", &GRANT.to_string()] {
        let certificate = forge.changed(|params| params.distinguished_name = common_name(name));
        let read = profile::grant_leaf(&certificate, ISSUER).unwrap();
        assert_eq!((read.holder, read.grant, read.subject), (plain.holder, plain.grant, plain.subject), "{name}");
    }
}

#[test]
fn the_two_extensions_must_be_there_once_and_well_formed() {
    fn drop_one(params: &mut CertificateParams, oid: &[u64]) {
        params.custom_extensions.retain(|extension| !extension.oid_components().eq(oid.iter().copied()));
    }
    fn instead(params: &mut CertificateParams, content: Vec<u8>) {
        drop_one(params, GRANT_OID);
        params.custom_extensions.push(CustomExtension::from_oid_content(GRANT_OID, content));
    }
    refused(&[
        ("no grant", Flaw::Extension, |p| drop_one(p, GRANT_OID)),
        ("no subject", Flaw::Extension, |p| drop_one(p, SUBJECT_OID)),
        ("the grant twice", Flaw::Extension, |p| p.custom_extensions.push(utf8(GRANT_OID, &GRANT.to_string()))),
        ("two grants", Flaw::Extension, |p| p.custom_extensions.push(utf8(GRANT_OID, &SUBJECT.to_string()))),
        ("the subject twice", Flaw::Extension, |p| p.custom_extensions.push(utf8(SUBJECT_OID, &SUBJECT.to_string()))),
        ("another string type", Flaw::Extension, |p| instead(p, der::element(0x13, GRANT.to_string().as_bytes()))),
        ("bytes instead of text", Flaw::Extension, |p| instead(p, der::element(0x04, GRANT.0.as_bytes()))),
        ("no encoding at all", Flaw::Extension, |p| instead(p, GRANT.to_string().into_bytes())),
        ("upper case", Flaw::Extension, |p| {
            instead(p, der::element(0x0c, GRANT.to_string().to_uppercase().as_bytes()));
        }),
        ("without dashes", Flaw::Extension, |p| {
            instead(p, der::element(0x0c, GRANT.to_string().replace('-', "").as_bytes()));
        }),
        ("with a NUL", Flaw::Extension, |p| instead(p, der::element(0x0c, format!("{GRANT}\0").as_bytes()))),
        ("with bytes after it", Flaw::Extension, |p| {
            instead(p, [der::element(0x0c, GRANT.to_string().as_bytes()), vec![0x05, 0x00]].concat());
        }),
        ("with a long length", Flaw::Extension, |p| {
            instead(p, [&[0x0c, 0x81, 36], GRANT.to_string().as_bytes()].concat());
        }),
        ("no UTF-8", Flaw::Extension, |p| instead(p, der::element(0x0c, &[0xff; 36]))),
        ("empty", Flaw::Extension, |p| instead(p, der::element(0x0c, b""))),
    ]);
}

#[test]
fn a_leaf_that_may_issue_is_refused() {
    let forge = Forge::new();
    // The chain check calls a CA in the place of a leaf a broken chain; the profile has its own word for it.
    let ca = forge.changed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(profile::grant_leaf(&ca, ISSUER), Err(Flaw::Authority));
    assert_eq!(forge.verifier.judge(&ca.into(), &[]).err().map(|refused| refused.flaw), Some(Flaw::Chain));
    refused(&[
        ("keyCertSign", Flaw::KeyUsage, |p| p.key_usages.push(Usage::KeyCertSign)),
        ("keyCertSign alone", Flaw::KeyUsage, |p| p.key_usages = vec![Usage::KeyCertSign]),
        ("cRLSign", Flaw::KeyUsage, |p| p.key_usages.push(Usage::CrlSign)),
        ("keyAgreement", Flaw::KeyUsage, |p| p.key_usages = vec![Usage::KeyAgreement]),
    ]);
}

#[test]
fn only_p256_and_ed25519_keys_come_in() {
    let forge = Forge::new();
    let cases: [(&'static SignatureAlgorithm, Option<Flaw>); 4] = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, None),
        (&PKCS_ED25519, None),
        (&PKCS_RSA_SHA256, Some(Flaw::KeyKind)),
        (&PKCS_ECDSA_P384_SHA384, Some(Flaw::KeyKind)),
    ];
    for (algorithm, flaw) in cases {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let shown = Shown { chain: vec![forge.sign(&grant_params(), &key)], key: key.serialized_der() };
        let (served, refused, _) = knock(&forge, Some(&shown));
        assert_eq!(served.is_ok(), flaw.is_none(), "{algorithm:?}: {served:?}");
        assert_eq!(refused.map(|refused| refused.flaw), flaw, "{algorithm:?}");
    }
}

#[test]
fn serial_numbers_have_8_to_20_bytes_and_are_positive() {
    let forge = Forge::new();
    for (bytes, ok) in [
        (vec![0x41; 7], false),
        (vec![0x41; 8], true),
        (vec![0x41; 20], true),
        (vec![0x41; 21], false),
        (vec![0], false),
    ] {
        let certificate = forge.changed(|params| params.serial_number = Some(SerialNumber::from_slice(&bytes)));
        let read = profile::grant_leaf(&certificate, ISSUER);
        assert_eq!(read.map(drop), if ok { Ok(()) } else { Err(Flaw::Serial) }, "{} bytes", bytes.len());
    }
    let key = forge.authority.key_pkcs8();
    let negative = der::resigned(&forge.changed(|_| {}), &[0x02, 0x10, 0x41], &[0x02, 0x10, 0xc1], key.expose());
    assert_eq!(profile::grant_leaf(&negative, ISSUER), Err(Flaw::Serial));
}

#[test]
fn a_leaf_lives_5_minutes_to_90_days_and_the_5_minutes_before_its_issue() {
    let forge = Forge::new();
    let most = 90 * DAY + Duration::from_mins(5);
    let second = Duration::from_secs(1);
    for (life, ok) in [
        (Duration::from_secs(299), false),
        (Duration::from_mins(5), true),
        (most.checked_sub(second).unwrap(), true),
        (most, true),
        (most + second, false),
    ] {
        let certificate = forge.changed(|params| {
            params.not_before = NOW.to_offset();
            params.not_after = (NOW + life).to_offset();
        });
        let read = profile::grant_leaf(&certificate, ISSUER);
        assert_eq!(read.map(drop), if ok { Ok(()) } else { Err(Flaw::Lifetime) }, "{life:?}");
    }
}

#[test]
fn an_unknown_critical_extension_is_refused_and_an_unknown_other_is_not_read() {
    fn unknown(params: &mut CertificateParams, critical: bool) {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 9], vec![5, 0]);
        extension.set_criticality(critical);
        params.custom_extensions.push(extension);
    }
    // The chain check finds it first and has no better word for it.
    refused(&[("critical", Flaw::Chain, |p| unknown(p, true))]);
    let critical = Forge::new().changed(|params| unknown(params, true));
    assert_eq!(profile::grant_leaf(&critical, ISSUER), Err(Flaw::UnknownCritical));
    accepted(&[|p| unknown(p, false)]);
}

fn honest() -> (Forge, Vec<u8>, GrantLeaf) {
    let forge = Forge::new();
    let certificate = forge.changed(|_| {});
    let read = profile::grant_leaf(&certificate, ISSUER).unwrap();
    (forge, certificate, read)
}

proptest! {
    #[test]
    fn no_bytes_make_the_profile_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(profile::grant_leaf(&bytes, ISSUER).is_err());
        prop_assert!(profile::instance_leaf(&bytes, ISSUER).is_err());
    }

    #[test]
    fn a_changed_leaf_never_panics_and_never_chains_to_another_identity(at in any::<prop::sample::Index>(), to: u8) {
        thread_local!(static HONEST: (Forge, Vec<u8>, GrantLeaf) = honest());
        HONEST.with(|(forge, certificate, read)| {
            let mut changed = certificate.clone();
            let at = at.index(changed.len());
            changed[at] = to;
            drop(profile::grant_leaf(&changed, ISSUER));
            if let Ok(judged) = forge.verifier.judge(&changed.into(), &[]) {
                prop_assert_eq!(&judged, read);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_cut_off_or_lengthened_leaf_is_refused(length in 0_usize..900) {
        let (_, mut certificate, _) = honest();
        prop_assume!(length != certificate.len());
        certificate.resize(length, 0);
        prop_assert!(profile::grant_leaf(&certificate, ISSUER).is_err());
    }
}

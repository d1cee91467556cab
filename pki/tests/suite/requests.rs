//! Certificate requests: the key comes in, nothing else does.

use super::forge::{DAY, Forge, GRANT, HOLDER, ISSUER, NOW, SUBJECT, common_name, uri};
use pki::{CheckedCsr, CsrError, GrantOrder, IssueError, RequestKey, profile, request, spiffe};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, SanType,
};
use std::time::Duration;

type Ask = fn(&mut CertificateParams);

fn request(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    change(&mut params);
    params.serialize_request(key).unwrap().der().to_vec()
}

#[test]
fn csr_extra_sans() {
    let key = KeyPair::generate().unwrap();
    let own = uri(&spiffe::instance_id(ISSUER, HOLDER));
    let foreign = uri(&spiffe::instance_id(ISSUER, ISSUER));
    let names: [(&str, Vec<SanType>, bool); 5] = [
        ("none", vec![], true),
        ("its own", vec![own.clone()], false),
        ("two", vec![own.clone(), foreign.clone()], false),
        ("the same twice", vec![own.clone(), own], false),
        ("a foreign one", vec![foreign], false),
    ];
    for (what, names, ok) in names {
        let parsed = CheckedCsr::parse(&request(&key, |params| params.subject_alt_names = names));
        assert_eq!(parsed.map(drop), if ok { Ok(()) } else { Err(CsrError::Extras) }, "{what}");
    }
    let asks: [(&str, Ask); 3] = [
        ("a purpose", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        ("to be a CA", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ("a grant", |params| {
            params.custom_extensions =
                vec![CustomExtension::from_oid_content(super::forge::GRANT_OID, vec![0x0c, 1, b'x'])];
        }),
    ];
    for (what, ask) in asks {
        assert_eq!(CheckedCsr::parse(&request(&key, ask)).map(drop), Err(CsrError::Extras), "{what}");
    }
}

#[test]
fn other_attributes_are_refused_as_well() {
    let key = KeyPair::generate().unwrap();
    let challenge =
        rcgen::Attribute { oid: &[1, 2, 840, 113_549, 1, 9, 7], values: vec![0x31, 0x03, 0x0c, 0x01, b'x'] };
    let params = CertificateParams::default();
    let request = params.serialize_request_with_attributes(&key, vec![challenge]).unwrap();
    assert_eq!(CheckedCsr::parse(request.der()).map(drop), Err(CsrError::Extras));
}

#[test]
fn csr_identity_fixed() {
    let forge = Forge::new();
    let key = KeyPair::generate().unwrap();
    for name in ["", "admin", "spiffe://evil.example/instance/x", "7c9e6679-7425-40de-944b-e07fc1f90ae7"] {
        let csr = CheckedCsr::parse(&request(&key, |params| params.distinguished_name = common_name(name))).unwrap();
        let spki = csr.spki();
        let order = GrantOrder { holder: HOLDER, grant: GRANT, subject: SUBJECT, csr, now: NOW, life: DAY };
        let issued = forge.authority.issue_grant(&order).unwrap();
        let read = profile::grant_leaf(&issued.certificate, ISSUER).unwrap();
        assert_eq!((read.holder, read.grant, read.subject), (HOLDER, GRANT, SUBJECT), "{name}");
        assert_eq!(read.leaf, issued.leaf);
        assert_eq!((read.leaf.spki, read.leaf.not_after), (spki, NOW + DAY));
        assert!(name.is_empty() || !contains(&issued.certificate, b"evil") && !contains(&issued.certificate, b"admin"));
    }
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[test]
fn an_order_outside_the_lifetime_policy_is_refused() {
    let forge = Forge::new();
    let second = Duration::from_secs(1);
    let most = 90 * DAY;
    for (life, ok) in
        [(Duration::from_secs(299), false), (Duration::from_mins(5), true), (most, true), (most + second, false)]
    {
        let csr = CheckedCsr::parse(&RequestKey::generate().unwrap().csr).unwrap();
        let order = GrantOrder { holder: HOLDER, grant: GRANT, subject: SUBJECT, csr, now: NOW, life };
        match forge.authority.issue_grant(&order) {
            Ok(_) => assert!(ok, "{life:?}"),
            Err(error) => assert!(!ok && matches!(error, IssueError::Life(_)), "{life:?}: {error}"),
        }
    }
}

#[test]
fn only_p256_and_ed25519_keys_are_certified() {
    for (algorithm, ok) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, true),
        (&PKCS_ED25519, true),
        (&PKCS_ECDSA_P384_SHA384, false),
        (&PKCS_RSA_SHA256, false),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let parsed = CheckedCsr::parse(&request(&key, |_| {}));
        assert_eq!(parsed.map(drop), if ok { Ok(()) } else { Err(CsrError::KeyKind) }, "{algorithm:?}");
    }
}

#[test]
fn a_request_for_somebody_elses_key_is_refused() {
    let (own, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let der = request(&own, |_| {});
    let point = own.der_bytes();
    let at = der.windows(point.len()).position(|window| window == point).unwrap();
    let mut swapped = der.clone();
    swapped[at..at + point.len()].copy_from_slice(other.der_bytes());
    assert_eq!(CheckedCsr::parse(&swapped).map(drop), Err(CsrError::Signature));
}

#[test]
fn the_asking_sides_own_request_passes_and_names_its_key() {
    let made = RequestKey::generate().unwrap();
    assert_eq!(CheckedCsr::parse(&made.csr).unwrap().spki(), made.spki);
}

#[test]
fn the_size_limit_holds_at_n_and_at_n_plus_1() {
    for (length, error) in [(request::MAX_BYTES, CsrError::Encoding), (request::MAX_BYTES + 1, CsrError::Size)] {
        assert_eq!(CheckedCsr::parse(&vec![0x30; length]).map(drop), Err(error));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(CheckedCsr::parse(&bytes).is_err());
    }

    #[test]
    fn a_changed_request_never_panics_and_never_names_another_key(at in any::<prop::sample::Index>(), to: u8) {
        thread_local!(static MADE: RequestKey = RequestKey::generate().unwrap());
        MADE.with(|made| {
            let mut csr = made.csr.clone();
            let at = at.index(csr.len());
            csr[at] = to;
            if let Ok(parsed) = CheckedCsr::parse(&csr) {
                prop_assert_eq!(parsed.spki(), made.spki);
            }
            Ok(())
        })?;
    }
}

//! What an asking side checks about the certificate it was given.

use super::forge::{DAY, Forge, GRANT, GRANT_OID, HOLDER, ISSUER, NOW, SUBJECT, SUBJECT_OID, grant_params};
use domain::id::{GrantId, InstanceId, Spki};
use pki::{
    Flaw,
    enrolled::{EnrolledError, Expected, check},
};
use rcgen::KeyPair;

#[test]
fn the_certificate_that_was_asked_for_passes_and_tells_its_subject() {
    let forge = Forge::new();
    let (issued, key) = forge.honest();
    let root = forge.authority.root_der();
    let expected = Expected { root, issuer: ISSUER, holder: HOLDER, grant: GRANT, spki: key.spki };
    let read = check(&issued.certificate, &expected, NOW).unwrap();
    assert_eq!((read.subject, read.leaf), (SUBJECT, issued.leaf));
}

#[test]
fn a_certificate_for_anything_else_is_refused_each_for_its_reason() {
    let forge = Forge::new();
    let (issued, key) = forge.honest();
    let (root, other) = (forge.authority.root_der(), Forge::new());
    let right = Expected { root, issuer: ISSUER, holder: HOLDER, grant: GRANT, spki: key.spki };
    let cases = [
        (Expected { holder: ISSUER, ..right }, EnrolledError::Other("instance")),
        (Expected { grant: GrantId(SUBJECT.0), ..right }, EnrolledError::Other("grant")),
        (Expected { spki: Spki([0; 32]), ..right }, EnrolledError::Other("key")),
        (Expected { issuer: InstanceId(SUBJECT.0), ..right }, EnrolledError::Flaw(Flaw::Instance)),
        (Expected { root: other.authority.root_der(), ..right }, EnrolledError::Flaw(Flaw::Chain)),
    ];
    for (expected, error) in cases {
        assert_eq!(check(&issued.certificate, &expected, NOW), Err(error));
    }
    assert_eq!(check(&issued.certificate, &right, NOW + 31 * DAY), Err(EnrolledError::Flaw(Flaw::Expired)));
    assert!(matches!(check(&issued.certificate, &Expected { root: &[], ..right }, NOW), Err(EnrolledError::Root(_))));
}

#[test]
fn a_certificate_without_either_extension_is_refused() {
    let forge = Forge::new();
    let key = KeyPair::generate().unwrap();
    for oid in [GRANT_OID, SUBJECT_OID] {
        let mut params = grant_params();
        params.custom_extensions.retain(|extension| !extension.oid_components().eq(oid.iter().copied()));
        let certificate = forge.sign(&params, &key);
        let spki = pki::key::fingerprint(&rcgen::PublicKeyData::subject_public_key_info(&key));
        let expected =
            Expected { root: forge.authority.root_der(), issuer: ISSUER, holder: HOLDER, grant: GRANT, spki };
        assert_eq!(check(&certificate, &expected, NOW), Err(EnrolledError::Flaw(Flaw::Extension)));
    }
}

//! The embedded CA: what it is after a restart, and what its roots look like.

use super::{
    forge::{DAY, Forge, ISSUER, NOW, world},
    servers::identity,
};
use domain::id::Serial;
use pki::{Authority, ClientVerifier, CrlOrder, DenyList, Revoked, Why, authority::AuthorityError};
use std::{collections::HashSet, sync::Arc};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

#[test]
fn a_ca_read_back_is_the_same_ca() {
    let forge = Forge::new();
    let (world, clock) = world();
    let read = Authority::load(&world, forge.authority.root_der(), &forge.authority.key_pkcs8()).unwrap();
    assert_eq!(read.instance(), ISSUER);
    assert_eq!(read.root_der(), forge.authority.root_der());
    let again = Forge { authority: read, ..Forge::new() };
    let (issued, _) = again.honest();
    let verifier =
        ClientVerifier::new(forge.authority.root_der(), ISSUER, clock, Arc::new(DenyList::default())).unwrap();
    assert!(verifier.judge(&issued.certificate.into(), &[]).is_ok());
}

#[test]
fn a_root_with_another_ones_key_is_refused() {
    let (one, two) = (Forge::new(), Forge::new());
    let (world, _) = world();
    let mixed = Authority::load(&world, one.authority.root_der(), &two.authority.key_pkcs8());
    assert!(matches!(mixed, Err(AuthorityError::Pair)));
    let leaf = identity(&one).certificate;
    assert!(matches!(Authority::load(&world, &leaf, &one.authority.key_pkcs8()), Err(AuthorityError::Root(_))));
}

#[test]
fn a_root_is_small_enough_for_an_invite() {
    assert!(Forge::new().authority.root_der().len() < 500);
}

#[test]
fn serial_numbers_are_16_bytes_and_never_repeat() {
    let forge = Forge::new();
    let serials: HashSet<_> = (0..200).map(|_| forge.honest().0.leaf.serial).collect();
    assert_eq!(serials.len(), 200);
    assert!(serials.iter().all(|serial| serial.as_bytes().len() == 16 && serial.as_bytes()[0] & 0x80 == 0));
}

#[test]
fn a_list_of_the_embedded_ca_says_when_and_why() {
    let forge = Forge::new();
    for (why, code) in [(Why::KeyCompromised, 1), (Why::Replaced, 4), (Why::Ended, 5)] {
        let serial = forge.honest().0.leaf.serial;
        let revoked = [Revoked { serial: serial.clone(), at: NOW.before(DAY), why, not_after: NOW }];
        let list = forge.authority.crl(&CrlOrder { revoked: &revoked, number: 300, now: NOW }).unwrap();
        let ([], list) = CertificateRevocationList::from_der(&list).unwrap() else { panic!("bytes after the end") };
        assert_eq!(list.crl_number().map(ToString::to_string).as_deref(), Some("300"));
        let entries: Vec<_> = list.iter_revoked_certificates().collect();
        let [one] = entries[..] else { panic!("{} entries", entries.len()) };
        assert_eq!(Serial::new(one.raw_serial()), Some(serial));
        assert_eq!(one.revocation_date.timestamp(), NOW.before(DAY).seconds());
        assert_eq!(one.reason_code().map(|(_, reason)| reason.0), Some(code));
    }
}

#[test]
fn the_record_of_a_leaf_ends_when_the_leaf_does() {
    let forge = Forge::new();
    assert_eq!(forge.honest().0.leaf.not_after, NOW + 30 * DAY);
    assert_eq!(identity(&forge).leaf.not_after, NOW + 30 * DAY);
}

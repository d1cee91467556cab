//! Lists of revoked certificates in hostile hands: no bytes bring the reader down, and no changed list is believed.

use super::{
    der,
    forge::{DAY, Forge, NOW},
};
use domain::id::Serial;
use pki::{CrlOrder, Revoked, Why, crl};
use proptest::prelude::*;
use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, KeyIdMethod, KeyPair,
    SerialNumber,
};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

fn revoked() -> [Revoked; 1] {
    [Revoked { serial: Serial::new(&[7; 16]).unwrap(), at: NOW, why: Why::Ended, not_after: NOW + DAY }]
}

fn order(revoked: &[Revoked]) -> CrlOrder<'_> {
    CrlOrder { revoked, number: 1, now: NOW }
}

/// A list that says whom it is about, as step-ca's do, by the CA of `forge`.
fn scoped(forge: &Forge, scope: Option<CrlScope>) -> Vec<u8> {
    let key = KeyPair::try_from(forge.authority.key_pkcs8().expose().as_slice()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&forge.authority.root_der().into(), key).unwrap();
    let point = CrlDistributionPoint { uris: vec!["https://ca.example/1.0/crl".to_owned()] };
    let params = CertificateRevocationListParams {
        this_update: NOW.to_offset(),
        next_update: (NOW + DAY).to_offset(),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: Some(CrlIssuingDistributionPoint { distribution_point: point, scope }),
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&issuer).unwrap().der().to_vec()
}

/// RUSTSEC-2026-0104: a reader fell over an empty list of reasons, before the signature was looked at.
#[test]
fn a_list_about_no_reasons_at_all_is_read_without_a_fall() {
    let forge = Forge::new();
    let plain = scoped(&forge, None);
    assert_eq!(crl::check(&plain, forge.authority.root_der(), &order(&[])), Ok(()));
    let users = scoped(&forge, Some(CrlScope::UserCertsOnly));
    // onlyContainsUserCerts TRUE becomes onlySomeReasons with an empty BIT STRING (RFC 5280 section 5.2.5).
    for reasons in [[0x83, 0x01, 0x00], [0x83, 0x01, 0x07]] {
        let key = forge.authority.key_pkcs8();
        let odd = der::resigned(&users, &[0x81, 0x01, 0xff], &reasons, key.expose());
        drop(crl::check(&odd, forge.authority.root_der(), &order(&[])));
        let lacks = crl::check(&odd, forge.authority.root_der(), &order(&revoked()));
        assert!(lacks.is_err(), "{lacks:?}");
    }
}

fn honest() -> (Forge, Vec<u8>) {
    let forge = Forge::new();
    let list = forge.authority.crl(&order(&revoked())).unwrap();
    (forge, list)
}

/// What the signature is about.
fn signed(list: &[u8]) -> Vec<u8> {
    CertificateRevocationList::from_der(list).unwrap().1.tbs_cert_list.as_ref().to_vec()
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_of_lists_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        thread_local!(static HONEST: (Forge, Vec<u8>) = honest());
        HONEST.with(|(forge, _)| {
            prop_assert!(crl::check(&bytes, forge.authority.root_der(), &order(&[])).is_err());
            Ok(())
        })?;
    }

    #[test]
    fn a_changed_or_cut_off_list_is_never_believed_to_say_something_else(
        at in any::<prop::sample::Index>(),
        to: u8,
        cut: bool,
    ) {
        thread_local!(static HONEST: (Forge, Vec<u8>) = honest());
        HONEST.with(|(forge, list)| {
            let mut changed = list.clone();
            let at = at.index(changed.len());
            if cut { changed.truncate(at) } else { changed[at] = to }
            if crl::check(&changed, forge.authority.root_der(), &order(&revoked())).is_ok() {
                // What stands outside the signature may be spelled otherwise; it says nothing.
                prop_assert!(!cut && signed(&changed) == signed(list), "byte {} to {}", at, to);
            }
            Ok(())
        })?;
    }
}

//! Lists that somebody else hands over: what is taken, and what is refused whole (rows 9, 10 and 12 of the threat list). Each is
//! signed by the real CA, so that nothing but the reader can refuse it.

use super::{
    der::{self, element},
    forge::{DAY, Forge, NOW},
};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use domain::{Time, id::Serial};
use pki::{CrlError, CrlNumber, CrlOrder, ReadCrl, Revoked, Why, crl};
use std::time::Duration;

const SERIAL: [u8; 16] = [0x47; 16];
const ECDSA: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// A list taken apart.
#[derive(Clone)]
struct List {
    version: Vec<u8>,
    begins: Time,
    ends: Option<Time>,
    /// Extensions of its one entry, encoded.
    entry: Vec<u8>,
    serial: Vec<u8>,
    extensions: Vec<Vec<u8>>,
}

fn time(at: Time) -> Vec<u8> {
    let at = at.to_offset();
    let (month, year) = (u8::from(at.month()), at.year() % 100);
    let text = format!("{year:02}{month:02}{:02}{:02}{:02}{:02}Z", at.day(), at.hour(), at.minute(), at.second());
    element(0x17, text.as_bytes())
}

fn extension(last: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    element(0x30, &[&[0x06, 3, 0x55, 0x1d, last], critical, &element(4, value)].concat())
}

fn number(n: u8) -> Vec<u8> {
    extension(0x14, false, &[2, 1, n])
}

/// An issuing distribution point with this inside.
fn point(value: &[u8]) -> Vec<u8> {
    extension(0x1c, true, &element(0x30, value))
}

/// `[0] { [0] { [6] uri } }`
fn place(uri: &str) -> Vec<u8> {
    element(0xa0, &element(0xa0, &element(0x86, uri.as_bytes())))
}

impl List {
    fn good() -> Self {
        let extensions = vec![number(7)];
        let (entry, serial) = (Vec::new(), SERIAL.to_vec());
        Self { version: vec![2, 1, 1], begins: NOW, ends: Some(NOW + DAY), entry, serial, extensions }
    }

    fn with(extension: Vec<u8>) -> Self {
        let mut list = Self::good();
        list.extensions.push(extension);
        list
    }

    fn entry(extension: &[u8]) -> Self {
        Self { entry: element(0x30, extension), ..Self::good() }
    }

    fn sign(&self, forge: &Forge) -> Vec<u8> {
        let root = forge.authority.root_der();
        let entry = element(0x30, &[element(2, &self.serial), time(self.begins), self.entry.clone()].concat());
        let ends = self.ends.map(time).unwrap_or_default();
        let extensions = element(0xa0, &element(0x30, &self.extensions.concat()));
        let name = der::subject(root);
        let parts = [self.version.clone(), ECDSA.to_vec(), name, time(self.begins), ends];
        let signed = element(0x30, &[parts.concat(), element(0x30, &entry), extensions].concat());
        let key = forge.authority.key_pkcs8();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.expose()).unwrap();
        let signature = key.sign(&SystemRandom::new(), &signed).unwrap();
        let signature = element(3, &[&[0], signature.as_ref()].concat());
        element(0x30, &[signed, ECDSA.to_vec(), signature].concat())
    }
}

fn read(forge: &Forge, list: &[u8]) -> Result<ReadCrl, CrlError> {
    crl::read(list, forge.authority.root_der(), None, NOW)
}

#[test]
fn a_whole_list_is_taken_with_everything_on_it() {
    let forge = Forge::new();
    let read_ = read(&forge, &List::good().sign(&forge)).unwrap();
    assert!(read_.serials.contains(&Serial::new(&SERIAL).unwrap()));
    assert_eq!((read_.begins, read_.ends, read_.number.to_string().as_str()), (NOW, NOW + DAY, "7"));
    // Where it is found says nothing about what is on it; nor does a reason.
    let users = [place("https://ca.example/1.0/crl"), vec![0x81, 1, 0xff]].concat();
    let places = [&place("http://one.example/crl")[..], &[], &[0x81, 1, 0xff], &users].map(point);
    for harmless in places.into_iter().chain([extension(0x2e, false, &[0x30, 0])]) {
        assert_eq!(read(&forge, &List::with(harmless).sign(&forge)), Ok(read_.clone()));
    }
    assert_eq!(read(&forge, &List::entry(&extension(0x15, false, &[0x0a, 1, 1])).sign(&forge)), Ok(read_));
    // The CA's own.
    let revoked = [Revoked { serial: Serial::new(&SERIAL).unwrap(), at: NOW, why: Why::Unsaid, not_after: NOW + DAY }];
    let own = forge.authority.crl(&CrlOrder { revoked: &revoked, number: u64::MAX, now: NOW }).unwrap();
    assert_eq!(read(&forge, &own).unwrap().serials.len(), 1);
}

#[test]
fn a_list_about_a_part_is_refused_whole() {
    let forge = Forge::new();
    let foreign = element(0x30, &element(0xa4, &der::subject(forge.authority.root_der())));
    for (what, list) in [
        ("a delta", List::with(extension(0x1b, true, &[2, 1, 1]))),
        ("a delta that plays it down", List::with(extension(0x1b, false, &[2, 1, 1]))),
        ("no authorities' certificates, and some reasons only", List::with(point(&[0x81, 1, 0xff, 0x83, 2, 1, 0x02]))),
        ("authorities' certificates only", List::with(point(&[0x82, 1, 0xff]))),
        ("some reasons only", List::with(point(&[0x83, 2, 1, 0x02]))),
        ("indirect", List::with(point(&[0x84, 1, 0xff]))),
        ("attribute certificates only", List::with(point(&[0x85, 1, 0xff]))),
        ("an extension that nobody knows, critical", List::with(extension(0x7f, true, &[5, 0]))),
        ("an entry about another CA", List::entry(&extension(0x1d, true, &foreign))),
        ("an entry about another CA that plays it down", List::entry(&extension(0x1d, false, &foreign))),
        ("an entry taken off", List::entry(&extension(0x15, false, &[0x0a, 1, 8]))),
        ("an entry with something critical", List::entry(&extension(0x7f, true, &[5, 0]))),
    ] {
        assert_eq!(read(&forge, &list.sign(&forge)), Err(CrlError::Part), "{what}");
    }
    // RUSTSEC-2026-0104: an empty list of reasons.
    let place_and = [place("http://one.example/crl"), vec![0x82, 1, 0xff]].concat();
    for reasons in [&[0x83, 1, 0][..], &[0x83, 1, 7], &[0x83, 0], &[0xa3, 0], &place_and] {
        assert!(read(&forge, &List::with(point(reasons)).sign(&forge)).is_err(), "{reasons:?}");
    }
}

#[test]
fn hostile_lists_have_a_class_each() {
    let (forge, stranger) = (Forge::new(), Forge::new());
    let good = List::good().sign(&forge);
    let numbered = |value: &[u8]| List { extensions: vec![extension(0x14, false, value)], ..List::good() }.sign(&forge);
    let second = Duration::from_secs(1);
    let ahead = List { begins: NOW + Duration::from_mins(5) + second, ..List::good() };
    let endless = List { ends: None, ..List::good() };
    let mut broken = good.clone();
    *broken.last_mut().unwrap() ^= 1;
    let mut changed = good.clone();
    let at = changed.windows(16).position(|window| window == SERIAL).unwrap();
    changed[at] ^= 1;
    for (what, list, error) in [
        ("larger than any", vec![0x30; crl::MAX_CRL_BYTES + 1], CrlError::Size),
        ("nothing", Vec::new(), CrlError::Encoding),
        ("bytes after it", [&good[..], &[0]].concat(), CrlError::Encoding),
        ("cut off", good[..good.len() - 1].to_vec(), CrlError::Encoding),
        ("a page of text", b"<html>not found</html>".to_vec(), CrlError::Encoding),
        ("PEM", b"-----BEGIN X509 CRL-----\n".to_vec(), CrlError::Encoding),
        ("another CA's of the same name", List::good().sign(&stranger), CrlError::Signature),
        ("a broken signature", broken, CrlError::Signature),
        ("another serial under the signature", changed, CrlError::Signature),
        ("from the future", ahead.sign(&forge), CrlError::NotYet),
        ("without an end", endless.sign(&forge), CrlError::Expired),
        ("without a number", List { extensions: vec![], ..List::good() }.sign(&forge), CrlError::Number),
        ("a number of 9 bytes", numbered(&element(2, &[0x41; 9])), CrlError::Number),
        ("a number below zero", numbered(&[2, 1, 0x81]), CrlError::Number),
        ("two numbers", List::with(number(9)).sign(&forge), CrlError::Encoding),
    ] {
        let read = read(&forge, &list);
        let same = matches!((&read, &error), (Err(found), error) if found == error);
        // What does not parse at all may be called so before it is looked at.
        assert!(same || read == Err(CrlError::Encoding) && error == CrlError::Number, "{what}: {read:?}");
    }
    // Refused for what it says, and yet nothing that is on an expired one becomes good again.
    let expired = List { begins: NOW.before(3 * DAY), ends: Some(NOW.before(2 * DAY)), ..List::good() };
    assert!(read(&forge, &expired.sign(&forge)).unwrap().serials.contains(&Serial::new(&SERIAL).unwrap()));
    // No certificate of ours has so short a number.
    let short = List { serial: vec![9], ..List::good() };
    assert!(read(&forge, &short.sign(&forge)).unwrap().serials.is_empty());
}

#[test]
fn numbers_only_grow_and_no_number_is_used_twice() {
    let forge = Forge::new();
    let list = |n: u8, serial: &[u8]| {
        List { extensions: vec![number(n)], serial: serial.to_vec(), ..List::good() }.sign(&forge)
    };
    let after = |held: &ReadCrl, der: &[u8]| crl::read(der, forge.authority.root_der(), Some(held), NOW);
    let held = read(&forge, &list(7, &SERIAL)).unwrap();
    assert_eq!(after(&held, &list(7, &SERIAL)), Ok(held.clone()), "the same again");
    assert!(after(&held, &list(8, &[0x48; 16])).is_ok());
    assert_eq!(after(&held, &list(7, &[0x48; 16])), Err(CrlError::Twice(held.number)));
    let older = after(&held, &list(6, &SERIAL)).unwrap_err();
    let number: CrlNumber = read(&forge, &list(6, &SERIAL)).unwrap().number;
    assert_eq!(older, CrlError::Older { number, held: held.number });
}

#[test]
fn a_ca_whose_key_is_not_for_lists_signed_none() {
    let forge = Forge::new();
    let list = List::good().sign(&forge);
    // keyCertSign and cRLSign become keyCertSign alone; the root is what a person put there, so nobody checks its signature.
    let root = forge.authority.root_der();
    let at = root.windows(4).position(|window| window == [3, 2, 1, 6]).unwrap();
    let mut without = root.to_vec();
    without[at + 2..at + 4].copy_from_slice(&[2, 4]);
    assert_eq!(crl::read(&list, &without, None, NOW), Err(CrlError::Signature));
    assert!(crl::read(&list, root, None, NOW).is_ok());
}

/// RUSTSEC-2026-0049: of several places where its list may be found, only the first was looked for.
#[test]
fn crl_multi_dp() {
    let forge = Forge::new();
    let names = ["http://one.example/crl", "http://two.example/crl"];
    let one = |uri: &str| element(0x30, &place(uri));
    let points = element(0x30, &names.map(one).concat());
    let leaf = forge.changed(|params| {
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&SERIAL));
        params.custom_extensions.push(rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 31], points));
    });
    assert!(forge.verifier.judge(&leaf.clone().into(), &[]).is_ok(), "nothing is denied yet");
    for name in names {
        let list = read(&forge, &List::with(point(&place(name))).sign(&forge)).unwrap();
        forge.deny.swap_listed(list.serials);
        let refused = forge.verifier.judge(&leaf.clone().into(), &[]).unwrap_err();
        assert_eq!(refused.flaw, pki::Flaw::Denied, "{name}");
        // This side's own set takes nothing from the list, nor the list from it.
        forge.deny.swap(pki::Deny::default());
        assert!(forge.verifier.judge(&leaf.clone().into(), &[]).is_err(), "{name}");
        forge.deny.swap_listed(std::collections::HashSet::new());
    }
}

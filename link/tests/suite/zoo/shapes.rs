//! The certificate around its extensions: version, serial number, times, keys, signatures, and bytes that do not belong.

use super::{
    der::{bits, element, elements, inside, oid, sequence},
    keeper::{Animal, IN, Keeper},
    leaf::{ECDSA, EcKey, Key, Leaf, digits, utc},
};
use crate::sharing::{DAY, NOW};
use aws_lc_rs::{
    encoding::AsDer,
    rsa,
    signature::{
        ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
    },
};
use link::Class;
use pki::Flaw;
use std::time::Duration;

pub fn animals(keeper: &Keeper) -> Vec<Animal> {
    let mut animals = serials(keeper);
    animals.extend(times(keeper));
    animals.extend(keys(keeper));
    animals.extend(oddities(keeper));
    animals
}

/// 8 to 20 bytes, positive, in the shortest form.
fn serials(keeper: &Keeper) -> Vec<Animal> {
    let mut animals = Vec::new();
    for length in 0..=24_usize {
        let fate = match length {
            8..=20 => IN,
            _ => Some(Flaw::Serial),
        };
        let serial = element(2, &vec![0x41; length]);
        animals.push(keeper.but(format!("serial of {length} bytes"), fate, |leaf| leaf.serial = serial));
    }
    let odd: [(&str, Option<Flaw>, Vec<u8>); 8] = [
        ("negative", Some(Flaw::Serial), element(2, &[0xc1; 16])),
        ("zero", Some(Flaw::Serial), element(2, &[0])),
        ("16 bytes of zero", Some(Flaw::Serial), element(2, &[0; 16])),
        ("with its high bit and a zero before", IN, element(2, &[&[0], &[0xc1; 16][..]].concat())),
        ("21 bytes of which one is a zero", Some(Flaw::Serial), element(2, &[&[0], &[0xc1; 20][..]].concat())),
        ("with a zero too many", Some(Flaw::Serial), element(2, &[&[0], &[0x41; 16][..]].concat())),
        ("a text", Some(Flaw::Encoding), element(0x0c, &[0x41; 16])),
        ("with a long length", Some(Flaw::Encoding), [&[2, 0x81, 16], &[0x41; 16][..]].concat()),
    ];
    animals.extend(
        odd.into_iter()
            .map(|(what, fate, serial)| keeper.but(format!("serial {what}"), fate, |leaf| leaf.serial = serial)),
    );
    animals
}

fn times(keeper: &Keeper) -> Vec<Animal> {
    let second = Duration::from_secs(1);
    let (early, most) = (NOW.before(Duration::from_mins(5)), 90 * DAY + Duration::from_mins(5));
    let spans = [
        ("begins in a second", Some(Flaw::NotYetValid), NOW + second, NOW + DAY),
        ("begins now", IN, NOW, NOW + DAY),
        ("ended a second ago", Some(Flaw::Expired), early, NOW.before(second)),
        ("ends now", IN, early, NOW),
        ("lives 4 minutes 59", Some(Flaw::Lifetime), NOW, NOW + Duration::from_secs(299)),
        ("lives 5 minutes", IN, NOW, NOW + Duration::from_mins(5)),
        ("lives 90 days", IN, early, early + most),
        ("lives a second more than 90 days", Some(Flaw::Lifetime), early, early + most + second),
        ("lives 20 years", Some(Flaw::Lifetime), early, early + 7_300 * DAY),
        ("ends before it begins", Some(Flaw::Expired), NOW, early),
    ];
    let mut animals: Vec<_> = spans
        .into_iter()
        .map(|(what, fate, begins, ends)| {
            keeper.but(what, fate, |leaf| (leaf.begins, leaf.ends) = (utc(begins), utc(ends)))
        })
        .collect();
    let full = digits(NOW + DAY);
    let short = &full[2..];
    let texts: [(&str, Option<Flaw>, u8, String); 12] = [
        ("as GeneralizedTime", IN, 0x18, format!("{full}Z")),
        ("with a fraction", Some(Flaw::Encoding), 0x18, format!("{full}.5Z")),
        ("with an offset", Some(Flaw::Encoding), 0x17, format!("{short}+0000")),
        ("without a zone", Some(Flaw::Encoding), 0x17, short.to_owned()),
        ("without seconds", Some(Flaw::Encoding), 0x17, format!("{}Z", &short[..10])),
        ("in month 13", Some(Flaw::Encoding), 0x17, format!("{}13{}Z", &short[..2], &short[4..])),
        ("on February 30", Some(Flaw::Encoding), 0x17, format!("{}0230{}Z", &short[..2], &short[6..])),
        ("at hour 24", Some(Flaw::Encoding), 0x17, format!("{}240000Z", &short[..6])),
        ("of no digits", Some(Flaw::Encoding), 0x17, "yymmddhhmmssZ".to_owned()),
        ("of nothing", Some(Flaw::Encoding), 0x17, String::new()),
        ("in the year 9999", Some(Flaw::Lifetime), 0x18, "99991231235959Z".to_owned()),
        ("as text", Some(Flaw::Encoding), 0x0c, format!("{short}Z")),
    ];
    animals.extend(texts.into_iter().map(|(what, fate, tag, text)| {
        keeper.but(format!("end {what}"), fate, |leaf| leaf.ends = element(tag, text.as_bytes()))
    }));
    animals
}

fn curve(algorithm: &'static EcdsaSigningAlgorithm) -> Key {
    let pair = EcdsaKeyPair::generate(algorithm).unwrap();
    let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    Key { spki: spki.as_ref().to_vec(), pkcs8: pair.to_pkcs8v1().unwrap().as_ref().to_vec() }
}

fn rsa(size: rsa::KeySize) -> Key {
    let pair = rsa::KeyPair::generate(size).unwrap();
    let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    Key { spki: spki.as_ref().to_vec(), pkcs8: pkcs8.as_ref().to_vec() }
}

/// Another description of a key that the caller has.
fn described(algorithm: &[u8], key: &[u8]) -> Key {
    Key { spki: sequence(&[algorithm, &bits(key)]), ..Key::p256() }
}

fn keys(keeper: &Keeper) -> Vec<Animal> {
    let (ec, p256) = (oid(&[1, 2, 840, 10045, 2, 1]), oid(&[1, 2, 840, 10045, 3, 1, 7]));
    let point = inside(&elements(inside(&Key::p256().spki))[1])[1..].to_vec();
    let compressed = [&[2 + (point[64] & 1)], &point[1..33]].concat();
    let weak = sequence(&[&element(2, &[&[0], &[0xc5; 64][..]].concat()), &[2, 3, 1, 0, 1]]);
    let odd = Some(Flaw::KeyKind);
    let keys: Vec<(&str, Option<Flaw>, Key)> = vec![
        ("P-256", IN, Key::p256()),
        ("Ed25519", IN, Key::ed25519()),
        ("P-384", odd, curve(&ECDSA_P384_SHA384_ASN1_SIGNING)),
        ("P-521", odd, curve(&ECDSA_P521_SHA512_ASN1_SIGNING)),
        ("RSA 2048", odd, rsa(rsa::KeySize::Rsa2048)),
        ("RSA 3072", odd, rsa(rsa::KeySize::Rsa3072)),
        ("RSA 512", odd, described(&sequence(&[&oid(&[1, 2, 840, 113_549, 1, 1, 1]), &[5, 0]]), &weak)),
        ("P-256, compressed", odd, described(&sequence(&[&ec, &p256]), &compressed)),
        ("P-256, hybrid form", odd, described(&sequence(&[&ec, &p256]), &[&[6], &point[1..]].concat())),
        ("P-256, a byte more", odd, described(&sequence(&[&ec, &p256]), &[&point[..], &[0]].concat())),
        ("P-256, no key", odd, described(&sequence(&[&ec, &p256]), &[])),
        ("no curve", odd, described(&sequence(&[&ec]), &point)),
        ("a NULL for the curve", odd, described(&sequence(&[&ec, &[5, 0]]), &point)),
        ("secp256k1", odd, described(&sequence(&[&ec, &oid(&[1, 3, 132, 0, 10])]), &point)),
        ("an algorithm of nobody", odd, described(&sequence(&[&oid(&[1, 3, 6, 1, 4, 1, 99_999, 77])]), &point)),
        ("ECDH only", odd, described(&sequence(&[&oid(&[1, 3, 132, 1, 12]), &p256]), &point)),
        ("DSA", odd, described(&sequence(&[&oid(&[1, 2, 840, 10040, 4, 1])]), &point)),
        ("X25519", odd, described(&sequence(&[&oid(&[1, 3, 101, 110])]), &[9; 32])),
        ("Ed448", odd, described(&sequence(&[&oid(&[1, 3, 101, 113])]), &[9; 57])),
        ("Ed25519 with a NULL", odd, described(&sequence(&[&oid(&[1, 3, 101, 112]), &[5, 0]]), &[9; 32])),
        ("Ed25519 of 31 bytes", odd, described(&sequence(&[&oid(&[1, 3, 101, 112])]), &[9; 31])),
    ];
    let spoilt = |(what, fate, key)| keeper.but(format!("key {what}"), fate, |leaf: &mut Leaf| leaf.key = key);
    let mut animals: Vec<_> = keys.into_iter().map(spoilt).collect();
    // Past the verifier, stopped by the proof that the caller has the key.
    let mut point_of_zeros = keeper.but("key P-256, a point off the curve", IN, |leaf| {
        leaf.key = described(&sequence(&[&ec, &p256]), &[&[4][..], &[0; 64]].concat());
    });
    point_of_zeros.fate = Some(Class::Garbage);
    animals.push(point_of_zeros);
    animals
}

fn oddities(keeper: &Keeper) -> Vec<Animal> {
    let mut animals = Vec::new();
    let version = |n: u8| element(0xa0, &[2, 1, n]);
    for (what, flaw, version) in [
        ("version 1, left out", Flaw::Chain, Vec::new()),
        ("version 1, said so", Flaw::Chain, version(0)),
        ("version 2", Flaw::Chain, version(1)),
        ("version 4", Flaw::Chain, version(3)),
        ("version 256", Flaw::Encoding, element(0xa0, &[2, 2, 1, 0])),
        ("version no number", Flaw::Encoding, element(0xa0, &[4, 1, 2])),
    ] {
        animals.push(keeper.but(what, Some(flaw), |leaf| leaf.version = version));
    }
    let sha = |n| sequence(&[&oid(&[1, 2, 840, 10045, 4, 3, n])]);
    let null = sequence(&[&oid(ECDSA), &[5, 0]]);
    for (what, flaw, inner, outer) in [
        ("algorithms that differ", Flaw::Chain, sha(2), sha(3)),
        (
            "SHA-1",
            Flaw::Chain,
            sequence(&[&oid(&[1, 2, 840, 10045, 4, 1])]),
            sequence(&[&oid(&[1, 2, 840, 10045, 4, 1])]),
        ),
        ("SHA-384, though it is not", Flaw::Chain, sha(3), sha(3)),
        ("an algorithm with a NULL", Flaw::Chain, null.clone(), null),
        ("an algorithm of nobody", Flaw::Chain, sha(99), sha(99)),
        ("no algorithm", Flaw::Chain, sequence(&[]), sequence(&[])),
    ] {
        animals.push(keeper.but(format!("signature with {what}"), Some(flaw), |leaf| {
            (leaf.algorithm, leaf.outer) = (inner, outer);
        }));
    }
    animals.push(keeper.but("with an issuer's unique id", Some(Flaw::Encoding), |leaf| {
        leaf.unique_ids = element(0x81, &[0, 7]);
    }));
    animals.push(keeper.but("with bytes after the extensions", Some(Flaw::Encoding), |leaf| leaf.rest = vec![5, 0]));
    animals.push(keeper.but("signed by somebody else", Some(Flaw::Chain), |leaf| {
        leaf.signer = EcKey(Key::p256().pkcs8);
    }));
    animals.push(keeper.but("signed by its own key", Some(Flaw::Chain), |leaf| {
        leaf.signer = EcKey(leaf.key.pkcs8.clone());
    }));
    animals
}

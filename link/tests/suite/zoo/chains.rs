//! What comes with a leaf, whose it is, signatures under it, and certificates that are denied.

use super::{
    der::{bits, element, elements, inside, sequence},
    keeper::{Animal, IN, Keeper},
    leaf::{BASIC, EcKey, KEY_USAGE, Key, Leaf, PURPOSE, common_name, extension},
};
use link::Class;
use pki::Flaw;

/// Serial number and key of these two are in the denied set.
pub const DENIED_SERIAL: [u8; 16] = [0x5d; 16];

/// Order of P-256 (FIPS 186-4 D.1.2.3).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

pub fn animals(keeper: &Keeper, denied: &Key) -> Vec<Animal> {
    let mut animals = chains(keeper);
    animals.extend(below(keeper));
    animals.extend(signatures(keeper));
    animals.extend(bytes(keeper));
    animals.extend(the_denied(keeper, denied));
    animals
}

fn chains(keeper: &Keeper) -> Vec<Animal> {
    let leaf = keeper.good();
    let (good, root, own) = (leaf.encode(), keeper.root.clone(), keeper.instance.clone());
    let behind = |more: &[&Vec<u8>]| std::iter::once(&good).chain(more.iter().copied()).cloned().collect::<Vec<_>>();
    let out = Some(Flaw::Chain);
    let cases = [
        ("the good leaf", IN, behind(&[])),
        ("the root behind it", IN, behind(&[&root])),
        ("the root twice behind it", out, behind(&[&root, &root])),
        ("itself behind it", out, behind(&[&good])),
        ("the instance's own certificate behind it", out, behind(&[&own])),
        ("its root cut short behind it", out, behind(&[&root[..root.len() - 1].to_vec()])),
        ("nothing but zeros behind it", out, behind(&[&vec![0; 600]])),
        ("ten roots behind it", out, behind(&[&root; 10])),
        ("the root before it", out, vec![root.clone(), good.clone()]),
        ("the root alone", out, vec![root]),
        ("the instance's own certificate", Some(Flaw::Purpose), vec![own]),
    ];
    let mut animals: Vec<_> =
        cases.into_iter().map(|(what, fate, chain)| Animal::of(what, fate, chain, &leaf.key)).collect();
    let mut stolen = Animal::of("the good leaf, without its key", IN, vec![good], &Key::p256());
    stolen.fate = Some(Class::Garbage);
    animals.push(stolen);
    animals
}

/// An authority that our root truly certified, and one of our name.
fn below(keeper: &Keeper) -> Vec<Animal> {
    let between = |name: &[u8], root: &EcKey, key: &Key| {
        let mut ca = keeper.good();
        (ca.subject, ca.key, ca.signer) = (common_name(0x0c, name), key.clone(), root.clone());
        ca.extensions.clear();
        ca.put(BASIC, extension(BASIC, Some(0xff), &[0x30, 3, 1, 1, 0xff]));
        ca.set(KEY_USAGE, &[3, 2, 1, 6]);
        ca
    };
    let issued = |ca: &Leaf| {
        let mut leaf = keeper.good();
        (leaf.issuer, leaf.signer) = (ca.subject.clone(), EcKey(ca.key.pkcs8.clone()));
        leaf
    };
    let (key, stranger) = (Key::p256(), EcKey(Key::p256().pkcs8));
    let honest = between(b"below", &keeper.ca, &key);
    let foreign = between(b"mosaic-fed", &stranger, &key);
    let mut of_our_name = between(b"mosaic-fed", &keeper.ca, &key);
    of_our_name.subject = keeper.good().issuer;
    let mut animals = Vec::new();
    for (what, ca) in [("one below our root", honest), ("a stranger", foreign), ("one below, of our name", of_our_name)]
    {
        let leaf = issued(&ca);
        for (how, chain) in [
            ("", vec![leaf.encode()]),
            (", with its issuer", vec![leaf.encode(), ca.encode()]),
            (", with issuer and root", vec![leaf.encode(), ca.encode(), keeper.root.clone()]),
        ] {
            animals.push(Animal::of(format!("issued by {what}{how}"), Some(Flaw::Chain), chain, &leaf.key));
        }
    }
    animals
}

/// The second valid form of an ECDSA signature, and forms that are not valid.
fn signatures(keeper: &Keeper) -> Vec<Animal> {
    let leaf = keeper.good();
    let good = leaf.signer.sign(&leaf.signed());
    let [r, s] = <[Vec<u8>; 2]>::try_from(elements(inside(&good))).unwrap();
    let flipped = |at: usize| {
        let mut signature = good.clone();
        signature[at] ^= 1;
        signature
    };
    let out = Some(Flaw::Chain);
    let forms: Vec<(&str, Option<Flaw>, Vec<u8>)> = vec![
        ("in its other valid form", IN, malleated(&good)),
        ("with its last bit turned", out, flipped(good.len() - 1)),
        ("with a bit of r turned", out, flipped(10)),
        ("of nothing", out, Vec::new()),
        ("of zeros", out, sequence(&[&[2, 1, 0], &[2, 1, 0]])),
        ("of r alone", out, sequence(&[&r])),
        ("with r and s changed about", out, sequence(&[&s, &r])),
        ("with a third number", out, sequence(&[&r, &s, &[2, 1, 1]])),
        ("with bytes after", out, [&good[..], &[0]].concat()),
        ("with a zero before r", out, sequence(&[&element(2, &[&[0], inside(&r)].concat()), &s])),
        ("of 64 plain bytes", out, vec![0x41; 64]),
    ];
    let spoilt = |(what, fate, signature): (&str, _, Vec<u8>)| {
        Animal::of(format!("signature {what}"), fate, vec![leaf.with_signature(&signature)], &leaf.key)
    };
    forms.into_iter().map(spoilt).collect()
}

/// `n - s` in the place of `s`.
fn malleated(signature: &[u8]) -> Vec<u8> {
    let numbers = elements(inside(signature));
    let s = inside(&numbers[1]).strip_prefix(&[0]).unwrap_or(inside(&numbers[1]));
    let mut padded = [0; 32];
    padded[32 - s.len()..].copy_from_slice(s);
    let (mut result, mut borrow) = ([0; 33], 0);
    for at in (0..32).rev() {
        let digit = i16::from(ORDER[at]) - i16::from(padded[at]) - borrow;
        borrow = i16::from(digit < 0);
        result[at + 1] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    // The shortest form that is still positive.
    let zeros = result.windows(2).take_while(|pair| pair[0] == 0 && pair[1] & 0x80 == 0).count();
    sequence(&[&numbers[0], &element(2, &result[zeros..])])
}

/// Bytes cut off, added and spelled otherwise.
fn bytes(keeper: &Keeper) -> Vec<Animal> {
    let leaf = keeper.good();
    let good = leaf.encode();
    let signature = leaf.signer.sign(&leaf.signed());
    let unused = element(0x03, &[&[1], &signature[..]].concat());
    let out = Some(Flaw::Encoding);
    let mut forms: Vec<(String, Option<Flaw>, Vec<u8>)> = vec![
        ("a byte after the certificate".into(), out, [&good[..], &[0]].concat()),
        ("two certificates in one".into(), out, [&good[..], &good].concat()),
        ("a fourth part".into(), out, sequence(&[&leaf.signed(), &leaf.outer, &bits(&signature), &[5, 0]])),
        ("no signature".into(), out, sequence(&[&leaf.signed(), &leaf.outer])),
        ("a signature with unused bits".into(), out, sequence(&[&leaf.signed(), &leaf.outer, &unused])),
        ("a signature as OCTET STRING".into(), out, sequence(&[&leaf.signed(), &leaf.outer, &element(4, &signature)])),
        ("PEM instead of DER".into(), out, b"-----BEGIN CERTIFICATE-----\n".to_vec()),
        ("a SET instead of a SEQUENCE".into(), out, [&[0x31], &good[1..]].concat()),
        ("an endless length".into(), out, [&[0x30, 0x80], inside(&good), &[0, 0]].concat()),
        ("8,192 bytes of zero".into(), out, vec![0; 8_192]),
        ("8,193 bytes".into(), Some(Flaw::Size), vec![0x30; 8_193]),
        ("64 kB".into(), Some(Flaw::Size), vec![0x30; 65_000]),
    ];
    forms.extend((1..12).map(|n| {
        let length = good.len() * n / 12;
        (format!("cut off after {n} twelfths"), out, good[..length].to_vec())
    }));
    forms.into_iter().map(|(what, fate, der)| Animal::of(what, fate, vec![der], &leaf.key)).collect()
}

fn the_denied(keeper: &Keeper, denied: &Key) -> Vec<Animal> {
    let out = Some(Flaw::Denied);
    let serial = |leaf: &mut Leaf| leaf.serial = element(2, &DENIED_SERIAL);
    let mut leaf = keeper.good();
    serial(&mut leaf);
    let twin = leaf.with_signature(&malleated(&leaf.signer.sign(&leaf.signed())));
    vec![
        keeper.but("a denied serial", out, serial),
        Animal::of("a denied serial, its signature in the other form", out, vec![twin], &leaf.key),
        keeper.but("a denied serial and another key", out, |leaf| {
            serial(leaf);
            leaf.key = Key::p256();
        }),
        keeper.but("a denied key and another serial", out, |leaf| leaf.key = denied.clone()),
        keeper.but("a denied serial and the wrong purpose", Some(Flaw::Purpose), |leaf| {
            serial(leaf);
            leaf.drop_(PURPOSE);
        }),
    ]
}

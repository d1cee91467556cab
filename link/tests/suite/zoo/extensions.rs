//! Key usage, basic constraints, the two extensions of a grant, and extensions that nobody asked for.

use super::{
    der::{element, oid, sequence},
    keeper::{Animal, IN, Keeper},
    leaf::{BASIC, GRANT, GRANT_ID, KEY_USAGE, NAMES, PURPOSE, SUBJECT, USER_ID, extension},
};
use pki::Flaw;

pub fn animals(keeper: &Keeper) -> Vec<Animal> {
    let mut animals = usages(keeper);
    animals.extend(constraints(keeper));
    animals.extend(ids(keeper));
    animals.extend(doubled(keeper));
    animals.extend(strangers(keeper));
    animals
}

/// digitalSignature alone, or no key usage: every other bit, and every pair with it (RFC 5280 4.2.1.3).
fn usages(keeper: &Keeper) -> Vec<Animal> {
    let value = |bits: u16| {
        let [high, low] = (bits << 7).to_be_bytes();
        let unused = u8::try_from((bits << 7).trailing_zeros()).unwrap();
        if low == 0 { vec![3, 2, unused - 8, high] } else { vec![3, 3, unused, high, low] }
    };
    let mut animals = vec![keeper.but("no key usage", IN, |leaf| leaf.drop_(KEY_USAGE))];
    for bit in 0..9_u16 {
        let alone = 0x100 >> bit;
        let fate = if bit == 0 { IN } else { Some(Flaw::KeyUsage) };
        animals.push(keeper.but(format!("key usage {bit}"), fate, |leaf| leaf.set(KEY_USAGE, &value(alone))));
        if bit > 0 {
            let both = 0x100 | alone;
            let what = format!("key usages 0 and {bit}");
            animals.push(keeper.but(what, Some(Flaw::KeyUsage), |leaf| leaf.set(KEY_USAGE, &value(both))));
        }
    }
    let odd: [(&str, &[u8]); 6] = [
        ("key usage empty", &[3, 1, 0]),
        ("key usage without bits", &[3, 2, 7, 0]),
        ("key usage with a bit too many", &[3, 2, 0, 0x80]),
        ("key usage with a byte too many", &[3, 3, 7, 0x80, 0]),
        ("key usage an OCTET STRING", &[4, 2, 7, 0x80]),
        ("key usage with bytes after", &[3, 2, 7, 0x80, 0]),
    ];
    animals.extend(
        odd.into_iter().map(|(what, value)| keeper.but(what, Some(Flaw::KeyUsage), |leaf| leaf.set(KEY_USAGE, value))),
    );
    animals.push(keeper.but("key usage critical", IN, |leaf| {
        leaf.put(KEY_USAGE, extension(KEY_USAGE, Some(0xff), &[3, 2, 7, 0x80]));
    }));
    animals
}

/// The chain check calls an authority in the place of a leaf a broken chain, and is strict about the encoding by itself.
fn constraints(keeper: &Keeper) -> Vec<Animal> {
    let cases: [(&str, Option<Flaw>, &[u8]); 7] = [
        ("no authority, said so", IN, &[0x30, 0]),
        ("an authority", Some(Flaw::Chain), &[0x30, 3, 1, 1, 0xff]),
        ("an authority of depth 0", Some(Flaw::Chain), &[0x30, 6, 1, 1, 0xff, 2, 1, 0]),
        ("no authority, spelled out", Some(Flaw::Authority), &[0x30, 3, 1, 1, 0]),
        ("no authority, but a depth", Some(Flaw::Authority), &[0x30, 3, 2, 1, 0]),
        ("an authority by another truth", Some(Flaw::Encoding), &[0x30, 3, 1, 1, 1]),
        ("basic constraints no sequence", Some(Flaw::Encoding), &[1, 1, 0xff]),
    ];
    let mut animals: Vec<_> =
        cases.into_iter().map(|(what, fate, value)| keeper.but(what, fate, |leaf| leaf.set(BASIC, value))).collect();
    animals.push(keeper.but("no authority, critically", IN, |leaf| {
        leaf.put(BASIC, extension(BASIC, Some(0xff), &[0x30, 0]));
    }));
    animals
}

/// A UUID as DER text has one spelling.
fn ids(keeper: &Keeper) -> Vec<Animal> {
    let mut animals = Vec::new();
    for (which, oid, id) in [("grant", GRANT, GRANT_ID), ("subject", SUBJECT, USER_ID)] {
        let text = id.as_bytes();
        let mut values: Vec<(String, Vec<u8>)> = [0x04, 0x13, 0x16, 0x14, 0x1a, 0x1e, 0x03, 0x8c, 0x2c]
            .map(|tag| (format!("tag {tag:#04x}"), element(tag, text)))
            .to_vec();
        let odd: Vec<(&str, Vec<u8>)> = vec![
            ("no DER", text.to_vec()),
            ("nothing in it", Vec::new()),
            ("an empty text", vec![0x0c, 0]),
            ("upper case", element(0x0c, b"00000000-0000-0000-0000-00000000ABCD")),
            ("no dashes", element(0x0c, id.replace('-', "").as_bytes())),
            ("braces", element(0x0c, format!("{{{id}}}").as_bytes())),
            ("a urn", element(0x0c, format!("urn:uuid:{id}").as_bytes())),
            ("a NUL in the place of a digit", element(0x0c, id.replacen('0', "\0", 1).as_bytes())),
            ("a digit more", element(0x0c, format!("{id}0").as_bytes())),
            ("a digit less", element(0x0c, &text[1..])),
            ("no UTF-8", element(0x0c, &[0xff; 36])),
            ("digits of another script", element(0x0c, "\u{661}".repeat(18).as_bytes())),
            ("bytes after", [element(0x0c, text), vec![5, 0]].concat()),
            ("a long length", [&[0x0c, 0x81, 36], text].concat()),
            ("an endless length", [&[0x2c, 0x80][..], &element(0x0c, text), &[0, 0]].concat()),
            ("two texts", element(0x0c, text).repeat(2)),
        ];
        values.extend(odd.into_iter().map(|(what, value)| (what.to_owned(), value)));
        let spoilt = |(what, value): (String, Vec<u8>)| {
            keeper.but(format!("{which} with {what}"), Some(Flaw::Extension), |leaf| leaf.set(oid, &value))
        };
        animals.extend(values.into_iter().map(spoilt));
        animals.push(keeper.but(format!("no {which}"), Some(Flaw::Extension), |leaf| leaf.drop_(oid)));
        // The chain check knows no critical extension but its own.
        animals.push(keeper.but(format!("{which} critical"), Some(Flaw::Chain), |leaf| {
            leaf.put(oid, extension(oid, Some(0xff), &element(0x0c, text)));
        }));
    }
    animals
}

/// Twice the same, and with an extension's own flag spelled in every way.
fn doubled(keeper: &Keeper) -> Vec<Animal> {
    let mut animals = Vec::new();
    // The chain check looks at doubled ones of its own kinds, the profile at all.
    for (what, oid, flaw) in [
        ("names", NAMES, Flaw::Chain),
        ("key usage", KEY_USAGE, Flaw::Chain),
        ("purpose", PURPOSE, Flaw::Chain),
        ("grant", GRANT, Flaw::Extension),
        ("subject", SUBJECT, Flaw::Extension),
    ] {
        animals.push(keeper.but(format!("{what} twice"), Some(flaw), |leaf| {
            let again = (oid, extension(oid, None, &leaf.value(oid)));
            leaf.extensions.push(again);
        }));
        // A first one of another form is found by whoever reads it.
        let read = oid == NAMES || oid == PURPOSE;
        let flaw = if read { Flaw::Encoding } else { flaw };
        animals.push(keeper.but(format!("{what} twice, first another"), Some(flaw), |leaf| {
            leaf.extensions.insert(0, (oid, extension(oid, None, &element(0x0c, b"x"))));
        }));
    }
    for (what, fate, content) in [
        // Not DER, but some write it, and it says what silence says.
        ("not critical, said so", IN, 0),
        ("critical by another truth", Some(Flaw::Encoding), 1),
    ] {
        animals.push(keeper.but(format!("purpose {what}"), fate, |leaf| {
            let value = leaf.value(PURPOSE);
            leaf.put(PURPOSE, extension(PURPOSE, Some(content), &value));
        }));
    }
    animals
}

/// Extensions of the wide world: not read where they are not critical, refused where they are.
fn strangers(keeper: &Keeper) -> Vec<Animal> {
    let strangers: [(&str, &'static [u32], Vec<u8>); 8] = [
        ("subject key id", &[2, 5, 29, 14], element(4, &[7; 20])),
        ("authority key id of another", &[2, 5, 29, 35], sequence(&[&element(0x80, &[7; 20])])),
        ("policies", &[2, 5, 29, 32], sequence(&[&sequence(&[&oid(&[2, 5, 29, 32, 0])])])),
        ("policy mappings", &[2, 5, 29, 33], sequence(&[])),
        ("issuer alternative names", &[2, 5, 29, 18], sequence(&[])),
        ("must-staple", &[1, 3, 6, 1, 5, 5, 7, 1, 24], sequence(&[&[2, 1, 5]])),
        ("proxy certificate", &[1, 3, 6, 1, 5, 5, 7, 1, 14], sequence(&[])),
        ("an arc of nobody", &[1, 3, 6, 1, 4, 1, 99_999, 9], vec![5, 0]),
    ];
    let mut animals = Vec::new();
    for (what, oid, value) in strangers {
        animals.push(keeper.but(format!("with {what}"), IN, |leaf| leaf.set(oid, &value)));
        animals.push(keeper.but(format!("with {what}, critical"), Some(Flaw::Chain), |leaf| {
            leaf.put(oid, extension(oid, Some(0xff), &value));
        }));
    }
    animals.push(keeper.but("no extensions at all", Some(Flaw::Purpose), |leaf| leaf.extensions.clear()));
    animals.push(keeper.but("the extensions in another order", IN, |leaf| leaf.extensions.reverse()));
    animals
}

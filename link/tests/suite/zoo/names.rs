//! Subject alternative names: one URI, ours to the letter, and nothing else; issuer and subject names.

use super::{
    der::{element, oid, sequence},
    keeper::{Animal, IN, Keeper},
    leaf::{NAMES, common_name, extension, id, name},
};
use crate::sharing::{HOLDER, ISSUER};
use pki::Flaw;

/// Every kind of general name with our id, or as much of it as the kind can hold (RFC 5280 4.2.1.6).
fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let id = id();
    let text = element(0xa0, &element(0x0c, id.as_bytes()));
    vec![
        ("other name", element(0xa0, &[oid(&[1, 3, 6, 1, 4, 1, 99_999, 3]), text].concat())),
        ("e-mail", name(0x81, id.as_bytes())),
        ("DNS", name(0x82, id.as_bytes())),
        ("X.400", element(0xa3, &[])),
        ("directory", element(0xa4, &common_name(0x0c, id.as_bytes()))),
        ("EDI party", element(0xa5, &[])),
        ("URI", name(0x86, id.as_bytes())),
        ("address", name(0x87, &[127, 0, 0, 1])),
        ("registered id", name(0x88, &[0x2a, 3])),
    ]
}

pub fn animals(keeper: &Keeper) -> Vec<Animal> {
    let mut animals = sets(keeper);
    animals.extend(spellings(keeper));
    animals.extend(encodings(keeper));
    animals.extend(subjects(keeper));
    animals
}

/// Alone, before ours, after ours.
fn sets(keeper: &Keeper) -> Vec<Animal> {
    let ours = name(0x86, id().as_bytes());
    let mut animals = Vec::new();
    for (kind, other) in kinds() {
        let alone = if kind == "URI" { IN } else { Some(Flaw::Names) };
        for (place, fate, set) in [
            ("alone", alone, vec![&other]),
            ("before ours", Some(Flaw::Names), vec![&other, &ours]),
            ("after ours", Some(Flaw::Names), vec![&ours, &other]),
        ] {
            let set: Vec<_> = set.into_iter().flatten().copied().collect();
            animals
                .push(keeper.but(format!("{kind} name {place}"), fate, |leaf| leaf.set(NAMES, &element(0x30, &set))));
        }
    }
    animals
}

fn spellings(keeper: &Keeper) -> Vec<Animal> {
    let id = id();
    let other = pki::spiffe::instance_id(HOLDER, HOLDER);
    let texts = [
        ("upper case", id.to_uppercase()),
        ("scheme in capitals", id.replace("spiffe", "SPIFFE")),
        ("a slash after", format!("{id}/")),
        ("a longer path", format!("{id}/x")),
        ("a query", format!("{id}?a=b")),
        ("a fragment", format!("{id}#f")),
        ("a NUL after", format!("{id}\0")),
        ("a NUL and more after", format!("{id}\0.example")),
        ("a blank before", format!(" {id}")),
        ("a line end after", format!("{id}\n")),
        ("a port", id.replace("internal/", "internal:443/")),
        ("a user", id.replace("spiffe://", "spiffe://user@")),
        ("a wildcard", id.replacen("0000000000", "*", 1)),
        ("a percent sign", id.replacen("instance", "%69nstance", 1)),
        ("two slashes", id.replace("/instance/", "/instance//")),
        ("another domain behind", id.replace(".internal", ".internal.example")),
        ("a dot behind the domain", id.replace(".internal", ".internal.")),
        ("no dashes", id.replace('-', "")),
        ("the trust domain alone", pki::spiffe::trust_domain_id(ISSUER)),
        ("nothing", String::new()),
        ("a Cyrillic letter", id.replace("instance", "inst\u{430}nce")),
        ("a letter of full width", id.replace("instance", "instanc\u{ff45}")),
        ("2 kB", format!("{id}{}", "x".repeat(2_000))),
    ];
    let mut animals: Vec<_> = texts
        .into_iter()
        .map(|(what, text)| {
            let set = sequence(&[&name(0x86, text.as_bytes())]);
            keeper.but(format!("URI with {what}"), Some(Flaw::Names), |leaf| leaf.set(NAMES, &set))
        })
        .collect();
    animals.push(keeper.but("URI of another trust domain", Some(Flaw::Instance), |leaf| {
        leaf.set(NAMES, &sequence(&[&name(0x86, other.as_bytes())]));
    }));
    animals
}

fn encodings(keeper: &Keeper) -> Vec<Animal> {
    let uri = name(0x86, id().as_bytes());
    let long = [&[0x86, 0x81, u8::try_from(id().len()).unwrap()], id().as_bytes()].concat();
    let set = sequence(&[&uri]);
    let odd: Vec<(&str, Flaw, Vec<u8>)> = vec![
        ("names empty", Flaw::Names, sequence(&[])),
        ("names no DER at all", Flaw::Encoding, id().into_bytes()),
        ("names without their sequence", Flaw::Encoding, uri.clone()),
        ("names with bytes after", Flaw::Encoding, [set.clone(), vec![0]].concat()),
        ("a name with a long length", Flaw::Names, sequence(&[&long])),
        ("a name that says it is longer", Flaw::Names, sequence(&[&[0x86, 0x7f], id().as_bytes()])),
        ("a name of an unknown kind", Flaw::Names, sequence(&[&name(0x89, id().as_bytes())])),
        ("a name of bytes that are no UTF-8", Flaw::Names, sequence(&[&name(0x86, &[0xff; 90])])),
        ("5,000 names", Flaw::Size, element(0x30, &name(0x82, b"a.example").repeat(5_000))),
        ("300 names", Flaw::Names, element(0x30, &name(0x82, b"a.example").repeat(300))),
    ];
    let mut animals: Vec<_> = odd
        .into_iter()
        .map(|(what, flaw, value)| keeper.but(what, Some(flaw), |leaf| leaf.set(NAMES, &value)))
        .collect();
    animals.push(keeper.but("no names", Some(Flaw::Names), |leaf| leaf.drop_(NAMES)));
    animals.push(keeper.but("names critical", IN, |leaf| leaf.put(NAMES, extension(NAMES, Some(0xff), &set))));
    animals
}

/// The subject is never read, whatever stands in it; the issuer must be ours.
fn subjects(keeper: &Keeper) -> Vec<Animal> {
    let texts: [&[u8]; 6] = [b"", b"*", b"admin", id().as_bytes().to_vec().leak(), b"a\0b", b"\x1b[2J"];
    let mut animals: Vec<_> = texts
        .into_iter()
        .map(|text| {
            let what = format!("common name {:?}", String::from_utf8_lossy(text));
            keeper.but(what, IN, |leaf| leaf.subject = common_name(0x0c, text))
        })
        .collect();
    animals.push(keeper.but("our id as common name and nowhere else", Some(Flaw::Names), |leaf| {
        leaf.subject = common_name(0x0c, id().as_bytes());
        leaf.drop_(NAMES);
    }));
    animals.push(keeper.but("the root's own name as subject", IN, |leaf| leaf.subject = leaf.issuer.clone()));
    for (what, tag, text) in [
        ("issuer with another name", 0x0c, &b"other"[..]),
        ("issuer with another string type", 0x13, b"mosaic-fed"),
        ("issuer with a blank after", 0x0c, b"mosaic-fed "),
        ("issuer in capitals", 0x0c, b"MOSAIC-FED"),
    ] {
        animals.push(keeper.but(what, Some(Flaw::Chain), |leaf| leaf.issuer = common_name(tag, text)));
    }
    animals.push(keeper.but("issuer without a name", Some(Flaw::Chain), |leaf| leaf.issuer = sequence(&[])));
    animals
}

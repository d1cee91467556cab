//! Extended key usage: exactly clientAuth, whatever the set and its order (RFC 5280 4.2.1.12).

use super::{
    der::{element, oid},
    keeper::{Animal, IN, Keeper},
    leaf::{CLIENT, PURPOSE, extension, purposes},
};
use pki::Flaw;

/// Any purpose, serverAuth, clientAuth, codeSigning, emailProtection, timeStamping, `OCSPSigning`, one that nobody knows.
const KNOWN: [u32; 8] = [0, 1, CLIENT, 3, 4, 8, 9, 12_345];

/// webpki has its own look at a leaf that is not for clients at all; the class is the same.
pub fn animals(keeper: &Keeper) -> Vec<Animal> {
    let mut animals = vec![keeper.but("no purpose", Some(Flaw::Purpose), |leaf| leaf.drop_(PURPOSE))];
    for one in KNOWN {
        let fate = if one == CLIENT { IN } else { Some(Flaw::Purpose) };
        animals.push(keeper.but(format!("purpose {one}"), fate, |leaf| leaf.set(PURPOSE, &purposes(&[one]))));
        // Every ordered pair, doubled ones among them.
        for other in KNOWN {
            let set = |leaf: &mut super::leaf::Leaf| leaf.set(PURPOSE, &purposes(&[one, other]));
            animals.push(keeper.but(format!("purposes {one} and {other}"), Some(Flaw::Purpose), set));
        }
    }
    animals.push(keeper.but("purpose critical", IN, |leaf| {
        leaf.put(PURPOSE, extension(PURPOSE, Some(0xff), &purposes(&[CLIENT])));
    }));
    let odd: [(&str, Flaw, Vec<u8>); 4] = [
        ("purposes empty", Flaw::Chain, element(0x30, &[])),
        ("purposes a SET", Flaw::Encoding, element(0x31, &oid(&[1, 3, 6, 1, 5, 5, 7, 3, CLIENT]))),
        ("purpose without its sequence", Flaw::Encoding, oid(&[1, 3, 6, 1, 5, 5, 7, 3, CLIENT])),
        ("purposes with bytes after", Flaw::Encoding, [purposes(&[CLIENT]), vec![5, 0]].concat()),
    ];
    animals.extend(
        odd.into_iter().map(|(name, flaw, value)| keeper.but(name, Some(flaw), |leaf| leaf.set(PURPOSE, &value))),
    );
    animals
}

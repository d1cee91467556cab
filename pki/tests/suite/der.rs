//! Just enough DER to take a certificate apart, change it and sign it again.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};

/// Order of P-256 (FIPS 186-4 D.1.2.3).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Tag, content and rest of the first element.
fn split(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, at) = match der[1] {
        0x81 => (usize::from(der[2]), 3),
        0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
        short => (usize::from(short), 2),
    };
    (der[0], &der[at..at + length], &der[at + length..])
}

/// One element.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..0x80 => vec![tag, length[1]],
        0x80..0x100 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [head.as_slice(), content].concat()
}

/// The three parts of a certificate or request, encoded.
fn parts(der: &[u8]) -> [Vec<u8>; 3] {
    let (mut parts, mut rest) = (Vec::new(), split(der).1);
    while !rest.is_empty() {
        let (tag, content, next) = split(rest);
        parts.push(element(tag, content));
        rest = next;
    }
    parts.try_into().unwrap()
}

/// The same with `from` replaced by `to` of the same length in the signed part, signed again with a P-256 key (PKCS #8).
pub fn resigned(der: &[u8], from: &[u8], to: &[u8], key_pkcs8: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let [mut signed, algorithm, _] = parts(der);
    let at = signed.windows(from.len()).position(|window| window == from).unwrap();
    signed[at..at + to.len()].copy_from_slice(to);
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key_pkcs8).unwrap();
    let signature = key.sign(&SystemRandom::new(), &signed).unwrap();
    let signature = element(3, &[&[0], signature.as_ref()].concat());
    element(0x30, &[signed, algorithm, signature].concat())
}

/// The same certificate with the second valid form of its ECDSA signature: `n - s` in the place of `s`.
pub fn malleated(der: &[u8]) -> Vec<u8> {
    let [signed, algorithm, signature] = parts(der);
    let (_, numbers, _) = split(&split(&signature).1[1..]);
    let (_, r, rest) = split(numbers);
    let (_, s, _) = split(rest);
    let numbers = [element(2, r), element(2, &negated(s))].concat();
    let signature = element(3, &[&[0], element(0x30, &numbers).as_slice()].concat());
    element(0x30, &[signed, algorithm, signature].concat())
}

fn negated(s: &[u8]) -> Vec<u8> {
    let s = s.strip_prefix(&[0]).unwrap_or(s);
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
    result[zeros..].to_vec()
}

/// The subject's name of a certificate, encoded.
pub fn subject(der: &[u8]) -> Vec<u8> {
    let [signed, ..] = parts(der);
    let (mut rest, mut found) = (split(&signed).1, Vec::new());
    for _ in 0..6 {
        let (tag, content, next) = split(rest);
        (found, rest) = (element(tag, content), next);
    }
    found
}

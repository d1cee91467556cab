//! A grant certificate taken apart: every part can be replaced before it is put together and signed with the CA's own key, so
//! that nothing but the checks under test can refuse it.

use super::der::{bits, element, elements, inside, oid, sequence};
use crate::sharing::{DAY, HOLDER, ISSUER, NOW};
use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use domain::Time;
use std::time::Duration;

pub const NAMES: &[u32] = &[2, 5, 29, 17];
pub const KEY_USAGE: &[u32] = &[2, 5, 29, 15];
pub const BASIC: &[u32] = &[2, 5, 29, 19];
pub const PURPOSE: &[u32] = &[2, 5, 29, 37];
pub const GRANT: &[u32] = &[1, 3, 6, 1, 4, 1, 99_999, 1];
pub const SUBJECT: &[u32] = &[1, 3, 6, 1, 4, 1, 99_999, 2];
pub const CLIENT: u32 = 2;
/// UUIDs as text.
pub const GRANT_ID: &str = "00000000-0000-0000-0000-000000000003";
pub const USER_ID: &str = "00000000-0000-0000-0000-00000000abcd";
/// ecdsa-with-SHA256
pub const ECDSA: &[u32] = &[1, 2, 840, 10045, 4, 3, 2];

/// A key pair: its `SubjectPublicKeyInfo`, DER, and what a client signs with.
#[derive(Clone)]
pub struct Key {
    pub spki: Vec<u8>,
    pub pkcs8: Vec<u8>,
}

impl Key {
    pub fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        Self { spki: spki.as_ref().to_vec(), pkcs8: pair.to_pkcs8v1().unwrap().as_ref().to_vec() }
    }

    pub fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let spki = sequence(&[&sequence(&[&oid(&[1, 3, 101, 112])]), &bits(pair.public_key().as_ref())]);
        Self { spki, pkcs8: pair.to_pkcs8().unwrap().as_ref().to_vec() }
    }
}

/// Everything a certificate is made of, each part encoded.
#[derive(Clone)]
pub struct Leaf {
    pub version: Vec<u8>,
    pub serial: Vec<u8>,
    pub algorithm: Vec<u8>,
    pub issuer: Vec<u8>,
    pub begins: Vec<u8>,
    pub ends: Vec<u8>,
    pub subject: Vec<u8>,
    pub key: Key,
    /// Between key and extensions.
    pub unique_ids: Vec<u8>,
    /// Object identifier and whole extension.
    pub extensions: Vec<(&'static [u32], Vec<u8>)>,
    /// After the extensions.
    pub rest: Vec<u8>,
    /// The algorithm outside what is signed.
    pub outer: Vec<u8>,
    /// Who signs.
    pub signer: EcKey,
}

/// A P-256 key as PKCS #8.
#[derive(Clone)]
pub struct EcKey(pub Vec<u8>);

impl EcKey {
    pub fn sign(&self, what: &[u8]) -> Vec<u8> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.0).unwrap();
        pair.sign(&SystemRandom::new(), what).unwrap().as_ref().to_vec()
    }
}

/// The subject's name of a certificate.
pub fn name_of(certificate: &[u8]) -> Vec<u8> {
    let signed = elements(inside(certificate)).swap_remove(0);
    elements(inside(&signed)).swap_remove(5)
}

/// A common name.
pub fn common_name(tag: u8, text: &[u8]) -> Vec<u8> {
    sequence(&[&element(0x31, &sequence(&[&oid(&[2, 5, 4, 3]), &element(tag, text)]))])
}

/// An extension; `critical` is the content of its BOOLEAN, absent when it has none.
pub fn extension(id: &[u32], critical: Option<u8>, value: &[u8]) -> Vec<u8> {
    let critical = critical.map_or_else(Vec::new, |content| element(1, &[content]));
    sequence(&[&oid(id), &critical, &element(4, value)])
}

/// The purposes `1.3.6.1.5.5.7.3.n`; 0 stands for any purpose.
pub fn purposes(which: &[u32]) -> Vec<u8> {
    let one = |n: &u32| if *n == 0 { oid(&[2, 5, 29, 37, 0]) } else { oid(&[1, 3, 6, 1, 5, 5, 7, 3, *n]) };
    element(0x30, &which.iter().flat_map(one).collect::<Vec<_>>())
}

/// `spiffe://<issuer>.mosaic-fed.internal/instance/<holder>`
pub fn id() -> String {
    pki::spiffe::instance_id(ISSUER, HOLDER)
}

/// One name of a subject alternative name.
pub fn name(tag: u8, content: &[u8]) -> Vec<u8> {
    element(tag, content)
}

pub fn utc(at: Time) -> Vec<u8> {
    element(0x17, format!("{}Z", &digits(at)[2..]).as_bytes())
}

/// `YYYYMMDDHHMMSS`
pub fn digits(at: Time) -> String {
    let at = at.to_offset();
    let (month, day) = (u8::from(at.month()), at.day());
    format!("{:04}{month:02}{day:02}{:02}{:02}{:02}", at.year(), at.hour(), at.minute(), at.second())
}

impl Leaf {
    /// As the CA with this root and key would issue it.
    pub fn good(root: &[u8], ca: EcKey) -> Self {
        let algorithm = sequence(&[&oid(ECDSA)]);
        let mut leaf = Self {
            version: element(0xa0, &[2, 1, 2]),
            serial: element(2, &[0x41; 16]),
            algorithm: algorithm.clone(),
            issuer: name_of(root),
            begins: utc(NOW.before(Duration::from_mins(5))),
            ends: utc(NOW + DAY),
            subject: sequence(&[]),
            key: Key::p256(),
            unique_ids: Vec::new(),
            extensions: Vec::new(),
            rest: Vec::new(),
            outer: algorithm,
            signer: ca,
        };
        leaf.set(NAMES, &sequence(&[&name(0x86, id().as_bytes())]));
        leaf.set(KEY_USAGE, &[3, 2, 7, 0x80]);
        leaf.set(PURPOSE, &purposes(&[CLIENT]));
        leaf.set(GRANT, &element(0x0c, GRANT_ID.as_bytes()));
        leaf.set(SUBJECT, &element(0x0c, USER_ID.as_bytes()));
        leaf
    }

    /// Replaces an extension, or adds it.
    pub fn set(&mut self, id: &'static [u32], value: &[u8]) {
        self.put(id, extension(id, None, value));
    }

    /// The same with an extension that is already encoded.
    pub fn put(&mut self, id: &'static [u32], whole: Vec<u8>) {
        match self.extensions.iter_mut().find(|(known, _)| *known == id) {
            Some((_, old)) => *old = whole,
            None => self.extensions.push((id, whole)),
        }
    }

    pub fn drop_(&mut self, id: &[u32]) {
        self.extensions.retain(|(known, _)| *known != id);
    }

    /// The value of an extension that is there, taken out of its OCTET STRING.
    pub fn value(&self, id: &[u32]) -> Vec<u8> {
        let whole = &self.extensions.iter().find(|(known, _)| *known == id).unwrap().1;
        inside(elements(inside(whole)).last().unwrap()).to_vec()
    }

    /// What is signed.
    pub fn signed(&self) -> Vec<u8> {
        let all: Vec<u8> = self.extensions.iter().flat_map(|(_, whole)| whole.clone()).collect();
        let all = if all.is_empty() { all } else { element(0xa3, &element(0x30, &all)) };
        let validity = sequence(&[&self.begins, &self.ends]);
        let parts = [&self.version, &self.serial, &self.algorithm, &self.issuer, &validity, &self.subject];
        let more = [&self.key.spki, &self.unique_ids, &all, &self.rest];
        element(0x30, &parts.into_iter().chain(more).flatten().copied().collect::<Vec<_>>())
    }

    /// The whole certificate, with this around what is signed.
    pub fn with_signature(&self, signature: &[u8]) -> Vec<u8> {
        sequence(&[&self.signed(), &self.outer, &bits(signature)])
    }

    pub fn encode(&self) -> Vec<u8> {
        self.with_signature(&self.signer.sign(&self.signed()))
    }
}

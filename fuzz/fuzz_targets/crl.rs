//! Lists of revoked certificates. A signature over random bytes is never right, and behind it nothing would ever be tried: so the
//! bytes are also taken for what is signed, and signed here.
#![no_main]

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use domain::{Time, id::InstanceId, world::World};
use libfuzzer_sys::fuzz_target;
use pki::{Authority, crl};
use std::sync::LazyLock;

const NOW: Time = Time::from_seconds(1_795_000_000);
const ECDSA: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

static CA: LazyLock<(Vec<u8>, EcdsaKeyPair)> = LazyLock::new(|| {
    let authority = Authority::create(&World::system(), InstanceId(uuid::Uuid::from_u128(1))).unwrap();
    let key = authority.key_pkcs8();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.expose()).unwrap();
    (authority.root_der().to_vec(), key)
});

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x84], &length[..], content].concat()
}

/// With the shortest lengths, as DER has them.
fn sequence(content: &[u8]) -> Vec<u8> {
    match u16::try_from(content.len()).map(u16::to_be_bytes) {
        Ok([0, short @ 0..0x80]) => [&[0x30, short], content].concat(),
        Ok([0, long]) => [&[0x30, 0x81, long], content].concat(),
        Ok([high, low]) => [&[0x30, 0x82, high, low], content].concat(),
        Err(_) => element(0x30, content),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (root, key) = &*CA;
    drop(crl::read(bytes, root, None, NOW));
    let signature = key.sign(&SystemRandom::new(), bytes).unwrap();
    let length = u8::try_from(signature.as_ref().len() + 1).unwrap();
    let list = sequence(&[bytes, ECDSA, &[3, length, 0], signature.as_ref()].concat());
    if let Ok(read) = crl::read(&list, root, None, NOW) {
        assert!(read.begins <= NOW + pki::profile::SKEW, "a list from the future was read");
        assert_eq!(crl::read(&list, root, Some(&read), NOW), Ok(read.clone()), "the same again is the same");
    }
});

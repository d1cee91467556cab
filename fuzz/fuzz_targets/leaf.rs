//! The profile of certificates: whatever the bytes are, it answers, and what it accepts is what the page says.
#![no_main]

use domain::id::InstanceId;
use libfuzzer_sys::fuzz_target;
use pki::profile;

const ISSUER: InstanceId = InstanceId(uuid::Uuid::from_u128(1));

fuzz_target!(|der: &[u8]| {
    for leaf in [
        profile::grant_leaf(der, ISSUER).map(|read| read.leaf),
        profile::instance_leaf(der, ISSUER).map(|read| read.leaf),
    ] {
        let Ok(leaf) = leaf else { continue };
        assert!(der.len() <= profile::MAX_BYTES, "a certificate that is too large was read");
        assert!((8..=20).contains(&leaf.serial.as_bytes().len()), "a serial number out of bounds was read");
    }
});

//! Certificate requests, which strangers send before they have proved anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::{CheckedCsr, request};

fuzz_target!(|der: &[u8]| {
    if CheckedCsr::parse(der).is_ok() {
        assert!(der.len() <= request::MAX_BYTES, "a request that is too large was read");
    }
});

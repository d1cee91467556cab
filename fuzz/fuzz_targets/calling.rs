//! What `link await` prints, which people paste from anywhere. Random bytes never have the right check sum, so one is put behind them too.
#![no_main]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::calling::Calling;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

/// What every such text of this version begins with, and how many bytes of its hash end it.
const PREFIX: &str = "mfa1.";
const CHECK: usize = 4;

fn read(text: &str) {
    if let Ok(calling) = Calling::decode(text) {
        let written = calling.encode();
        let again = Calling::decode(written.expose()).expect("what was written is read");
        assert_eq!(again.encode().expose(), written.expose(), "such a text has one form");
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
    let sum = Sha256::digest(bytes);
    read(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([bytes, &sum[..CHECK]].concat())));
});

//! What `audit verify` reads: proofs, checkpoints and lines of an export, from whoever sent them.
#![no_main]

use domain::audit::{
    chain::Verifier,
    note::{Checkpoint, Note},
    proof::Proof,
};
use libfuzzer_sys::fuzz_target;
use std::{fmt::Display, str::FromStr};

/// What is read and written again is what it was.
fn has_one_form<T: FromStr + Display>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert_eq!(read.to_string(), text);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    has_one_form::<Note>(text);
    has_one_form::<Checkpoint>(text);
    if let Ok(proof) = text.parse::<Proof>() {
        // The entry in it is JSON, which has many forms.
        let again: Proof = proof.to_string().parse().expect("what was written is read");
        assert_eq!(again.check().is_ok(), proof.check().is_ok());
        assert_eq!(again, proof);
    }
    let mut log = Verifier::default();
    let _ = text.lines().try_for_each(|line| log.line(line)).map(|()| log.finish());
});

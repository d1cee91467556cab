//! Sealing: only the same key in the same place opens, and nothing of the plain text shows.

use super::forge::world;
use pki::{Kek, SealError};
use proptest::prelude::*;

#[test]
fn what_was_sealed_opens_in_its_own_context_only() {
    let kek = Kek::generate(&world().0);
    let sealed = kek.seal("link key 1", b"-----secret-----").unwrap();
    assert!(kek.open("link key 1", &sealed).unwrap().matches(b"-----secret-----"));
    for context in ["link key 2", "", "link key 1 ", "LINK KEY 1"] {
        assert_eq!(kek.open(context, &sealed).err(), Some(SealError::Mismatch), "{context}");
    }
    assert_eq!(Kek::from_bytes([7; 32]).open("link key 1", &sealed).err(), Some(SealError::Mismatch));
}

#[test]
fn a_raw_read_shows_no_plain_text_and_equal_texts_do_not_look_equal() {
    let kek = Kek::generate(&world().0);
    let secret = b"-----BEGIN PRIVATE KEY-----";
    let (one, two) = (kek.seal("c", secret).unwrap(), kek.seal("c", secret).unwrap());
    assert_ne!(one, two);
    assert!(!one.windows(8).any(|window| secret.windows(8).any(|part| part == window)));
    assert_eq!(one.len(), 1 + 12 + secret.len() + 16);
}

#[test]
fn a_key_file_reads_back_and_a_damaged_one_says_so() {
    let kek = Kek::generate(&world().0);
    let text = kek.to_text();
    let sealed = kek.seal("c", b"x").unwrap();
    assert!(Kek::from_text(text.expose()).unwrap().open("c", &sealed).is_ok());
    let short = text.expose().trim().len() - 1;
    for bad in ["", "mosaic-fed-kek-1:", &text.expose()[..short], &text.expose().replace("kek-1", "kek-2")] {
        assert_eq!(Kek::from_text(bad).err(), Some(SealError::KeyText));
    }
}

proptest! {
    #[test]
    fn every_altered_or_cut_off_value_is_refused(
        plain in prop::collection::vec(any::<u8>(), 0..100),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let kek = Kek::from_bytes([9; 32]);
        let sealed = kek.seal("c", &plain).unwrap();
        let mut altered = sealed.clone();
        altered[at.index(sealed.len())] ^= flip;
        prop_assert!(kek.open("c", &altered).is_err());
        prop_assert!(kek.open("c", &sealed[..at.index(sealed.len())]).is_err());
        prop_assert!(kek.open("c", &sealed).unwrap().matches(&plain));
    }
}

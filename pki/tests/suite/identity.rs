//! An id in a certificate is ours to the letter, whoever spells it: patterns without anchors have let strangers in elsewhere.

use domain::{
    id::Name,
    world::{Rng, SeededRng},
};
use pki::spiffe;

/// As many strings as there is time for.
fn strings() -> u32 {
    if std::env::var("MOSAIC_TEST_SCALE").is_ok_and(|scale| scale == "large") { 1_000_000 } else { 30_000 }
}

/// The grammar, written a second time and differently.
fn is_id(text: &[u8]) -> bool {
    let uuid = |text: &[u8]| {
        let dash = |at| matches!(at, 8 | 13 | 18 | 23);
        let right = |(at, b): (usize, &u8)| if dash(at) { *b == b'-' } else { b"0123456789abcdef".contains(b) };
        text.len() == 36 && text.iter().enumerate().all(right)
    };
    let (head, middle) = (b"spiffe://", b".mosaic-fed.internal/instance/");
    text.len() == 9 + 36 + middle.len() + 36
        && &text[..9] == head
        && uuid(&text[9..45])
        && &text[45..45 + middle.len()] == middle
        && uuid(&text[45 + middle.len()..])
}

fn below(dice: &SeededRng, end: usize) -> usize {
    let mut bytes = [0; 4];
    dice.fill(&mut bytes);
    usize::try_from(u32::from_be_bytes(bytes)).unwrap() % end
}

/// Another character, one more, one less, a piece twice, capitals, something before or behind.
fn misspell(dice: &SeededRng, text: &mut Vec<u8>) {
    const BYTES: &[u8] = b"0123456789abcdefABCDEFgz-_/%@:?#.\0 \n*";
    let (byte, at) = (BYTES[below(dice, BYTES.len())], below(dice, text.len()));
    match below(dice, 8) {
        0 | 1 => text[at] = byte,
        2 => text.insert(at, byte),
        3 => drop(text.remove(at)),
        4 => text[at] = text[at].to_ascii_uppercase(),
        5 => text.insert(0, byte),
        6 => text.extend_from_within(at..),
        _ => text.push(byte),
    }
}

#[test]
fn id_parse_exact() {
    let dice = SeededRng::new(0x5eed);
    let id = |dice: &SeededRng| {
        let mut bytes = [0; 16];
        dice.fill(&mut bytes);
        domain::id::InstanceId(uuid::Uuid::from_bytes(bytes))
    };
    let mut seen = [0_u32; 2];
    for _ in 0..strings() {
        let mut text = spiffe::instance_id(id(&dice), id(&dice)).into_bytes();
        for _ in 0..below(&dice, 3) {
            misspell(&dice, &mut text);
        }
        let Ok(spelt) = std::str::from_utf8(&text) else { continue };
        let read = spiffe::parse_instance_id(spelt);
        assert_eq!(read.is_some(), is_id(&text), "{spelt:?}");
        if let Some((issuer, holder)) = read {
            assert_eq!(spiffe::instance_id(issuer, holder), spelt);
        }
        seen[usize::from(is_id(&text))] += 1;
    }
    assert!(seen.iter().all(|each| *each > strings() / 5), "both kinds are tried: {seen:?}");
}

#[test]
fn confusables() {
    let like_office = [
        "\u{43e}ffice",
        "o\u{fb00}ice",
        "offic\u{435}",
        "off\u{131}ce",
        "\u{ff4f}ffice",
        "office\u{200b}",
        "office\u{301}",
        "of\u{ad}fice",
        "\u{202e}eciffo",
        "xn--ffice-8jg.",
        "OFFICE",
        "offi\u{441}e",
        "\u{1d428}ffice",
        "office\0",
        " office",
        "office\u{a0}",
        "\u{feff}office",
        "of\u{34f}fice",
        "office.",
        "0ffice/",
        "off\u{456}ce",
    ];
    assert!("office".parse::<Name>().is_ok());
    for name in like_office {
        assert!(name.parse::<Name>().is_err(), "{name:?} is a name");
    }
    let issuer = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let id = spiffe::instance_id(issuer.parse().unwrap(), issuer.parse().unwrap());
    for (plain, alike) in [('a', '\u{430}'), ('e', '\u{435}'), ('c', '\u{441}'), ('0', '\u{ff10}'), ('-', '\u{2010}')] {
        let alike = id.replacen(plain, &alike.to_string(), 1);
        assert_ne!(alike, id);
        assert_eq!(spiffe::parse_instance_id(&alike), None, "{alike}");
    }
}

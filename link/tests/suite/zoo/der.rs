//! Writing DER by hand: a certificate library writes none of what this zoo needs.

/// One element with the shortest length.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..0x80 => vec![tag, length[3]],
        0x80..0x100 => vec![tag, 0x81, length[3]],
        0x100..0x1_0000 => vec![tag, 0x82, length[2], length[3]],
        _ => vec![tag, 0x83, length[1], length[2], length[3]],
    };
    [&head, content].concat()
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

/// An object identifier.
pub fn oid(arcs: &[u32]) -> Vec<u8> {
    let mut content = vec![u8::try_from(arcs[0] * 40 + arcs[1]).unwrap()];
    for arc in &arcs[2..] {
        let digits: Vec<u8> = (0..5).rev().map(|n| u8::try_from(arc >> (7 * n) & 0x7f).unwrap()).collect();
        let first = digits.iter().position(|digit| *digit != 0).unwrap_or(4);
        let (last, more) = digits[first..].split_last().unwrap();
        content.extend(more.iter().map(|digit| digit | 0x80));
        content.push(*last);
    }
    element(0x06, &content)
}

/// A BIT STRING of whole bytes.
pub fn bits(content: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], content].concat())
}

/// The elements that follow each other, each with its head.
pub fn elements(mut der: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (length, head) = match der[1] {
            0x81 => (usize::from(der[2]), 3),
            0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
            short => (usize::from(short), 2),
        };
        let (one, rest) = der.split_at(head + length);
        found.push(one.to_vec());
        der = rest;
    }
    found
}

/// What is inside an element.
pub fn inside(der: &[u8]) -> &[u8] {
    match der[1] {
        0x81 => &der[3..],
        0x82 => &der[4..],
        _ => &der[2..],
    }
}

//! Which trace a request belongs to, in the form that goes over a wire: `traceparent` of W3C Trace Context, level 1, section 3.2.
//!
//! What comes with it from elsewhere (`tracestate`, `baggage`) is neither read nor passed on. Whether the sender recorded its
//! part is read, so that it can be passed on as it came, and decides nothing here: each instance records by its own settings.

use std::fmt;

/// The header, and the metadata key.
pub const TRACEPARENT: &str = "traceparent";
/// The length of the only version that there is.
const LENGTH: usize = 55;

/// A place in a trace: what is done next is a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// 16 bytes, not all of them 0.
    trace: [u8; 16],
    /// 8 bytes, not all of them 0.
    span: [u8; 8],
    recorded: bool,
}

impl TraceParent {
    /// None where either id is all zeros, which names nothing.
    pub fn new(trace: [u8; 16], span: [u8; 8], recorded: bool) -> Option<Self> {
        (trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span, recorded })
    }

    /// Reads the header's value. None where it is malformed in any way: then a new trace begins.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        // Versions to come may be longer, and begin alike.
        let version = bytes.get(..2)?;
        let fits = match version {
            b"00" => bytes.len() == LENGTH,
            b"ff" => false,
            _ => bytes.len() == LENGTH || bytes.len() > LENGTH && bytes[LENGTH] == b'-',
        };
        if !fits || [2, 35, 52].iter().any(|at| bytes[*at] != b'-') {
            return None;
        }
        let [_] = hexadecimal::<1>(version)?;
        let [flags] = hexadecimal::<1>(&bytes[53..55])?;
        Self::new(hexadecimal(&bytes[3..35])?, hexadecimal(&bytes[36..52])?, flags & 1 == 1)
    }

    /// The trace's id.
    pub const fn trace(&self) -> [u8; 16] {
        self.trace
    }

    /// The id of the span that comes before.
    pub const fn span(&self) -> [u8; 8] {
        self.span
    }

    /// Whether the sender says that it recorded its part.
    pub const fn recorded(&self) -> bool {
        self.recorded
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.recorded);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", u128::from_be_bytes(self.trace), u64::from_be_bytes(self.span))
    }
}

/// Lower-case hexadecimal only, as the standard has it.
fn hexadecimal<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn what_the_standard_allows_is_read_and_written_alike() {
        let plain = format!("00-{TRACE}-{SPAN}-01");
        let read = TraceParent::parse(&plain).unwrap();
        assert_eq!((read.to_string(), read.recorded()), (plain.clone(), true));
        assert!(!TraceParent::parse(&format!("00-{TRACE}-{SPAN}-00")).unwrap().recorded());
        // Other flags, and what later versions add, are not passed on.
        for later in
            [format!("00-{TRACE}-{SPAN}-ff"), format!("cc-{TRACE}-{SPAN}-01"), format!("01-{TRACE}-{SPAN}-01-x=y")]
        {
            assert_eq!(TraceParent::parse(&later).unwrap().to_string(), plain, "{later}");
        }
    }

    #[test]
    fn what_is_malformed_is_none() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0g-{TRACE}-{SPAN}-01"),
            format!("01-{TRACE}-{SPAN}-01x"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00_{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}{SPAN}--01"),
            "\u{2028}".repeat(20),
        ] {
            assert_eq!(TraceParent::parse(&text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much_and_what_is_read_is_written_in_plain_letters(text in "\\PC{0,80}", junk in any::<Vec<u8>>()) {
            for text in [text.as_str(), &String::from_utf8_lossy(&junk)] {
                if let Some(read) = TraceParent::parse(text) {
                    prop_assert!(read.to_string().bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'));
                }
            }
        }

        #[test]
        fn every_place_in_a_trace_comes_back(trace in 1_u128.., span in 1_u64.., recorded: bool) {
            let place = TraceParent::new(trace.to_be_bytes(), span.to_be_bytes(), recorded).unwrap();
            prop_assert_eq!(TraceParent::parse(&place.to_string()), Some(place));
        }
    }
}

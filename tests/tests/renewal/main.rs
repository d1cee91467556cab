//! Renewal of a grant's certificate over real TLS: what the sharing side lets happen ([`sharing`]), what the asking side makes of
//! it ([`asking`]), and that nobody's call notices ([`load`]).
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]

mod asking;
mod load;
mod sharing;

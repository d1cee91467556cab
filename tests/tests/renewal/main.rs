//! Renewal of a grant's certificate over real TLS: what the sharing side lets happen ([`sharing`]), what the asking side makes of
//! it ([`asking`]), and that nobody's call notices ([`load`]).
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]
#![expect(clippy::print_stdout, reason = "how many calls and renewals there were is part of what a run tells")]

mod asking;
mod issuer;
mod load;
mod sharing;

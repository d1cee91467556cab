//! Control sessions over real TLS: what the sharing side tells and believes ([`sharing`]), and both sides together ([`receipts`]).
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]

mod receipts;
mod sharing;
mod stranger;

//! Control sessions over real TLS: what the sharing side tells and believes ([`sharing`]), both sides together ([`receipts`]), and a
//! database that is not to be believed ([`database`]).
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]

mod database;
mod receipts;
mod sharing;
mod stranger;

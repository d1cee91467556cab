//! Control sessions over real TLS: what the sharing side tells and believes ([`sharing`]), both sides together ([`receipts`]), whether
//! others can reach the sharing side ([`reach`]), and a database that is not to be believed: of grants ([`database`]) and of how they come to
//! their holders ([`handed`]); keys that were stolen ([`keys`]).
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]
#![expect(clippy::print_stdout, reason = "how long words took is part of what a run tells")]

mod crowd;
mod database;
mod handed;
mod keys;
mod reach;
mod receipts;
mod refused;
mod sharing;
mod stranger;

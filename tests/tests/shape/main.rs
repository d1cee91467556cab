//! The shape of the project itself: who may depend on whom, that no RPC is without an operation, and that pages tell the truth.
//!
//! Map: [`direction`] resolves each crate by itself; [`operations`] compares the wire's descriptors with the closed list;
//! [`pages`] follows the links and measures the lengths of what people read; [`protocol`] holds the page for strangers to the
//! program; [`words`] finds what no file may name.
#![expect(clippy::unwrap_used, reason = "a test that cannot read the checkout fails loudly")]

mod direction;
mod operations;
mod pages;
mod protocol;
mod words;

use std::path::PathBuf;

/// The checkout.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

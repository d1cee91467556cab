//! Who is let in, and who is believed: the two verifiers that TLS calls in the middle of a handshake.
//!
//! Both: issued by one root directly (webpki), our clock, then the strict [`crate::profile`]. The sharing side
//! also asks its [`DenyList`]. What fails here ends in a TLS alert, before a byte of HTTP/2 is read.

mod client;
mod deny;
mod refused;
mod server;

pub use client::{ClientVerifier, Refused, Witness};
pub use deny::{Deny, DenyList};
pub use refused::RefusedLeaves;
pub use server::ServerVerifier;

//! The wire: `mosaic.federation.v1` as Rust types, generated from `proto/` at build.
//!
//! Map: [`v1`] holds every message; its `*_client` and `*_server` modules exist under the features `client` and `server`.
//! Must not: hold any meaning. What a message means, and whether it may be believed, is `domain`'s.

/// Messages and, by feature, stubs of `mosaic.federation.v1`.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/mosaic.federation.v1.rs"));
}

/// The compiled `FileDescriptorSet` of this package, protobuf-encoded.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// The package name, also the `domain` of every `google.rpc.ErrorInfo`.
pub const PACKAGE: &str = "mosaic.federation.v1";

/// The metadata key of a call's id, a UUID in lower case with dashes: the asker's where it sends one, and in both logs.
pub const REQUEST_ID: &str = "x-request-id";

/// The metadata key of the calls that a grant has left after this one, in the answer to a call that is taken from its rate: a decimal number.
pub const CALLS_LEFT: &str = "x-calls-left";

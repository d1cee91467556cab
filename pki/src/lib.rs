//! Certificates: who may issue them, what they must look like, and who is let in with one.
//!
//! Map: [`mod@provider`] has the one crypto provider. [`seal`] keeps keys secret at rest. On the sharing side [`authority`] issues,
//! from an [`order`] and a checked [`request`]; [`verify::ClientVerifier`] lets callers in. On the asking side [`request`]
//! makes the key, [`enrolled`] checks what came back and [`verify::ServerVerifier`] checks who answers. [`profile`] says what
//! a leaf must look like, [`spiffe`] how an instance is named in it, [`flaw`] why one is refused, [`crl`] what a list of
//! revoked ones is. [`audit_key`] signs heads, [`call`] has the keys of calls the other way round. [`step_ca`] issues through another program; [`fit`] looks at what any issuer made.
//!
//! Must not: know of sockets or HTTP outside [`step_ca`], which alone waits for anything; know of databases; read a clock that
//! was not handed in. Nobody else names rcgen or x509-parser.
#![deny(missing_docs)]

mod anchor;
pub mod audit_key;
pub mod authority;
pub mod call;
pub mod clock;
pub mod crl;
pub mod enrolled;
pub mod fit;
pub mod flaw;
pub mod key;
pub mod order;
pub mod profile;
pub mod provider;
pub mod request;
pub mod seal;
pub mod spiffe;
pub mod step_ca;
pub mod verify;

pub use anchor::BadRoot;
pub use audit_key::{AuditKey, verify_head, verify_note};
pub use authority::Authority;
pub use call::{CallKey, CallSecret, Challenge};
pub use crl::{CrlError, CrlNumber, CrlOrder, CrlSays, ReadCrl, Revoked, Why};
pub use fit::Unfit;
pub use flaw::Flaw;
pub use order::{GrantOrder, InstanceIdentity, InstanceOrder, IssueError, Issued, Issuer, IssuerStanding, LEAF_LIFE};
pub use profile::{GrantLeaf, InstanceLeaf};
pub use provider::{install_provider, provider};
pub use request::{CheckedCsr, CsrError, RequestKey};
pub use seal::{Kek, SealError};
pub use step_ca::StepCa;
pub use verify::{ClientVerifier, Deny, DenyList, Refused, RefusedLeaves, ServerVerifier, Witness};

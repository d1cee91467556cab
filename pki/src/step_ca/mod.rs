//! A Smallstep step-ca as the issuer, behind the same orders as the embedded CA.
//!
//! Map: [`key`] is the provisioner's key, [`token`] what it signs for one request, [`client`] the HTTPS calls, [`guard`] what a
//! CA must be like before anything is ordered from it, [`issuer`] the orders themselves, [`setup`] the files a step-ca starts with.
//!
//! Nothing of what the CA answers is taken on trust: each certificate passes [`crate::fit`] before it leaves, each list
//! [`crate::crl::check`]. Renewing at the CA is switched off: a renewal is a new order, past the grants' own table nothing goes.

pub mod client;
pub mod guard;
pub mod issuer;
pub mod key;
pub mod setup;
pub mod token;

pub use client::{Address, CaError};
pub use guard::{GuardError, Warning};
pub use issuer::{Settings, SetupError, StepCa};
pub use key::ProvisionerKey;

/// The provisioner's name, where none is configured.
pub const PROVISIONER: &str = "mosaic-fed";

/// The template that step-ca makes leaves with.
pub const TEMPLATE: &str = include_str!("../../../compose/step-ca/leaf.tpl");

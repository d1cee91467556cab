//! Certificates and keys that may not come in although they chain: what was revoked or replaced.

use arc_swap::ArcSwap;
use domain::{
    grant::Leaf,
    id::{Serial, Spki},
};
use std::{collections::HashSet, sync::Arc};

/// What is denied. By serial number, which is unique under our one issuer, and by key; never by a hash of the certificate,
/// since an ECDSA signature has a second valid encoding and with it the certificate another hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deny {
    /// Serial numbers of certificates of this instance's CA.
    pub serials: HashSet<Serial>,
    /// Keys.
    pub keys: HashSet<Spki>,
}

impl Deny {
    /// Whether this leaf is denied, by either.
    pub fn covers(&self, leaf: &Leaf) -> bool {
        self.serials.contains(&leaf.serial) || self.keys.contains(&leaf.spki)
    }
}

/// The denied set in force, swapped whole. Each handshake reads the newest.
#[derive(Debug, Default)]
pub struct DenyList(ArcSwap<Deny>);

impl DenyList {
    /// Begins with `deny`.
    pub fn new(deny: Deny) -> Self {
        Self(ArcSwap::from_pointee(deny))
    }

    /// Puts another set in force, for every handshake from here on.
    pub fn swap(&self, deny: Deny) {
        self.0.store(Arc::new(deny));
    }

    /// The set in force.
    pub fn load(&self) -> Arc<Deny> {
        self.0.load_full()
    }
}

//! Certificates and keys that may not come in although they chain: what was revoked or replaced.

use super::RefusedLeaves;
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
    /// Certificates that are refused until they end, by serial number and by key.
    pub refused: RefusedLeaves,
    /// Keys that certificates in force use: they stay welcome, also where an earlier certificate of the same key is refused.
    pub active: HashSet<Spki>,
}

impl Deny {
    /// Whether this leaf is denied, by either.
    pub fn covers(&self, leaf: &Leaf) -> bool {
        self.serials.contains(&leaf.serial)
            || self.keys.contains(&leaf.spki)
            || self.refused.names(&leaf.serial)
            || (self.refused.has_key(leaf.spki) && !self.active.contains(&leaf.spki))
    }
}

/// The denied sets in force, each swapped whole: this side's own, and what the CA's list of revoked certificates names. Neither
/// takes anything from the other. Each handshake reads the newest.
#[derive(Debug, Default)]
pub struct DenyList {
    own: ArcSwap<Deny>,
    listed: ArcSwap<HashSet<Serial>>,
}

impl DenyList {
    /// Begins with `deny`.
    pub fn new(deny: Deny) -> Self {
        Self { own: ArcSwap::from_pointee(deny), listed: ArcSwap::default() }
    }

    /// Puts another set of this side's own in force, for every handshake from here on.
    pub fn swap(&self, deny: Deny) {
        self.own.store(Arc::new(deny));
    }

    /// Puts another list of the CA in force.
    pub fn swap_listed(&self, serials: HashSet<Serial>) {
        self.listed.store(Arc::new(serials));
    }

    /// Whether this leaf is denied, by any of them.
    pub fn covers(&self, leaf: &Leaf) -> bool {
        self.own.load().covers(leaf) || self.lists(&leaf.serial)
    }

    /// Whether the CA's list names this certificate.
    pub fn lists(&self, serial: &Serial) -> bool {
        self.listed.load().contains(serial)
    }
}

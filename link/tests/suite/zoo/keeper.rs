//! What every animal of the zoo is bred from.

use super::leaf::{EcKey, Key, Leaf};
use link::Class;
use pki::{Authority, Flaw};

/// One chain that a caller shows, and what must become of it.
pub struct Animal {
    /// What was changed.
    pub name: String,
    /// None: it gets in. Else the class under which its refusal is recorded.
    pub fate: Option<Class>,
    /// Leaf first.
    pub chain: Vec<Vec<u8>>,
    /// What the caller signs the handshake with, PKCS #8.
    pub key: Vec<u8>,
}

impl Animal {
    /// Any chain.
    pub fn of(name: impl Into<String>, fate: Option<Flaw>, chain: Vec<Vec<u8>>, key: &Key) -> Self {
        Self { name: name.into(), fate: fate.map(Class::Certificate), chain, key: key.pkcs8.clone() }
    }
}

/// It gets in.
pub const IN: Option<Flaw> = None;

/// The CA, and what is good.
pub struct Keeper {
    pub root: Vec<u8>,
    pub ca: EcKey,
    pub instance: Vec<u8>,
    good: Leaf,
}

impl Keeper {
    /// `instance` is the CA's own server certificate.
    pub fn new(authority: &Authority, instance: Vec<u8>) -> Self {
        let root = authority.root_der().to_vec();
        let ca = EcKey(authority.key_pkcs8().expose().clone());
        Self { good: Leaf::good(&root, ca.clone()), root, ca, instance }
    }

    /// A good leaf, to be spoilt.
    pub fn good(&self) -> Leaf {
        self.good.clone()
    }

    /// A good leaf with one change.
    pub fn but(&self, name: impl Into<String>, fate: Option<Flaw>, change: impl FnOnce(&mut Leaf)) -> Animal {
        let mut leaf = self.good();
        change(&mut leaf);
        Animal::of(name, fate, vec![leaf.encode()], &leaf.key)
    }
}

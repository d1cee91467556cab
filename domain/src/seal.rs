//! What shows that a stored grant is as the daemon wrote it: a MAC over all that it permits and to whom, under a key that is never in
//! the database. Whoever can write to the database alone cannot widen a grant.

use crate::{
    grant::{Grant, Leaf},
    secret::Secret,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{fmt, sync::Arc};

/// HMAC-SHA256, 32 bytes.
pub type Seal = [u8; 32];

/// Why a grant that the database has permits nothing. It can be ended, and nothing else is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Its row is not as this instance wrote it.
    Tampered,
    /// It was further already.
    Older,
    /// This build cannot read it.
    Unreadable,
}

impl Doubt {
    /// What its owner can do.
    pub const fn next(self) -> &'static str {
        match self {
            Self::Tampered | Self::Older => "end it with `mosaic-fed grant revoke` and make a new one",
            Self::Unreadable => "start the version that wrote it, or put the database back",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tampered => "it is not as this instance wrote it: somebody has changed the database",
            Self::Older => "it had come further already: the database was put back to an earlier state",
            Self::Unreadable => "this build cannot read it: a newer one wrote it, or the database is damaged",
        })
    }
}

/// The key of the MAC. Not printable.
#[derive(Clone)]
pub struct RowKey(Arc<Secret<[u8; 32]>>);

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowKey")
    }
}

impl RowKey {
    /// From 32 secret bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Secret::new(bytes)))
    }

    /// The seal of a grant that is stored with the scope `scope`, JSON.
    pub fn seal(&self, grant: &Grant, scope: &serde_json::Value) -> Seal {
        self.mac(grant, scope).finalize().into_bytes().into()
    }

    /// Whether `seal` is the one of this grant, found in constant time.
    pub fn fits(&self, grant: &Grant, scope: &serde_json::Value, seal: &[u8]) -> bool {
        self.mac(grant, scope).verify_slice(seal).is_ok()
    }

    /// What shows that this instance wrote `said` elsewhere.
    pub fn tag(&self, said: &[u8]) -> Seal {
        let mut mac = keyed(self.0.expose());
        mac.update(b"mosaic-fed word 1");
        mac.update(said);
        mac.finalize().into_bytes().into()
    }

    /// The scope counts as it is stored, and not as a version of this program reads it: a later one knows more of it. Each part is
    /// preceded by its length, so that no two grants have the same parts in a row.
    fn mac(&self, grant: &Grant, scope: &serde_json::Value) -> Hmac<Sha256> {
        let mut mac = keyed(self.0.expose());
        let mut part = |bytes: &[u8]| {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        part(b"mosaic-fed grant 1");
        part(grant.id.0.as_bytes());
        part(grant.name.as_str().as_bytes());
        part(grant.workspace.0.as_bytes());
        part(grant.subject.0.as_bytes());
        part(grant.peer.as_ref().map_or(&[], |peer| peer.0.as_bytes()));
        part(scope.to_string().as_bytes());
        part(grant.state.word().as_bytes());
        part(&grant.generation.to_be_bytes());
        let (next, former) = (grant.successor.as_ref(), grant.former.as_ref());
        for leaf in [grant.leaf.as_ref(), next.map(|next| &next.leaf), former.map(|former| &former.leaf)] {
            part(&leaf.map(whole).unwrap_or_default());
        }
        part(&next.map_or(0, |next| next.issued_at.micros()).to_be_bytes());
        part(&next.map_or(0, |next| next.unused).to_be_bytes());
        part(&former.map_or(0, |former| former.until.micros()).to_be_bytes());
        mac
    }
}

fn whole(leaf: &Leaf) -> Vec<u8> {
    [leaf.serial.as_bytes(), &leaf.spki.0, &leaf.not_after.micros().to_be_bytes()].concat()
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

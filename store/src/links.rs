//! Links, as the asking side keeps them.

use crate::{LinkEnd, LinkKey, MadeOf, StoreError};
use async_trait::async_trait;
use domain::{
    Time,
    audit::Record,
    id::{GrantId, InstanceId, Name, Spki, UserId},
    invite::Offer,
};

/// A link as the asking side keeps it. It belongs to the local user who added it.
#[derive(Clone)]
pub struct LinkRecord {
    /// The grant's id, which is the link's.
    pub id: GrantId,
    /// What its owner calls it; unique for that owner.
    pub name: Name,
    /// Whose it is.
    pub owner: UserId,
    /// The sharing instance.
    pub peer: InstanceId,
    /// What it calls itself.
    pub peer_name: Name,
    /// `host:port`, in the order to try.
    pub addresses: Vec<String>,
    /// The name to verify in its certificate.
    pub tls_name: String,
    /// The only trust anchor, X.509 DER.
    pub root: Vec<u8>,
    /// The grant's certificate, X.509 DER.
    pub certificate: Vec<u8>,
    /// Its end.
    pub certificate_not_after: Time,
    /// Its private key, sealed under the KEK.
    pub sealed_key: Vec<u8>,
    /// The certificate that is to follow, kept before it is used for the first time.
    pub next: Option<NextLeaf>,
    /// What was offered.
    pub offer: Offer,
    /// The words that the other side's owner has yet to be told.
    pub words: Option<String>,
    /// What it was made of; none of what an earlier version made.
    pub made_of: Option<MadeOf>,
    /// That the other side has ended the grant; none while it stands.
    pub end: Option<LinkEnd>,
    /// When it was added.
    pub added_at: Time,
}

impl LinkRecord {
    /// The link as it is once `next` is in use.
    #[must_use]
    pub fn following(&self, next: &NextLeaf) -> Self {
        let NextLeaf { certificate, not_after, sealed_key } = next.clone();
        Self { certificate, certificate_not_after: not_after, sealed_key, next: None, ..self.clone() }
    }
}

/// A certificate that a link was given and does not use yet, with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct NextLeaf {
    /// X.509 DER.
    pub certificate: Vec<u8>,
    /// Its end.
    pub not_after: Time,
    /// Its private key, sealed as the link's own.
    pub sealed_key: Vec<u8>,
}

/// That a link exists, for administrators: nothing it could be used with.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LinkEntry {
    /// Which link.
    pub id: GrantId,
    /// What its owner calls it.
    pub name: Name,
    /// Whose it is.
    pub owner: Name,
    /// The sharing instance's name.
    pub peer_name: Name,
    /// When it was added.
    pub added_at: Time,
}

/// The asking side's links. Row-level security hides every user's links from every other.
#[async_trait]
pub trait Links: Send + Sync {
    /// The user's links, by name.
    async fn links(&self, owner: UserId) -> Result<Vec<LinkRecord>, StoreError>;
    /// Adds a link. Conflict where the owner has one of this name or this id.
    async fn add_link(&self, link: &LinkRecord, record: Record) -> Result<(), StoreError>;
    /// Puts a new certificate, key, root and addresses into the owner's link of the same id.
    async fn replace_link(&self, link: &LinkRecord, record: Record) -> Result<(), StoreError>;
    /// Keeps what is to follow the link's certificate, which must still be the one that `link` has; one that was kept before is forgotten.
    /// False where it is not.
    async fn keep_next(&self, link: &LinkRecord, next: &NextLeaf, record: Record) -> Result<bool, StoreError>;
    /// Puts what was kept in the place of the link's certificate and key, if it is still the one with this certificate.
    async fn take_next(&self, link: &LinkRecord, certificate: &[u8], record: Record) -> Result<bool, StoreError>;
    /// Forgets what was kept, if it is still the one with this certificate.
    async fn drop_next(&self, link: &LinkRecord, certificate: &[u8], record: Record) -> Result<bool, StoreError>;
    /// Forgets the words of the link: it was answered. Only where it still has these, since a fresh invite brings others.
    async fn forget_words(&self, link: &LinkRecord) -> Result<(), StoreError>;
    /// Remembers the end of a link's grant, unless one is remembered, or forgets it; only where the link has this certificate still.
    async fn remember_end(&self, link: &LinkRecord, end: Option<LinkEnd>) -> Result<(), StoreError>;
    /// Removes the owner's link and its key. False where there is none.
    async fn remove_link(&self, owner: UserId, link: GrantId, record: Record) -> Result<bool, StoreError>;
    /// Keeps a key, and forgets those of its owner whose time is over. Conflict where the owner keeps one for the same invite.
    async fn keep_link_key(&self, key: &LinkKey) -> Result<(), StoreError>;
    /// The keys that a user keeps and that are still of use.
    async fn link_keys(&self, owner: UserId) -> Result<Vec<LinkKey>, StoreError>;
    /// Forgets a kept key, if it is there.
    async fn forget_link_key(&self, owner: UserId, key: Spki) -> Result<(), StoreError>;
    /// Which links exist, for administrators.
    async fn link_directory(&self) -> Result<Vec<LinkEntry>, StoreError>;
}

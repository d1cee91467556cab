//! What the rest of the daemon may ask of the database, as narrow traits by use. [`crate::postgres`] answers them for real;
//! the model answers them in memory for tests, and one suite holds both to the same behaviour.
//!
//! Methods that change standing take the [`Record`] of the act: change and record commit together, or neither does.

use crate::{
    Access, Calls, Ceilings, Enrolled, Enrolment, Handed, Keys, LastInvite, Links, NewInvite, News, Standing,
    StoreError, Tokens, rules,
};
use async_trait::async_trait;
use domain::{
    Reason, Time,
    audit::{
        Entry, Head, Record,
        tree::{Edge, TileId},
    },
    grant::{Grant, Leaf},
    id::{
        EntryHash, GrantId, InstanceId, InviteId, ItemId, Name, NodeHash, Resource, Serial, Spki, TeamId, UserId,
        WorkspaceId,
    },
    invite::{Claimant, Invited},
    item::{Item, NewItem},
    operation::{Get, List},
    renewal::Successor,
    rights::Role,
    scope::Scope,
    seal::Doubt,
};
use std::{collections::BTreeMap, sync::Arc};

/// Everything the daemon asks of its database.
pub trait Store:
    Items + People + Grants + Ceilings + Keys + Links + Calls + Tokens + AuditLog + AuditTree + Instance
{
}
impl<T: Items + People + Grants + Ceilings + Keys + Links + Calls + Tokens + AuditLog + AuditTree + Instance> Store
    for T
{
}

/// A store, shared.
pub type Shared = Arc<dyn Store>;

/// Rows of one chunk, newest first, each already judged twice and stripped of what the scope withholds.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// At most `chunk_rows` of the permit (or 200), at most 256 KiB unless the first alone is larger.
    pub items: Vec<Item>,
    /// Whether more rows follow the last one.
    pub more: bool,
    /// When they were read, by the database's transaction.
    pub as_of: Time,
}

/// What became of a row that was to be written, and which row it is; none for one that is there no more [after it](After::Undo).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// A new row.
    Added(Option<ItemId>),
    /// A row of the same source key whose content differed.
    Updated(Option<ItemId>),
    /// A row of the same source key and content.
    Unchanged(Option<ItemId>),
    /// Not written; cause and next step.
    Refused(String),
}

/// What becomes of rows once there is a verdict on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// They stay.
    Keep,
    /// They were written for the verdict alone, by the same rules, and nothing of them is left.
    Undo,
}

/// Rows.
#[async_trait]
pub trait Items: Send + Sync {
    /// One chunk of a list, from newest to oldest by (`created_at`, `id`).
    async fn list(&self, access: Access<'_, List>) -> Result<Chunk, StoreError>;
    /// One row with its body and when it was read; none where it is missing or hidden.
    async fn get(&self, access: Access<'_, Get>) -> Result<Option<(Item, Time)>, StoreError>;
    /// How many rows of each resource the grant shows now. For the grant's owner, never for its holder.
    async fn count(&self, grant: &Grant) -> Result<BTreeMap<Resource, u64>, StoreError>;
    /// Writes rows on behalf of a user, under their native rights; one verdict for each, in order.
    async fn put(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        items: Vec<NewItem>,
        after: After,
    ) -> Result<Vec<Put>, StoreError>;
    /// How many rows of the user's own an importer found at `source`, by their team: the key of each begins with it and `/`,
    /// and is one of `keys` where these are said. No team where a row is the user's alone.
    async fn sourced(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        source: &str,
        keys: Option<&[String]>,
    ) -> Result<BTreeMap<Option<TeamId>, u64>, StoreError>;
    /// How many rows of the user's own are like these and were found at other places than `source`, by these places: of the same
    /// kind and title, with a key that ends as theirs does.
    async fn alike(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        source: &str,
        rows: &[Alike],
    ) -> Result<BTreeMap<String, u64>, StoreError>;
}

/// What tells a row that comes from another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// Which kind of row.
    pub resource: Resource,
    /// Its title.
    pub title: String,
    /// The rest of its key after its source, from the `/` on.
    pub key_end: String,
}

/// A user of this instance.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct User {
    /// Which user.
    pub id: UserId,
    /// What people call them; unique on this instance.
    pub name: Name,
    /// The operating system user that acts as them at the socket, if any; unique.
    pub uid: Option<u32>,
    /// Their place in each workspace they are in.
    pub roles: BTreeMap<Name, Role>,
    /// Their teams, by workspace.
    pub teams: BTreeMap<Name, Vec<TeamId>>,
}

/// A workspace of this instance.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Workspace {
    /// Which workspace.
    pub id: WorkspaceId,
    /// What people call it; unique on this instance.
    pub name: Name,
    /// How many users are in it.
    pub members: u64,
}

/// A team of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Team {
    /// Its workspace.
    pub workspace: Name,
    /// Its id, unique in the workspace.
    pub id: TeamId,
    /// Its members with their place in it: owner, admin or member.
    pub members: BTreeMap<Name, Role>,
}

/// What goes when a user is removed, besides their grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Belongings {
    /// Rows that are theirs alone, in whichever workspace, also one that they have left.
    pub rows: u64,
    /// Their links.
    pub links: u64,
}

/// Users, workspaces and teams.
#[async_trait]
pub trait People: Send + Sync {
    /// Every user, by name.
    async fn users(&self) -> Result<Vec<User>, StoreError>;
    /// The user with this name.
    async fn user(&self, name: &Name) -> Result<Option<User>, StoreError>;
    /// The user with this id.
    async fn user_of_id(&self, id: UserId) -> Result<Option<User>, StoreError>;
    /// The user whom an operating system user acts as.
    async fn user_of_uid(&self, uid: u32) -> Result<Option<User>, StoreError>;
    /// Adds a user to a workspace. Conflict where the name or uid is taken.
    async fn add_user(
        &self,
        id: UserId,
        name: &Name,
        uid: Option<u32>,
        workspace: &Name,
        role: Role,
        record: Record,
    ) -> Result<User, StoreError>;
    /// Gives a user a role in a workspace, or takes them out of it (and its teams).
    async fn set_role(
        &self,
        user: &Name,
        workspace: &Name,
        role: Option<Role>,
        record: Record,
    ) -> Result<User, StoreError>;
    /// What would go with the user, counted now. Conflict where they cannot be removed.
    async fn belongings(&self, name: &Name) -> Result<Belongings, StoreError>;
    /// Removes a user: their grants are revoked (returned), their links and personal rows go with them.
    async fn remove_user(&self, name: &Name, record: Record) -> Result<Vec<Grant>, StoreError>;
    /// Every workspace, by name.
    async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError>;
    /// Adds a workspace with its owner. Conflict where the name is taken.
    async fn add_workspace(
        &self,
        id: WorkspaceId,
        name: &Name,
        owner: UserId,
        record: Record,
    ) -> Result<Workspace, StoreError>;
    /// Every team of a workspace.
    async fn teams(&self, workspace: &Name) -> Result<Vec<Team>, StoreError>;
    /// Adds a team. Conflict where the id is taken.
    async fn add_team(&self, workspace: &Name, team: &TeamId, record: Record) -> Result<Team, StoreError>;
    /// Puts a user into a team with a role (owner, admin, member), or takes them out of it.
    async fn set_member(
        &self,
        workspace: &Name,
        team: &TeamId,
        user: &Name,
        role: Option<Role>,
        record: Record,
    ) -> Result<Team, StoreError>;
}

/// A grant with what only people ask about it.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantView {
    /// The grant.
    pub grant: Grant,
    /// The subject's name.
    pub subject_name: Name,
    /// What the peer called itself when it enrolled, once there is one.
    pub peer_name: Option<Name>,
    /// How it came to its holder, once it did.
    pub handed: Option<Handed>,
    /// Whether the invite by which it did, or its last one, is not as the daemon wrote it: then nothing is said of that.
    pub invite_tampered: bool,
    /// Its last invite; none where there is none that is as the daemon wrote it.
    pub invite: Option<LastInvite>,
    /// When it was made.
    pub created_at: Time,
    /// Why it is not to be believed, and permits nothing whatever else is said of it; none where it is.
    pub doubt: Option<Doubt>,
}

impl GrantView {
    /// Refuses what would be made of how the grant came to its holder, where somebody else wrote that.
    ///
    /// # Errors
    /// They did.
    pub fn trust_invite(&self) -> Result<(), StoreError> {
        if self.invite_tampered { Err(rules::invite_tampered(&self.grant)) } else { Ok(()) }
    }

    /// What the grant is at `now`: as [`Grant::standing`], or `doubtful`.
    pub fn standing(&self, now: Time) -> &'static str {
        if self.doubt.is_some() { "doubtful" } else { self.grant.standing(now) }
    }
}

/// Grants and invites: the authority over who may ask. Every change bumps the version, and the grant's generation
/// where it changes what is permitted.
#[async_trait]
pub trait Grants: Send + Sync {
    /// A number that changes with every change to any grant; cheap to read.
    async fn grants_version(&self) -> Result<u64, StoreError>;
    /// What callers are judged by, at one moment: every grant, or what changed since the version `known` where that is
    /// enough.
    async fn standing(&self, known: Option<u64>) -> Result<Standing, StoreError>;
    /// Certificates that must not pass a handshake and have not ended by themselves, with when that was decided.
    async fn refused_leaves(&self) -> Result<Vec<(Leaf, Time)>, StoreError>;
    /// Resolves when grants may have changed, in this process or another one (LISTEN/NOTIFY), and tells whether notifications may
    /// have been lost. Callers also look at [`Grants::grants_version`] every 500 ms.
    async fn grants_changed(&self) -> News;
    /// Every grant, ended ones too, newest first.
    async fn grants(&self) -> Result<Vec<GrantView>, StoreError>;
    /// Stores a pending grant. Conflict where an unended grant has its name, or it is beyond the ceiling.
    async fn create_grant(&self, grant: &Grant, record: Record) -> Result<(), StoreError>;
    /// Puts another scope in force. Conflict where the grant has ended, also by time, is no longer of the generation that the edit
    /// was judged on, or the scope is beyond the ceiling.
    async fn edit_grant(
        &self,
        grant: GrantId,
        generation: u64,
        scope: &Scope,
        record: Record,
    ) -> Result<Grant, StoreError>;
    /// Ends a grant for ever, also one that is not to be believed, whatever it says of itself. Takes the audit head's lock, so that no batch can commit an answer of it afterwards.
    async fn revoke_grant(&self, grant: GrantId, record: Record) -> Result<Grant, StoreError>;
    /// Stores an invite; earlier open invites of the same grant stop working.
    async fn create_invite(&self, invite: &NewInvite, record: Record) -> Result<(), StoreError>;
    /// The invite with this token digest. Conflict, here and wherever an invite is used or its holder let in, where the invite or its
    /// grant is not as the daemon wrote it.
    async fn invited(&self, digest: &[u8; 32]) -> Result<Option<Invited>, StoreError>;
    /// Claims an open invite for a key. True for exactly one of any number of keys, and for that one again as long as the
    /// invite lives; only the first time is recorded.
    async fn claim_invite(&self, invite: InviteId, by: Claimant, now: Time, record: Record)
    -> Result<bool, StoreError>;
    /// Gives the grant to the peer that claimed its invite, with its certificate, and keeps what it calls itself. An earlier
    /// certificate of the same grant is refused from then on; where the invite says that its user waits, once they are let in. Where one was stored for this claim already that one stays, nothing
    /// changes and nothing is recorded. Conflict where the invite is not claimed for the certificate's key, another certificate took
    /// the place of the one that was stored, or the grant has ended or is another peer's.
    async fn enrol_grant(&self, enrolment: Enrolment<'_>, record: Record) -> Result<Enrolled, StoreError>;
    /// Lets in whoever waits for that, who enrolled with this key; an earlier certificate is refused from then on. Conflict where it does not wait, or another key
    /// was enrolled since.
    async fn let_in(&self, grant: GrantId, key: Spki, record: Record) -> Result<Grant, StoreError>;
    /// Counts that other words were typed than those of whoever holds the grant; how often that was, with this time.
    async fn wrong_words(&self, grant: GrantId, record: Record) -> Result<u32, StoreError>;
    /// Stores a further certificate of the grant, to follow the one with `serial` once it is used; one that waited for that is
    /// refused from then on. Conflict where the one with `serial` is not in force, another renewal was quicker, or the grant has
    /// ended. The generation stays.
    async fn renew_grant(
        &self,
        grant: GrantId,
        serial: &Serial,
        successor: &Successor,
        record: Record,
    ) -> Result<Grant, StoreError>;
    /// Puts the successor with this serial number in force, because it was used. False where it is not the successor, or no
    /// longer: then nothing changes and nothing is recorded. The generation stays.
    async fn confirm_leaf(&self, grant: GrantId, serial: &Serial, record: Record) -> Result<bool, StoreError>;
    /// When the last invite can be used for the last time, first or again, also if that is past; none when there never was one.
    async fn last_invite_end(&self) -> Result<Option<Time>, StoreError>;
}

/// What became of a record in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Durable as it was given.
    Written {
        /// Its place.
        sequence: u64,
    },
    /// The grant moved since the decision: durable as a refusal with this reason, and the answer must not leave.
    Withdrawn {
        /// Its place.
        sequence: u64,
        /// [`Reason::NotPermitted`] when the grant has ended, [`Reason::SnapshotStale`] when it only changed.
        reason: Reason,
    },
}

/// Which entries of the log to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Entries after this sequence.
    pub after: u64,
    /// At most this many; 0 means 1,000.
    pub limit: u32,
    /// Only the last `limit` entries that fit, in order.
    pub last: bool,
    /// Only of this grant or link.
    pub grant: Option<GrantId>,
    /// Only with this ending.
    pub ending: Option<domain::audit::Ending>,
    /// Only at or after this time.
    pub since: Option<Time>,
}

/// The log's place in the database. Only [`crate::audit::Auditor`] commits to it.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Writes a batch in one transaction under the head's lock, after re-reading the generation of every grant in it.
    /// One verdict for each record, in order.
    async fn commit(&self, batch: &[Record]) -> Result<Vec<Committed>, StoreError>;
    /// Entries in order.
    async fn entries(&self, query: &AuditQuery) -> Result<Vec<Entry>, StoreError>;
    /// Where the log ends.
    async fn head(&self) -> Result<Head, StoreError>;
}

/// A full tile of the tree over the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullTile {
    /// Which.
    pub id: TileId,
    /// As many as a tile has.
    pub hashes: Vec<NodeHash>,
    /// The root over them.
    pub root: NodeHash,
}

/// The Merkle tree over the log, as far as its tiles are full. It can be made anew from the log at any time.
#[async_trait]
pub trait AuditTree: Send + Sync {
    /// The hashes of the entries after this one, in order, at most so many.
    async fn hashes(&self, after: u64, limit: u32) -> Result<Vec<EntryHash>, StoreError>;
    /// The tree of the leaves that are in full tiles; none where what lies there is none.
    async fn tree(&self) -> Result<Option<Edge>, StoreError>;
    /// A full tile; none where it is not full yet.
    async fn tile(&self, id: TileId) -> Result<Option<Vec<NodeHash>>, StoreError>;
    /// Keeps tiles, all or none. One that is there already stays.
    async fn keep_tiles(&self, tiles: &[FullTile]) -> Result<(), StoreError>;
    /// Takes all of them away.
    async fn forget_tiles(&self) -> Result<(), StoreError>;
}

/// This instance's own identity; private keys sealed under the KEK.
#[derive(Clone)]
pub struct InstanceRecord {
    /// Which instance.
    pub id: InstanceId,
    /// What it calls itself.
    pub name: Name,
    /// The root certificate of its CA, X.509 DER.
    pub root: Vec<u8>,
    /// The CA's private key, sealed.
    pub sealed_ca_key: Vec<u8>,
    /// The audit log's signing key, sealed.
    pub sealed_audit_key: Vec<u8>,
}

/// Identity of the instance and health of its database.
#[async_trait]
pub trait Instance: Send + Sync {
    /// The instance; none before it was made.
    async fn instance(&self) -> Result<Option<InstanceRecord>, StoreError>;
    /// Makes the instance, its first workspace and its owner, in one transaction. Conflict where there is one.
    async fn create_instance(
        &self,
        instance: &InstanceRecord,
        workspace: (WorkspaceId, Name),
        owner: (UserId, Name, Option<u32>),
        record: Record,
    ) -> Result<(), StoreError>;
    /// Connections to the database, and how many of them nobody uses; none where there are no connections.
    fn connections(&self) -> Option<(u64, u64)> {
        None
    }
    /// Answers when the database does: for status and health, on a reserved connection.
    async fn ping(&self) -> Result<(), StoreError>;
}

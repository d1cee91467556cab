//! The store in memory, for tests and simulation only: the same rules without SQL, held to PostgreSQL's behaviour by one suite.
//!
//! A change works on a copy and takes effect whole with its record, or not at all. Nothing here survives the process, and no
//! shipped build contains it.

mod audit;
mod audit_tree;
mod calls;
mod ceiling;
mod directory;
mod grants;
mod invites;
mod items;
mod keys;
mod links;
mod people;
mod tokens;

use crate::{
    Await, InstanceRecord, KeptCeiling, LinkKey, LinkRecord, StoreError,
    heard::{Count, Heard},
};
use domain::{
    Time,
    audit::{Entry, Head, Record, tree::TileId},
    grant::{Grant, Leaf},
    id::{AwaitId, EntryHash, GrantId, InviteId, ItemId, Name, NodeHash, Spki, TeamId, TokenId, UserId, WorkspaceId},
    invite::KeptInvite,
    item::{StoredItem, Whose},
    revoked::RevokedKey,
    rights::{Rights, Role},
    token::KeptToken,
    world::{Clock, SeededRng, World},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// A store in memory.
#[derive(Debug)]
pub struct Model {
    state: Mutex<State>,
    world: World,
    changes: watch::Sender<Count>,
    heard: Heard,
}

/// Everything that a database would hold.
#[derive(Clone, Default)]
struct State {
    instance: Option<InstanceRecord>,
    workspaces: BTreeMap<Name, WorkspaceId>,
    users: BTreeMap<Name, (UserId, Option<u32>)>,
    roles: BTreeMap<(WorkspaceId, UserId), Role>,
    teams: BTreeMap<(WorkspaceId, TeamId), BTreeMap<UserId, Role>>,
    /// Entries of the directory with their dates.
    dated: BTreeMap<(WorkspaceId, directory::Of), directory::Dated>,
    items: Arc<BTreeMap<ItemId, Row>>,
    grants: BTreeMap<GrantId, Kept>,
    ceiling: Option<KeptCeiling>,
    refused: Vec<Refused>,
    revoked_keys: BTreeMap<Spki, RevokedKey>,
    /// The keys of renewals, and by which invite the grant had come to its holder.
    grant_keys: BTreeMap<(GrantId, Spki), Option<InviteId>>,
    invites: BTreeMap<InviteId, KeptInvite>,
    version: u64,
    links: BTreeMap<(UserId, GrantId), LinkRecord>,
    link_keys: BTreeMap<(UserId, Spki), LinkKey>,
    /// Whom to call; none where nobody is called though there is no door for it.
    grant_calls: BTreeMap<GrantId, Option<Vec<u8>>>,
    awaits: BTreeMap<(UserId, AwaitId), Await>,
    link_calls: BTreeMap<(UserId, GrantId), Vec<u8>>,
    tokens: BTreeMap<TokenId, KeptToken>,
    /// Those that were taken away.
    tokens_gone: BTreeSet<TokenId>,
    log: Arc<Vec<Entry>>,
    tiles: BTreeMap<TileId, (Vec<NodeHash>, NodeHash)>,
}

#[derive(Clone)]
struct Row {
    stored: StoredItem,
    source_key: Option<String>,
    content: [u8; 32],
}

impl Row {
    fn is_personal_to(&self, user: UserId) -> bool {
        self.stored.item.team.is_none() && self.stored.whose == Whose::Of(user)
    }
}

#[derive(Clone)]
struct Kept {
    grant: Grant,
    subject_name: Name,
    peer_name: Option<Name>,
    created_at: Time,
    /// The version of its last change.
    moved: u64,
}

/// A certificate that is refused, since when, and the version by which it was.
#[derive(Clone)]
struct Refused {
    leaf: Leaf,
    at: Time,
    moved: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl Model {
    /// An empty store. Ids of rows repeat from run to run.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (changes, heard) = watch::channel(Count::default());
        Self {
            state: Mutex::default(),
            world: World::new(clock, Arc::new(SeededRng::new(1))),
            changes,
            heard: Heard::new(heard),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a copy, which takes effect with the records that the change gives, or not at all.
    fn change<T>(&self, act: impl FnOnce(&mut State) -> Result<(T, Vec<Record>), StoreError>) -> Result<T, StoreError> {
        let mut state = self.state();
        let mut next = state.clone();
        let (value, records) = act(&mut next)?;
        next.append(&records);
        if !next.lists_as(&state) {
            self.date(&state, &mut next);
        }
        let moved = next.version != state.version;
        *state = next;
        if moved {
            self.changes.send_modify(Count::change);
        }
        Ok(value)
    }
}

impl State {
    fn append(&mut self, records: &[Record]) {
        let entries = crate::rules::chain(self.head(), records);
        Arc::make_mut(&mut self.log).extend(entries);
    }

    fn head(&self) -> Head {
        let empty = Head { sequence: 0, hash: EntryHash::default(), time: Time::default() };
        self.log.last().map_or(empty, |last| Head { sequence: last.sequence, hash: last.hash, time: last.time })
    }

    fn rights(&self, workspace: WorkspaceId, user: UserId) -> Rights {
        let teams =
            self.teams.iter().filter(|((place, _), members)| *place == workspace && members.contains_key(&user));
        Rights {
            workspace,
            user,
            role: self.roles.get(&(workspace, user)).copied(),
            teams: teams.map(|((_, team), _)| team.clone()).collect(),
        }
    }

    fn user_name(&self, user: UserId) -> Option<Name> {
        self.users.iter().find(|(_, (id, _))| *id == user).map(|(name, _)| name.clone())
    }
}

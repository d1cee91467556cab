//! The Merkle tree over the log: it grows with the log, its signed checkpoint lies in the data directory, and of each entry it gives a proof.
//!
//! No checkpoint is signed that the last signed one is not the beginning of, also over a restart: whoever was given one can be shown that
//! the log only grew, or that it did not. One that the log does not go on from is put aside like such a head, and is the same alarm.

use crate::{Door, head};
use domain::audit::{
    Entry,
    note::{Checkpoint, MAX_NOTE, Note},
    proof::{BadProof, Proof},
    tree::{self, Edge, TileId, Tiles, leaf},
};
use pki::AuditKey;
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};
use store::{AuditQuery, FullTile, Shared, StoreError};
use tokio::{sync::Mutex, time::timeout};

/// The checkpoint's name in the data directory.
pub const FILE: &str = "audit-checkpoint";
/// Entries that are read from the database at once.
const PIECE: u64 = 4_096;

/// There is no checkpoint or proof.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory.
    #[error("the signed checkpoint of the log in the data directory: {0}")]
    File(#[from] io::Error),
    /// It was shortened or rewritten, or what was signed of it is not ours.
    #[error("the log does not go on from the checkpoint that was signed of it last: it was shortened or rewritten")]
    Refused,
    /// A tile that is to be there is not.
    #[error("the tree over the log lacks {}", .0.path())]
    Tile(TileId),
    /// It has no such entry.
    #[error("the log has no entry {asked}: it ends at entry {ends}")]
    NoEntry {
        /// Which was asked for.
        asked: u64,
        /// The last there is.
        ends: u64,
    },
}

/// The tree of one log.
pub struct LogTree {
    log: Shared,
    key: Arc<AuditKey>,
    origin: String,
    data_dir: PathBuf,
    state: Mutex<State>,
}

/// What this daemon knows of the tree.
#[derive(Default)]
enum State {
    /// Nothing yet, or no more.
    #[default]
    Unknown,
    /// It goes on from the last checkpoint.
    Grown(Grown),
    /// It does not. That stays so until the operator answers for it, at a start.
    Refused,
}

/// The tree as this daemon has grown it.
struct Grown {
    edge: Edge,
    /// The last checkpoint that lies in the data directory and is the beginning of it.
    signed: Option<Note>,
}

impl LogTree {
    /// Of the log with this name and key, which remembers what it signed in the data directory.
    pub fn new(log: Shared, key: Arc<AuditKey>, origin: String, data_dir: &Path) -> Self {
        Self { log, key, origin, data_dir: data_dir.to_owned(), state: Mutex::default() }
    }

    /// Signs the log as it stands, and keeps that before anybody sees it.
    pub async fn checkpoint(&self) -> Result<Note, TreeError> {
        self.signed().await.map(|(note, _)| note)
    }

    /// A proof of one entry, from 1 on.
    pub async fn prove(&self, sequence: u64) -> Result<Proof, TreeError> {
        match self.proven(sequence).await {
            Err(TreeError::Tile(_)) => {}
            Ok(proof) if matches!(proof.check(), Err(BadProof::NotThere { .. })) => {}
            other => return other,
        }
        // Somebody changed or took tiles; if it is not them, the log itself leads elsewhere, and that is found out on the way.
        self.let_go_of_tiles().await?;
        self.proven(sequence).await
    }

    async fn proven(&self, sequence: u64) -> Result<Proof, TreeError> {
        let (checkpoint, edge) = self.signed().await?;
        let (index, size) = (sequence.wrapping_sub(1), edge.size());
        if index >= size {
            return Err(TreeError::NoEntry { asked: sequence, ends: size });
        }
        let entry = self.entry(index).await?;
        let path = self.with_tiles(&edge, |tiles| tree::inclusion(tiles, index, size)).await?;
        Ok(Proof { entry, path, checkpoint })
    }

    async fn entry(&self, after: u64) -> Result<Entry, TreeError> {
        let found = self.log.entries(&AuditQuery { after, limit: 1, ..AuditQuery::default() }).await?;
        let entry = found.into_iter().next().filter(|entry| entry.sequence == after + 1);
        Ok(entry.ok_or_else(|| missing(&format!("entry {}", after + 1)))?)
    }

    async fn signed(&self) -> Result<(Note, Edge), TreeError> {
        let mut state = self.state.lock().await;
        let ends = self.log.head().await?.sequence;
        // Taken out: what was grown half-way is not gone on with.
        let begun = match std::mem::take(&mut *state) {
            State::Refused => None,
            State::Grown(Grown { edge, signed }) if edge.size() <= ends => {
                Some(Grown { edge: self.grow(edge, ends).await?, signed })
            }
            State::Grown(_) | State::Unknown => self.begin(ends).await?,
        };
        let Some(Grown { edge, signed }) = begun else {
            *state = State::Refused;
            return Err(TreeError::Refused);
        };
        let note = match signed.filter(|note| size_of(note) == Some(ends)) {
            Some(note) => note,
            None => self.sign(&edge)?,
        };
        *state = State::Grown(Grown { edge: edge.clone(), signed: Some(note.clone()) });
        Ok((note, edge))
    }

    /// The tree as it lies in the database, if it goes on from the last checkpoint. If it does not, it is made anew from the entries: tiles
    /// that somebody changed are no log that was rewritten. None for one that was, once the checkpoint is put aside.
    async fn begin(&self, ends: u64) -> Result<Option<Grown>, TreeError> {
        let Some(text) = self.last_text()? else {
            return self.taken_up(None, ends).await;
        };
        let grown = match self.read(&text) {
            Some((note, last)) if last.size <= ends => self.taken_up(Some((note, last)), ends).await?,
            _ => None,
        };
        if grown.is_none() {
            tracing::error!("the audit log does not go on from its last checkpoint: see `mosaic-fed status`");
            head::put_checkpoint_aside(&self.data_dir, &text)?;
        }
        Ok(grown)
    }

    async fn taken_up(&self, last: Option<(Note, Checkpoint)>, ends: u64) -> Result<Option<Grown>, TreeError> {
        // What no checkpoint covers could be anything.
        let covered = last.as_ref().map_or(0, |(_, last)| last.size);
        let kept = self.log.tree().await?.filter(|edge| edge.size() <= covered);
        if let Some(edge) = kept
            && let edge = self.grow(edge, ends).await?
            && self.goes_on(last.as_ref(), &edge).await?
        {
            return Ok(Some(Grown { edge, signed: last.map(|(note, _)| note) }));
        }
        tracing::warn!("the tree over the audit log is made anew from its entries");
        self.log.forget_tiles().await?;
        let edge = self.grow(Edge::default(), ends).await?;
        let goes_on = self.goes_on(last.as_ref(), &edge).await?;
        Ok(goes_on.then(|| Grown { edge, signed: last.map(|(note, _)| note) }))
    }

    /// The next question finds the tree made anew.
    async fn let_go_of_tiles(&self) -> Result<(), TreeError> {
        let mut state = self.state.lock().await;
        if let State::Grown(_) = *state {
            *state = State::Unknown;
        }
        Ok(self.log.forget_tiles().await?)
    }

    async fn grow(&self, mut edge: Edge, ends: u64) -> Result<Edge, TreeError> {
        while edge.size() < ends {
            let limit = u32::try_from(PIECE.min(ends - edge.size())).unwrap_or(1);
            let hashes = self.log.hashes(edge.size(), limit).await?;
            if hashes.is_empty() {
                return Err(missing(&format!("what follows entry {}", edge.size())).into());
            }
            let mut full = Vec::new();
            for hash in hashes {
                edge.push(leaf(hash), |id, hashes, root| full.push(FullTile { id, hashes: hashes.to_vec(), root }));
            }
            if !full.is_empty() {
                self.log.keep_tiles(&full).await?;
            }
        }
        Ok(edge)
    }

    async fn goes_on(&self, last: Option<&(Note, Checkpoint)>, edge: &Edge) -> Result<bool, TreeError> {
        let Some((_, last)) = last else { return Ok(true) };
        let size = edge.size();
        match self.with_tiles(edge, |tiles| tree::consistency(tiles, last.size, size)).await {
            Ok(path) => Ok(tree::is_beginning((last.size, last.root), (size, edge.root()), &path)),
            Err(TreeError::Tile(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What `prove` makes, with the tiles that it asks for one after the other.
    async fn with_tiles<T>(&self, edge: &Edge, prove: impl Fn(&Tiles) -> Result<T, TileId>) -> Result<T, TreeError> {
        let mut tiles: Tiles = edge.tiles().map(|(id, hashes)| (id, hashes.to_vec())).collect();
        loop {
            let id = match prove(&tiles) {
                Ok(made) => return Ok(made),
                Err(id) => id,
            };
            let hashes = self.log.tile(id).await?.filter(|_| !tiles.contains_key(&id));
            tiles.insert(id, hashes.ok_or(TreeError::Tile(id))?);
        }
    }

    fn sign(&self, edge: &Edge) -> Result<Note, TreeError> {
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: edge.size(), root: edge.root() };
        let note = self.key.sign_checkpoint(&checkpoint);
        // A crash leaves the old one or the new one.
        store::file::replace(&self.data_dir.join(FILE), note.to_string().as_bytes(), 0o600)?;
        Ok(note)
    }

    /// What lies in the data directory; none where there is no such file.
    fn last_text(&self) -> io::Result<Option<String>> {
        let file = match fs::File::open(self.data_dir.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MAX_NOTE as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A checkpoint that this instance signed; none of anything else.
    fn read(&self, text: &str) -> Option<(Note, Checkpoint)> {
        let note: Note = text.parse().ok()?;
        pki::verify_note(&note, &self.key.log_key(&self.origin)).ok()?;
        let checkpoint = note.text.parse().ok()?;
        Some((note, checkpoint))
    }
}

/// Signs the log as it goes on, until the door closes, and then a last time if that is soon done. Apart from the head: a tree that is made
/// anew of millions of entries takes a while.
pub(crate) async fn keep(door: Arc<Door>) {
    let mut told = None;
    while !door.closing.is_cancelled() {
        if let Some(signed) = door.closing.run_until_cancelled(door.tree.checkpoint()).await {
            // It is told of once, and in `status` where the log was found to be another one, which it stays.
            let failed = signed.err().map(|error| error.to_string());
            if let Some(cause) = failed.as_ref().filter(|_| failed != told) {
                tracing::warn!(cause, "no checkpoint of the log was signed");
            }
            told = failed;
        }
        drop(timeout(head::PACE, door.closing.cancelled()).await);
    }
    drop(timeout(head::PACE, door.tree.checkpoint()).await);
}

fn size_of(note: &Note) -> Option<u64> {
    note.text.parse().ok().map(|checkpoint: Checkpoint| checkpoint.size)
}

fn missing(what: &str) -> StoreError {
    StoreError::Unavailable(format!("the audit log lacks {what}"))
}

/// Forgets what was made and signed of the log: the operator has answered for it, and the next checkpoint begins anew.
pub(crate) async fn forget(log: &Shared, data_dir: &Path) -> Result<(), head::HeadError> {
    log.forget_tiles().await?;
    match fs::remove_file(data_dir.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

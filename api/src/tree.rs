//! The Merkle tree over the log: it grows with the log, its signed checkpoint lies in the data directory, and of each entry it gives a proof.
//!
//! No checkpoint is signed that the last signed one is not the beginning of, also over a restart: whoever was given one can be shown that
//! the log only grew, or that it did not.

use domain::audit::{
    Entry,
    note::{Checkpoint, Note},
    proof::{BadProof, Proof},
    tree::{self, Edge, TileId, Tiles, leaf},
};
use pki::AuditKey;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use store::{AuditQuery, FullTile, Shared, StoreError};
use tokio::sync::Mutex;

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
    /// It was shortened or rewritten.
    #[error(
        "the log does not go on from the checkpoint that was signed at entry {signed}: it was shortened or rewritten"
    )]
    Rewritten {
        /// Entries at that checkpoint.
        signed: u64,
    },
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
    file: PathBuf,
    grown: Mutex<Option<Grown>>,
}

/// The tree as this daemon has grown it.
#[derive(Clone)]
struct Grown {
    edge: Edge,
    /// The last checkpoint that lies in the data directory and is the beginning of it.
    signed: Option<Note>,
}

impl LogTree {
    /// Of the log with this name and key, which remembers what it signed in the data directory.
    pub fn new(log: Shared, key: Arc<AuditKey>, origin: String, data_dir: &Path) -> Self {
        Self { log, key, origin, file: data_dir.join(FILE), grown: Mutex::default() }
    }

    /// Signs the log as it stands, and keeps that before anybody sees it.
    pub async fn checkpoint(&self) -> Result<Note, TreeError> {
        self.signed().await.map(|(note, _)| note)
    }

    /// A proof of one entry, from 1 on.
    pub async fn prove(&self, sequence: u64) -> Result<Proof, TreeError> {
        let proof = self.proven(sequence).await?;
        if !matches!(proof.check(), Err(BadProof::NotThere { .. })) {
            return Ok(proof);
        }
        // Of tiles that somebody changed; if it is not them, the log itself leads elsewhere.
        self.anew().await?;
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
        let mut grown = self.grown.lock().await;
        let ends = self.log.head().await?.sequence;
        // Taken out: what was grown half-way is not gone on with.
        let before = grown.take().filter(|before| before.edge.size() <= ends);
        let Grown { edge, signed } = match before {
            Some(Grown { edge, signed }) => Grown { edge: self.grow(edge, ends).await?, signed },
            None => self.begin(ends).await?,
        };
        let note = match signed.filter(|note| size_of(note) == Some(ends)) {
            Some(note) => note,
            None => self.sign(&edge)?,
        };
        *grown = Some(Grown { edge: edge.clone(), signed: Some(note.clone()) });
        Ok((note, edge))
    }

    /// The tree as it lies in the database, if it goes on from the last checkpoint. If it does not, it is made anew from the entries: tiles
    /// that somebody changed are no log that was rewritten.
    async fn begin(&self, ends: u64) -> Result<Grown, TreeError> {
        let last = self.last_signed()?;
        let kept = self.log.tree().await.ok().filter(|edge| edge.size() <= ends);
        if let Some(edge) = kept {
            let edge = self.grow(edge, ends).await?;
            if self.goes_on(last.as_ref(), &edge).await.unwrap_or(false) {
                return Ok(Grown { edge, signed: last.map(|(note, _)| note) });
            }
        }
        let edge = self.made_anew(ends).await?;
        if self.goes_on(last.as_ref(), &edge).await? {
            return Ok(Grown { edge, signed: last.map(|(note, _)| note) });
        }
        Err(TreeError::Rewritten { signed: last.map_or(0, |(_, checkpoint)| checkpoint.size) })
    }

    async fn made_anew(&self, ends: u64) -> Result<Edge, TreeError> {
        tracing::warn!("the tree over the audit log is made anew from its entries");
        self.log.forget_tiles().await?;
        self.grow(Edge::default(), ends).await
    }

    /// Lets go of what was grown, and of every tile.
    async fn anew(&self) -> Result<(), TreeError> {
        let mut grown = self.grown.lock().await;
        *grown = None;
        let ends = self.log.head().await?.sequence;
        self.made_anew(ends).await.map(drop)
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
        if last.size > size {
            return Ok(false);
        }
        let path = self.with_tiles(edge, |tiles| tree::consistency(tiles, last.size, size)).await?;
        Ok(tree::is_beginning((last.size, last.root), (size, edge.root()), &path))
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
            tiles.insert(id, hashes.ok_or_else(|| missing(&id.path(tree::WIDTH)))?);
        }
    }

    fn sign(&self, edge: &Edge) -> Result<Note, TreeError> {
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: edge.size(), root: edge.root() };
        let note = self.key.sign_checkpoint(&checkpoint);
        // A crash leaves the old one or the new one.
        store::file::replace(&self.file, note.to_string().as_bytes(), 0o600)?;
        Ok(note)
    }

    /// The checkpoint in the data directory; none where there is no such file. One that this instance did not sign is an error.
    fn last_signed(&self) -> Result<Option<(Note, Checkpoint)>, TreeError> {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let note: Note = text.parse().map_err(io::Error::other)?;
        pki::verify_note(&note, &self.key.log_key(&self.origin)).map_err(io::Error::other)?;
        let checkpoint = note.text.parse().map_err(io::Error::other)?;
        Ok(Some((note, checkpoint)))
    }
}

fn size_of(note: &Note) -> Option<u64> {
    note.text.parse().ok().map(|checkpoint: Checkpoint| checkpoint.size)
}

fn missing(what: &str) -> StoreError {
    StoreError::Unavailable(format!("the audit log lacks {what}"))
}

/// Forgets the checkpoint in a data directory: the operator has answered for the log, and the next one begins anew.
pub(crate) fn forget(data_dir: &Path) -> io::Result<()> {
    match fs::remove_file(data_dir.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

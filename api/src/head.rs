//! The signed head of the log in the data directory: an export that was cut or rewritten does not reach it, and a log that was
//! shortened or rewritten, as by a database that was put back, does not lead there. Such a head is kept until the operator has
//! answered for it, and an alarm is raised.

use crate::{Door, tree};
use domain::audit::{
    Head, SignedHead,
    note::{Checkpoint, Note},
};
use pki::AuditKey;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use store::{AuditQuery, Shared, StoreError};

/// The head's name in the data directory.
pub const FILE: &str = "audit-head.json";
/// The name of what holds heads that the log does not lead to any more, one a line.
pub const LOST: &str = "audit-head.lost";
/// What the record of a start says where the operator answers for the log.
pub const PUT_BACK: &str = "the log was put back";
/// The head is written at most this often.
pub(crate) const PACE: Duration = Duration::from_secs(1);

/// The head cannot be compared or written.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory.
    #[error("the signed head of the log in the data directory: {0}")]
    File(#[from] io::Error),
}

/// Heads and checkpoints that the log had and does not lead to any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostHeads {
    /// Those that can be read. None where somebody changed what lay in the data directory.
    pub heads: Vec<SignedHead>,
    /// How many entries it had at checkpoints that it does not go on from.
    pub checkpoints: Vec<u64>,
}

/// One line of what was put aside.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Lost {
    Head(SignedHead),
    Checkpoint { checkpoint: String },
}

impl LostHeads {
    /// The furthest entry that the log had; 0 where that cannot be read.
    pub fn reached(&self) -> u64 {
        let heads = self.heads.iter().map(|signed| signed.head.sequence);
        heads.chain(self.checkpoints.iter().copied()).max().unwrap_or_default()
    }

    /// For the record of the start at which the operator answers for it.
    pub fn note(&self) -> String {
        match self.heads.iter().max_by_key(|signed| signed.head.sequence) {
            Some(signed) => format!("{PUT_BACK}: it had entry {}, hash {}", signed.head.sequence, signed.head.hash),
            None if self.reached() > 0 => format!("{PUT_BACK}: it had a checkpoint of {} entries", self.reached()),
            None => format!("{PUT_BACK}: what was remembered of it could not be read"),
        }
    }
}

/// Reads the head that lies in a data directory; none where there is no such file.
pub fn read(data_dir: &Path) -> io::Result<Option<SignedHead>> {
    bytes(&data_dir.join(FILE))?.map(|text| serde_json::from_slice(&text).map_err(io::Error::other)).transpose()
}

/// The heads that the log does not lead to any more; none where nothing was lost, or the operator has answered for it.
pub fn lost(data_dir: &Path) -> Option<LostHeads> {
    // What is there and cannot be read is no less an alarm.
    let text = bytes(&data_dir.join(LOST)).unwrap_or_else(|_| Some(Vec::new()))?;
    let mut lost = LostHeads::default();
    for line in String::from_utf8_lossy(&text).lines() {
        match serde_json::from_str(line) {
            Ok(Lost::Head(head)) => lost.heads.push(head),
            Ok(Lost::Checkpoint { checkpoint }) => lost.checkpoints.extend(size(&checkpoint)),
            Err(_) => {}
        }
    }
    Some(lost)
}

/// Where the log ends. If it does not lead to the head in the data directory, that one is put aside, durably.
///
/// # Errors
/// Either cannot be read, or what is there cannot be put aside.
pub async fn compare(log: &Shared, data_dir: &Path, key: &AuditKey) -> Result<Head, HeadError> {
    // Read first: the log only grows meanwhile.
    let kept = bytes(&data_dir.join(FILE))?;
    let head = log.head().await?;
    let Some(kept) = kept else { return Ok(head) };
    let known = serde_json::from_slice(&kept).ok().filter(|known: &SignedHead| is_own(known, key));
    let leads = match &known {
        Some(known) => leads_to(log, head, known.head).await?,
        None => false,
    };
    if !leads {
        put_aside(data_dir, &kept)?;
        let reached = known.map(|known| known.head.sequence);
        tracing::error!(
            reached,
            ends = head.sequence,
            "the audit log was shortened or rewritten: see `mosaic-fed status`"
        );
    }
    Ok(head)
}

/// The operator has answered for the log, and that is recorded: it is remembered from here on.
///
/// # Errors
/// As [`compare`].
pub async fn take_as_it_is(
    log: &Shared,
    data_dir: &Path,
    sign: impl FnOnce(Head) -> SignedHead,
) -> Result<(), HeadError> {
    write(data_dir, &sign(log.head().await?))?;
    tree::forget(log, data_dir).await?;
    match fs::remove_file(data_dir.join(LOST)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn is_own(known: &SignedHead, key: &AuditKey) -> bool {
    known.key == key.public_hex() && pki::verify_head(known).is_ok()
}

/// Whether a log that ends at `head` has the entry that `known` names.
async fn leads_to(log: &Shared, head: Head, known: Head) -> Result<bool, StoreError> {
    if known.sequence >= head.sequence {
        return Ok((known.sequence, known.hash) == (head.sequence, head.hash));
    }
    let Some(after) = known.sequence.checked_sub(1) else { return Ok(true) };
    let entries = log.entries(&AuditQuery { after, limit: 1, ..AuditQuery::default() }).await?;
    Ok(entries.first().is_some_and(|entry| (entry.sequence, entry.hash) == (known.sequence, known.hash)))
}

/// Puts aside what was the log's checkpoint, in whatever form it lay there.
pub(crate) fn put_checkpoint_aside(data_dir: &Path, checkpoint: &str) -> io::Result<()> {
    let checkpoint = Lost::Checkpoint { checkpoint: checkpoint.to_owned() };
    put_aside(data_dir, &serde_json::to_vec(&checkpoint)?)
}

/// Entries at a signed checkpoint.
fn size(checkpoint: &str) -> Option<u64> {
    let note: Note = checkpoint.parse().ok()?;
    note.text.parse().ok().map(|checkpoint: Checkpoint| checkpoint.size)
}

fn put_aside(data_dir: &Path, line: &[u8]) -> io::Result<()> {
    let path = data_dir.join(LOST);
    let mut all = bytes(&path)?.unwrap_or_default();
    // One that was put aside before a crash is found again.
    if !all.split(|byte| *byte == b'\n').any(|before| before == line) {
        all.extend_from_slice(line);
        all.push(b'\n');
    }
    store::file::replace(&path, &all, 0o600).map(drop)
}

fn bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Compares and writes the head whenever it moved, until the door closes, and then a last time.
pub(crate) async fn keep(door: Arc<Door>, data_dir: PathBuf) {
    let mut written = None;
    loop {
        let closing = door.closing.is_cancelled();
        match move_on(&door, &data_dir, written).await {
            Ok(head) => written = Some(head),
            Err(error) => tracing::warn!(%error, "the signed head of the log could not be written"),
        }
        if closing {
            return;
        }
        drop(tokio::time::timeout(PACE, door.closing.cancelled()).await);
    }
}

async fn move_on(door: &Door, data_dir: &Path, written: Option<Head>) -> Result<Head, HeadError> {
    let head = door.store.head().await?;
    if written == Some(head) {
        return Ok(head);
    }
    let head = compare(&door.store, data_dir, &door.audit_key).await?;
    write(data_dir, &door.audit_key.sign(head, door.about.instance, door.about.name.clone()))?;
    Ok(head)
}

/// A crash leaves the old head or the new one.
fn write(data_dir: &Path, head: &SignedHead) -> io::Result<()> {
    store::file::replace(&data_dir.join(FILE), &serde_json::to_vec(head)?, 0o600).map(drop)
}

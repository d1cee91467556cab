//! The signed head of the log in the data directory: an export that was cut or rewritten does not reach it.

use crate::Door;
use domain::audit::SignedHead;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The head's name in the data directory.
pub const FILE: &str = "audit-head.json";
/// The head is written at most this often.
const PACE: Duration = Duration::from_secs(1);

/// Reads the head that lies in a data directory; none where there is no such file.
pub fn read(data_dir: &Path) -> io::Result<Option<SignedHead>> {
    match fs::read(data_dir.join(FILE)) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the head whenever it moved, until the door closes, and then a last time.
pub(crate) async fn keep(door: Arc<Door>, data_dir: PathBuf) {
    let mut written = None;
    loop {
        let closing = door.closing.is_cancelled();
        match move_on(&door, &data_dir, written).await {
            Ok(sequence) => written = Some(sequence),
            Err(cause) => tracing::warn!(cause, "the signed head of the log could not be written"),
        }
        if closing {
            return;
        }
        drop(tokio::time::timeout(PACE, door.closing.cancelled()).await);
    }
}

async fn move_on(door: &Door, data_dir: &Path, written: Option<u64>) -> Result<u64, String> {
    let head = door.store.head().await.map_err(|error| error.to_string())?;
    if written != Some(head.sequence) {
        let signed = door.audit_key.sign(head, door.about.instance, door.about.name.clone());
        write(data_dir, &signed).map_err(|error| error.to_string())?;
    }
    Ok(head.sequence)
}

/// A crash leaves the old head or the new one.
fn write(data_dir: &Path, head: &SignedHead) -> io::Result<()> {
    store::file::replace(&data_dir.join(FILE), &serde_json::to_vec(head)?, 0o600).map(drop)
}

//! Where a database lies, and the record in the data directory that finds it again after a crash.
//!
//! Beside the cluster, in its base directory, lie the server's configuration and log. A root daemon keeps that directory for
//! itself: a server that was taken over can neither widen its own access nor lead root's writes elsewhere by a link.

use super::account::Account;
use super::environment::Environment;
use super::error::at;
use super::{Config, EmbeddedError, Lifetime, leftover};
use crate::file;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// `sun_path` holds 108 bytes, the last one a NUL (unix(7)).
const SOCKET_PATH_MAX: usize = 107;
/// The port only names the socket file: no TCP port is opened.
pub(super) const PORT: u16 = 5432;

/// The directories and files of one database.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Holds everything below, canonical.
    pub base: PathBuf,
    /// PostgreSQL's data directory.
    pub cluster: PathBuf,
    /// The directory of the socket, 0700.
    pub socket: PathBuf,
    /// `postgres.json`: in the instance's data directory, for a temporary database in its base.
    pub record: PathBuf,
    /// Whether the base is deleted with the server.
    pub temporary: bool,
}

/// What the data directory remembers about the server that was started last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// PostgreSQL's data directory.
    pub cluster: PathBuf,
    /// The directory of its socket.
    pub socket: PathBuf,
    /// Sixteen random bytes, hex, that the running server repeats: proves that it is the one we started.
    pub nonce: String,
    /// Whether it was started to outlive its daemon.
    pub persistent: bool,
}

impl Place {
    /// The server's log file.
    pub fn log(&self) -> PathBuf {
        self.base.join("server.log")
    }

    /// The directory that holds the base: it is there also when the base is gone again.
    pub fn around(&self) -> &Path {
        self.base.parent().unwrap_or(&self.base)
    }

    /// The major version that made the cluster, if there is one.
    pub fn major(&self) -> Option<u32> {
        fs::read_to_string(self.cluster.join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    /// Finds the database or decides where it will be, and makes the directories around it.
    pub fn settle(
        config: &Config,
        environment: &Environment,
    ) -> Result<(Place, Account, Option<Record>), EmbeddedError> {
        let data = config.data_dir.canonicalize().map_err(at("find", &config.data_dir))?;
        if config.lifetime == Lifetime::Temporary {
            let account = Account::choose(None)?;
            return Ok((Place::temporary(environment, &account)?, account, None));
        }
        let record = read_record(&data.join("postgres.json"))?;
        let existing = existing_cluster(&data, record.as_ref())?;
        let account = Account::choose(existing.as_deref())?;
        if let Some(cluster) = existing.as_ref().filter(|cluster| account.is_lent() && cluster.starts_with(&data)) {
            return Err(account.not_for_root(cluster));
        }
        let base = match &existing {
            Some(cluster) => cluster.parent().unwrap_or(cluster).to_owned(),
            None => new_base(config, environment, &account, &data)?,
        };
        let place = Place::below(&base, &data, environment, &account)?;
        Ok((place, account, record))
    }

    /// A name that nobody can have made before: it is handed to the server's account as a whole.
    fn temporary(environment: &Environment, account: &Account) -> Result<Place, EmbeddedError> {
        let base = environment.temporary.join(format!("mosaic-fed-{}", leftover::nonce()?));
        fs::DirBuilder::new().mode(account.base_mode()).create(&base).map_err(at("create", &base))?;
        let place = Place::below(&base, &base, environment, account)?;
        Ok(Place { temporary: true, ..place })
    }

    fn below(base: &Path, data: &Path, environment: &Environment, account: &Account) -> Result<Place, EmbeddedError> {
        let base = base.canonicalize().map_err(at("find", base))?;
        // Whatever the umask: the server's account must pass through.
        fs::set_permissions(&base, fs::Permissions::from_mode(account.base_mode()))
            .map_err(at("set the mode of", &base))?;
        let socket = socket_directory(&base, environment);
        account.private_directory(&socket)?;
        let cluster = base.join("cluster");
        Ok(Place { base, cluster, socket, record: data.join("postgres.json"), temporary: false })
    }

    /// What the record says; none before the first start.
    pub fn read_record(&self) -> Result<Option<Record>, EmbeddedError> {
        read_record(&self.record)
    }

    /// Writes the record so that a crash leaves the old one or the new one.
    pub fn write_record(&self, record: &Record) -> Result<(), EmbeddedError> {
        let text =
            serde_json::to_vec_pretty(record).map_err(std::io::Error::other).map_err(at("write", &self.record))?;
        replace_file(&self.record, &text, 0o600)
    }
}

/// Makes a directory and its parents with a mode of our own, whatever the umask; one that exists is left as it is.
pub(super) fn make_directory(path: &Path, mode: u32) -> Result<(), EmbeddedError> {
    if path.is_dir() {
        return Ok(());
    }
    let created = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    created.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode))).map_err(at("create", path))
}

/// Replaces a file durably by one rename.
pub(super) fn replace_file(path: &Path, content: &[u8], mode: u32) -> Result<(), EmbeddedError> {
    file::replace(path, content, mode).map(drop).map_err(at("write", path))
}

fn read_record(file: &Path) -> Result<Option<Record>, EmbeddedError> {
    match fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(std::io::Error::other).map_err(at("read", file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at("read", file)(error)),
    }
}

/// A cluster in the data directory wins over the record: a moved or copied data directory keeps its own database.
fn existing_cluster(data: &Path, record: Option<&Record>) -> Result<Option<PathBuf>, EmbeddedError> {
    let inside = data.join("postgres/cluster");
    if inside.join("PG_VERSION").exists() {
        return Ok(Some(inside));
    }
    match record {
        Some(record) if record.cluster.join("PG_VERSION").exists() => Ok(Some(record.cluster.clone())),
        Some(record) => {
            Err(EmbeddedError::Missing { cluster: record.cluster.clone(), record: data.join("postgres.json") })
        }
        None => Ok(None),
    }
}

/// The parent of a cluster that is yet to be made. A root daemon's is outside its data directory, which the server's account cannot enter.
fn new_base(
    config: &Config,
    environment: &Environment,
    account: &Account,
    data: &Path,
) -> Result<PathBuf, EmbeddedError> {
    let base = if account.is_lent() {
        make_directory(&environment.databases, 0o755)?;
        environment.databases.join(config.instance.to_string())
    } else {
        data.join("postgres")
    };
    make_directory(&base, account.base_mode())?;
    Ok(base)
}

/// In the base when the path fits into `sun_path` and is UTF-8 (sqlx wants that), else a short name made from the base's path.
fn socket_directory(base: &Path, environment: &Environment) -> PathBuf {
    let digest = hex::encode(Sha256::digest(base.as_os_str().as_bytes()));
    let short = format!("mosaic-fed-{}", digest.get(..16).unwrap_or(&digest));
    let candidates = [base.join("socket"), environment.sockets.join(&short)];
    candidates.into_iter().find(|directory| fits(directory)).unwrap_or_else(|| Path::new("/tmp").join(short))
}

fn fits(directory: &Path) -> bool {
    let socket = directory.join(format!(".s.PGSQL.{PORT}"));
    socket.to_str().is_some_and(|path| path.len() <= SOCKET_PATH_MAX)
}

//! Whom PostgreSQL runs as: it refuses root and wants a passwd entry, so a root daemon lends it an unprivileged account.

use super::EmbeddedError;
use super::error::at;
use nix::unistd::{Gid, Uid, User};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// Accounts that a root daemon tries, in this order.
const SERVICE_ACCOUNTS: [&str; 3] = ["mosaic-fed", "postgres", "nobody"];

/// The account of the server's processes and files, and the daemon's own name for the peer map.
#[derive(Debug, Clone)]
pub(super) struct Account {
    uid: Uid,
    gid: Gid,
    /// The daemon runs as root and lends the server this account.
    lent: bool,
    /// The operating-system user of the daemon itself.
    pub daemon: String,
}

impl Account {
    /// The daemon's own account, or for root the first service account; `cluster` of an earlier start decides when it exists.
    pub fn choose(cluster: Option<&Path>) -> Result<Account, EmbeddedError> {
        let uid = Uid::effective();
        let own = passwd(uid)?;
        if !uid.is_root() {
            return Ok(Account { uid, gid: Gid::effective(), lent: false, daemon: own.name });
        }
        let server = match cluster {
            Some(cluster) => owner_of(cluster)?,
            None => service_account()?,
        };
        Ok(Account { uid: server.uid, gid: server.gid, lent: true, daemon: own.name })
    }

    /// Whether the daemon is root and lends the server another account.
    pub fn is_lent(&self) -> bool {
        self.lent
    }

    /// A command that runs under this account with an empty environment: keys in ours are not the server's business.
    pub fn command(&self, program: &Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/").kill_on_drop(true);
        if self.lent {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Makes `path` (its parent exists) a directory of the server's that nobody else may enter.
    ///
    /// One that is already there must be ours: below `/tmp` anybody could have made it first. Its mode is not mended: that would
    /// follow a link which the server's account could put there meanwhile.
    pub fn private_directory(&self, path: &Path) -> Result<(), EmbeddedError> {
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => self.check(path)?,
            made => made.map_err(at("create", path))?,
        }
        self.give(path)
    }

    /// Why a root daemon leaves an ordinary user's database alone: that user could lead its writes anywhere by a link.
    pub fn not_for_root(&self, cluster: &Path) -> EmbeddedError {
        EmbeddedError::Account(format!(
            "the database at {} belongs to user id {}, not to root's daemon\nstart mosaic-fed as that user",
            cluster.display(),
            self.uid
        ))
    }

    /// The mode of a directory that holds what root writes and the server's account only reads or passes through.
    pub fn base_mode(&self) -> u32 {
        if self.lent { 0o711 } else { 0o700 }
    }

    fn check(&self, path: &Path) -> Result<(), EmbeddedError> {
        let meta = std::fs::symlink_metadata(path).map_err(at("read", path))?;
        let owned = [self.uid, Uid::effective()].contains(&Uid::from_raw(meta.uid()));
        let reason = match meta.mode() & 0o777 {
            _ if !meta.is_dir() => "it is not a directory; remove it, then start again".into(),
            _ if !owned => format!("it belongs to user id {}; remove it, then start again", meta.uid()),
            mode if mode & 0o077 != 0 => format!("its mode is {mode:o}; set it to 700, then start again"),
            _ => return Ok(()),
        };
        Err(EmbeddedError::Unsafe { path: path.to_owned(), reason })
    }

    /// Gives a file or directory to this account; a no-op for an ordinary user.
    pub fn give(&self, path: &Path) -> Result<(), EmbeddedError> {
        if !self.lent {
            return Ok(());
        }
        std::os::unix::fs::lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
            .map_err(at("change the owner of", path))
    }
}

fn passwd(uid: Uid) -> Result<User, EmbeddedError> {
    User::from_uid(uid).ok().flatten().ok_or_else(|| {
        EmbeddedError::Account(format!(
            "user id {uid} has no entry in the user database, and PostgreSQL will not run without one\nadd one (`useradd --uid {uid} NAME`), or use a PostgreSQL of your own: --postgres URL"
        ))
    })
}

fn owner_of(cluster: &Path) -> Result<User, EmbeddedError> {
    let uid = std::fs::metadata(cluster).map_err(at("read", cluster))?.uid();
    if uid == 0 {
        let path = cluster.display();
        return Err(EmbeddedError::Account(format!(
            "the database at {path} belongs to root, as whom PostgreSQL refuses to run\ngive it back: chown -R postgres {path}"
        )));
    }
    passwd(Uid::from_raw(uid))
}

fn service_account() -> Result<User, EmbeddedError> {
    SERVICE_ACCOUNTS.iter().find_map(|name| User::from_name(name).ok().flatten()).ok_or_else(|| {
        EmbeddedError::Account(
            "PostgreSQL refuses to run as root, and there is no user `mosaic-fed`, `postgres` or `nobody` to run it as\nadd one: useradd --system mosaic-fed".into(),
        )
    })
}

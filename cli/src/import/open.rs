//! The one way to open what is imported: nothing but a regular file, without waiting for anybody, and of a folder only what lies
//! below it. What was found may be another thing by the time it is opened, in a folder that others write to as well: so what is
//! judged is the open file itself, never its name before.

use nix::fcntl::OFlag;
use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

/// Why a link is not followed, and what to do.
pub const LEADS_OUT: &str =
    "a link that leads out of what is imported; put what it leads to in its place, or say --follow-links";

/// Opens a regular file. A pipe that nobody writes to would keep the reader waiting, and a terminal could become its own.
pub fn regular(path: &Path) -> io::Result<fs::File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(irregular()) }
}

/// That a path leads to no file with content of its own.
pub fn irregular() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "no regular file")
}

/// Whether an open file lies below `place`, or there: as the kernel says, whatever its name was a moment ago.
pub fn lies_below(file: &fs::File, place: &Path) -> io::Result<bool> {
    Ok(place_of(file)?.starts_with(place))
}

/// Where something lies, as the kernel says. On some file systems names have more than one spelling.
pub fn place(path: &Path) -> io::Result<PathBuf> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
    place_of(&OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?)
}

fn place_of(file: &fs::File) -> io::Result<PathBuf> {
    let place = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    // What another file took the place of since has this after its name.
    let kept = place.as_os_str().as_bytes().strip_suffix(b" (deleted)").map(|kept| OsStr::from_bytes(kept).into());
    Ok(kept.unwrap_or(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{sys::stat::Mode, unistd::mkfifo};

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        for path in [pipe.as_path(), dir.path(), Path::new("/dev/null")] {
            assert_eq!(regular(path).unwrap_err().kind(), io::ErrorKind::Unsupported, "{}", path.display());
        }
    }

    #[test]
    fn an_open_file_lies_where_it_is_and_not_where_its_name_is() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        fs::create_dir(base.join("root")).unwrap();
        let (inside, outside) = (base.join("root/in.md"), base.join("rooted.md"));
        fs::write(&inside, "in").unwrap();
        fs::write(&outside, "out").unwrap();
        std::os::unix::fs::symlink(&outside, base.join("root/link.md")).unwrap();
        let root = place(&base.join("root")).unwrap();
        assert_eq!(root, base.join("root"));
        let below = |path: &Path| lies_below(&regular(path).unwrap(), &root).unwrap();
        assert!(below(&inside) && !below(&outside) && !below(&base.join("root/link.md")));
        let open = regular(&inside).unwrap();
        fs::remove_file(&inside).unwrap();
        assert!(lies_below(&open, &root).unwrap(), "it was there when it was opened");
    }
}

//! A folder that is there whole or not at all: written under another name beside its own, closed to every other account, and
//! renamed when the last file is on the disk.

use crate::exit::{Exit, Failure, Outcome};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A folder being written. Dropped before [`Folder::done`], nothing of it stays.
#[derive(Debug)]
pub struct Folder {
    goal: PathBuf,
    partial: PathBuf,
    finished: bool,
}

impl Folder {
    /// For a folder that is new, or empty.
    pub fn new(path: &Path) -> Outcome<Self> {
        let absolute = std::path::absolute(path).map_err(|error| Failure::file("find", path, &error))?;
        let goal = if absolute.exists() {
            absolute.canonicalize().map_err(|error| Failure::input(path, &error))?
        } else {
            absolute
        };
        let (Some(parent), Some(name)) = (goal.parent(), goal.file_name()) else {
            return Err(taken(path, "is no folder to write to"));
        };
        match fs::read_dir(&goal).map(|mut entries| entries.next().is_none()) {
            Ok(false) => return Err(taken(path, "is not empty")),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(taken(path, "is a file")),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Failure::input(path, &error)),
            _ => {}
        }
        let partial = parent.join(format!(".{}.partial", name.to_string_lossy()));
        fs::DirBuilder::new().mode(0o700).create(&partial).map_err(|error| unmade(&partial, &error))?;
        Ok(Self { goal, partial, finished: false })
    }

    /// A new file in it, at a path of its own below it.
    pub fn file(&self, relative: &str) -> Outcome<Output> {
        let path = self.partial.join(relative);
        let wrong = |error: io::Error| Failure::file("write", &path, &error);
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(wrong)?;
        }
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(wrong)?;
        Ok(Output { file: io::BufWriter::new(file), path })
    }

    /// Gives it its name. It is on the disk before that.
    pub fn done(mut self) -> Outcome<PathBuf> {
        let renamed = fs::rename(&self.partial, &self.goal);
        renamed.map_err(|error| {
            Failure::file("write", &self.goal, &error)
                .next("name a folder that does not exist yet, on a disk of this machine")
        })?;
        self.finished = true;
        if let Some(Err(error)) =
            self.goal.parent().map(|parent| File::open(parent).and_then(|parent| parent.sync_all()))
        {
            return Err(Failure::file("write", &self.goal, &error));
        }
        Ok(self.goal.clone())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed either is told by the next export to the same place.
            drop(fs::remove_dir_all(&self.partial));
        }
    }
}

/// A file of the folder.
#[derive(Debug)]
pub struct Output {
    file: io::BufWriter<File>,
    path: PathBuf,
}

impl Output {
    /// Writes bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.file.write_all(bytes).map_err(|error| Failure::file("write", &self.path, &error))
    }

    /// Brings it to the disk.
    pub fn done(self) -> Outcome<()> {
        let wrong = |error: &io::Error| Failure::file("write", &self.path, error);
        let file = self.file.into_inner().map_err(|error| wrong(error.error()))?;
        file.sync_all().map_err(|error| wrong(&error))
    }
}

fn taken(path: &Path, cause: &str) -> Failure {
    let cause = format!("{} {cause}", path.display());
    Failure::new(Exit::Conflict, cause).next("name a folder that does not exist yet, or an empty one")
}

fn unmade(partial: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let cause = format!("{} is there: another export writes it, or one was killed", partial.display());
            Failure::new(Exit::Conflict, cause).next("remove it if no other export is under way, and try again")
        }
        io::ErrorKind::NotFound => Failure::file("write", partial, error).next("make the folder above it first"),
        _ => Failure::file("write", partial, error).next("name a folder that your account may write to"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_is_there_whole_and_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let goal = dir.path().join("out");
        let folder = Folder::new(&goal).unwrap();
        let mut file = folder.file("a/b.txt").unwrap();
        file.write(b"text").unwrap();
        file.done().unwrap();
        assert!(!goal.exists());
        folder.done().unwrap();
        let mode = |path: &str| fs::metadata(goal.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("a"), mode("a/b.txt")), (0o700, 0o700, 0o600));
        assert_eq!(Folder::new(&goal).unwrap_err().exit, Exit::Conflict);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_that_is_broken_off_leaves_nothing_and_an_empty_one_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let goal = dir.path().join("out");
        fs::create_dir(&goal).unwrap();
        let folder = Folder::new(&goal).unwrap();
        assert_eq!(Folder::new(&goal).unwrap_err().exit, Exit::Conflict, "only one at a time");
        folder.file("x").unwrap().write(b"half").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        Folder::new(&goal).unwrap().done().unwrap();
        let missing = Folder::new(&dir.path().join("no/such/out")).unwrap_err();
        assert!(missing.next.is_some(), "{missing:?}");
    }
}

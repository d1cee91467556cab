//! Where `invite --from --out` puts invites: a directory of the caller's alone, one file for each, none ever written over.

use crate::exit::{Exit, Failure, Outcome};
use domain::id::Name;
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The bits by which anybody but the owner may do anything.
const OTHERS: u32 = 0o077;

/// A directory for invites.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Looks at a directory that is to hold them, and makes nothing.
    pub fn look(path: PathBuf) -> Outcome<Self> {
        match fs::metadata(&path) {
            Ok(there) if !there.is_dir() => {
                let cause = format!("{} is no directory", path.display());
                Err(Failure::new(Exit::Usage, cause).next("name a directory, or one that does not exist yet"))
            }
            Ok(there) if there.mode() & OTHERS != 0 || there.uid() != nix::unistd::geteuid().as_raw() => {
                let shown = path.display();
                let cause = format!("{shown} is open to others, and invites are secrets");
                let next = format!(
                    "make it yours alone, as with chmod 700 {shown}, or name a directory that does not exist yet"
                );
                Err(Failure::new(Exit::Conflict, cause).next(next))
            }
            Ok(_) => Ok(Self(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::beside(path),
            Err(error) => Err(Failure::input(&path, &error)),
        }
    }

    /// One that is still to be made needs a directory to stand in.
    fn beside(path: PathBuf) -> Outcome<Self> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        if parent.is_dir() {
            return Ok(Self(path));
        }
        let cause = format!("{} cannot be made: there is no directory {}", path.display(), parent.display());
        Err(Failure::new(Exit::Missing, cause).next("check the path, or make that one first"))
    }

    /// Makes it where it is not there.
    pub fn make(&self) -> Outcome<()> {
        match DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Failure::file("make", &self.0, &error)),
            _ => Ok(()),
        }
    }

    /// The file of a grant's invite.
    pub fn file(&self, grant: &Name) -> PathBuf {
        self.0.join(format!("{grant}.invite"))
    }

    /// Whether there is anything of that name.
    pub fn has(&self, grant: &Name) -> bool {
        fs::symlink_metadata(self.file(grant)).is_ok()
    }

    /// Writes an invite, durably: it is shown once.
    pub fn write(&self, grant: &Name, invite: &str) -> Outcome<PathBuf> {
        let path = self.file(grant);
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| {
            let written = file.write_all(format!("{invite}\n").as_bytes()).and_then(|()| file.sync_all());
            if written.is_err() {
                // Half an invite is of no use, and would stand in the way of a whole one.
                drop(fs::remove_file(&path));
            }
            written
        });
        written.map_err(|error| Failure::file("write", &path, &error))?;
        Ok(path)
    }
}

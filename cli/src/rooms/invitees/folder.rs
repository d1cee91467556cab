//! Where `invite --from --out` puts invites: a directory of the caller's alone, one file for each, none ever written over.
//!
//! What is judged is the open directory, and files are made in that one: its name may be another one's by then, where others may write
//! beside it.

use crate::exit::{Exit, Failure, Outcome};
use domain::id::Name;
use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::{Mode, fstatat},
    unistd::{UnlinkatFlags, unlinkat},
};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The bits by which anybody but the owner may do anything.
const OTHERS: u32 = 0o077;

/// A directory for invites.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// None as long as it is not made.
    open: OnceLock<File>,
}

impl Folder {
    /// Looks at a directory that is to hold them, and makes nothing.
    pub fn look(path: &Path) -> Outcome<Self> {
        // Without a slash at its end, which would lead through a link.
        let folder = Self { path: path.components().collect(), open: OnceLock::new() };
        match fs::symlink_metadata(&folder.path) {
            Ok(_) => folder.opened().map(|_| ())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => folder.has_a_place()?,
            Err(error) => return Err(Failure::input(path, &error)),
        }
        Ok(folder)
    }

    /// One that is still to be made needs a directory to stand in.
    fn has_a_place(&self) -> Outcome<()> {
        let parent = self.parent();
        if parent.is_dir() {
            return Ok(());
        }
        let cause = format!("{} cannot be made: there is no directory {}", self.path.display(), parent.display());
        Err(Failure::new(Exit::Missing, cause).next("check the path, or make that one first"))
    }

    fn parent(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
    }

    /// Makes it where it is not there. Whoever made it since it was looked for is judged like any other.
    pub fn make(&self) -> Outcome<()> {
        if self.open.get().is_some() {
            return Ok(());
        }
        let failed = |error: &io::Error| Failure::file("make", &self.path, error);
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&error)),
            _ => {}
        }
        self.opened()?;
        File::open(self.parent()).and_then(|parent| parent.sync_all()).map_err(|error| failed(&error))
    }

    /// The directory itself, if it is the caller's alone.
    fn opened(&self) -> Outcome<&File> {
        if let Some(open) = self.open.get() {
            return Ok(open);
        }
        let shown = self.path.display();
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let open = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&self.path);
        let open = open.map_err(|error| {
            let is_link = fs::symlink_metadata(&self.path).is_ok_and(|there| there.is_symlink());
            if is_link {
                let cause = format!("{shown} is a link, which may lead elsewhere by the time it is followed");
                Failure::new(Exit::Usage, cause).next("name the directory itself, or one that does not exist yet")
            } else if matches!(Errno::from_raw(error.raw_os_error().unwrap_or_default()), Errno::ENOTDIR) {
                let cause = format!("{shown} is no directory");
                Failure::new(Exit::Usage, cause).next("name a directory, or one that does not exist yet")
            } else {
                Failure::input(&self.path, &error)
            }
        })?;
        let there = open.metadata().map_err(|error| Failure::input(&self.path, &error))?;
        if there.mode() & OTHERS != 0 || there.uid() != nix::unistd::geteuid().as_raw() {
            let cause = format!("{shown} is open to others, and invites are secrets");
            let next =
                format!("make it yours alone, as with chmod 700 {shown}, or name a directory that does not exist yet");
            return Err(Failure::new(Exit::Conflict, cause).next(next));
        }
        Ok(self.open.get_or_init(|| open))
    }

    /// The file of a grant's invite.
    pub fn file(&self, grant: &Name) -> PathBuf {
        self.path.join(name(grant))
    }

    /// Whether there is anything of that name.
    pub fn has(&self, grant: &Name) -> bool {
        let there = |open| fstatat(open, name(grant).as_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        self.open.get().map(there).is_some_and(|there| !matches!(there, Err(Errno::ENOENT)))
    }

    /// Writes an invite, durably with its name: it is shown once.
    pub fn write(&self, grant: &Name, invite: &str) -> Outcome<PathBuf> {
        let (path, open) = (self.file(grant), self.opened()?);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let made = openat(open, name(grant).as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR);
        let written = made.map(File::from).map_err(io::Error::from).and_then(|mut file| {
            let written = file.write_all(format!("{invite}\n").as_bytes()).and_then(|()| file.sync_all());
            let written = written.and_then(|()| open.sync_all());
            if written.is_err() {
                // Half an invite is of no use, and would stand in the way of a whole one.
                unlinkat(open, name(grant).as_str(), UnlinkatFlags::NoRemoveDir).ok();
            }
            written
        });
        written.map_err(|error| Failure::file("write", &path, &error))?;
        Ok(path)
    }
}

fn name(grant: &Name) -> String {
    format!("{grant}.invite")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn grant() -> Name {
        "home".parse().unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    fn refusal(said: Outcome<impl Sized>) -> String {
        said.err().expect("a refusal").cause
    }

    #[test]
    fn it_is_made_for_its_owner_alone_and_so_are_its_files_whatever_the_umask() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("new");
        let folder = Folder::look(&path.join("")).unwrap();
        assert!(!path.exists() && !folder.has(&grant()));
        folder.make().unwrap();
        folder.make().unwrap();
        let file = folder.write(&grant(), "mfi1.x").unwrap();
        assert_eq!((mode(&path), mode(&file), file), (0o700, 0o600, path.join("home.invite")));
        assert!(folder.has(&grant()) && Folder::look(&path).unwrap().has(&grant()));
        folder.write(&grant(), "another").unwrap_err();
        assert_eq!(fs::read_to_string(path.join("home.invite")).unwrap(), "mfi1.x\n");
    }

    #[test]
    fn what_somebody_else_made_since_it_was_looked_for_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let [path, trap] = ["new", "trap"].map(|name| base.path().join(name));
        DirBuilder::new().mode(0o700).create(&trap).unwrap();
        let open = |path: &Path, mode| {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        for mode in [0o770, 0o720, 0o701] {
            let folder = Folder::look(&path).unwrap();
            open(&path, mode);
            assert!(refusal(folder.make()).contains("is open to others"), "{mode:o}");
            assert!(refusal(folder.write(&grant(), "mfi1.x")).contains("is open to others"), "{mode:o}");
            fs::remove_dir(&path).unwrap();
        }
        let folder = Folder::look(&path).unwrap();
        symlink(&trap, &path).unwrap();
        assert!(refusal(folder.make()).contains("is a link"));
        assert!(refusal(Folder::look(&path)).contains("is a link"));
        assert!(refusal(Folder::look(&path.join(""))).contains("is a link"), "also with a slash behind it");
        assert_eq!(fs::read_dir(&trap).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_exchanged_gets_nothing() {
        let base = tempfile::tempdir().unwrap();
        let [path, moved] = ["new", "moved"].map(|name| base.path().join(name));
        let folder = Folder::look(&path).unwrap();
        folder.make().unwrap();
        fs::rename(&path, &moved).unwrap();
        fs::create_dir(&path).unwrap();
        folder.write(&grant(), "mfi1.x").unwrap();
        assert!(moved.join("home.invite").exists());
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn somebody_elses_directory_is_refused() {
        let root = Path::new("/");
        // Whoever runs this as root owns it; then it is open to all the same.
        assert!(refusal(Folder::look(root)).contains("is open to others"));
    }
}

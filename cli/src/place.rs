//! The data directory: what lies where in it, who may read it, and the lock that keeps a second daemon out.

use crate::exit::{Exit, Failure, Outcome};
use domain::id::{InstanceId, Name};
use nix::{
    fcntl::{Flock, FlockArg},
    unistd::geteuid,
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The layout this program reads and writes.
const VERSION: u32 = 1;

/// A data directory, which may not exist yet.
#[derive(Clone, Debug)]
pub struct Place {
    dir: PathBuf,
}

/// What says that a directory holds an instance, written last when one is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Marker {
    /// The layout of the directory.
    pub version: u32,
    /// Which instance it is.
    pub instance: InstanceId,
    /// What it calls itself.
    pub name: Name,
}

/// What every layout says of itself.
#[derive(Deserialize)]
struct Layout {
    version: u32,
}

/// Held while a daemon runs.
pub struct Lock(#[expect(dead_code, reason = "its drop is what it is for")] Flock<fs::File>);

impl Place {
    /// The directory that was named, or the user's own.
    pub fn chosen(dir: Option<PathBuf>) -> Outcome<Self> {
        let dir = dir.or_else(default_dir).ok_or_else(|| {
            Failure::new(Exit::Usage, "there is no home directory to put the instance in").next("name one: -C DIR")
        })?;
        let dir = std::path::absolute(&dir).map_err(|error| Failure::file("find", &dir, &error))?;
        Ok(Self { dir })
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The operator's socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join(api::socket::FILE)
    }

    /// How far each grant has come, whatever the database says.
    pub fn floors(&self) -> PathBuf {
        self.dir.join("grants.floor")
    }

    /// The settings.
    pub fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// The last list of revoked certificates that was taken from elsewhere.
    pub fn kept_list(&self) -> PathBuf {
        self.dir.join("revoked.crl")
    }

    /// The key that seals every other key, unless it lies elsewhere.
    pub fn kek(&self) -> PathBuf {
        self.dir.join("kek")
    }

    fn marker_file(&self) -> PathBuf {
        self.dir.join("instance.json")
    }

    /// What lies here: an instance of a layout this program knows.
    pub fn marker(&self) -> Outcome<Marker> {
        let path = self.marker_file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.no_instance()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(self.unusable(&error)),
            Err(error) => return Err(Failure::input(&path, &error)),
        };
        let damaged = |cause| Failure::new(Exit::Failed, format!("{} is damaged: {cause}", path.display()));
        // The version alone first: nothing else of another layout can be relied on.
        let Layout { version } = serde_json::from_slice(&text).map_err(damaged)?;
        if version == VERSION {
            return serde_json::from_slice(&text).map_err(damaged);
        }
        let cause = format!("{} is of layout {version}; this program knows {VERSION}", self.dir.display());
        Err(Failure::new(Exit::Conflict, cause).next("use the mosaic-fed that wrote it, or a newer one"))
    }

    /// Refuses a directory that is another account's, or in which others may put files in place of the instance's. One that
    /// they may only look into is served from, with the remark that is returned.
    pub fn guarded(&self) -> Outcome<Option<String>> {
        let Ok(meta) = fs::metadata(&self.dir) else { return Ok(None) };
        self.own(&meta)?;
        let (dir, mode) = (self.dir.display(), meta.mode() & 0o777);
        if mode & 0o022 != 0 {
            let cause = format!("others may write in {dir} (mode {mode:o}): files there may not be the instance's own");
            let next = format!("look for what is not yours, then chmod 700 {dir}");
            return Err(Failure::new(Exit::Forbidden, cause).next(next));
        }
        Ok((mode & 0o077 != 0).then(|| format!("others may look into {dir} (mode {mode:o}): chmod 700 {dir}")))
    }

    fn own(&self, meta: &fs::Metadata) -> Outcome<()> {
        if meta.uid() == geteuid().as_raw() {
            return Ok(());
        }
        let (owner, this) = (meta.uid(), geteuid());
        let cause = format!("{} belongs to user id {owner}, and this is run by user id {this}", self.dir.display());
        Err(Failure::new(Exit::Forbidden, cause).next("run it as the account that the directory belongs to"))
    }

    /// Itself, unless it is plain that no instance is here. A directory that is closed to the caller may hold one.
    pub fn made(self) -> Outcome<Self> {
        match fs::metadata(self.marker_file()) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let cause = format!("{} is a file, and an instance is a directory", self.dir.display());
                Err(Failure::new(Exit::Usage, cause).next("name the instance's directory with -C"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.no_instance()),
            _ => Ok(self),
        }
    }

    fn no_instance(&self) -> Failure {
        Failure::new(Exit::Missing, format!("there is no instance in {}", self.dir.display()))
            .next("make one: mosaic-fed init NAME (or name another directory with -C)")
    }

    /// Makes the directory (0700) for a new instance. Says whether it was made.
    pub fn claim(&self) -> Outcome<bool> {
        if let Ok(marker) = self.marker() {
            let cause = format!("{} holds the instance `{}`", self.dir.display(), marker.name);
            return Err(Failure::new(Exit::Conflict, cause).next("mosaic-fed serve, or `-C DIR` for a second instance"));
        }
        if let Ok(meta) = fs::metadata(&self.dir) {
            self.own(&meta)?;
        }
        let found = fs::read_dir(&self.dir);
        match found.map(|mut entries| entries.next().is_none()) {
            Ok(true) => fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o700))
                .map(|()| false)
                .map_err(|error| Failure::file("close to others", &self.dir, &error)),
            Ok(false) => Err(self.not_empty()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make().map(|()| true),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    fn not_empty(&self) -> Failure {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        let held = domain::say::named(names.iter().map(String::as_str));
        Failure::new(Exit::Conflict, format!("{} is not empty: it holds {held}", self.dir.display())).next(
            "name another directory, one that is empty or not there yet: -C DIR; or remove what is in this one, if nobody needs it",
        )
    }

    fn unusable(&self, error: &io::Error) -> Failure {
        match self.dir.ancestors().find(|part| part.is_file()) {
            Some(file) => Failure::new(Exit::Usage, format!("{} is a file, no directory", file.display()))
                .next("name a directory that is empty or not there yet: -C DIR"),
            None => {
                Failure::file("use", &self.dir, error).next("let your account write there, or name another: -C DIR")
            }
        }
    }

    fn make(&self) -> Outcome<()> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        // The umask does not widen, but it must not narrow either.
        let closed = made.and_then(|()| fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o700)));
        closed.map_err(|error| self.unusable(&error))
    }

    /// Says that the directory holds an instance.
    pub fn mark(&self, instance: InstanceId, name: &Name) -> Outcome<()> {
        let marker = Marker { version: VERSION, instance, name: name.clone() };
        let text = serde_json::to_vec_pretty(&marker).map_err(Failure::of)?;
        new_file(&self.marker_file(), &text)
    }

    /// Keeps other daemons out of the directory until it is dropped.
    pub fn lock(&self) -> Outcome<Lock> {
        let path = self.dir.join("daemon.lock");
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| Failure::file("open", &path, &error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut held) => {
                let written = held.set_len(0).and_then(|()| write!(held, "{}", std::process::id()));
                written.map(|()| Lock(held)).map_err(|error| Failure::file("write", &path, &error))
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => Err(self.taken(&mut file)),
            Err((_, error)) => Err(Failure::file("lock", &path, &error.into())),
        }
    }

    fn taken(&self, file: &mut fs::File) -> Failure {
        let mut pid = String::new();
        drop(file.rewind().and_then(|()| file.read_to_string(&mut pid)));
        let pid = pid.trim();
        let cause = format!("a daemon (process {pid}) already runs in {}", self.dir.display());
        Failure::new(Exit::Conflict, cause).next(format!("use it, or end it with `kill {pid}`"))
    }
}

fn default_dir() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    data.map(|data| data.join("mosaic-fed"))
}

/// Writes a file that only its owner may read and that must not be there yet.
pub fn new_file(path: &Path, content: &[u8]) -> Outcome<()> {
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|error: io::Error| Failure::file("write", path, &error))
}
